"""
Processes of one host that save through a spool, and are killed at random.

    python -m tests.faults.spooling --saves 10000 --processes 8

Each process saves files, appends to a log of its own, and overwrites a file of its own. Requests to
the gateway go wrong at random too. In the end every acknowledged file must be on the grid with its
bytes, and no file twice; each log must have its lines, and each file its last version. Then the
exit status is 0.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import selectors
import signal
import subprocess
import sys
from collections import Counter
from hashlib import shake_128
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import django
from attrs import define, field

from tests.environment import environment
from tests.seeds import random_for
from txtahoe.testing.fake import FakeGateway
from txtahoe.testing.fake.faults import ExceptionPage, LostAnswer, Status

_MOST = 40_000  # bytes of a file
FIRST = 10**6  # more than the saves of a process
LOGS, VERSIONS = "logs", "versions"  # the folders of files that are saved again and again


def content_of(number: int) -> bytes:
    """The bytes of a save: those that its number gives; no two are equal."""
    length = random.Random(number).randrange(8, _MOST)
    return number.to_bytes(8) + shake_128(b"%d" % number).digest(length)


@define
class Outcome:
    """
    The findings. `saves`: acknowledged ones. `kills`: of processes. `lost`: acknowledged files that
    are not on the grid, or not with their bytes. `twice`: files that are there more than once.
    `taken`: files that got another name because theirs was taken, though nobody else saves.
    """

    saves: int = 0
    kills: int = 0
    lost: list[str] = field(factory=list)
    twice: list[str] = field(factory=list)
    taken: int = 0
    left: int = 0

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.twice or self.taken or self.left) and self.saves > 0


class Host:
    """The processes of a host, which save through one spool to a gateway in memory."""

    def __init__(self, folder: Path, processes: int, saves_a_kill: int) -> None:
        self._spool = folder
        self._saves_a_kill = saves_a_kill
        self._choices = random_for("spooling")
        self._selector = selectors.DefaultSelector()
        self._processes = processes
        self._started = 0
        self._acknowledged: dict[str, list[int]] = {}
        self.outcome = Outcome()

    def run(self, saves: int) -> Outcome:
        fake = FakeGateway()
        self._cap = str(fake.make_directory())
        with fake.listening() as url:
            self._url = url
            running = [self._start() for _ in range(self._processes)]
            try:
                self._work(fake, running, saves)
            finally:
                for process in running:
                    self._end(process)
            fake.forget_faults()
            self._judge()
        return self.outcome

    def _work(self, fake: FakeGateway, running: list[subprocess.Popen[bytes]], saves: int) -> None:
        next_kill = self._saves_a_kill
        while self.outcome.saves < saves:
            for key, _ in self._selector.select(timeout=600) or self._stuck():
                self._hear(key.fileobj)
            if self._choices.randrange(20) == 0:
                self._fail(fake)
            if self.outcome.saves >= next_kill:
                next_kill += self._choices.randrange(1, 2 * self._saves_a_kill)
                victim = self._choices.randrange(self._processes)
                self._end(running[victim])
                running[victim] = self._start()
                self.outcome.kills += 1

    def _fail(self, fake: FakeGateway) -> None:
        fault = self._choices.choice([LostAnswer(), Status(503), ExceptionPage()])
        pattern = self._choices.choice(["PUT /uri", "*?t=set_children", "*"])
        fake.fail_next(pattern, fault, skip=self._choices.randrange(5))

    def _start(self) -> subprocess.Popen[bytes]:
        self._started += 1
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.spooling", "--orders"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({**self._options, "first": self._started * FIRST}).encode())
        process.stdin.close()
        self._selector.register(process.stdout, selectors.EVENT_READ)
        return process

    @property
    def _options(self) -> dict[str, Any]:
        return {
            "tahoe_base_url": self._url,
            "tahoe_base_cap": self._cap,
            "spool": str(self._spool),
            "spool_min_free": 0,
        }

    def _hear(self, pipe: Any) -> bool:
        line = pipe.readline()
        if line.endswith(b"\n"):
            number, _, name = line.decode().strip().partition(" ")
            self._acknowledged.setdefault(name, []).append(int(number))
            self.outcome.saves += 1
        return bool(line)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        self._selector.unregister(process.stdout)
        while self._hear(process.stdout):
            pass
        process.stdout.close()

    def _stuck(self) -> Any:
        raise TimeoutError("no process has saved anything for ten minutes")

    def _judge(self) -> None:
        from django.core.management import CommandError, call_command
        from django.test import override_settings

        from tahoestorage.storage import TahoeStorage

        settings = {
            f"TAHOE_STORAGE_{k.removeprefix('tahoe_').upper()}": v for k, v in self._options.items()
        }
        with override_settings(**settings):
            spool = TahoeStorage().connection.spool
            assert spool is not None
            try:
                call_command("tahoe", "upload", "--wait", verbosity=0)
            except CommandError as error:
                print(error, file=sys.stderr)
        self.outcome.left = spool.summary().files
        self.outcome.taken = len(spool.summary().notes)
        options = {k: v for k, v in self._options.items() if not k.startswith("spool")}
        storage = TahoeStorage(**options)
        there: Counter[str] = Counter()
        found: dict[str, bytes] = {}
        for directory, _, names in storage.walk():
            for name in names:
                path = f"{directory}/{name}".lstrip("/")
                with storage.open(path) as file:
                    found[path] = file.read()
                if directory in (LOGS, VERSIONS):
                    there[path if path in self._acknowledged else f"{path}: unknown"] += 1
                else:
                    there[str(int.from_bytes(found[path][:8]))] += 1
        # A file of a process that was killed before its first acknowledgement can be there.
        known = {
            f"{folder}/{n * FIRST}" for folder in (LOGS, VERSIONS) for n in range(self._started + 1)
        }
        self.outcome.twice = [
            name
            for name, count in there.items()
            if count > 1 or (name.endswith(": unknown") and name.partition(":")[0] not in known)
        ]
        self.outcome.lost = [
            name
            for name, numbers in self._acknowledged.items()
            if not is_whole(name, numbers, found.get(name))
        ]


def is_whole(name: str, numbers: list[int], content: bytes | None) -> bool:
    """Whether a file has what was acknowledged, and no more than one save that was not."""
    if content is None:
        return False
    if name.startswith(LOGS):
        lines = list(map(int, content.split()))
        return lines[: len(numbers)] == numbers and len(lines) <= len(numbers) + 1
    if name.startswith(VERSIONS):
        return int(content) >= numbers[-1]
    return content == content_of(numbers[0])


def work(options: dict[str, Any]) -> None:
    """Save without an end, and tell of each save when it is acknowledged."""
    from django.core.files.base import ContentFile

    from tahoestorage.storage import TahoeStorage
    from txtahoe.errors import TahoeError

    number = first = options.pop("first")
    storage = TahoeStorage(**options, timeout=10)
    overwriting = TahoeStorage(**options, timeout=10, allow_overwrite=True)
    while True:
        number += 1
        name = f"{number % 7}/{number % 3}/file.bin"
        if number % 5 == 0:
            name = f"{LOGS}/{first}"
            try:
                log = storage.open(name, "ab")
            except TahoeError:  # the grid was asked for the file, and could not answer
                continue
            with log:
                log.write(b"%d\n" % number)
        elif number % 5 == 1:
            name = overwriting.save(f"{VERSIONS}/{first}", ContentFile(b"%d" % number))
        else:
            name = storage.save(name, ContentFile(content_of(number)))
        os.write(1, f"{number} {name}\n".encode())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--saves", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--saves-a-kill", type=int, default=50)
    parser.add_argument("--orders", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    django.setup()
    if given.orders:
        work(json.load(sys.stdin))
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        host = Host(Path(folder) / "spool", given.processes, given.saves_a_kill)
        found = host.run(given.saves)
    print(found)
    return not found.is_good


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    sys.exit(main())
