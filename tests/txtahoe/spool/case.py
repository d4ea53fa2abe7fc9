"""A spool in a folder of its own, and the grid that its files are for."""

from __future__ import annotations

from hashlib import shake_128
from pathlib import Path as FolderPath
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from attrs import evolve

from tests.txtahoe.case import ClockTestCase
from txtahoe.caps import Cap, base32
from txtahoe.http.terms import Terms
from txtahoe.nodes import Node
from txtahoe.spool import Entry, Spool, State, Uploader, files
from txtahoe.tree.paths import Path


def directory_cap(number: int) -> Cap:
    """The write-cap of a directory of no grid."""
    key = shake_128(b"root %d" % number)
    return Cap.parse(f"URI:DIR2:{base32(key.digest(16))}:{base32(key.digest(32))}")


def forget_processes() -> None:
    """Let this process lose all locks, as one that was killed."""
    files._after_fork()


class SpoolTestCase(ClockTestCase):
    """A test with a spool and an uploader, whose clock stands still."""

    def setUp(self) -> None:
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(forget_processes)
        self.path = FolderPath(folder.name) / "spool"
        for module in ("entries", "spool", "uploader"):
            patch = mock.patch(f"txtahoe.spool.{module}.monotonic", self.clock.seconds)
            patch.start()
            self.addCleanup(patch.stop)
        self.spool = self.new_spool()
        self.uploader = self.new_uploader()

    def new_spool(self, **options: Any) -> Spool:
        return Spool(self.path, self.root, **{"min_free": 0, **options})

    def new_uploader(self) -> Uploader:
        return Uploader(self.spool, self.tree, Terms())

    def save(
        self,
        path: Path,
        content: bytes = b"content",
        expected: Node | None = None,
        **options: Any,
    ) -> int:
        """Save a file, as a storage does; return its number. Raises: as `Spool.add`."""
        entry = self.spool.write(Entry(path, **options), [content])
        try:
            self.spool.add(entry, expected)
        except OSError:
            self.spool.remove([entry.number])
            raise
        return entry.number

    def entry(self, path: Path) -> Entry:
        entry = self.spool.find(path)
        assert entry is not None
        return entry

    def read(self, path: Path) -> bytes:
        """The bytes of a pending file."""
        opened, _ = self.spool.open(self.entry(path).node)
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

    def uploaded(self, path: Path, content: bytes) -> Cap:
        """Let an entry be one of a file that is on the grid, and not linked; return its cap."""
        cap: Cap = self.now(self.client.upload(content))
        self.spool.update([evolve(self.entry(path), cap=cap, state=State.UPLOADED)])
        return cap

    def files(self) -> list[FolderPath]:
        return sorted(self.spool.path.glob("*.file"))
