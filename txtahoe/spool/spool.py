"""The spool of one root on this host: what the users of this room call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from logging import getLogger
from pathlib import Path as FolderPath

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from txtahoe.caps import Cap
from txtahoe.contentcache.blocks import key_of
from txtahoe.spool.entries import Entry, Summary
from txtahoe.spool.files import Files, SealedFile, Written, sync_folder
from txtahoe.spool.journal import Journal
from txtahoe.tree.paths import Path

logger = getLogger("txtahoe")

_JOURNAL = "journal.sqlite3"
_MAKING = 0  # the number of the lock under which the folder is made; no file has it


class Spool:
    """
    Files below the root `cap`, a write-cap, that are saved in the folder `path` of this host, and
    brought to the grid later. Any number of processes of this host can share it, and each root has
    a folder of its own in it.

    `max_bytes`: of the files in it. `min_free`: bytes that stay free on its disk.
    `max_age`: seconds for which a process uses what it knows of a name; see `journal`, rule 5.

    Any thread can call it, and blocks as the disk does. Each method raises OSError if the folder
    cannot be used. The first file makes the folder.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cap: Cap,
        *,
        max_bytes: int = 10 * 2**30,
        min_free: int = 2**30,
        max_age: float = 10.0,
    ) -> None:
        self.above = FolderPath(path).absolute()
        self.path = self.above / key_of(cap, "txtahoe spool 1: folder", 8).hex()
        self.max_bytes = max_bytes
        self.min_free = min_free
        seal = AESGCM(key_of(cap, "txtahoe spool 1: contents"))
        self.files = Files(self.path, seal)
        hashing = key_of(cap, "txtahoe spool 1: paths")
        self.journal = Journal(self.path / _JOURNAL, seal, hashing, max_age)

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever saved in it: then it is empty."""
        return not (self.path / _JOURNAL).exists()

    def find(self, path: Path) -> Entry | None:
        """The pending file of a path."""
        return None if self.is_new else self.journal.find(path)

    def below(self, directory: Path) -> list[Entry]:
        """The pending files below a directory, at any depth."""
        if self.is_new:
            return []
        depth = len(directory)
        return [entry for entry in self.journal.below(directory) if len(entry.path) > depth]

    def summary(self) -> Summary:
        return Summary() if self.is_new else self.journal.summary()

    def messages(self) -> list[tuple[float, str]]:
        """As `Journal.messages`."""
        return [] if self.is_new else self.journal.messages()

    def open(self, number: int) -> SealedFile | None:
        """The bytes of a pending file; None if they are not here, but on the grid."""
        return self.files.open(number)

    @contextmanager
    def writing(self, chunks: Iterable[bytes]) -> Iterator[Written]:
        """
        Save the bytes of a file, for an entry that the block adds to the journal. They are removed
        if the block fails.

        Raises: OSError ENOSPC if there is no room; what `chunks` raises.
        """
        self._make()
        used = self.journal.used()

        def most(size: int) -> int:
            disk = os.statvfs(self.path)
            free = disk.f_bavail * disk.f_frsize
            return min(self.max_bytes - used, size + free - self.min_free)

        with self.files.writing(chunks, most, self.journal.is_known) as written:
            yield written

    def add(self, entry: Entry, expected: Cap | None = None) -> None:
        """As `Journal.add`, of a file whose bytes are on the grid if it has a cap."""
        self._make()
        self.journal.add(entry, expected)

    def discard(self, path: Path) -> bool:
        """Remove a file of which nothing can be on the grid; return whether there was one."""
        return not self.is_new and self.journal.discard(path)

    def lock(self, path: Path) -> bool:
        """Take the lock of a path, if nobody has it."""
        return self.files.locks.take(self._lock_of(path))

    def release(self, path: Path) -> None:
        self.files.locks.release(self._lock_of(path))

    def take(self, most: int, sizes: range) -> list[Entry]:
        """Entries that are to be brought to the grid, with the locks of their paths."""
        taken: list[Entry] = []
        for entry in self.journal.due(4 * most, sizes):
            if len(taken) < most and self.lock(entry.path):
                taken.append(entry)
        # They were read before they were locked, and another process may have finished them.
        fresh = [self.journal.find(entry.path) for entry in taken]
        for entry, now in zip(taken, fresh, strict=True):
            if now != entry:
                self.release(entry.path)
        return [entry for entry, now in zip(taken, fresh, strict=True) if now == entry]

    def next_due(self) -> float | None:
        """As `Journal.next_due`."""
        return None if self.is_new else self.journal.next_due()

    def clean(self) -> None:
        """Remove what is on the grid, after its time."""
        self.journal.clean(self.files.remove)

    def sweep(self) -> None:
        """Remove the files of processes that died before the journal had them."""
        if not self.is_new:
            self.files.sweep(self.journal.is_known)

    def _make(self) -> None:
        if not self.is_new:
            return
        for folder in (self.above, self.path):
            with suppress(FileExistsError):
                folder.mkdir(0o700)
        if self.files.locks.take(_MAKING, patience=10.0):
            try:
                self.journal.used()  # makes the journal
                sync_folder(self.path)
                sync_folder(self.above)
                sync_folder(self.above.parent)
            finally:
                self.files.locks.release(_MAKING)

    def _lock_of(self, path: Path) -> int:
        return int.from_bytes(self.journal.place(path)[:8]) >> 2
