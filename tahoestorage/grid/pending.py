"""A tree on the grid with pending changes, for threads that wait."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

from attrs import frozen
from django.core.files import File

from tahoestorage.grid.staging import Staging
from tahoestorage.grid.tree import StorageTree
from tahoestorage.grid.writebuffer import WriteBuffer
from tahoestorage.reactor.loop import Loop, current_loop, running_loop
from tahoestorage.reactor.waiting import Caller, done
from txtahoe.caps import redact
from txtahoe.errors import IsADirectory, SomeFailed, TahoeError
from txtahoe.http.sources import BlockingSource, gather
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree
from txtahoe.tree.uploads import SMALL

T = TypeVar("T")

_NAMED = 5  # failures that a message names
# Called when the process exits while changes are pending.
_exits: dict[Staging, Callable[[], None]] = {}


@frozen
class StagedTree(StorageTree):
    """
    As StorageTree, with changes that `flush` makes. They belong to this process and its reactor.

    `root`: the path below which they are.
    """

    root: Path

    async def staged(
        self, operation: Callable[[Staging, Caller], Awaitable[T]], name: str | None = None
    ) -> T:
        """As `run`, of an operation on the pending changes."""

        async def run(tree: Tree, caller: Caller) -> T:
            staging = caller.loop.kept.use(
                self, lambda: Staging(tree, max_age=self.connection.max_age)
            )
            try:
                return await operation(staging, caller)
            finally:
                self._note(caller.loop, staging)

        return await self.run(run, name)

    def known(self, path: Path) -> Node | None:
        staging = self._running_staging()
        return None if staging is not None and staging.pending else super().known(path)

    async def resolve(self, path: Path, name: str | None = None, *, fresh: bool = False) -> Node:
        """As `Staging.resolve`; processes share nothing of it."""
        node = None if fresh else self._remembered(path)
        if node is not None:
            return node
        return await self.staged(lambda staging, _: staging.resolve(path), name)

    async def children(self, path: Path, name: str | None) -> dict[str, Node]:
        return await self.staged(lambda staging, _: staging.list(path), name)

    async def delete(self, path: Path, name: str | None) -> None:
        try:
            await self.staged(lambda staging, _: staging.delete(path), name)
        except IsADirectory:
            await super().delete(path, name)

    async def stage(self, path: Path, content: File[Any], name: str) -> None:
        """
        As `Staging.save`, of a Django file, which is read in this thread, from its start, and not
        closed. A small file is uploaded later, a large one before this returns.
        """
        if not (hasattr(content, "seekable") and content.seekable()):
            content = _spooled(content)
        chunks = iter(content.chunks())
        head = gather(chunks, SMALL)
        is_small = len(head) < SMALL
        digest = sha256(head)
        while block := gather(chunks, SMALL):
            digest.update(block)

        async def save(staging: Staging, caller: Caller) -> None:
            large = BlockingSource(content.chunks, caller.run, repeatable=True)
            await staging.save(path, head if is_small else large, digest.hexdigest())

        await self.staged(save, name)

    async def link(self, but: Path | None = None) -> None:
        """As `Staging.link`. Raises: SomeFailed, which names the files."""
        await self._make(lambda staging, _: staging.link(but))

    async def flush(self) -> None:
        """As `Staging.commit`. Raises: SomeFailed, which names the files."""
        await self._make(lambda staging, _: staging.commit())

    # The other changes, and those that read in other ways, make the pending changes first.

    async def change(
        self, operation: Callable[[Tree], Awaitable[T]], path: Path, name: str | None
    ) -> T:
        await self.flush()
        try:
            return await super().change(operation, path, name)
        finally:
            await self.flush()  # the views of directories are outdated

    async def save_many(self, *files: Any, **options: Any) -> list[Exception | None]:
        await self.flush()
        return await super().save_many(*files, **options)

    async def prefetch(self, paths: Collection[Path]) -> set[Path]:
        await self.flush()
        return await super().prefetch(paths)

    def walk(self, path: Path, name: str | None = None) -> Iterator[tuple[Path, dict[str, Node]]]:
        done(self.flush())
        return super().walk(path, name)

    def discard(self) -> None:
        staging = self._running_staging()
        if staging is not None:
            current_loop().call_soon(staging.forget)

    async def _make(
        self, changes: Callable[[Staging, Caller], Awaitable[Mapping[Path, Exception]]]
    ) -> None:
        staging = self._running_staging()
        if staging is None:
            return
        pending = list(staging.pending)
        async with self._changing(pending):
            failed = await self.staged(changes)
        if failed:
            raise self._error(failed, len(pending))

    def _error(self, failed: Mapping[Path, Exception], pending: int) -> SomeFailed:
        told = []
        for path, error in failed.items():
            name = "/".join(path[len(self.root) :])
            told.append(f"{name!r}: {error}")
            if isinstance(error, TahoeError):
                error.filename = redact(name)
        if len(told) > _NAMED:
            told[_NAMED:] = [f"and {len(told) - _NAMED} more"]
        text = f"{len(failed)} of {pending} changes of files failed: {'; '.join(told)}"
        return SomeFailed(text, list(failed.values()))

    def _note(self, loop: Loop, staging: Staging) -> None:
        """Have the pending changes made at the exit of the process, and hold them until then."""
        if staging.pending and staging not in _exits:
            _exits[staging] = atexit.register(partial(self._at_exit, loop, staging, os.getpid()))
        elif not staging.pending and staging in _exits:
            atexit.unregister(_exits.pop(staging))

    def _running_staging(self) -> Staging | None:
        loop = running_loop()
        return None if loop is None else loop.kept.get(self)

    def _at_exit(self, loop: Loop, staging: Staging, process: int) -> None:
        """Make the pending changes; if that fails, the process fails."""
        pending = len(staging.pending)
        if os.getpid() != process or not pending:
            return
        # Python notes the exception that ends a process; an interactive one goes on after it.
        if hasattr(sys, "last_value") and not hasattr(sys, "ps1"):
            _tell(f"an exception ended the process when changes of files were pending: {pending}")
            return
        try:
            if running_loop() is not loop:
                raise ConnectionAbortedError(
                    f"the reactor is gone, with pending changes of files: {pending}"
                )
            done(self.flush())
        except BaseException as error:
            _tell(f"{type(error).__name__}: {error}")
            os._exit(1)  # no other way leads to an exit status now


def _spooled(content: File[Any]) -> File[Any]:
    buffer = WriteBuffer()
    chunks = iter(content.chunks())
    while block := gather(chunks, SMALL):
        buffer.write(block)
    return buffer.content(content.name)


def _tell(text: str) -> None:
    with suppress(Exception):  # streams can be closed by now
        print(text, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
