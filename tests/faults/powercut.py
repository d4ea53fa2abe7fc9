"""
Power cuts of a host that saves through a spool.

    python -m tests.faults.powercut --saves 500 --cuts 300

`strace` records every write, sync and change of a folder of a process that saves, overwrites and
deletes. A cut comes after any of them. The disk then has all synced bytes and names, and any part
of the others, in any order. Each acknowledged file must be there with its bytes, or a newer version
of it.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import define, evolve, field

from tests.environment import environment
from tests.seeds import random_for
from tests.txtahoe.spool.case import directory_cap
from txtahoe.spool import Entry, Spool

_CALLS = "openat,write,pwrite64,fsync,fdatasync,link,unlink,ftruncate,mkdir,close"
# The process, the call, its arguments and result. Children, as of imports, count not.
_LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)", re.MULTILINE)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
DELETING, DELETED = "deleting", "deleted"
_SECTOR = 512  # bytes, which a disk writes whole


@define(eq=False)
class Content:
    """The bytes of a file: those that are on the disk, and the changes that may be."""

    synced: bytes = b""
    changes: list[tuple[int, bytes | None]] = field(factory=list)
    end: int = 0  # where `write` goes on

    def now(self) -> bytes:
        return self._with(self.changes)

    def cut(self, choices: random.Random) -> bytes:
        """The bytes after a cut."""
        some = []
        for offset, data in self.changes:
            if data is not None and choices.randrange(3) == 0:  # it is torn
                data = data[: _SECTOR * choices.randrange(len(data) // _SECTOR + 1)]
            if choices.randrange(2):
                some.append((offset, data))
        return self._with(some)

    def _with(self, changes: list[tuple[int, bytes | None]]) -> bytes:
        whole = bytearray(self.synced)
        for offset, data in changes:
            if data is None:
                whole[offset:] = bytes(max(0, offset - len(whole)))
            else:
                whole.extend(bytes(max(0, offset - len(whole))))
                whole[offset : offset + len(data)] = data
        return bytes(whole)

    def sync(self) -> None:
        self.synced, self.changes = self.now(), []


@define(eq=False)
class Folder:
    """The names in a folder: those that are on the disk, and the changes that may be."""

    synced: dict[str, Content | Folder] = field(factory=dict)
    changes: list[tuple[str, Content | Folder | None]] = field(factory=list)

    def now(self) -> dict[str, Content | Folder]:
        return self._with(self.changes)

    def cut(self, choices: random.Random) -> dict[str, Content | Folder]:
        return self._with([change for change in self.changes if choices.randrange(2)])

    def _with(
        self, changes: list[tuple[str, Content | Folder | None]]
    ) -> dict[str, Content | Folder]:
        names = {**self.synced, **dict(changes)}
        return {name: there for name, there in names.items() if there is not None}

    def sync(self) -> None:
        self.synced, self.changes = self.now(), []


class Disk:
    """The folder `top`, as the calls of a recorded process change it one by one."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._root = Folder()
        self._opened: dict[int, Content | Folder] = {}
        self.acknowledged: list[str] = []

    def play(self, call: str, arguments: str, result: int) -> None:
        """Do what a line of the record tells."""
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(arguments)]
        first = int(arguments.partition(",")[0]) if arguments[0].isdigit() else -1
        if result < 0:
            return
        if call == "write" and first == 1:
            self.acknowledged += texts[0].decode().split()
        elif call in ("write", "pwrite64", "fsync", "fdatasync", "ftruncate", "close"):
            there = self._opened.get(first)
            if call == "close":
                self._opened.pop(first, None)
            elif there is not None and call.endswith("sync"):
                there.sync()
            elif isinstance(there, Content):
                offset = there.end if call == "write" else int(arguments.rpartition(", ")[2])
                there.changes.append((offset, None if call == "ftruncate" else texts[0]))
                if call == "write":
                    there.end += len(texts[0])
        else:
            self._name(call, [Path(os.fsdecode(text)) for text in texts], result)

    def _name(self, call: str, paths: list[Path], result: int) -> None:
        if not all(path.is_relative_to(self._top) for path in paths):
            if call == "openat":
                self._opened.pop(result, None)
            return
        there, name = self._find(paths[-1]), paths[-1].name
        if call == "openat" and there is not None:
            self._opened[result] = there
            return
        folder = self._find(paths[-1].parent)
        assert isinstance(folder, Folder)
        if call == "openat":
            there = self._opened[result] = Content()
        elif call == "mkdir":
            there = Folder()
        else:
            there = self._find(paths[0]) if call == "link" else None
        folder.changes.append((name, there))

    def _find(self, path: Path) -> Content | Folder | None:
        there: Content | Folder | None = self._root
        for part in path.relative_to(self._top).parts:
            assert isinstance(there, Folder)
            there = there.now().get(part)
        return there

    def cut(self, to: Path, choices: random.Random) -> None:
        """Make what is on the disk after a cut now."""
        waiting: list[tuple[Path, Content | Folder]] = [(to, self._root)]
        while waiting:
            path, there = waiting.pop()
            if isinstance(there, Content):
                path.write_bytes(there.cut(choices))
            else:
                path.mkdir(0o700)
                waiting += [(path / name, below) for name, below in there.cut(choices).items()]


