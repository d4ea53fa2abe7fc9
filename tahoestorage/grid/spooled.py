"""A tree on the grid with a spool: what is saved on this host shows at once, and is uploaded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from logging import getLogger
from time import monotonic, sleep
from typing import Any

from attrs import evolve, field, frozen
from django.core.files import File

from tahoestorage.grid.contents import blocks_of
from tahoestorage.grid.staging import UNBORN, laid_over
from tahoestorage.grid.tree import Linking, StorageTree
from tahoestorage.reactor.loop import Loop, current_loop
from tahoestorage.reactor.waiting import done, unblocked
from txtahoe.caps import Cap
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
from txtahoe.spool.files import SealedFile
from txtahoe.spool.spool import Adding
from txtahoe.tree.paths import Path

logger = getLogger("tahoestorage")

_QUIET = 5.0  # seconds for which a file that somebody appends to is left alone
_POLL = 0.02  # seconds between two looks at an entry
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
        entry = await self._find(path)
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
        return laid_over(path, found, pending)

    def walk(self, path: Path, name: str | None = None) -> Iterator[tuple[Path, dict[str, Node]]]:
        pending = done(self._below(path))
        unborn = {file[:depth] for file in pending for depth in range(len(path), len(file))}
        try:
            for directory, children in super().walk(path, name):
                unborn.discard(directory)
                yield directory, laid_over(directory, children, pending)
        except NoSuchChild:
            if path not in unborn:
                raise
        for directory in sorted(unborn, key=len):
            yield directory, laid_over(directory, {}, pending)

    def opened(self, node: Node) -> tuple[SealedFile | None, Cap]:
        return self.spool.open(node)

    async def _find(self, path: Path) -> Entry | None:
        if not self.spool.is_new:  # after a restart of the host, any use uploads what is left
            self._wake(anew=False)
        return await unblocked(lambda: self.spool.find(path))

    async def _below(self, path: Path) -> dict[Path, Node]:
        entries = await unblocked(lambda: self.spool.below(path))
        return {entry.path: entry.node for entry in entries}

    # Changes.

    async def save(self, path: Path, content: File[Any], name: str | None, **how: Any) -> None:
        replace, otherwise = how.get("replace", False), how.get("otherwise")
        save = partial(super().save, name=name, replace=replace)
        other = otherwise and (lambda _: otherwise())
        await self._take_one(path, content, save, other, over=bool(replace) or ())

    async def save_many(
        self, files: Sequence[tuple[Path, File[Any]]], **how: Any
    ) -> list[Exception | None]:
        replace, progress = how.get("replace", False), how.get("progress")
        save = partial(super().save, name=None, replace=replace)
        results = await self._take(files, save, how.get("otherwise"), over=bool(replace) or ())
        if progress is not None:
            progress(len(results))
        return results

    async def put(
        self, path: Path, content: File[Any], name: str | None, link: Linking, **how: Any
    ) -> None:
        """
        As in StorageTree. `expected`: the file that it replaces; if it `replaces`, any.
        `is_growing`: whether more may be appended soon.
        """
        put, due = partial(super().put, name=name, link=link), monotonic()
        await self._take_one(
            path,
            content,
            put,
            expected=how.get("expected"),
            over=how.get("replaces") or (),
            due=due + _QUIET if how.get("is_growing") else due,
        )

    async def delete(self, path: Path, name: str | None) -> None:
        entry = await self._find(path)
        if entry is None and await self._below(path):
            raise DirectoryNotEmpty(f"{name!r} is not empty")
        if entry is not None:
            if await unblocked(partial(self.spool.discard, entry)):
                return
            entry = await self._settled(path)
        with suppress(*[] if entry is None else [NoSuchChild]):
            await super().delete(path, name)
        if entry is not None:
            await unblocked(partial(self.spool.discard, entry, is_linked=True))

    async def _settled(self, path: Path) -> Entry | None:
        """The entry of a path, when it is on the grid, or set aside. Raises: RequestTimeout."""
        deadline = monotonic() + self.connection.timeout
        while (entry := await self._find(path)) and entry.state < State.ASIDE:
            if monotonic() > deadline:
                raise RequestTimeout(f"{path[-1]!r} is not on the grid yet. Try again later")
            await unblocked(lambda: sleep(_POLL))
        return entry

    async def _take(
        self,
        files: Sequence[tuple[Path, File[Any]]],
        directly: Callable[..., Awaitable[None]],
        otherwise: Callable[[int], Path] | None = None,
        expected: Node | None = None,
        **changes: Any,
    ) -> list[Exception | None]:
        """
        Save files in the spool, or else on the grid. Return for each its exception, or None.

        `expected`: as for Adding. `changes`: of all entries.
        """
        caps: Sequence[Cap | Exception | None] = [self._cap_of(content) for _, content in files]
        if self.waits_for_cap():
            caps = await self.run(
                lambda tree, caller: tree.upload_many([self._content(c, caller) for _, c in files])
            )
        paths = [path for path, _ in files]
        results: list[Exception | None] = [None] * len(files)

        def take() -> None:
            written: dict[int, Adding] = {}
            for number, (path, content) in enumerate(files):
                try:
                    entry = self._entry(path, content, caps[number], changes)
                    written[number] = Adding(entry, expected)
                except Exception as error:
                    results[number] = error
            self.spool.add(*written.values())
            for number, each in written.items():
                try:
                    while isinstance(each.error, ExistingChild) and otherwise is not None:
                        paths[number] = otherwise(number)
                        each.entry, each.error = evolve(each.entry, path=paths[number]), None
                        self.spool.add(each)
                except Exception as error:
                    each.error = error
                results[number] = each.error
                if isinstance(each.error, TahoeError):
                    self.spool.remove([each.entry.number])

        await unblocked(take)
        self._wake()
        for number, (_, content) in enumerate(files):
            problem, path = results[number], paths[number]
            if not isinstance(problem, OSError) or isinstance(problem, TahoeError):
                continue
            # What is pending under the name would be linked over a newer file.
            if content.seekable() and await self._find(path) is None:
                logger.warning("the spool takes no file; it is saved on the grid now: %s", problem)
                how = {} if otherwise is None else {"otherwise": partial(otherwise, number)}
                try:
                    await directly(path, content, **how)
                    results[number] = None
                except Exception as error:
                    is_away = isinstance(error, TahoeError) and not isinstance(error, _PLACES)
                    results[number] = problem if is_away else error
        return results

    async def _take_one(self, path: Path, content: File[Any], *args: Any, **changes: Any) -> None:
        (error,) = await self._take([(path, content)], *args, **changes)
        if error is not None:
            raise error

    def _entry(
        self, path: Path, content: File[Any], cap: Cap | Exception | None, changes: dict[str, Any]
    ) -> Entry:
        """The entry of a file, which this writes if it has no cap."""
        if isinstance(cap, Exception):
            raise cap
        if cap is None:
            return self.spool.write(Entry(path, **changes), blocks_of(content))
        return Entry(path, cap.size or 0, cap=cap, state=State.UPLOADED, **changes)

    def _wake(self, *, anew: bool = True) -> None:
        """Have the files uploaded; if not `anew`, only if this process has no uploader yet."""
        with suppress(ConnectionAbortedError):  # the process ends: others will do it
            loop = current_loop()
            if anew or loop.kept.get(("uploader", self.connection)) is None:
                loop.call_soon(lambda: self.uploader(loop).wake())
