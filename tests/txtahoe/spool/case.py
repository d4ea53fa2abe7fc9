"""A spool in a folder of its own, and the grid that its files are for."""

from __future__ import annotations

import os
from hashlib import shake_128
from pathlib import Path as FolderPath
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from tests.txtahoe.case import ClockTestCase
from txtahoe.caps import Cap, base32
from txtahoe.http.terms import Terms
from txtahoe.spool import Entry, Spool, Uploader, database, files
from txtahoe.tree.paths import Path


def directory_cap(number: int) -> Cap:
    """The write-cap of a directory of no grid."""
    key = shake_128(b"root %d" % number)
    return Cap.parse(f"URI:DIR2:{base32(key.digest(16))}:{base32(key.digest(32))}")


def forget_processes() -> None:
    """Let this process lose all locks and connections, as one that was killed."""
    for (process, _), locks in list(files._locks.items()):
        if process == os.getpid() and locks._opened >= 0:
            os.close(locks._opened)
    files._locks.clear()
    database._pools.clear()


class SpoolTestCase(ClockTestCase):
    """A test with a spool and an uploader, whose clock stands still."""

    def setUp(self) -> None:
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(forget_processes)
        self.path = FolderPath(folder.name) / "spool"
        for module in ("entries", "journal", "uploader"):
            patch = mock.patch(f"txtahoe.spool.{module}.monotonic", self.clock.seconds)
            patch.start()
            self.addCleanup(patch.stop)
        self.spool = self.new_spool()
        self.uploader = self.new_uploader()

    def new_spool(self, **options: Any) -> Spool:
        return Spool(self.path, self.root, **{"min_free": 0, **options})

    def new_uploader(self) -> Uploader:
        return Uploader(self.spool, self.tree, Terms())

    def save(self, path: Path, content: bytes = b"content", **options: Any) -> int:
        """Save a file, as a storage does; return its number."""
        expected = options.pop("expected", None)
        with self.spool.writing([content]) as written:
            self.spool.add(Entry(written.number, path, written.size, **options), expected)
        return written.number

    def read(self, path: Path) -> bytes:
        """The bytes of a pending file."""
        entry = self.spool.find(path)
        assert entry is not None
        opened = self.spool.open(entry.number)
        assert opened is not None
        try:
            return b"".join(opened.chunks())
        finally:
            opened.close()

    def upload(self) -> bool:
        """Bring everything to the grid that is due now; return whether the grid took it."""
        is_well: bool = self.now(self.uploader.upload())
        return is_well

    def on_grid(self) -> dict[Path, bytes]:
        """The files on the grid by path."""

        async def all_files() -> dict[Path, bytes]:
            found = {}
            async for directory, children in self.tree.walk():
                for name, node in children.items():
                    if not node.is_directory:
                        found[(*directory, name)] = await self.client.read(node.cap)
            return found

        result: dict[Path, bytes] = self.now(all_files())
        return result

    def files(self) -> list[FolderPath]:
        return sorted(self.spool.path.glob("*.file"))
