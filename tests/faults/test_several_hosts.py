"""Several hosts, each with a gateway and processes of its own, that save into one directory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attrs import asdict
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.storage import TahoeStorage
from tests.bench.bare import Bare, RefusedRequest
from tests.faults.case import mend
from tests.faults.host import Orders
from tests.grid.case import make_directory
from tests.grid.shared import shared_grid
from tests.needs import GRID, TIME, needs

PROCESSES = 4  # two on each host
THREADS = 4
SAVES = int(os.environ.get("TXTAHOE_FAULT_OPERATIONS", "400"))


@needs(GRID, TIME)
class SeveralHosts(SynchronousTestCase):
    timeout = 300

    def setUp(self) -> None:
        self.grid = shared_grid()
        self.addCleanup(mend, self.grid)
        self.gateways = self.grid.gateways
        self.cap = make_directory(self.gateways[0].url)

    def save(self, meanwhile: Callable[[], None]) -> list[dict[str, Any]]:
        """The reports of the processes of both hosts about their saves."""
        orders = [
            Orders(
                number,
                self.gateways[number % 2].url,
                self.gateways[0].url,
                self.cap,
                THREADS,
                SAVES // (PROCESSES * THREADS),
            )
            for number in range(PROCESSES)
        ]
        with ThreadPoolExecutor(PROCESSES) as pool:
            running = pool.map(_run, orders)
            meanwhile()
            return [told for lines in running for told in lines]

    def link_bare(self, number: int) -> set[str]:
        """The names whose links one thread's gateway acknowledged."""
        bare = Bare(self.gateways[number % 2].url)
        linked = set()
        for save in range(4):
            name = f"{number}-{save}"
            with contextlib.suppress(RefusedRequest):
                bare.link(self.cap, {name: bare.upload(name.encode())})
                linked.add(name)
        return linked

    def contents(self) -> dict[str, str]:
        storage = TahoeStorage(tahoe_base_url=self.gateways[0].url, tahoe_base_cap=self.cap)
        _, names = storage.listdir("")
        with ThreadPoolExecutor(8) as pool:
            return dict(zip(names, pool.map(lambda name: _read(storage, name), names), strict=True))

    def disturb(self) -> None:
        for gateway in (self.gateways[1], self.gateways[0], self.gateways[1]):
            time.sleep(2)
            gateway.kill()
            time.sleep(0.5)
            gateway.start()

    def test_no_acknowledged_file_is_lost_and_none_is_there_twice(self) -> None:
        told = self.save(self.disturb)
        mend(self.grid)
        there = self.contents()
        saved = {each["name"]: each["content"] for each in told if "name" in each}
        refused = [each for each in told if "error" in each]
        self.assertEqual(len(saved) + len(refused), len(told))
        self.assertLessEqual(saved.items(), there.items())
        self.assertEqual(_twice(there.values()), [])
        for each in refused:
            self.assertTrue(each["is_ours"] and each["error"], each)
        # Some were under way when their gateway was killed, and some came while it was away.
        self.assertGreater(len(saved), len(told) / 2)

    def test_without_a_common_writer_names_are_lost(self) -> None:
        for _ in range(10):
            self.cap = make_directory(self.gateways[0].url)
            with ThreadPoolExecutor(PROCESSES * THREADS) as pool:
                linked = set().union(*pool.map(self.link_bare, range(PROCESSES * THREADS)))
            if linked - self.contents().keys():
                return
        self.fail("both gateways wrote one directory, and nothing was lost in ten rounds")


def _run(orders: Orders) -> list[dict[str, Any]]:
    """The report of a process about its saves."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.faults.host"],
        input=json.dumps(asdict(orders)),
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        check=True,
        text=True,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def _read(storage: TahoeStorage, name: str) -> str:
    with storage.open(name) as file:
        return str(file.read().decode())


def _twice(contents: Iterable[str]) -> list[str]:
    return [content for content, number in Counter(contents).items() if number > 1]
