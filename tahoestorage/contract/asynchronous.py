"""The storage's methods for asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from asgiref.sync import sync_to_async
from django.core.files.storage import Storage
from django.core.files.utils import validate_file_name

from tahoestorage.contract.operations import Operations, to_save
from tahoestorage.grid.file import TahoeFile, is_only_read
from tahoestorage.grid.paths import Name
from txtahoe.concurrency import Done


class AsyncMethods(Storage):
    """
    The asynchronous twins of a storage's methods, with the same arguments, results and errors.

    The task waits for the reactor thread, and no other thread is needed; cancelling it cancels
    the request. Files that are not in memory are read where Django runs what blocks, in the
    thread of `sync_to_async`; a cache shared with other processes is asked there, and the methods
    run there that a subclass has written anew.
    """

    async def aopen(self, name: Name, mode: str = "rb") -> TahoeFile:
        """
        As `open`, for reading with `aread` and `aiter_chunks`. To write, there is `asave`.

        Raises: ValueError for another mode.
        """
        if not is_only_read(mode):
            raise ValueError(f"aopen() is for reading, not for mode {mode!r}: use asave()")
        if self._has_own("open", "_open"):
            return cast(TahoeFile, await sync_to_async(self.open)(str(name), mode))
        operations = self.operations
        path = operations.location.path_of(name)
        found = await operations.awaited.file(name)
        return TahoeFile(operations.tree, path, str(name), mode, found=found)

    async def asave(self, name: Name | None, content: Any, max_length: int | None = None) -> str:
        """As `save`."""
        if self._has_own("save", "_save") or self._is_asked_first:
            chosen = content.name if name is None else str(name)
            return await sync_to_async(self.save)(chosen, content, max_length)
        saved = await self.operations.awaited.save(*to_save(name, content), max_length)
        validate_file_name(saved, allow_relative_path=True)
        return saved

    async def asave_many(
        self, files: Iterable[tuple[Name, Any]], *, progress: Done | None = None
    ) -> list[str]:
        """As `save_many`; `files` is read, and `progress` called, in this thread."""
        if self._has_own("save_many"):
            return await sync_to_async(self.save_many)(files, progress=progress)
        return await self.operations.awaited.save_many(files, progress)

    async def aprefetch(self, names: Iterable[Name]) -> set[str]:
        """As `prefetch`."""
        if self._has_own("prefetch"):
            return await sync_to_async(self.prefetch)(names)
        return await self.operations.awaited.prefetch(names)

    async def adelete(self, name: Name) -> None:
        """As `delete`."""
        if self._has_own("delete"):
            return await sync_to_async(self.delete)(str(name))
        return await self.operations.awaited.delete(name)

    async def aexists(self, name: Name) -> bool:
        """As `exists`."""
        if self._has_own("exists"):
            return await sync_to_async(self.exists)(str(name))
        return await self.operations.awaited.exists(name)

    async def alistdir(self, path: Name) -> tuple[list[str], list[str]]:
        """As `listdir`."""
        if self._has_own("listdir"):
            return await sync_to_async(self.listdir)(str(path))
        return await self.operations.awaited.listdir(path)

    async def asize(self, name: Name) -> int:
        """As `size`."""
        if self._has_own("size"):
            return await sync_to_async(self.size)(str(name))
        return await self.operations.awaited.size(name)

    async def aurl(self, name: str | None) -> str:
        """As `url`."""
        if self._has_own("url"):
            return await sync_to_async(self.url)(name)
        name = name or ""
        return self._served_url(name) or await self.operations.awaited.url(name, self.base_url)

    async def aget_created_time(self, name: Name) -> datetime:
        """As `get_created_time`."""
        if self._has_own("get_created_time"):
            return await sync_to_async(self.get_created_time)(str(name))
        return self._time(name, (await self.operations.awaited.linked(name)).created)

    async def aget_modified_time(self, name: Name) -> datetime:
        """As `get_modified_time`."""
        if self._has_own("get_modified_time"):
            return await sync_to_async(self.get_modified_time)(str(name))
        return self._time(name, (await self.operations.awaited.linked(name)).modified)

    async def aget_accessed_time(self, name: Name) -> datetime:
        """As `get_accessed_time`."""
        return await sync_to_async(self.get_accessed_time)(str(name))

    if TYPE_CHECKING:  # what TahoeStorage adds

        @property
        def operations(self) -> Operations: ...

        @cached_property
        def base_url(self) -> str | None: ...

        @property
        def _is_asked_first(self) -> bool: ...

        def save_many(
            self, files: Iterable[tuple[Name, Any]], *, progress: Done | None = None
        ) -> list[str]: ...

        def prefetch(self, names: Iterable[Name]) -> set[str]: ...

        def _has_own(self, *methods: str) -> bool: ...

        def _served_url(self, name: str) -> str | None: ...

        def _time(self, name: Name, timestamp: float | None) -> datetime: ...
