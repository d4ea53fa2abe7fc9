"""Several hosts, each with a gateway and processes of its own, that save into one directory."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Condition
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
    def setUp(self) -> None:
        self.processes: list[Popen[str]] = []
        self.saved = Condition()
        self.told: list[dict[str, Any]] = []
        self.grid = shared_grid()
        self.addCleanup(mend, self.grid)
        self.gateways = self.grid.gateways
        self.cap = make_directory(self.gateways[0].url)

    def save(self, meanwhile: Callable[[], None]) -> None:
        """Let the processes of both hosts save; `told` has their reports."""
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
            running = [pool.submit(self.run_host, each) for each in orders]
            try:
                meanwhile()
            except BaseException:  # the processes would try for ever
                for process in self.processes:
                    process.kill()
                raise
            for each in running:
                each.result()

    def run_host(self, orders: Orders) -> None:
        command = [sys.executable, "-m", "tests.faults.host"]
        folder = Path(__file__).parents[2]
        with Popen(command, stdin=PIPE, stdout=PIPE, cwd=folder, text=True) as process:
            self.processes.append(process)
            assert process.stdin is not None and process.stdout is not None
            with process.stdin:
                json.dump(asdict(orders), process.stdin)
            for line in process.stdout:
                with self.saved:
                    self.told.append(json.loads(line))
                    self.saved.notify()
        self.assertEqual(process.returncode, 0)

    def has_saved(self, files: int) -> bool:
        return len(self.names()) >= files

    def names(self) -> dict[str, str]:
        """The contents that were saved, by their names."""
        return {each["name"]: each["content"] for each in self.told if "name" in each}

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
        """Kill a gateway after one, two and three fifths of the saves."""
        for fifth, number in enumerate([1, 0, 1], start=1):
            with self.saved:
                # The time is against an endless wait alone.
                has_saved = partial(self.has_saved, fifth * SAVES // 5)
                self.assertTrue(self.saved.wait_for(has_saved, timeout=200), self.told[-1:])
            self.gateways[number].kill()
            self.gateways[number].start()

    def test_no_acknowledged_file_is_lost_and_none_is_there_twice(self) -> None:
        self.save(self.disturb)
        mend(self.grid)
        there = self.contents()
        saved = self.names()
        refused = [each for each in self.told if "error" in each]
        self.assertEqual(len(saved) + len(refused), len(self.told))
        self.assertLessEqual(saved.items(), there.items())
        self.assertEqual(_twice(there.values()), [])
        for each in refused:
            self.assertTrue(each["is_ours"] and each["error"], each)

    def test_without_a_common_writer_names_are_lost(self) -> None:
        for _ in range(10):
            self.cap = make_directory(self.gateways[0].url)
            with ThreadPoolExecutor(PROCESSES * THREADS) as pool:
                linked = set().union(*pool.map(self.link_bare, range(PROCESSES * THREADS)))
            if linked - self.contents().keys():
                return
        self.fail("both gateways wrote one directory, and nothing was lost in ten rounds")


def _read(storage: TahoeStorage, name: str) -> str:
    with storage.open(name) as file:
        return str(file.read().decode())


def _twice(contents: Iterable[str]) -> list[str]:
    return [content for content, number in Counter(contents).items() if number > 1]
