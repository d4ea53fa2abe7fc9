"""A tree on the grid with a spool: what is saved on this host shows at once, and is uploaded."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from functools import partial
from logging import getLogger
from time import monotonic, sleep
from typing import Any

from attrs import evolve, field, frozen
from django.core.files import File

from tahoestorage.grid.contents import blocks_of
from tahoestorage.grid.staging import UNBORN
from tahoestorage.grid.tree import Linking, StorageTree
from tahoestorage.reactor.loop import Loop, current_loop
from tahoestorage.reactor.waiting import done, unblocked
from txtahoe.api.directories import Replace
from txtahoe.caps import Cap
from txtahoe.concurrency import Done
from txtahoe.errors import (
    DirectoryNotEmpty,
    ExistingChild,
    IsADirectory,
    NoSuchChild,
    NotADirectory,
    RequestTimeout,
    TahoeError,
)
from txtahoe.nodes import Node
from txtahoe.spool import Entry, Spool, State, Uploader
from txtahoe.spool.entries import PENDING
from txtahoe.spool.files import SealedFile, new_number
from txtahoe.tree.paths import Path

logger = getLogger("tahoestorage")

_QUIET = 5.0  # seconds for which a file that somebody appends to is left alone
_POLL = 0.02  # seconds between two looks at a lock
_PLACES = (ExistingChild, IsADirectory, NotADirectory)  # errors of a grid that is there


@frozen
class SpooledTree(StorageTree):
    """
    As StorageTree, but `save`, `save_many` and `put` return when the file is in the spool of the
    connection. It shows at once, in each process of this host; an `Uploader` brings it to the grid.
    If the spool cannot take a file, the file goes to the grid directly.

    `waits_for_cap`: whether a save waits for the upload, because the URL needs the cap.
    """

    waits_for_cap: Callable[[], bool] = field(eq=False)
    is_spooled = True

    @property
    def spool(self) -> Spool:
        assert self.connection.spool is not None
        return self.connection.spool

    def uploader(self, loop: Loop) -> Uploader:
        """The uploader of this process. In the reactor thread."""
        key = "uploader", self.connection
        terms = self.connection.terms
        return loop.kept.use(key, lambda: Uploader(self.spool, self._tree(loop), terms))

    # Readers.

    async def resolve(self, path: Path, name: str | None = None, *, fresh: bool = False) -> Node:
        entry = await self._pending(path)
        if entry is not None:
            return entry.node
        try:
            return await super().resolve(path, name, fresh=fresh)
        except NoSuchChild:
            if not await self._below(path):
                raise
            return UNBORN

    async def prefetch(self, paths: Collection[Path]) -> set[Path]:
        spool = self.spool
        pending = set(await unblocked(lambda: [path for path in paths if spool.find(path)]))
        return pending | await super().prefetch([path for path in paths if path not in pending])

    async def children(self, path: Path, name: str | None) -> dict[str, Node]:
        pending = await self._below(path)
        try:
            found = await super().children(path, name)
        except NoSuchChild:
            if not pending:
                raise
            found = {}
        return _with_pending(path, found, pending)

    def walk(self, path: Path, name: str | None = None) -> Iterator[tuple[Path, dict[str, Node]]]:
        pending = done(self._below(path))
        unborn = {e.path[:depth] for e in pending for depth in range(len(path), len(e.path))}
        try:
            for directory, children in super().walk(path, name):
                unborn.discard(directory)
                yield directory, _with_pending(directory, children, pending)
        except NoSuchChild:
            if path not in unborn:
                raise
        for directory in sorted(unborn, key=len):
            yield directory, _with_pending(directory, {}, pending)

    def sealed(self, node: Node) -> SealedFile | None:
        number = node.metadata.get(PENDING)
        found = self.spool.open(number) if isinstance(number, int) else None
        if found is None and not node.cap.is_readable:
            raise NoSuchChild("the file was deleted or replaced while it was opened")
        return found

    async def _pending(self, path: Path) -> Entry | None:
        if not self.spool.is_new:  # after a restart of the host, any use uploads what is left
            self._wake(anew=False)
        return await unblocked(lambda: self.spool.find(path))

    async def _below(self, path: Path) -> list[Entry]:
        return await unblocked(lambda: self.spool.below(path))

    # Changes.

    async def save(
        self,
        path: Path,
        content: File[Any],
        name: str | None,
        *,
        replace: Replace = False,
        otherwise: Callable[[], Path] | None = None,
    ) -> None:
        def add(entry: Entry) -> None:
            nonlocal path
            while True:
                try:
                    return self.spool.add(evolve(entry, path=path, replaces=bool(replace)))
                except ExistingChild:
                    if otherwise is None:
                        raise
                path = otherwise()

        def directly() -> Awaitable[None]:
            return save(path, content, name, replace=replace, otherwise=otherwise)

        save = super().save
        await self._take(path, content, name, add, directly)

    async def put(
        self,
        path: Path,
        content: File[Any],
        name: str | None,
        link: Linking,
        *,
        expected: Cap | None = None,
        replaces: bool = False,
        is_growing: bool = False,
        **how: Any,
    ) -> None:
        """
        As in StorageTree. `expected`, `replaces`: as in `Entry` and `Journal.add`. `is_growing`:
        whether more may be appended soon.
        """

        def add(entry: Entry) -> None:
            due = entry.due + (_QUIET if is_growing else 0)
            self.spool.add(evolve(entry, path=path, replaces=replaces, due=due), expected)

        directly = partial(super().put, path, content, name, link)
        await self._take(path, content, name, add, directly)

    async def save_many(
        self,
        files: Sequence[tuple[Path, File[Any]]],
        *,
        replace: Replace = False,
        otherwise: Callable[[int], Path] | None = None,
        progress: Done | None = None,
    ) -> list[Exception | None]:
        results: list[Exception | None] = []
        for number, (path, content) in enumerate(files):
            other = None if otherwise is None else partial(otherwise, number)
            try:
                await self.save(path, content, None, replace=replace, otherwise=other)
                results.append(None)
            except Exception as error:
                results.append(error)
            if progress is not None:
                progress(1)
        return results

    async def delete(self, path: Path, name: str | None) -> None:
        if await unblocked(lambda: self.spool.discard(path)):
            return
        if await self._below(path):
            raise DirectoryNotEmpty(f"{name!r} is not empty")
        async with self._alone(path) as entry:
            with suppress(*[] if entry is None else [NoSuchChild]):
                await super().delete(path, name)

    async def _take(
        self,
        path: Path,
        content: File[Any],
        name: str | None,
        add: Callable[[Entry], None],
        directly: Callable[[], Awaitable[None]],
    ) -> None:
        """Save a file in the spool, whose entry `add` adds; if that fails, on the grid."""
        cap = self._cap_of(content)
        if cap is None and self.waits_for_cap():
            cap = await self.upload(content, name)

        def take() -> None:
            if cap is not None:
                size, state = cap.size or 0, State.UPLOADED
                add(Entry(new_number(), path, size, cap=cap, state=state))
                return
            with self.spool.writing(blocks_of(content)) as written:
                add(Entry(written.number, path, written.size))

        try:
            await unblocked(take)
        except TahoeError:
            raise
        except OSError as error:
            if not content.seekable():
                raise
            logger.warning("the spool takes no file, which is saved on the grid now: %s", error)
            problem = error
        else:
            return self._wake()
        try:
            async with self._alone(path):
                await directly()
        except TahoeError as error:
            if isinstance(error, _PLACES):
                raise
            raise problem from error

    @asynccontextmanager
    async def _alone(self, path: Path) -> AsyncIterator[Entry | None]:
        """Change the target of a path in this block; a pending file, which it gives, is dropped."""
        if await self._pending(path) is None:
            yield None
            return
        deadline = monotonic() + self.connection.timeout
        while not self.spool.lock(path):  # an upload that is under way ends first
            if monotonic() > deadline:
                raise RequestTimeout(f"{path[-1]!r} is being uploaded for long. Try again later")
            await unblocked(lambda: sleep(_POLL))
        try:
            entry = await self._pending(path)
            yield entry
            if entry is not None:
                await unblocked(lambda: self.spool.journal.remove(entry.number))
        finally:
            self.spool.release(path)

    def _wake(self, *, anew: bool = True) -> None:
        """Have the files uploaded; if not `anew`, only if this process has no uploader yet."""
        with suppress(ConnectionAbortedError):  # the process ends: others will do it
            loop = current_loop()
            if anew or loop.kept.get(("uploader", self.connection)) is None:
                loop.call_soon(lambda: self.uploader(loop).wake())


def _with_pending(
    directory: Path, children: Mapping[str, Node], pending: Collection[Entry]
) -> dict[str, Node]:
    """The children of a directory on the grid, and the pending ones."""
    shown = {**children}
    for entry in pending:
        if entry.path[: len(directory)] == directory:
            name, *below = entry.path[len(directory) :]
            shown[name] = shown.get(name, UNBORN) if below else entry.node
    return shown
