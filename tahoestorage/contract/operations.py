"""What a storage does, written once for both ways to wait."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Self

from attrs import evolve, frozen
from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.utils import validate_file_name

from tahoestorage.contract.fileurls import missing_url, public_url
from tahoestorage.contract.freenames import FreeName
from tahoestorage.grid.paths import Location, Name, names_shown
from tahoestorage.grid.tree import StorageTree
from txtahoe.api.directories import Replace
from txtahoe.caps import redact
from txtahoe.concurrency import Done, all_done
from txtahoe.errors import ExistingChild, IsADirectory, NoSuchChild, NotADirectory
from txtahoe.nodes import Node
from txtahoe.tree.tree import TOGETHER, Tree

logger = logging.getLogger("tahoestorage")


@frozen
class Operations:
    """
    The operations on `tree`, which says how to wait, with names below `location`.

    `chooser`: the storage that chooses names. `is_asked`: whether it, and not FreeName, chooses
    all names but the first. `overwrites`: whether files of the same name are replaced.
    """

    tree: StorageTree
    location: Location
    chooser: Any
    is_asked: bool
    overwrites: bool

    @property
    def awaited(self) -> Self:
        """The same, for tasks of asyncio."""
        return evolve(self, tree=self.tree.awaited)

    async def save(self, name: str, content: File[Any], max_length: int | None) -> str:
        """As `Storage.save`."""
        free = FreeName(self.chooser, name, max_length, self.is_asked)
        path = self.location.path_of(free.chosen)
        self.tree.require_writable(free.chosen)
        try:
            await self.tree.save(
                path,
                content,
                free.chosen,
                replace=self._replace,
                otherwise=None if self.overwrites else lambda: self._other(free),
            )
        except ExistingChild:
            if self.overwrites:
                raise IsADirectory(f"{free.chosen!r} is a directory") from None
            raise
        return self._saved_name(free)

    async def save_many(
        self, files: Iterable[tuple[Name, Any]], progress: Done | None
    ) -> list[str]:
        """As `TahoeStorage.save_many`."""
        self.tree.require_writable(None)
        left = iter(files)
        results: list[str | Exception] = []
        while some := list(islice(left, TOGETHER)):
            results += await self._save_together(some, progress)
        return all_done(results, "saving many files")

    async def prefetch(self, names: Iterable[Name]) -> set[str]:
        """As `TahoeStorage.prefetch`."""
        paths = {self.location.path_of(name): str(name) for name in names}
        return {paths[path] for path in await self.tree.prefetch(paths)}

    async def node(self, name: Name) -> Node:
        """What a name leads to."""
        return await self.tree.resolve(self.location.path_of(name), str(name))

    async def linked(self, name: Name) -> Node:
        """As `node`, with the times, which the gateway gives to a link."""
        node = await self.node(name)
        if node.modified is not None:
            return node
        return await self.tree.resolve(self.location.path_of(name), str(name), fresh=True)

    async def file(self, name: Name) -> Node:
        """As `node`, of a file that can be read, with its size. Raises: IsADirectory."""
        return await self.tree.file(self.location.path_of(name), str(name))

    async def linked_file(self, name: Name) -> Node:
        """As `file`, with the times."""
        node = await self.file(name)
        if node.modified is not None:
            return node
        return await self.tree.file(self.location.path_of(name), str(name), fresh=True)

    async def delete(self, name: Name) -> None:
        """As `Storage.delete`."""
        if not name:
            raise ValueError("The name must be given to delete().")
        path = self.location.path_of(name)

        async def delete(tree: Tree) -> None:
            try:
                await tree.unlink(path)
            except IsADirectory:
                await tree.remove_directory(path)

        with suppress(NoSuchChild):
            await self.tree.change(delete, path, str(name))

    async def exists(self, name: Name) -> bool:
        """As `Storage.exists`."""
        try:
            await self.node(name)
        except (NoSuchChild, NotADirectory):
            return False
        return True

    async def listdir(self, name: Name) -> tuple[list[str], list[str]]:
        """As `Storage.listdir`."""
        path = self.location.path_of(name)
        try:
            return names_shown(await self.tree.run(lambda tree, _: tree.list(path), str(name)))
        except NoSuchChild:
            if path != self.location.root:
                raise
            return [], []  # the first save makes it

    async def size(self, name: Name) -> int:
        """As `Storage.size`."""
        return (await self.file(name)).size or 0

    async def url(self, name: str, base_url: str | None) -> str:
        """
        As `TahoeStorage.url`, of a URL by cap. Where there is no such file, a link that leads
        nowhere: one missing file must not take down the page that shows a hundred.

        Raises: ValueError where `base_url` is None; the errors of a grid that can't answer.
        """
        if base_url is None:
            raise ValueError("This file is not accessible via a URL.")
        try:
            return await self.url_of_file(name, base_url)
        except (NoSuchChild, NotADirectory, IsADirectory):
            logger.warning("there is no file %r: its URL leads nowhere", redact(name))
            return missing_url(base_url, "".join(self.location.path_of(name)[-1:]))

    async def url_of_file(self, name: str, base_url: str) -> str:
        """As `url`. Raises: NoSuchChild, NotADirectory or IsADirectory where there is no file."""
        node = await self.node(name)
        if node.is_directory:
            raise IsADirectory(f"{name!r} is a directory; only files have a URL")
        return public_url(base_url, node.cap.reader, self.location.path_of(name)[-1])

    @property
    def _replace(self) -> Replace:
        return "only-files" if self.overwrites else False

    def _other(self, free: FreeName) -> tuple[str, ...]:
        return self.location.path_of(free.choose())

    def _saved_name(self, free: FreeName) -> str:
        return self.location.clean(free.chosen)

    async def _save_together(
        self, files: Sequence[tuple[Name, Any]], progress: Done | None
    ) -> list[str | Exception]:
        names = [self._first_name(str(name)) for name, _ in files]
        free = [name for name in names if isinstance(name, FreeName)]
        contents = [
            content if hasattr(content, "chunks") else File(content, name.chosen)
            for name, (_, content) in zip(names, files, strict=True)
            if isinstance(name, FreeName)
        ]
        paths = [self.location.path_of(name.chosen) for name in free]
        errors = await self.tree.save_many(
            list(zip(paths, contents, strict=True)),
            replace=self._replace,
            otherwise=None if self.overwrites else lambda number: self._other(free[number]),
            progress=progress,
        )
        saved = iter([self._saved(name, error) for name, error in zip(free, errors, strict=True)])
        return [next(saved) if isinstance(name, FreeName) else name for name in names]

    def _saved(self, name: FreeName, error: Exception | None) -> str | Exception:
        if error is None:
            return self._saved_name(name)
        if self.overwrites and isinstance(error, ExistingChild):
            error = IsADirectory("there is a directory of this name")
        if isinstance(error, OSError):
            error.filename = error.filename or name.chosen
        return error

    def _first_name(self, name: str) -> FreeName | Exception:
        try:
            validate_file_name(name, allow_relative_path=True)
            free = FreeName(self.chooser, name, None, self.is_asked)
            self.location.path_of(free.chosen)
            return free
        except SuspiciousFileOperation as error:
            return error


def to_save(name: Name | None, content: Any) -> tuple[str, File[Any]]:
    """What `Storage.save` makes of its arguments."""
    if name is None:
        name = content.name
    if not hasattr(content, "chunks"):
        content = File(content, name)  # type: ignore[arg-type]
    validate_file_name(name, allow_relative_path=True)
    return str(name), content
