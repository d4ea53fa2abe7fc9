"""The operations of a storage, written once for callers that block and for those that await."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Self

from attrs import evolve, frozen
from django.conf import settings
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
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import TOGETHER, Tree

logger = logging.getLogger("tahoestorage")


@frozen
class Operations:
    """
    The operations of `storage`, with names below `location`; `tree` knows how to wait.

    A method that has the name of a storage's method has its arguments, results and errors too.
    """

    storage: Any
    tree: StorageTree
    location: Location

    @property
    def awaited(self) -> Self:
        """The same, for tasks of asyncio."""
        return evolve(self, tree=self.tree.awaited)

    async def save(self, name: str, content: File[Any], max_length: int | None) -> str:
        free = FreeName(self.storage, name, max_length, self.storage._is_asked_first)
        path = self.location.path_of(free.chosen)
        self.tree.require_writable(free.chosen)
        otherwise = None if self._replace else lambda: self._other(free)
        try:
            await self.tree.save(
                path, content, free.chosen, replace=self._replace, otherwise=otherwise
            )
        except ExistingChild:
            if self._replace:
                raise IsADirectory(f"{free.chosen!r} is a directory") from None
            raise
        return self.location.clean(free.chosen)

    async def save_many(
        self, files: Iterable[tuple[Name, Any]], *, progress: Done | None = None
    ) -> list[str]:
        self.tree.require_writable(None)
        left = iter(files)
        results: list[str | Exception] = []
        while some := list(islice(left, TOGETHER)):
            results += await self._save_together(some, progress)
        return all_done(results, "saving many files")

    async def prefetch(self, names: Iterable[Name]) -> set[str]:
        paths = {self.location.path_of(name): str(name) for name in names}
        return {paths[path] for path in await self.tree.prefetch(paths)}

    async def node(self, name: Name) -> Node:
        return await self.tree.resolve(self.location.path_of(name), str(name))

    async def file(self, name: Name) -> Node:
        """As `node`, of a file that can be read, with its size. Raises: IsADirectory."""
        return await self.tree.file(self.location.path_of(name), str(name))

    async def linked_file(self, name: Name) -> Node:
        """As `file`, with the times, which the gateway gives to a link."""
        return await self._linked(name, self.tree.file)

    async def delete(self, name: Name) -> None:
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
        try:
            await self.node(name)
        except (NoSuchChild, NotADirectory):
            return False
        return True

    async def listdir(self, path: Name) -> tuple[list[str], list[str]]:
        names = self.location.path_of(path)
        try:
            return names_shown(await self.tree.run(lambda tree, _: tree.list(names), str(path)))
        except NoSuchChild:
            if names != self.location.root:
                raise
            return [], []  # the first save makes it

    async def size(self, name: Name) -> int:
        return (await self.file(name)).size or 0

    async def get_created_time(self, name: Name) -> datetime:
        return _time(name, (await self._linked(name, self.tree.resolve)).created)

    async def get_modified_time(self, name: Name) -> datetime:
        return _time(name, (await self._linked(name, self.tree.resolve)).modified)

    async def url(self, name: str | None) -> str:
        return self.storage._served_url(name or "") or await self.url_by_cap(name or "")

    async def url_by_cap(self, name: str) -> str:
        """
        The URL at a public gateway; of a missing file, a link that leads nowhere, because one
        missing file must not take down the page that shows a hundred.

        Raises: ValueError if there is no base URL; the errors of a grid that cannot answer.
        """
        base_url = self.storage.base_url
        if base_url is None:
            raise ValueError("This file is not accessible via a URL.")
        try:
            return await self.url_of_file(name)
        except (NoSuchChild, NotADirectory, IsADirectory):
            logger.warning("there is no file %r: its URL leads nowhere", redact(name))
            return missing_url(base_url, "".join(self.location.path_of(name)[-1:]))

    async def url_of_file(self, name: str) -> str:
        """As `url_by_cap`. Raises: NoSuchChild, NotADirectory or IsADirectory if it is no file."""
        node = await self.node(name)
        if node.is_directory:
            raise IsADirectory(f"{name!r} is a directory; only files have a URL")
        file_name = self.location.path_of(name)[-1]
        return public_url(self.storage.base_url, node.cap.reader, file_name)

    @property
    def _replace(self) -> Replace:
        return "only-files" if self.storage._allow_overwrite else False

    async def _linked(self, name: Name, look_up: Callable[..., Awaitable[Node]]) -> Node:
        path = self.location.path_of(name)
        node = await look_up(path, str(name))
        if node.modified is None:
            node = await look_up(path, str(name), fresh=True)
        return node

    def _other(self, free: FreeName) -> Path:
        return self.location.path_of(free.choose())

    async def _save_together(
        self, files: Iterable[tuple[Name, Any]], progress: Done | None
    ) -> list[str | Exception]:
        wanted: list[tuple[Any, File[Any]]] = []
        names: list[str | Exception] = []
        for name, content in files:
            try:
                name, content = to_save(name, content)
                wanted.append((self._target(name), content))
                names.append(name)
            except SuspiciousFileOperation as error:
                names.append(error)
        saved = iter(await self._save_all(wanted, progress))
        return [told_of(next(saved), name) if isinstance(name, str) else name for name in names]

    def _target(self, name: str) -> Any:
        free = FreeName(self.storage, name, None, self.storage._is_asked_first)
        self.location.path_of(free.chosen)
        return free

    async def _save_all(
        self, files: Sequence[tuple[Any, File[Any]]], progress: Done | None
    ) -> list[str | Exception]:
        free = [name for name, _ in files]
        errors = await self.tree.save_many(
            [(self.location.path_of(name.chosen), content) for name, content in files],
            replace=self._replace,
            otherwise=None if self._replace else lambda number: self._other(free[number]),
            progress=progress,
        )
        return [self._saved(name, error) for name, error in zip(free, errors, strict=True)]

    def _saved(self, name: FreeName, error: Exception | None) -> str | Exception:
        if error is None:
            return self.location.clean(name.chosen)
        if self._replace and isinstance(error, ExistingChild):
            error = IsADirectory("there is a directory of this name")
        return told_of(error, name.chosen)


def told_of(result: str | Exception, name: str) -> str | Exception:
    """The same result; an OSError tells the name of its file from now on."""
    if isinstance(result, OSError):
        result.filename = result.filename or redact(name)
    return result


def to_save(name: Name | None, content: Any) -> tuple[str, File[Any]]:
    """The name and the file that `Storage.save` makes of its arguments."""
    if name is None:
        name = content.name
    if not hasattr(content, "chunks"):
        content = File(content, name)  # type: ignore[arg-type]
    validate_file_name(name, allow_relative_path=True)
    return str(name), content


def _time(name: Name, timestamp: float | None) -> datetime:
    if timestamp is None:
        raise NotImplementedError(f"The grid has no time for {redact(str(name))!r}.")
    return datetime.fromtimestamp(timestamp, UTC if settings.USE_TZ else None)
