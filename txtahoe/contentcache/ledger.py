"""
The folder of a content cache: its bound, and the processes that share it.

The copies lie on 256 shelves, which are sub-folders. The ledger has the size of each shelf. All
changes happen under a lock on it, which the system releases when a process ends; to read a copy
needs no lock. The ledger can count too much and never too little, so the bound holds if a process
is killed between two steps: it counts a block before that is written, and a copy until that is
removed. A look at a shelf corrects its size, and happens when room is needed.

As in Redis (redis.io/topics/lru-cache), the least recently used copies go first approximately: the
oldest ones of a sample. The time of a copy is that of its file; to read it renews that.
"""

from __future__ import annotations

import fcntl
import os
import re
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom
from itertools import chain
from pathlib import Path
from secrets import randbelow
from time import monotonic, sleep, time
from zlib import crc32

from attrs import frozen

_LEDGER = "tahoe-content-cache"
_SHELVES = 256
# The numbers in the ledger: the version of its format, reads, and the bytes on each shelf.
_VERSION, _HITS, _MISSES, _FIRST_SHELF = range(4)
_THIS_VERSION = 0x7461686F65000001
_MOST = 2**60  # more than any of these numbers can be
_PATIENCE = 0.2  # seconds; a step under the lock takes a millisecond
_PAGE = 4096  # bytes; a file takes whole pages of the disk, and its holes take none
_SECTOR = 512  # bytes, of which stat() counts those that a file takes
_SAMPLE = 64  # copies; one of eight goes
_ROUNDS = 16  # samples, at most, to make room for one block
_NAME = re.compile(r"[a-z2-7]{26}")  # a storage index


@frozen
class Usage:
    """The size of a folder in bytes, rather too large than too small, and its answers to reads."""

    bytes: int
    max_bytes: int
    hits: int
    misses: int


@frozen
class Folder:
    """A folder of at most `max_bytes`."""

    path: Path
    max_bytes: int

    def file(self, name: str) -> str:
        """The path of a copy."""
        return f"{self.path}/{_shelf_of(name):02x}/{name}"

    @property
    def is_new(self) -> bool:
        """Whether there is no folder, or an empty one: the first block that is kept marks it."""
        return not self.path.exists() or not any(self.path.iterdir())

    @contextmanager
    def locked(self, patience: float = _PATIENCE) -> Iterator[Ledger]:
        """
        Make the folder if it is missing, and lock it in this block. `patience`: in seconds.

        Raises: OSError; TimeoutError if another process has the lock for long.
        """
        path = self.path / _LEDGER
        if not path.exists():
            with suppress(FileExistsError):
                self.path.mkdir(0o700)
            if not self.is_new and not path.exists():
                raise FileExistsError(f"{str(self.path)!r} has other files: give an empty folder")
        _require_own(self.path, self.path.stat())
        opened = open_own(path, os.O_RDWR | os.O_CREAT)
        try:
            _lock(opened, patience)
            try:
                yield Ledger(self, opened)
            finally:  # a process that another thread forks here would keep the lock
                fcntl.flock(opened, fcntl.LOCK_UN)
        finally:
            os.close(opened)


