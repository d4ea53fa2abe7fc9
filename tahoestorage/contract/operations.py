"""The operations of a storage, written once for callers that block and for those that await."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import wraps
from itertools import islice
from os import PathLike, fspath
from typing import Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from attrs import frozen
from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import Storage
from django.core.files.utils import validate_file_name

from tahoestorage.contract.fileurls import missing_url, public_url
from tahoestorage.grid.paths import Location, Name, is_for_files, names_shown
from tahoestorage.grid.tree import StorageTree
from tahoestorage.reactor.waiting import done
from txtahoe.api.directories import Replace
from txtahoe.caps import redact
from txtahoe.concurrency import Done, all_done
from txtahoe.errors import ExistingChild, IsADirectory, NoSuchChild, NotADirectory
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import TOGETHER

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("tahoestorage")


@frozen
class Operations:
    """
    The operations of `storage`, with names below `location`, as methods of it; see `twins`.
    """

    storage: Any
    tree: StorageTree
    location: Location

    async def save(self, name: str, content: File[Any], max_length: int | None) -> str:
        free = self._free_name(name, max_length)
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
        """
        Save many files, given as names and contents; return their names, chosen as by `save`.

        Uploads run side by side; one write links up to 500 names in a directory. `files` is read,
        and `progress` called with the number of files that were uploaded since the last call, in
        this thread.

        Raises: SomeFailed, whose `results` have the name or the exception of each file; those with
        a name are saved.
        """
        self.tree.require_writable(None)
        left = iter(files)
        results: list[str | Exception] = []
        while some := list(islice(left, TOGETHER)):
            results += await self._save_together(some, progress)
        return all_done(results, "saving many files")

    async def prefetch(self, names: Iterable[Name]) -> set[str]:
        """
        Look up many names with one listing for each directory; return those that are there.

        For `max_age` seconds, `url`, `size`, times and `open` of these names ask nothing more.
        """
        paths = {str(name): self.location.path_of(name) for name in names}
        there = await self.tree.prefetch(dict.fromkeys(paths.values()))
        return {name for name, path in paths.items() if path in there}

    async def node(self, name: Name) -> Node:
        return await self.tree.resolve(self.location.path_of(name), str(name))

    async def file(self, name: Name) -> Node:
        """As `node`, of a file that can be read, with its size. Raises: IsADirectory."""
        return await self.tree.file(self.location.path_of(name), str(name))

    async def linked_file(self, name: Name) -> Node:
        """As `file`, with the times, which the gateway gives to a link."""
        return await self._linked(name, self.tree.file)

    async def delete(self, name: Name) -> None:
        """Delete a file or an empty directory. If it is missing, do nothing."""
        if not name:
            raise ValueError("The name must be given to delete().")
        with suppress(NoSuchChild):
            await self.tree.delete(self.location.path_of(name), str(name))

    async def exists(self, name: Name) -> bool:
        """Whether there is a file or directory of this name. A grid that cannot answer raises."""
        try:
            await self.node(name)
        except (NoSuchChild, NotADirectory):
            return False
        return True

    async def listdir(self, path: Name) -> tuple[list[str], list[str]]:
        names = self.location.path_of(path)
        try:
            return names_shown(await self.tree.children(names, str(path)))
        except NoSuchChild:
            if names != self.location.root:
                raise
            return [], []  # the first save makes it

    async def size(self, name: Name) -> int:
        return (await self.file(name)).size or 0

    async def get_created_time(self, name: Name) -> datetime:
        """When the name was first linked; see Django on aware and naive times."""
        return _time(name, (await self._linked(name, self.tree.resolve)).created)

    async def get_modified_time(self, name: Name) -> datetime:
        """When the name was last linked; see Django on aware and naive times."""
        return _time(name, (await self._linked(name, self.tree.resolve)).modified)

    async def url(
        self, name: str | None, *, expire: float | None = None, download: str | None = None
    ) -> str:
        served: str | None = self.storage._served_url(name or "", expire, download)
        return served or await self.url_by_cap(name or "", download)

    async def url_by_cap(self, name: str, download: str | None = None) -> str:
        """
        The URL at a public gateway; of a missing file, a link that leads nowhere, because one
        missing file must not take down the page that shows a hundred.

        Raises: ValueError if there is no base URL; the errors of a grid that cannot answer.
        """
        base_url = self.storage.base_url
        if base_url is None:
            raise ValueError("This file is not accessible via a URL.")
        try:
            return await self.url_of_file(name, download)
        except (NoSuchChild, NotADirectory, IsADirectory):
            logger.warning("there is no file %r: its URL leads nowhere", redact(name))
            return missing_url(base_url, "".join(self.location.path_of(name)[-1:]))

    async def url_of_file(self, name: str, download: str | None = None) -> str:
        """As `url_by_cap`. Raises: NoSuchChild, NotADirectory or IsADirectory if it is no file."""
        node = await self.node(name)
        if node.is_directory:
            raise IsADirectory(f"{name!r} is a directory; only files have a URL")
        if not node.cap.is_readable:  # it is in the spool
            return self._url_before_upload(name, download)
        file_name = download or self.location.path_of(name)[-1]
        return public_url(self.storage.base_url, node.cap.reader, file_name)

    def _url_before_upload(self, name: str, download: str | None) -> str:
        url: str | None = self.storage._mounted_url(name, None, download)
        if url is not None:
            return url
        logger.warning("%r is not on the grid yet: its URL leads nowhere", redact(name))
        return missing_url(self.storage.base_url, self.location.path_of(name)[-1])

    @property
    def _replace(self) -> Replace:
        return "only-files" if self.storage._allow_overwrite else False

    async def _linked(self, name: Name, look_up: Callable[..., Awaitable[Node]]) -> Node:
        path = self.location.path_of(name)
        node = await look_up(path, str(name))
        if node.modified is None:
            node = await look_up(path, str(name), fresh=True)
        return node

    def _free_name(self, name: str, max_length: int | None) -> FreeName:
        is_asked = self.storage._is_asked_first
        free = FreeName(self.storage, name, max_length, is_asked)
        if self.tree.is_spooled and not is_asked and not self._replace:
            free.choose()  # the grid is asked later: a random name is free
        return free

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
        free = self._free_name(name, None)
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


class FreeName(Storage):
    """
    A name for a file, chosen as `storage` chooses it, but without a look-up beforehand: failed
    attempts tell which names are taken.

    `is_asked`: whether the storage's own `get_available_name` chooses all names but the first.
    """

    def __init__(self, storage: Any, name: str, max_length: int | None, is_asked: bool) -> None:
        self.get_alternative_name = storage.get_alternative_name  # type: ignore[method-assign]
        self._chooser = storage if is_asked else self
        self._name = name
        self._max_length = max_length
        self._taken: set[str] = set()
        self.chosen = self.get_available_name(name, max_length)

    def choose(self) -> str:
        """Choose another name, because the chosen one is taken. Raises: ExistingChild."""
        self._taken.add(self.chosen)
        self.chosen = self._chooser.get_available_name(self._name, self._max_length)
        if self.chosen in self._taken:
            raise ExistingChild(
                f"{self.chosen!r} is taken, and get_available_name() proposes it again; "
                "to replace files use allow_overwrite=True"
            )
        return self.chosen

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        is_free = name not in self._taken and is_for_files(name)
        return is_free and not (max_length and len(name) > max_length)


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


def _as_text(given: Any) -> Any:
    return fspath(given) if isinstance(given, PathLike) else given


def twins(
    operation: Callable[Concatenate[Operations, P], Coroutine[Any, Any, T]],
) -> tuple[Callable[Concatenate[Any, P], T], Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]]:
    """
    Return the two methods of a storage that do an operation: the blocking one, which has its name,
    and the asynchronous one.

    The task of the latter waits for the reactor thread and needs no other thread; if it is
    cancelled, so is the request. Three things can block, so the thread of `sync_to_async` does
    them: it reads files that are not in memory, asks a cache of several processes, and calls the
    method itself if a subclass has one of its own.
    """
    name = operation.__name__

    @wraps(operation)
    def blocking(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        return done(getattr(self.operations, name)(*args, **kwargs))  # type: ignore[no-any-return]

    @wraps(operation)
    async def asynchronous(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._has_own(name):
            return await getattr(self.operations, name)(*args, **kwargs)  # type: ignore[no-any-return]
        plain = map(_as_text, args)
        named = {key: _as_text(given) for key, given in kwargs.items()}
        return await sync_to_async(getattr(self, name))(*plain, **named)  # type: ignore[no-any-return]

    asynchronous.__name__ = f"a{name}"
    return blocking, asynchronous  # type: ignore[return-value]  # their `self` has a name
