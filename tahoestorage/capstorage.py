"""Django's Storage on a Tahoe-LAFS grid, whose names carry the caps of their files."""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from attrs import evolve
from django.core.exceptions import SuspiciousFileOperation
from django.utils.deconstruct import deconstructible

from tahoestorage import conf
from tahoestorage.contract.capoperations import CapOperations
from tahoestorage.contract.fileurls import public_url
from tahoestorage.contract.sealednames import seal, unseal
from tahoestorage.grid.captree import CapTree
from tahoestorage.grid.paths import Name
from tahoestorage.reactor.waiting import done
from tahoestorage.storage import TahoeStorage


@deconstructible(path="tahoestorage.capstorage.TahoeCapStorage")
class TahoeCapStorage(TahoeStorage):
    """
    As TahoeStorage, but `save` returns names such as `docs/2026/<cap>/report.pdf`, which hold the
    read-cap of the file. A field needs `max_length=255`.

    A save is one upload and changes no directory. `open`, `size` and `url` of such a name need no
    look-up, in any process, for ever; `exists` is True. A name is never taken, and always leads to
    the same bytes: `open` only reads. There are no times.

    Links to the files follow in the background, many at once, in `.tahoe-anchors` below the root;
    `manage.py tahoe anchor` makes those that a process did not make before it ended. Checks, leases
    and snapshots go by these links; `listdir` and `walk` read them all. `delete` cannot take back a
    cap: `tahoe anchor` removes the link when no row has the name.

    Names without a cap lead where those of a TahoeStorage lead, so a field can change to this
    storage and keeps its files.
    """

    @property
    def place(self) -> tuple[Any, ...]:
        return (*super().place, "caps")

    @cached_property
    def _whole_tree(self) -> CapTree:
        return CapTree(conf.connection(self.options), ())

    @property
    def _tree(self) -> CapTree:
        return evolve(self._whole_tree, root=self._location.root)

    @property
    def operations(self) -> CapOperations:
        return CapOperations(self, self._tree, self._location)

    def flush(self) -> None:
        """
        Make the links of this process that are not made yet.

        Raises: the errors of `txtahoe`; the links are tried again later.
        """
        done(self.operations.tree.flush())

    async def aflush(self) -> None:
        await self.operations.tree.flush()

    def name_served(self, name: str) -> str:
        found = unseal(self._location.clean(name), self.seal)
        if found is not None:
            return found.text
        plain = super().name_served(name)
        if self.operations.tree.named(self._location.path_of(plain)) is not None:
            # Else anyone with a cap could show any file under an address of this site.
            raise SuspiciousFileOperation("the URL of a file was not made by url()")
        return plain

    def _served_url(self, name: str, expire: float | None, download: str | None) -> str | None:
        """As in TahoeStorage; else the URL by the cap in the name, if there is one."""
        served = super()._served_url(name, expire, download)
        if served is not None or self.base_url is None:
            return served
        named = self.operations.tree.named(self._location.path_of(name))
        if named is None:
            return None
        return public_url(self.base_url, named.cap, download or named.file)

    def _name_in_url(self, name: str) -> str:
        named = self.operations.tree.named(self._location.path_of(name))
        return name if named is None else seal(named, self.seal)

    def walk(self, path: Name = "") -> Iterator[tuple[str, list[str], list[str]]]:
        """
        As `TahoeStorage.walk`. A directory of names with caps holds one directory for each cap.
        All links are read first, and kept in memory.
        """
        folders = done(self.operations.folders())
        start = self._location.clean(path)
        on_grid = {start}  # directories that are not in names with caps alone
        waiting = deque([start])
        while waiting:
            directory = waiting.popleft()
            if directory in on_grid:
                below, directories, files = done(self.operations.listed(directory, folders))
                on_grid.update(posixpath.join(directory, name) for name in below)
            else:
                directories, files = map(sorted, folders[directory])
            waiting.extend(posixpath.join(directory, name) for name in directories)
            yield directory, directories, files
