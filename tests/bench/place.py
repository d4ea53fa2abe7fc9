"""The place of a case: a gateway, new directories, and bytes that the grid does not know."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from attrs import frozen
from django.core.files.storage import FileSystemStorage

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.grid.spooled import SpooledTree
from tahoestorage.reactor.loop import current_loop
from tahoestorage.reactor.waiting import done
from tahoestorage.storage import TahoeStorage
from tests.bench.bare import Bare
from tests.processes import apart

FILE_SIZE = 10_000
"""Bytes of a file, where the case is not about its size."""


@frozen
class Concurrency:
    """The numbers of simultaneous bare requests that are fastest; see `calibration`."""

    uploads: int = 4
    new_directories: int = 4
    listings: int = 4


class Place:
    """
    A gateway, and things that a case needs there.

    `folder`: for files of this machine.
    `bare`: requests to the same gateway, which also prepare a run.
    `others`: further options of the storages.
    """

    def __init__(
        self,
        gateway: str,
        folder: Path,
        concurrency: Concurrency | None = None,
        **others: Any,
    ) -> None:
        self.gateway = gateway
        self.others = others
        self.folder = folder
        self.concurrency = concurrency or Concurrency()
        self.bare = Bare(gateway)
        self._cap_storages: list[TahoeCapStorage] = []
        self._spooled: list[TahoeStorage] = []

    def storage(self, cap: str, **options: Any) -> TahoeStorage:
        """A storage without any memory, as in a new process."""
        return apart(TahoeStorage(**{**self.options(cap), **options}))

    def cap_storage(self, cap: str) -> TahoeCapStorage:
        """A new storage of names that carry caps."""
        self.settle()
        self._cap_storages.append(apart(TahoeCapStorage(**self.options(cap))))
        return self._cap_storages[-1]

    def spooled(self) -> TahoeStorage:
        """A new storage with a spool; nothing of those before is left to upload."""
        self.settle()
        options = {"base_url": None, "spool": self.folder / "spool", "spool_min_free": 0}
        self._spooled.append(self.storage(self.bare.make_directory(), **options))
        return self._spooled[-1]

    def local(self) -> FileSystemStorage:
        """The storage of an empty folder of this machine."""
        folder = self.folder / "local"
        shutil.rmtree(folder, ignore_errors=True)
        return FileSystemStorage(folder, base_url="/media/")

    def settle(self) -> None:
        """Make all pending uploads and links now."""
        while self._spooled:
            upload(self._spooled.pop())
        while self._cap_storages:
            self._cap_storages.pop().flush()

    def options(self, cap: str) -> dict[str, Any]:
        """The options of storages that share one memory."""
        return {
            "tahoe_base_url": self.gateway,
            "tahoe_base_cap": cap,
            "base_url": self.gateway,
            **self.others,
        }

    def upload_all(self, contents: dict[str, bytes]) -> dict[str, str]:
        """Upload new files; return their caps by name."""
        caps = self.bare.together(self.bare.upload, contents.values(), self.concurrency.uploads)
        return dict(zip(contents, caps, strict=True))

    def make_directories(self, *children: dict[str, str]) -> list[str]:
        """Make a directory for each mapping of names to caps."""
        make, at_once = self.bare.make_directory, self.concurrency.new_directories
        return self.bare.together(make, children, at_once)

    def close(self) -> None:
        """Make pending links, and end the threads of the bare requests."""
        self.settle()
        self.bare.close()


def upload(storage: TahoeStorage) -> None:
    """Bring all that is in the spool of a storage to the grid."""
    tree = storage._tree
    assert isinstance(tree, SpooledTree)
    loop = current_loop()
    while tree.spool.summary().files:
        done(tree.run(lambda *_: tree.uploader(loop).upload()))


def random_content() -> bytes:
    """
    The bytes of a new file. Uploads are convergent: the same bytes again would cost less.

    They do not end like the beginning of the gateway's failure text, which would cost a request.
    """
    return os.urandom(FILE_SIZE - 1) + b"."


def random_files(number: int, folder: str = "") -> dict[str, bytes]:
    """Names, below a folder, and the bytes for them."""
    prefix = f"{folder}/" if folder else ""
    return {f"{prefix}{index}.bin": random_content() for index in range(number)}