def content_of(version: str) -> bytes:
    return version.encode() * (int(version) * 7919 % 5000 + 1)


def cuts(saves: int, number: int) -> Iterator[str]:
    """Cut the power so many times; yield what is lost."""
    choices = random_for("powercut")
    with TemporaryDirectory() as folder:
        record, top = Path(folder) / "record", Path(folder) / "top"
        top.mkdir()
        strace = ["strace", "-f", "-xx", "-s", "999999", "-e", f"trace={_CALLS}", "-o", str(record)]
        worker = [sys.executable, "-m", "tests.faults.powercut", "--work", str(top)]
        subprocess.run(
            [*strace, *worker, "--saves", str(saves)],
            check=True,
            env=environment(),
            stdout=subprocess.DEVNULL,
        )
        text = record.read_text()
        lines = [line for line in _LINE.finditer(text) if text.startswith(f"{line[1]} ")]
        first = next(n for n, line in enumerate(lines) if line[2] == "mkdir")
        points = sorted(choices.sample(range(first, len(lines)), min(number, len(lines) - first)))
        disk, done = Disk(top), 0
        for cut, point in enumerate(points):
            for line in lines[done:point]:
                disk.play(line[2], line[3], int(line[4]))
            done = point
            there = Path(folder) / f"cut{cut}"
            disk.cut(there, choices)
            yield from _lost(Spool(there / "spool", directory_cap(1)), disk.acknowledged)


def _lost(spool: Spool, acknowledged: list[str]) -> Iterator[str]:
    seen: dict[str, list[str]] = {}
    for line in acknowledged:
        name, _, version = line.partition("=")
        seen.setdefault(name, []).append(version)
    for name, (*_, version) in seen.items():
        entry = spool.find(("d", name))
        if entry is None:
            if version not in (DELETING, DELETED):
                yield f"{name} is missing, after {len(acknowledged)} saves"
            continue
        try:
            opened, _ = spool.open(entry.node)
            assert opened is not None
            content = b"".join(opened.chunks())
            opened.close()
        except OSError as error:
            yield f"{name}, after {len(acknowledged)} saves: {error}"
            continue
        found = entry.problem  # the worker writes the version there
        is_older = version.isdigit() and int(found) < int(version)
        if content != content_of(found) or is_older or (version == DELETED and found in seen[name]):
            yield f"{name} has version {found}, not {version}"


def work(top: Path, saves: int) -> None:
    """Save, overwrite and delete, and tell of each step when it is done."""
    spool = Spool(top / "spool", directory_cap(1), min_free=0)
    for number in range(saves):
        name, version = f"{number % 50}", f"{number}"
        other = spool.find(("d", f"{number * 3 % 50}"))
        if number % 7 == 0 and other is not None:
            os.write(1, f"{other.path[-1]}={DELETING}\n".encode())
            spool.update([other := evolve(other, over=())])  # as if it was not to replace any
            assert spool.discard(other)
            os.write(1, f"{other.path[-1]}={DELETED}\n".encode())
        entry = Entry(("d", name), over=True, problem=version)
        spool.add(spool.write(entry, [content_of(version)]))
        os.write(1, f"{name}={version}\n".encode())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--saves", type=int, default=500)
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work, given.saves)
        return 0
    lost = list(cuts(given.saves, given.cuts))
    print(f"{given.cuts} cuts; lost: {lost}")
    return bool(lost)


if __name__ == "__main__":
    sys.exit(main())
