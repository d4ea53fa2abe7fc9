"""The programs of txtahoe's manual as processes, on a gateway in memory that may go away."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.environment import environment, python_path
from tests.grid.proxy import Proxy
from tests.manual.pages import write_programs
from tests.needs import TIME, needs
from tests.waiting import wait_until
from txtahoe.testing.fake import FakeGateway
from txtahoe.testing.node import free_port

REACTORS = [(), ("--reactor=asyncio",)]
STRICTLY = [sys.executable, "-P", "-W", "error"]
TWIST = "from twisted.application.twist._twist import Twist; Twist.main()"
MIB = 2**20


@frozen
class Running:
    """A process, and what it prints."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def peak(self) -> int:
        """The most bytes that it has had in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


class ProgramsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        write_programs(self.folder)
        self.fake = FakeGateway()
        self.root = self.fake.make_directory()
        loopback = self.fake.listening()
        self.addCleanup(loopback.stop)
        self.gateway = loopback.url
        self.proxy = Proxy(self.gateway)
        self.proxy.__enter__()
        self.addCleanup(self.proxy.__exit__)

    def start(self, *arguments: object) -> Running:
        log = Path(self.mktemp())
        process = subprocess.Popen(
            [*STRICTLY, *map(str, arguments)],
            cwd=self.folder,
            env=environment(PYTHONPATH=python_path(self.folder), TAHOE_CAP=str(self.root)),
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return Running(process, log)

    def read(self, path: str) -> bytes | None:
        try:
            with urlopen(f"{self.gateway}uri/{quote(str(self.root))}/{path}", timeout=30) as answer:
                return bytes(answer.read())
        except OSError:
            return None


@needs(TIME)
class Tests(ProgramsTestCase):
    def test_the_tests_pass_under_each_reactor_without_a_warning(self) -> None:
        for reactor in REACTORS:
            running = self.start("-m", "twisted.trial", *reactor, "test_both", "test_saving")
            self.assertEqual(running.process.wait(90), 0, running.output)


@needs(TIME)
class Programs(ProgramsTestCase):
    def test_the_program_of_asyncio_prints_what_it_saved(self) -> None:
        running = self.start("with_asyncio.py", self.gateway)
        self.assertEqual(running.process.wait(60), 0, running.output)
        self.assertEqual(running.output, "['a', 'b', 'c']\n")

    def test_the_program_of_asyncio_ends_if_the_gateway_is_away(self) -> None:
        # The look-up of the name takes a thread.
        running = self.start("with_asyncio.py", f"http://localhost:{free_port()}/")
        self.assertEqual(running.process.wait(60), 1, running.output)
        self.assertIn("txtahoe.errors.GatewayRefused: making a directory", running.output)

    def test_the_mirror_tells_of_a_folder_that_it_cannot_read(self) -> None:
        options = f"--gateway={self.gateway}", f"--folder={self.folder}/none"
        running = self.start("-c", TWIST, "--log-format=text", "mirror", *options)
        wait_until(lambda: "left out: [Errno 2] No such file" in running.output)
        running.stop()

    def test_the_mirror_lives_through_a_restart_of_the_gateway(self) -> None:
        for number, reactor in enumerate(REACTORS):
            photos = self.folder / f"photos-{number}"
            photos.mkdir()
            (photos / f"{number}-first").write_bytes(b"first")
            options = f"--gateway={self.proxy.url}", f"--folder={photos}", "--every=0.1"
            running = self.start("-c", TWIST, "--log-format=text", *reactor, "mirror", *options)
            wait_until(lambda: self.read(f"{number}-first"))
            self.proxy.refuse()
            self.proxy.close_connections()
            (photos / f"{number}-second").write_bytes(b"second")
            wait_until(lambda: "the next turn tries again" in running.output)
            self.proxy.refuse(False)
            wait_until(lambda: self.read(f"{number}-second"))
            self.assertEqual(running.stop(), -signal.SIGTERM, running.output)
            self.assertNotIn("URI:", running.output)
            self.assertNotIn("Traceback", running.output)

    def test_the_site_streams_both_ways_in_little_memory(self) -> None:
        size = 64 * MIB
        block = bytes(range(256)) * 2**8
        running, connect = self.site()
        self.put(connect(), "small", iter([block]))
        before = running.peak
        self.put(connect(), "large", (block for _ in range(size // len(block))))
        uploaded = running.peak - before
        received = self.proxy.received
        connection = connect()
        connection.request("GET", "/large")
        answer = connection.getresponse()
        self.assertEqual(answer.read(len(block)), block)
        self.assertLess(self.proxy.received - received, size / 2)  # the rest waits for this reader
        self.assertEqual(sum(map(len, iter(lambda: answer.read(MIB), b""))), size - len(block))
        downloaded = running.peak - before
        print(f"{size / MIB:g} MiB each way: {uploaded / MIB:.1f}, {downloaded / MIB:.1f} MiB more")
        self.assertLess(downloaded, size / 4)

    def test_a_browser_that_goes_ends_the_request_to_the_gateway(self) -> None:
        running, connect = self.site()
        uploading = connect()
        uploading.putrequest("PUT", "/part")
        uploading.putheader("Transfer-Encoding", "chunked")
        uploading.endheaders()
        uploading.send(b"10000\r\n" + b"x" * 2**16)
        wait_until(lambda: self.proxy.connections)
        uploading.close()
        wait_until(lambda: not self.proxy.connections)
        self.assertIsNone(self.read("part"))
        self.assertEqual(running.output, "")

    def site(self) -> tuple[Running, Any]:
        port = free_port()
        running = self.start("files.py", self.proxy.url, port)

        def connect() -> http.client.HTTPConnection:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            self.addCleanup(connection.close)
            return connection

        def is_up() -> bool:
            try:
                connect().request("GET", "/none")
            except OSError:
                return False
            return True

        wait_until(is_up)
        return running, connect

    def put(
        self, connection: http.client.HTTPConnection, name: str, blocks: Iterator[bytes]
    ) -> None:
        connection.request("PUT", f"/{name}", blocks, encode_chunked=True)
        self.assertEqual(connection.getresponse().status, 201)
