"""What a storage does whose names carry the caps of their files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from attrs import evolve, field, frozen
from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.utils import validate_file_name

from tahoestorage.contract.freenames import FreeName
from tahoestorage.contract.operations import Operations
from tahoestorage.grid.captree import CapTree, Naming
from tahoestorage.grid.paths import Name, is_for_files
from txtahoe.capnames.anchors import Anchors
from txtahoe.capnames.names import CapName, is_cap
from txtahoe.caps import redact
from txtahoe.concurrency import Done
from txtahoe.errors import NoSuchChild, NotADirectory

Folders = dict[str, tuple[set[str], set[str]]]


@frozen
class CapOperations(Operations):
    """As Operations; `save` makes names that carry caps, and others lead where they always did."""

    tree: CapTree = field(kw_only=True)

    async def save(self, name: str, content: File[Any], max_length: int | None) -> str:
        self.tree.require_writable(redact(name))
        naming = self._naming(name, max_length)
        return (await self.tree.save_named(content, naming, name)).text

    async def delete(self, name: Name) -> None:
        named = self.tree.named(self.location.path_of(name)) if name else None
        if named is None:
            return await super().delete(name)
        self.tree.require_writable(redact(str(name)))
        return await self.tree.forget(named)

    async def listdir(self, name: Name) -> tuple[list[str], list[str]]:
        directory = self.location.clean(name)
        found = (await self.folders()).get(directory)
        if found is None:
            return await self.linked_in(directory)
        directories, files = found
        with suppress(NoSuchChild, NotADirectory):
            others = await self.linked_in(directory)
            directories.update(others[0])
            files.update(others[1])
        return sorted(directories), sorted(files)

    async def folders(self) -> Folders:
        """Of each directory that names with caps have, the directories and files in it."""

        async def every(anchors: Anchors) -> Folders:
            folders: Folders = {}
            async for names in anchors.walk():
                for name in names:
                    _add(folders, name)
            return folders

        return await self.tree.anchors(every)

    async def linked_in(self, directory: str) -> tuple[list[str], list[str]]:
        """What is in a directory on the grid."""
        return await super().listdir(directory)

    async def _save_together(
        self, files: Sequence[tuple[Name, Any]], progress: Done | None
    ) -> list[str | Exception]:
        namings = [self._checked_naming(str(name)) for name, _ in files]
        good = [
            (naming, content if hasattr(content, "chunks") else File(content, str(name)))
            for naming, (name, content) in zip(namings, files, strict=True)
            if not isinstance(naming, Exception)
        ]
        saved = iter(await self.tree.save_many_named(good, progress))
        return [
            naming if isinstance(naming, Exception) else _text_or_error(next(saved), str(name))
            for naming, (name, _) in zip(namings, files, strict=True)
        ]

    def _checked_naming(self, name: str) -> Naming | SuspiciousFileOperation:
        try:
            validate_file_name(name, allow_relative_path=True)
            return self._naming(name, None)
        except SuspiciousFileOperation as error:
            return error

    def _naming(self, name: str, max_length: int | None) -> Naming:
        """What makes the name of the file of a cap. Caps in the name that is asked for go."""
        name = FreeName(self.chooser, name, None, is_asked=False).chosen
        *above, file = self.location.path_of(name)[len(self.location.root) :]
        for component in (*above, file):
            if is_cap(component):
                self.tree.named((*self.location.root, component, file))
        if is_cap(file):
            raise SuspiciousFileOperation("the last component of a name cannot be a cap")
        directory = "/".join(component for component in above if not is_cap(component))
        return lambda cap: _fitted(CapName(directory, cap, file), max_length)


def _fitted(name: CapName, max_length: int | None) -> CapName:
    """A name of so many characters, at most: what is too long of it is cut from the file's name."""
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


def _text_or_error(saved: CapName | Exception, name: str) -> str | Exception:
    if isinstance(saved, CapName):
        return saved.text
    if isinstance(saved, OSError):
        saved.filename = saved.filename or redact(name)
    return saved


def _add(folders: Folders, name: CapName) -> None:
    directory, _, file = name.text.rpartition("/")
    folders.setdefault(directory, (set(), set()))[1].add(file)
    while directory:
        directory, _, below = directory.rpartition("/")
        folders.setdefault(directory, (set(), set()))[0].add(below)
