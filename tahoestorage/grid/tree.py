"""A tree on the grid, for callers that wait outside of the reactor thread."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any, ClassVar, TypeVar

from attrs import evolve, field, frozen
from django.core.files import File
from twisted.internet.defer import Deferred

from tahoestorage.conf import Connection
from tahoestorage.grid.contents import begun, opener
from tahoestorage.grid.sharedcache import SharedCache
from tahoestorage.reactor.loop import Loop, current_loop, running_loop
from tahoestorage.reactor.waiting import Caller, done, in_reactor, unblocked
from txtahoe.api.client import Client
from txtahoe.api.directories import Replace
from txtahoe.api.download import Download
from txtahoe.caps import Cap, redact
from txtahoe.concurrency import Done
from txtahoe.errors import IsADirectory, NotWriteable, SomeFailed, TahoeError
from txtahoe.http.events import Cache, tell_lookup
from txtahoe.http.failover import Gateways
from txtahoe.http.terms import asking
from txtahoe.http.transport import Transport
from txtahoe.maintenance.writer import Writer
from txtahoe.nodes import Node
from txtahoe.spool.entries import PENDING
from txtahoe.spool.files import SealedFile
from txtahoe.tree.arrival import Arrival
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Content, Tree

T = TypeVar("T")
Linking = Callable[..., Awaitable[None]]  # a method of Tree that takes a `cap`


class OnGrid(ABC):
    """A Django file whose bytes are on a grid already."""

    @abstractmethod
    def cap_at(self, connection: Connection) -> Cap | None:
        """Its cap, if that leads to the same bytes through this connection."""


@frozen
class StorageTree:
    """The tree that `connection` leads to, for any thread of any process."""

    connection: Connection
    shared: SharedCache = field(eq=False, repr=False, kw_only=True)
    is_spooled: ClassVar[bool] = False
    """Whether a save does not wait for the grid, so that nobody knows if its name is taken."""

    @shared.default
    def _shared(self) -> SharedCache:
        return SharedCache(self.connection.cache, self.connection.base_cap)

    async def run(
        self, operation: Callable[[Tree, Caller], Awaitable[T]], name: str | None = None
    ) -> T:
        """
        Return the result of an operation on the tree, which runs in the reactor thread.

        `name`: the file that an OSError is about; the error shows no cap in it.

        Raises: what the operation raises, and as `in_reactor`.
        """

        async def run(caller: Caller) -> T:
            with asking(self.connection.terms):
                return await operation(self._tree(caller.loop), caller)

        try:
            return await in_reactor(run)
        except OSError as error:
            error.filename = error.filename or (name and redact(name))
            raise

    def require_writable(self, name: str | None) -> None:
        """Raises: NotWriteable if nothing can be saved."""
        cap = self.connection.base_cap
        if not cap.is_writable:
            raise NotWriteable(f"{name!r} cannot be written: {cap!r} can only be read")

    def require_replaceable(self, name: str | None) -> None:
        """Raises: NotWriteable if no other file can replace that of the name."""
        self.require_writable(name)

    def known(self, path: Path) -> Node | None:
        """Look up a path in the memory of this process, without a change of threads."""
        tree = self._running_tree()
        with asking(self.connection.terms):
            return None if tree is None else tree.known(path)

    async def resolve(self, path: Path, name: str | None = None, *, fresh: bool = False) -> Node:
        """As `Tree.resolve`; without `fresh`, other processes share what they know."""
        node = None if fresh else await self._offered(path)
        if node is None and not fresh:
            node = (await self._shared_files([path])).get(path)
        if node is not None:
            return node
        asked = monotonic()
        found = await self._run_in(
            [path[:-1]], lambda tree, caller: tree.resolve(path, fresh=fresh), name
        )
        await self._share(lambda shared: shared.add_file(path, found, asked))
        return found

    async def file(self, path: Path, name: str | None = None, *, fresh: bool = False) -> Node:
        """As `resolve`, of a file that can be read, with its size. Raises: IsADirectory."""
        node = await self.resolve(path, name, fresh=fresh)
        if node.is_directory:
            raise IsADirectory(f"{name!r} is a directory, not a file")
        if PENDING in node.metadata:
            return node
        if not node.cap.is_readable:
            raise TahoeError(f"{name!r} is of a kind that this release does not know")
        size = node.cap.size
        if size is None:  # a mutable file: its size may have changed
            size = await self.run(lambda tree, caller: tree.client.size(node.cap), name)
        return node if node.size == size else evolve(node, size=size)

    async def prefetch(self, paths: Collection[Path]) -> set[Path]:
        """As `Tree.prefetch`; return the paths that lead anywhere."""
        unknown = [path for path in paths if await self._offered(path) is None]
        tree = self._running_tree()
        changes = 0 if tree is None else tree.changes
        shared = await self._shared_files(unknown)
        missing = set(unknown) - shared.keys()

        async def prefetch(tree: Tree, caller: Caller) -> dict[Path, Node]:
            if tree.changes == changes:
                for path, node in shared.items():
                    tree.learn(path, node)
            return await tree.prefetch(missing)

        def add(shared: SharedCache) -> None:
            for path, node in found.items():
                shared.add_file(path, node, asked)

        asked = monotonic()
        found = await self._run_in({path[:-1] for path in missing}, prefetch)
        await self._share(add)
        return set(paths) - missing | found.keys()

    async def change(
        self, operation: Callable[[Tree], Awaitable[T]], path: Path, name: str | None
    ) -> T:
        """As `run`, of an operation that changes the target of a path."""
        async with self._changing([path]):
            return await self._run_in([path[:-1]], lambda tree, caller: operation(tree), name)

    async def children(self, path: Path, name: str | None) -> dict[str, Node]:
        """As `Tree.list`."""
        return await self.run(lambda tree, caller: tree.list(path), name)

    async def delete(self, path: Path, name: str | None) -> None:
        """Unlink a file, or remove a directory that is empty. Raises: NoSuchChild."""

        async def delete(tree: Tree) -> None:
            try:
                await tree.unlink(path)
            except IsADirectory:
                await tree.remove_directory(path)

        await self.change(delete, path, name)

    async def save(
        self,
        path: Path,
        content: File[Any],
        name: str | None,
        *,
        replace: Replace = False,
        otherwise: Callable[[], Path] | None = None,
    ) -> None:
        """
        As `Tree.save`, of a Django file, which is read from its start, and not closed; an OnGrid is
        not read. `otherwise` is called in this thread.

        Raises: what reading the file raises; the errors of `Tree.save`.
        """
        source = self._cap_of(content) or await begun(content)

        async def save(tree: Tree, caller: Caller) -> Cap:
            async def again() -> Path:
                nonlocal path
                assert otherwise is not None
                path = await caller.run(otherwise)
                return path

            opened = source if isinstance(source, Cap) else source(caller)
            other = again if otherwise else None
            return await tree.save(path, opened, replace=replace, otherwise=other)

        asked = monotonic()
        async with self._changing([path] if replace else []):
            cap = await self._run_in([path[:-1]], save, name)
        if not replace:
            await self._share(lambda shared: shared.add_new_file(path, cap, asked))

    async def save_many(
        self,
        files: Sequence[tuple[Path, File[Any]]],
        *,
        replace: Replace = False,
        otherwise: Callable[[int], Path] | None = None,
        progress: Done | None = None,
    ) -> list[Exception | None]:
        """
        As `Tree.save_many`, of Django files. `progress` is called in this thread. Return for each
        file its exception, or None.
        """

        async def save(tree: Tree, caller: Caller) -> list[Exception | None]:
            again = None if otherwise is None else lambda n: caller.run(partial(otherwise, n))
            told = None if progress is None else lambda n: caller.call_soon(partial(progress, n))
            sources = [(path, self._content(file, caller)) for path, file in files]
            try:
                await tree.save_many(sources, replace=replace, otherwise=again, progress=told)
            except SomeFailed as error:
                return [r if isinstance(r, Exception) else None for r in error.results]
            return [None] * len(sources)

        paths = [path for path, _ in files]
        async with self._changing(paths):
            return await self._run_in({path[:-1] for path in paths}, save)

    async def upload(self, content: File[Any], name: str | None) -> Cap:
        """
        Upload a Django file, which is read from its start, and not closed.

        Raises: what reading it raises; the errors of `Client.upload`.
        """
        source = await begun(content)
        return await self.run(lambda tree, caller: tree.upload(source(caller)), name)

    async def put(
        self, path: Path, content: File[Any], name: str | None, link: Linking, **how: Any
    ) -> None:
        """Save a file that was written through `open`. `how`: what a spool needs to know."""
        cap = await self.upload(content, name)
        await self.change(partial(link, cap=cap), path, name)

    def opened(self, node: Node) -> tuple[SealedFile | None, Cap]:
        """The bytes of a file, if a spool has them; and its cap. Raises: NoSuchChild, OSError."""
        return None, node.cap

    def walk(self, path: Path, name: str | None = None) -> Iterator[tuple[Path, dict[str, Node]]]:
        """As `Tree.walk`, for a thread that waits."""
        steps: list[AsyncGenerator[tuple[Path, dict[str, Node]], None]] = []

        async def step(tree: Tree, caller: Caller) -> tuple[Path, dict[str, Node]] | None:
            if not steps:
                steps.append(tree.walk(path))
            return await anext(steps[0], None)

        async def close() -> None:
            await steps[0].aclose()

        loop = current_loop()
        try:
            while (found := done(self.run(step, name))) is not None:
                yield found
        finally:
            # The walk must end in the reactor thread where it began, never in a forked child.
            if steps and loop is running_loop():
                loop.call_soon(lambda: Deferred.fromCoroutine(close()))

    def close(self, transfer: Download | Arrival, tree: Tree | None) -> None:
        """End a transfer of `tree`, if that belongs to this process, without waiting."""
        loop = running_loop()
        if loop is not None and loop.kept.get(self.connection) is tree:
            loop.call_soon(transfer.close)

    async def _run_in(
        self,
        directories: Iterable[Path],
        operation: Callable[[Tree, Caller], Awaitable[T]],
        name: str | None = None,
    ) -> T:
        """As `run`; processes share what they know of the directories of the operation."""
        unknown = [path for path in directories if path and self.known(path) is None]
        shared = await self._share(lambda shared: shared.directories(unknown))

        async def learnt(tree: Tree, caller: Caller) -> T:
            for path, cap in shared.items():
                tree.learn_directory(path, cap)
            return await operation(tree, caller)

        result = await self.run(learnt, name)
        for path in unknown:
            node = self.known(path)
            if node is not None and node.is_directory and node.cap != shared.get(path):
                put = partial(SharedCache.put_directory, path=path, cap=node.cap)
                await self._share(put)
        return result

    async def _offered(self, path: Path) -> Node | None:
        """As `_remembered`; the answer is offered to the other processes."""
        node = self._remembered(path)
        if node is not None:
            since = monotonic() - self.connection.max_age
            add = partial(SharedCache.add_file, path=path, node=node, asked=since, once=True)
            await self._share(add)
        return node

    def _remembered(self, path: Path) -> Node | None:
        """As `known`; the observer is told of an answer."""
        node = self.known(path)
        if node is not None:
            self._tell_lookup("memory")
        return node

    async def _shared_files(self, paths: Collection[Path]) -> dict[Path, Node]:
        found = await self._share(lambda shared: shared.files(paths))
        for _ in found:
            self._tell_lookup("shared")
        return found

    def _tell_lookup(self, cache: Cache) -> None:
        # The tree can have been made by another storage.
        tree = self._running_tree()
        observer = self.connection.observer if tree is None else tree.client.observer
        tell_lookup(observer, cache)

    @asynccontextmanager
    async def _changing(self, paths: Collection[Path]) -> AsyncIterator[None]:
        """Share nothing of those paths while the block lasts, and for a time after it."""
        await self._share(lambda shared: shared.mark(paths))
        try:
            yield
        finally:
            await self._share(lambda shared: shared.mark(paths))

    async def _share(self, call: Callable[[SharedCache], T]) -> T:
        if not self.shared.is_there:
            return call(self.shared)
        return await unblocked(lambda: call(self.shared))

    def _content(self, file: File[Any], caller: Caller) -> Content:
        return self._cap_of(file) or opener(file, caller)

    def _cap_of(self, content: File[Any]) -> Cap | None:
        return content.cap_at(self.connection) if isinstance(content, OnGrid) else None

    def _running_tree(self) -> Tree | None:
        loop = running_loop()
        return None if loop is None else loop.kept.get(self.connection)

    def _tree(self, loop: Loop) -> Tree:
        connection = self.connection
        tree = loop.kept.use(connection, lambda: _new_tree(connection, loop))
        if connection.fanout is not None and tree.changer.fanout is None:
            tree.changer.begin(connection.fanout)
        tree.client.content_cache = tree.client.content_cache or connection.content_cache
        return tree


def _new_tree(connection: Connection, loop: Loop) -> Tree:
    security, observer = connection.security, connection.observer

    def connect(url: str) -> Transport:
        # Trees share the connections to their gateway.
        key = url, security, id(observer)  # which needs no hash, and lives as long as the transport
        make = partial(Transport, loop.reactor, url, security=security, observer=observer)
        return loop.kept.use(key, make)

    writer = Writer(connection.writer, connect)
    gateways = Gateways(
        [connect(url) for url in connection.gateways],
        writer=writer.transport if connection.has_common_writer else None,
    )
    tree = Tree(
        Client(gateways),
        connection.base_cap,
        max_age=connection.max_age,
        concurrency=connection.concurrency,
        commit_delay=connection.commit_delay,
    )
    writer.tree = tree
    return tree
