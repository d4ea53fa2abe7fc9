"""A tree on the grid with a spool: what is saved on this host shows at once, and is uploaded."""

from __future__ import annotations

import errno
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from logging import getLogger
from time import monotonic, sleep
from typing import Any

from attrs import evolve, frozen
from django.core.files import File

from tahoestorage.grid.staging import UNBORN
from tahoestorage.grid.tree import Linking, StorageTree
from tahoestorage.reactor.loop import Loop, current_loop
from tahoestorage.reactor.waiting import done, unblocked
from txtahoe.caps import Cap, redact
from txtahoe.contentcache import BLOCK
from txtahoe.errors import (
    DirectoryNotEmpty,
    ExistingChild,
    IsADirectory,
    NoSuchChild,
    NotADirectory,
    RequestTimeout,
    TahoeError,
    UnknownOutcome,
)
from txtahoe.http.sources import gather
from txtahoe.nodes import Node
from txtahoe.spool import Entry, Spool, State, Uploader
from txtahoe.spool.files import SealedFile
from txtahoe.tree.paths import Path

logger = getLogger("tahoestorage")

_QUIET = 5.0  # seconds for which a file that somebody appends to is left alone
_OFTEN = 30.0  # seconds after which a process looks for files of others, which may have ended
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

    waits_for_cap: Callable[[], bool]
    is_spooled = True

    @property
    def spool(self) -> Spool:
        assert self.connection.spool is not None
        return self.connection.spool

    def uploader(self, loop: Loop) -> Uploader:
        """The uploader of this process. In the reactor thread."""
        tree, mark = self._tree(loop), self.shared.mark
        make = partial(Uploader, self.spool, tree, self.connection.terms, mark)
        return loop.kept.use(self._uploaders_key, make)

    @property
    def _uploaders_key(self) -> tuple[Any, ...]:
        return "uploader", self.connection, self.spool  # which is no part of a connection's value

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
        return _laid_over(path, found, pending)

    def walk(self, path: Path, name: str | None = None) -> Iterator[tuple[Path, dict[str, Node]]]:
        pending = done(self._below(path))
        unborn = {file[:depth] for file in pending for depth in range(len(path), len(file))}
        try:
            for directory, children in super().walk(path, name):
                unborn.discard(directory)
                yield directory, _laid_over(directory, children, pending)
        except NoSuchChild:
            if path not in unborn:
                raise
        for directory in sorted(unborn, key=len):
            yield directory, _laid_over(directory, {}, pending)

    def opened(self, node: Node) -> tuple[SealedFile | None, Cap]:
        return self.spool.open(node)

    async def _find(self, path: Path) -> Entry | None:
        if not self.spool.is_new:  # any use uploads what other processes have left
            self._wake(anew=False)
        return await unblocked(lambda: self.spool.find(path))

    async def _below(self, path: Path) -> dict[Path, Node]:
        entries = await unblocked(lambda: self.spool.below(path))
        return {entry.path: entry.node for entry in entries}

    # Changes.

    async def save(self, path: Path, content: File[Any], name: str | None, **how: Any) -> None:
        otherwise = how.pop("otherwise", None)
        other = otherwise and (lambda _: otherwise())
        (error,) = await self.save_many([(path, content)], otherwise=other, **how)
        if isinstance(error, OSError) and error.errno is not None:  # else its text would be lost
            error.filename = error.filename or (name and redact(name))
        if error is not None:
            raise error

    async def save_many(
        self, files: Sequence[tuple[Path, File[Any]]], **how: Any
    ) -> list[Exception | None]:
        replace, otherwise = how.get("replace", False), how.get("otherwise")
        results: list[Exception | None] = []
        progress = how.get("progress")
        caps = await self._caps([content for _, content in files])
        for number, ((path, content), cap) in enumerate(zip(files, caps, strict=True)):
            other = otherwise and partial(otherwise, number)
            save = partial(super().save, name=None, replace=replace, otherwise=other)
            try:
                await self._take(path, content, cap, save, other, over=bool(replace) or ())
                results.append(None)
            except Exception as error:
                results.append(error)
            if progress is not None:
                progress(1)
        return results

    async def put(
        self, path: Path, content: File[Any], name: str | None, link: Linking, **how: Any
    ) -> None:
        """
        As in StorageTree. `expected`: the file that it replaces; if it `replaces`, any.
        `is_growing`: whether more may be appended soon.
        """
        put, due = partial(super().put, name=name, link=link), monotonic()
        (cap,) = await self._caps([content])
        due += _QUIET if how.get("is_growing") else 0
        over = how.get("replaces") or ()
        await self._take(path, content, cap, put, expected=how.get("expected"), over=over, due=due)

    async def delete(self, path: Path, name: str | None) -> None:
        entry = await self._find(path)
        if entry is None:
            if await self._below(path):
                raise DirectoryNotEmpty(f"{name!r} is not empty")
            return await super().delete(path, name)
        if await unblocked(partial(self.spool.discard, entry)):
            return None
        settled = await self._settled(entry)
        if settled is None:  # another caller has replaced or deleted the file
            return await self.delete(path, name)
        # The file can have got another name: its own may lead to a file of another host.
        with suppress(NoSuchChild, NotADirectory, IsADirectory):
            await self.change(lambda tree: tree.unlink(settled.path), settled.path, name)
        try:
            await unblocked(partial(self.spool.discard, settled, is_linked=True))
        except OSError as error:  # of a full disk, for example
            raise UnknownOutcome(f"{name!r} is not on the grid any more, but {error}") from None

    async def _settled(self, entry: Entry) -> Entry | None:
        """
        An entry when its file is on the grid, or set aside; None if it is gone. Raises:
        RequestTimeout.
        """
        deadline = monotonic() + self.connection.timeout
        while (now := await unblocked(lambda: self.spool.present(entry))) is not None:
            if now.state >= State.ASIDE:
                break
            if monotonic() > deadline:
                text = f"{entry.path[-1]!r} is not on the grid yet. Try again later"
                raise RequestTimeout(text)
            await unblocked(lambda: sleep(_POLL))
        return now

    async def _caps(self, contents: Sequence[File[Any]]) -> Sequence[Cap | Exception | None]:
        """The caps that saves must know, of files that this uploads if they are not on the grid."""
        if not self.waits_for_cap():
            return [self._cap_of(content) for content in contents]
        return await self.run(
            lambda tree, caller: tree.upload_many([self._content(c, caller) for c in contents])
        )

    async def _take(
        self,
        path: Path,
        content: File[Any],
        cap: Cap | Exception | None,
        directly: Callable[[Path, File[Any]], Awaitable[None]],
        otherwise: Callable[[], Path] | None = None,
        expected: Node | None = None,
        **changes: Any,
    ) -> None:
        """
        Save a file in the spool, or else on the grid. `cap`: if it is there, or why it is not.

        `expected`: as for `Spool.add`. `changes`: of the entry.
        """
        if isinstance(cap, Exception):
            raise cap

        given_up = False
        unreadable: list[OSError] = []

        def blocks() -> Iterator[bytes]:
            try:
                yield from iter(partial(gather, iter(content.chunks()), BLOCK), b"")
            except OSError as error:
                unreadable.append(error)
                raise

        def take() -> None:
            nonlocal path
            entry = Entry(path, **changes)
            if cap is None:
                entry = self.spool.write(entry, blocks())
            else:
                entry = evolve(entry, size=cap.size or 0, cap=cap, state=State.UPLOADED)
            if given_up:  # the thread of `sync_to_async` goes on when its task is cancelled
                return self.spool.remove([entry.number])
            try:
                while True:
                    try:
                        return self.spool.add(evolve(entry, path=path), expected)
                    except ExistingChild:
                        if otherwise is None:
                            raise
                        path = otherwise()
            except Exception as error:
                # After another OSError the journal can have the entry.
                if isinstance(error, TahoeError) or not isinstance(error, OSError):
                    self.spool.remove([entry.number])
                raise

        try:
            return await unblocked(take)
        except CancelledError:
            given_up = True
            raise
        except (TahoeError, ConnectionAbortedError):  # or the process ends
            raise
        except OSError as error:
            if unreadable:
                raise
            text = f"the spool takes no file: {error.strerror or error}"
            problem = OSError(error.errno or errno.EIO, text, error.filename)
            is_once = not getattr(content, "seekable", bool)()
            # The uploader would link a pending file of this name over the newer one.
            if is_once or await self._find(path) is not None:
                raise problem from None
            logger.warning("%s. The file is saved on the grid now", problem)
            try:
                await directly(path, content)
            except TahoeError as failure:
                raise failure if isinstance(failure, _PLACES) else problem from None
        finally:
            self._wake()

    def _wake(self, *, anew: bool = True) -> None:
        """Have the files uploaded; if not `anew`, only if that was not asked for a while."""
        with suppress(ConnectionAbortedError):  # the process ends: others will do it
            loop = current_loop()
            uploader = loop.kept.get(self._uploaders_key)
            if anew or uploader is None or monotonic() > uploader.woken + _OFTEN:
                loop.call_soon(lambda: self.uploader(loop).wake())


def _laid_over(
    directory: Path, children: Mapping[str, Node], pending: Mapping[Path, Node]
) -> dict[str, Node]:
    """The children of a directory on the grid, with what is pending in it and below."""
    shown = {**children}
    for path, node in pending.items():
        # A pending file can have the name of a directory that another host has made.
        if path != directory and path[: len(directory)] == directory:
            name, *below = path[len(directory) :]
            if below:
                shown.setdefault(name, UNBORN)
            else:
                shown[name] = node
    return shown
