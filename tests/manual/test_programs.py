"""The programs of txtahoe's manual, run on the real grid as the manual says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from twisted.trial.unittest import SynchronousTestCase

from tests.environment import environment
from tests.grid.case import make_directory
from tests.grid.shared import shared_grid
from tests.manual.pages import pages, programs, write_programs
from tests.needs import GRID, needs
from txtahoe import Client
from txtahoe.testing.node import free_port


@needs(GRID)
class Programs(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        write_programs(self.folder)
        self.gateway = shared_grid().gateway_urls[0]

    def start(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        # -P: a program called site.py must not stand in for the standard library's.
        process = subprocess.Popen(
            [sys.executable, "-P", str(self.folder / name), *arguments],
            env=environment(TAHOE_CAP=make_directory(self.gateway)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_each_program_has_a_test_here(self) -> None:
        self.assertEqual(
            set(programs()),
            {
                "tour.py",
                "site.py",
                "mirror.py",
                "twisted/plugins/mirror_plugin.py",
                "files.py",
                "test_saving.py",
                "test_both.py",
                "with_asyncio.py",
            },
        )

    def test_the_tour_succeeds_and_prints_no_cap(self) -> None:
        process = self.start("tour.py", self.gateway)
        output, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, output)
        self.assertIn("'name.txt'", output)
        self.assertIn("name.txt 4700 b'Bytes'", output)
        self.assertIn("a/b directory", output)
        self.assertIn("'count-files': 4", output)
        self.assertNotIn("URI:", output)

    def test_the_site_takes_uploads_and_serves_them(self) -> None:
        port = free_port()
        self.start("site.py", self.gateway, str(port))
        url = f"http://127.0.0.1:{port}/a/b.bin"
        data = os.urandom(3_000_000)
        self.assertEqual(self.ask(Request(url, data, method="PUT")), (201, b"It is on the grid.\n"))
        self.assertEqual(self.ask(Request(url)), (200, data))
        part = Request(url, headers={"Range": "bytes=-9"})
        self.assertEqual(self.ask(part), (206, data[-9:]))
        self.assertEqual(self.ask(Request(url, method="HEAD")), (200, b""))
        for name in ("", "/below"):
            taken = Request(url + name, b"other", method="PUT")
            self.assertEqual(self.ask(taken)[0], 409)
        for name in ("a/b.binx", "a", "a/b.bin/below", ".tahoe-maintenance/checked"):
            missing = Request(f"http://127.0.0.1:{port}/{name}")
            self.assertEqual(self.ask(missing), (404, b"There is no such file.\n"))
        for name in (".tahoe-maintenance", "a/.tahoe-anchors/f", "."):
            reserved = Request(f"http://127.0.0.1:{port}/{name}", data, method="PUT")
            self.assertEqual(self.ask(reserved), (400, b"No file can have that name.\n"))

    def ask(self, request: Request) -> tuple[int, bytes]:
        for _ in range(900):
            try:
                with urlopen(request, timeout=30) as answer:
                    return answer.status, answer.read()
            except HTTPError as error:
                return error.code, error.read()
            except URLError:
                time.sleep(0.1)  # it is still starting
        raise AssertionError("the site did not start")


class Table(SynchronousTestCase):
    def test_the_table_has_every_operation_and_only_methods_that_exist(self) -> None:
        text = "".join(page.text for page in pages())
        table = text.partition("| the web API |")[2].partition("\n\n")[0]
        cells = [row.split("|")[2] for row in table.splitlines() if row.count("|") == 3]
        named = set(re.findall(r"`(\w+)`", " ".join(cells)))
        offered = {name for name in dir(Client) if not name.startswith("_")}
        self.assertEqual(named - offered, set())
        self.assertEqual(
            offered - named,
            {"reactor", "observer", "timeout", "connect", "serve", "forget", "close"},
        )