class Ledger:
    """The ledger of a folder, while that is locked."""

    def __init__(self, folder: Folder, opened: int) -> None:
        self._folder = folder
        self._opened = opened
        self._numbers = array("q")
        told = os.pread(opened, 2**14, 0)
        if len(told) == (_FIRST_SHELF + _SHELVES) * self._numbers.itemsize:
            self._numbers.frombytes(told)
        is_whole = self._numbers and min(self._numbers) >= 0
        if not is_whole or self._numbers[_VERSION] != _THIS_VERSION:
            # Each shelf counts as full until somebody has looked at it.
            full = min(folder.max_bytes, _MOST)
            self._numbers = array("q", [_THIS_VERSION, 0, 0, *[full] * _SHELVES])
            os.ftruncate(opened, 0)
            os.pwrite(opened, self._numbers.tobytes(), 0)

    @property
    def usage(self) -> Usage:
        _, hits, misses, *sizes = self._numbers
        return Usage(sum(sizes), self._folder.max_bytes, hits, misses)

    def add_reads(self, hits: int, misses: int) -> None:
        self._put(_HITS, self._numbers[_HITS] + hits)
        self._put(_MISSES, self._numbers[_MISSES] + misses)

    def open(self, name: str, start: int, stop: int) -> BufferedRandom | None:
        """
        Open a copy, new or not, to write its head and the bytes from `start` to `stop`. None if
        there is no room.
        """
        first = start // _PAGE * _PAGE  # the head takes the first page of all
        size = _in_pages(stop - first) + (_PAGE if first else 0)
        for _ in range(_ROUNDS):
            if sum(self._numbers[_FIRST_SHELF:]) + size <= self._folder.max_bytes:
                break
            self._evict()
        else:  # very much must go, as after `max_bytes` was lowered; it is gone a few blocks later
            return None
        self._grow(name, size)
        path = self._folder.file(name)
        with suppress(FileExistsError):
            os.mkdir(os.path.dirname(path), 0o700)
        return open(open_own(path, os.O_RDWR | os.O_CREAT), "r+b")

    def rename(self, old: str, new: str, head: bytes) -> None:
        """Give a copy without holes another name, in place of another one, and another head."""
        path, target = self._folder.file(old), self._folder.file(new)
        size = _in_pages(os.path.getsize(path))
        with open(path, "r+b", opener=open_own) as copy:
            copy.write(head)
        self.remove(new)
        self._grow(new, size)
        with suppress(FileExistsError):
            os.mkdir(os.path.dirname(target), 0o700)
        os.rename(path, target)
        self._grow(old, -size)

    def remove(self, name: str) -> None:
        """Remove a copy, if it is there."""
        with suppress(FileNotFoundError):
            size = _taken(os.lstat(self._folder.file(name)))
            os.unlink(self._folder.file(name))
            self._grow(name, -size)

    def clear(self) -> None:
        """Remove all copies, and the counts of reads."""
        for shelf in range(_SHELVES):
            for _, _, name in self._look(shelf):
                self.remove(name)
        self.add_reads(-self._numbers[_HITS], -self._numbers[_MISSES])

    def _evict(self) -> None:
        """Remove the oldest copies of a sample; if there are few, of all."""
        sample: list[tuple[float, int, str]] = []
        first = randbelow(_SHELVES)
        for shelf in chain(range(first, _SHELVES), range(first)):
            if self._numbers[_FIRST_SHELF + shelf]:
                sample += self._look(shelf)
            if len(sample) >= _SAMPLE:
                break
        for _, _, name in sorted(sample)[: len(sample) // 8 or 1]:
            self.remove(name)

    def _look(self, shelf: int) -> list[tuple[float, int, str]]:
        """The time, the bytes and the name of each copy on a shelf."""
        found = []
        soon = time() + 1
        with suppress(FileNotFoundError), os.scandir(f"{self._folder.path}/{shelf:02x}") as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name):
                    told = entry.stat(follow_symlinks=False)
                    # A clock was wrong if the time is to come: the copy must not stay until then.
                    used = told.st_mtime if told.st_mtime < soon else 0.0
                    found.append((used, _taken(told), entry.name))
        self._put(_FIRST_SHELF + shelf, sum(size for _, size, _ in found))
        return found

    def _grow(self, name: str, size: int) -> None:
        place = _FIRST_SHELF + _shelf_of(name)
        self._put(place, self._numbers[place] + size)

    def _put(self, place: int, number: int) -> None:
        one = array("q", [min(max(0, number), _MOST)])
        self._numbers[place] = one[0]
        os.pwrite(self._opened, one.tobytes(), place * one.itemsize)


def open_own(path: str | os.PathLike[str], flags: int) -> int:
    """
    Open a file of this user. Others, who can perhaps write to the folder or to the one above, must
    not lead this to another file, nor to a pipe that lets it wait.

    Raises: OSError.
    """
    opened = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        _require_own(path, os.fstat(opened))
    except OSError:
        os.close(opened)
        raise
    return opened


def _require_own(path: str | os.PathLike[str], told: os.stat_result) -> None:
    if told.st_uid != os.geteuid():
        raise PermissionError(f"{str(path)!r} belongs to another user")


def _taken(told: os.stat_result) -> int:
    """The bytes that a copy takes; some, even if none could be written to a full disk."""
    return max(told.st_blocks * _SECTOR, _PAGE)


def _shelf_of(name: str) -> int:
    return crc32(name.encode()) % _SHELVES


def _in_pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def _lock(opened: int, patience: float) -> None:
    deadline = monotonic() + patience
    while True:
        try:
            return fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() >= deadline:
                raise TimeoutError("another process has locked it for long") from None
        sleep(0.0005)
