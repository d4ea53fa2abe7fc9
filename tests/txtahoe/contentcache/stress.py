"""
Processes that share a content cache, read at random, and are killed at random.

    python -m tests.txtahoe.contentcache.stress --reads 200000

It compares the hits with those of an ideal cache, which evicts exactly the least recently used
file. It ends with status 1 if a byte is wrong, the folder too large, or the hits too few.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import struct
import sys
import traceback
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from attrs import define

from tests.seeds import random_for
from tests.txtahoe.contentcache.case import cap_of, content_of
from txtahoe import Cap
from txtahoe.contentcache import ContentCache

SIZE, COPY = 10_000, 12_288  # bytes of a file, and of its copy on the disk
_READ = struct.Struct("<IB")
_MISS, _HIT, _WRONG = range(3)


@define
class Outcome:
    """
    The findings: wrong answers; the bytes of the folder at most, and its bound; processes that were
    killed; reads, their hits, and those of an ideal cache.
    """

    bound: int
    wrong: int = 0
    largest: int = 0
    killed: int = 0
    reads: int = 0
    hits: int = 0
    ideal: int = 0

    @property
    def shortfall(self) -> float:
        """By how many points the hit rate is lower than the ideal one."""
        return 100 * (self.ideal - self.hits) / max(1, self.reads)


class Stress:
    """Processes that read `files` files through a folder for half of them."""

    def __init__(self, folder: Path, files: int) -> None:
        self.folder = folder
        self.room = files // 2
        self.outcome = Outcome(self.room * COPY)
        self._caps = [cap_of(number, SIZE) for number in range(files)]
        # Some files are read far more often than others, as on real sites.
        self._weights = list(accumulate(1 / (number + 1) ** 0.7 for number in range(files)))
        self._told, self._tell = os.pipe()
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._rest = b""
        self._started = 0

    def run(self, reads: int, processes: int, kills: int) -> Outcome:
        """Spread the kills and twenty looks at the folder over the reads. Wrong bytes end it."""
        choices = random_for("stress")
        self._fill()
        running = [self._start() for _ in range(processes)]
        looks = 0
        while self.outcome.reads < reads and not self.outcome.wrong:
            self._count(os.read(self._told, 2**16))
            if self.outcome.reads > self.outcome.killed * reads / kills:
                victim = choices.randrange(processes)
                _end(running[victim])
                running[victim] = self._start()
                self.outcome.killed += 1
            if self.outcome.reads > looks * reads / 20:
                looks += 1
                self._look(running)
        for process in running:
            _end(process)
        return self.outcome

    def _fill(self) -> None:
        cache = ContentCache(self.folder, max_bytes=self.outcome.bound, max_file_bytes=SIZE)
        for number in range(len(self._caps) - self.room, len(self._caps)):
            _read(cache, self._caps[number], number)
            self._recent[number] = None

    def _start(self) -> int:
        self._started += 1
        process = os.fork()
        if not process:
            self._read_for_ever(random_for("process", self._started))
        return process

    def _read_for_ever(self, choices: random.Random) -> NoReturn:
        logging.disable()  # a process that waits too long for the lock says so
        try:
            cache = ContentCache(self.folder, max_bytes=self.outcome.bound, max_file_bytes=SIZE)
            numbers = range(len(self._caps))
            while True:
                (number,) = choices.choices(numbers, cum_weights=self._weights)
                said = _read(cache, self._caps[number], number)
                os.write(self._tell, _READ.pack(number, said))
        except Exception:
            traceback.print_exc()
            os.write(self._tell, _READ.pack(0, _WRONG))  # the cache must never raise
        finally:
            os._exit(1)

    def _count(self, told: bytes) -> None:
        told = self._rest + told
        whole = len(told) // _READ.size * _READ.size
        self._rest = told[whole:]
        for number, said in _READ.iter_unpack(told[:whole]):
            self.outcome.reads += 1
            self.outcome.hits += said == _HIT
            self.outcome.ideal += number in self._recent
            self.outcome.wrong += said == _WRONG
            self._recent[number] = None
            self._recent.move_to_end(number)
            if len(self._recent) > self.room:
                self._recent.popitem(last=False)

    def _look(self, running: Sequence[int]) -> None:
        """Measure the folder while all processes stand still."""
        for process in running:
            os.kill(process, signal.SIGSTOP)
            os.waitid(os.P_PID, process, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        size = sum(copy.stat().st_blocks * 512 for copy in self.folder.glob("*/*"))
        self.outcome.largest = max(self.outcome.largest, size)
        for process in running:
            os.kill(process, signal.SIGCONT)


def _read(cache: ContentCache, cap: Cap, number: int) -> int:
    content = content_of(number, SIZE)[:SIZE]
    found = cache.read(cap, 0, SIZE)
    if found:
        return _HIT if found == content else _WRONG
    # As after a download, or after an upload.
    writer = cache.writer(cap) if number % 2 else cache.writer()
    writer.write(content)
    writer.finish(cap)
    return _MISS


def _end(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--reads", type=int, default=200_000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--files", type=int, default=10_000)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        stress = Stress(Path(folder) / "cache", given.files)
        found = stress.run(given.reads, given.processes, kills=given.reads // 300)
        usage = ContentCache(Path(folder) / "cache", max_bytes=found.bound).usage()
    print(found, usage, f"shortfall: {found.shortfall:.2f} points", sep="\n")
    return int(bool(found.wrong) or found.largest > found.bound + COPY or found.shortfall > 5)


if __name__ == "__main__":
    sys.exit(main())
