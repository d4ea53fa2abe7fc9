"""The operations of a storage whose names carry the caps of their files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from attrs import evolve
from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File

from tahoestorage.contract.operations import FreeName, Operations
from tahoestorage.grid.captree import CapTree, Naming
from tahoestorage.grid.paths import Name, is_for_files
from txtahoe.capnames.anchors import Anchors
from txtahoe.capnames.names import CapName, is_cap
from txtahoe.caps import redact
from txtahoe.concurrency import Done
from txtahoe.errors import NoSuchChild, NotADirectory

Folders = dict[str, tuple[set[str], set[str]]]


class CapOperations(Operations):
    tree: CapTree

    async def save(self, name: str, content: File[Any], max_length: int | None) -> str:
        self.tree.require_writable(name)
        return (await self.tree.save_one(content, self._naming(name, max_length), name)).text

    async def delete(self, name: Name) -> None:
        named = self.tree.named(self.location.path_of(name)) if name else None
        if named is None:
            return await super().delete(name)
        self.tree.require_writable(str(name))
        return await self.tree.forget(named)

    async def listdir(self, path: Name) -> tuple[list[str], list[str]]:
        _, directories, files = await self.listed(self.location.clean(path), await self.folders())
        return directories, files

    async def listed(
        self, directory: str, folders: Folders
    ) -> tuple[list[str], list[str], list[str]]:
        """The directories in one on the grid; all directories, names with caps included; files."""
        directories, files = folders.get(directory, (set(), set()))
        on_grid: tuple[list[str], list[str]] = [], []
        with suppress(*([NoSuchChild, NotADirectory] if directory in folders else [])):
            on_grid = await super().listdir(directory)
        return on_grid[0], sorted(directories.union(on_grid[0])), sorted(files.union(on_grid[1]))

    async def folders(self) -> Folders:
        """The directories and files in each directory that names with caps have."""

        async def every(anchors: Anchors) -> Folders:
            folders: Folders = {}
            async for names in anchors.walk():
                for name in names:
                    _add(folders, name)
            return folders

        return await self.tree.anchors(every)

    def _target(self, name: str) -> Naming:
        return self._naming(name, None)

    async def _save_all(
        self, files: Sequence[tuple[Naming, File[Any]]], progress: Done | None
    ) -> list[str | Exception]:
        return [
            named.text if isinstance(named, CapName) else named
            for named in await self.tree.save_all(files, progress)
        ]

    def _naming(self, name: str, max_length: int | None) -> Naming:
        """The function that names the file of a cap. Caps in the wished name are dropped."""
        name = FreeName(self.storage, name, None, is_asked=False).chosen
        *above, file = self.location.path_of(name)[len(self.location.root) :]
        for component in (*above, file):
            if is_cap(component):
                self.tree.named((*self.location.root, component, file))
        if is_cap(file):
            raise SuspiciousFileOperation("the last component of a name cannot be a cap")
        directory = "/".join(component for component in above if not is_cap(component))
        return lambda cap: _fitted(CapName(directory, cap, file), max_length)


def _fitted(name: CapName, max_length: int | None) -> CapName:
    """The name, its last component cut so that it has `max_length` characters at most."""
    length = len(name.text)
    if max_length is None or length <= max_length:
        return name
    extension = "".join(PurePosixPath(name.file).suffixes)
    root = name.file.removesuffix(extension)
    kept = len(root) - (length - max_length)
    if kept < 1 or not is_for_files(root[:kept] + extension):
        raise SuspiciousFileOperation(
            f"{redact(name.text)!r} cannot be cut to {max_length} characters: a name that carries "
            "a cap of some 100 characters needs a file field with max_length=255"
        )
    return evolve(name, file=root[:kept] + extension)


def _add(folders: Folders, name: CapName) -> None:
    directory, _, file = name.text.rpartition("/")
    folders.setdefault(directory, (set(), set()))[1].add(file)
    while directory:
        directory, _, below = directory.rpartition("/")
        folders.setdefault(directory, (set(), set()))[0].add(below)
