"""A tree on the grid, for threads that wait."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import partial
from itertools import chain
from time import monotonic
from typing import Any, TypeVar

from attrs import field, frozen
from django.core.files import File
from twisted.internet.defer import Deferred

from tahoestorage.conf import Connection
from tahoestorage.reactor import CallingThread, Loop, current_loop, running_loop
from tahoestorage.sharing import SharedCache
from txtahoe.bodies import BlockingSource, BytesSource, Download, gather
from txtahoe.caps import Cap
from txtahoe.client import Client
from txtahoe.directories import Replace
from txtahoe.errors import NotWriteable, SomeFailed
from txtahoe.gateways import Gateways
from txtahoe.many import Done
from txtahoe.nodes import Node
from txtahoe.paths import Path
from txtahoe.streams import ISource
from txtahoe.transport import Transport
from txtahoe.tree import Tree

T = TypeVar("T")

# Files of up to so many bytes are read before the request begins: it has a length then, can be
# repeated, and needs no more of the calling thread.
_AT_ONCE = 2**20


@frozen
class BlockingTree:
    """What `connection` leads to. It can be used in any thread and any process."""

    connection: Connection
    shared: SharedCache = field(init=False, eq=False, repr=False)

    @shared.default
    def _shared(self) -> SharedCache:
        return SharedCache(self.connection.cache, self.connection.base_cap)

    def run(
        self,
        operation: Callable[[Tree], Awaitable[T]],
        name: str | None = None,
        caller: CallingThread | None = None,
    ) -> T:
        """
        The result of an operation on the tree, which runs in the reactor thread.

        `name`: the file that errors are about. `caller`: as for `Loop.run`.

        Raises: what the operation raises, and as `Loop.run`.
        """
        loop = current_loop()
        try:
            return loop.run(lambda: operation(self._tree(loop)), caller)
        except OSError as error:
            error.filename = error.filename or name
            raise

    def require_writable(self, name: str | None) -> None:
        """Raises: NotWriteable where nothing can be saved."""
        cap = self.connection.base_cap
        if not cap.is_writable:
            raise NotWriteable(f"{name!r} cannot be written: {cap!r} can only be read")

    def known(self, path: Path) -> Node | None:
        """What a path leads to, if that is known in this process; no change of threads."""
        tree = self._running_tree()
        return None if tree is None else tree.known(path)

    def resolve(self, path: Path, name: str | None = None, *, fresh: bool = False) -> Node:
        """As `Tree.resolve`; without `fresh` it may be known to other processes too."""
        node = None if fresh else self._offered(path) or self.shared.files([path]).get(path)
        if node is None:
            asked = monotonic()
            node = self._run_in([path[:-1]], lambda tree: tree.resolve(path, fresh=fresh), name)
            self.shared.add_file(path, node, asked)
        return node

    def prefetch(self, paths: Collection[Path]) -> set[Path]:
        """As `Tree.prefetch`; which of the paths lead anywhere."""
        unknown = {path for path in paths if self._offered(path) is None}
        tree = self._running_tree()
        changes = 0 if tree is None else tree.changes
        shared = self.shared.files(unknown)
        missing = unknown - shared.keys()

        async def prefetch(tree: Tree) -> dict[Path, Node]:
            if tree.changes == changes:
                for path, node in shared.items():
                    tree.learn(path, node)
            return await tree.prefetch(missing)

        asked = monotonic()
        found = self._run_in({path[:-1] for path in missing}, prefetch)
        for path, node in found.items():
            self.shared.add_file(path, node, asked)
        return set(paths) - missing | found.keys()

    def change(self, operation: Callable[[Tree], Awaitable[T]], path: Path, name: str | None) -> T:
        """As `run`, of an operation that changes what a path leads to."""
        with self.shared.changing([path]):
            return self._run_in([path[:-1]], operation, name)

    def save(
        self,
        path: Path,
        content: File[Any],
        name: str | None,
        *,
        replace: Replace = False,
        metadata: Mapping[str, Any] | None = None,
        otherwise: Callable[[], Path] | None = None,
    ) -> None:
        """
        As `Tree.save`, of a Django file, which is read in this thread, from its start, and not
        closed. `otherwise` is called in this thread too.

        Raises: what reading it raises; the errors of `Tree.save`.
        """
        caller = CallingThread()
        source = _source(content, caller)
        chosen = [path]

        def choose(otherwise: Callable[[], Path]) -> Path:
            chosen.append(otherwise())
            return chosen[-1]

        again = None if otherwise is None else partial(caller.run, partial(choose, otherwise))
        asked = monotonic()
        with self.shared.changing([path] if replace else []):
            cap = self._run_in(
                [path[:-1]],
                lambda tree: tree.save(
                    path, source, replace=replace, metadata=metadata, otherwise=again
                ),
                name,
                caller,
            )
        if not replace:
            self.shared.add_new_file(chosen[-1], cap, asked)

    def save_many(
        self,
        files: Sequence[tuple[Path, File[Any]]],
        *,
        replace: Replace = False,
        otherwise: Callable[[int], Path] | None = None,
        progress: Done | None = None,
    ) -> list[Exception | None]:
        """
        As `Tree.save_many`, of Django files, which are read in this thread. Returns of each the
        exception, or None where it was saved.
        """
        caller = CallingThread()
        sources = [
            (path, partial(caller.run, partial(_source, file, caller))) for path, file in files
        ]
        again = None if otherwise is None else lambda n: caller.run(partial(otherwise, n))
        done = None if progress is None else lambda n: caller.call_soon(partial(progress, n))

        async def save(tree: Tree) -> list[Exception | None]:
            try:
                await tree.save_many(sources, replace=replace, otherwise=again, progress=done)
            except SomeFailed as error:
                return [r if isinstance(r, Exception) else None for r in error.results]
            return [None] * len(sources)

        paths = [path for path, _ in files]
        with self.shared.changing(paths):
            return self._run_in({path[:-1] for path in paths}, save, caller=caller)

    def upload(self, content: File[Any], name: str | None) -> Cap:
        """
        Upload a Django file, which is read in this thread, from its start, and not closed.

        Raises: what reading it raises; the errors of `Client.upload`.
        """
        caller = CallingThread()
        source = _source(content, caller)
        return self.run(lambda tree: tree.upload(source), name, caller)

    def walk(self, path: Path, name: str | None = None) -> Iterator[tuple[Path, dict[str, Node]]]:
        """As `Tree.walk`."""
        steps: list[AsyncGenerator[tuple[Path, dict[str, Node]], None]] = []

        async def step(tree: Tree) -> tuple[Path, dict[str, Node]] | None:
            if not steps:
                steps.append(tree.walk(path))
            return await anext(steps[0], None)

        async def close() -> None:
            await steps[0].aclose()

        loop = current_loop()
        try:
            while (found := self.run(step, name)) is not None:
                yield found
        finally:
            # It ends in the reactor thread, where it began, and not in a child of this process.
            if steps and loop is running_loop():
                loop.call_soon(lambda: Deferred.fromCoroutine(close()))

    def close(self, download: Download, tree: Tree) -> None:
        """End a download of `tree`, if that is of this process; does not wait."""
        loop = running_loop()
        if loop is not None and loop.kept.get(self.connection) is tree:
            loop.call_soon(download.close)

    def _run_in(
        self,
        directories: Iterable[Path],
        operation: Callable[[Tree], Awaitable[T]],
        name: str | None = None,
        caller: CallingThread | None = None,
    ) -> T:
        """As `run`; other processes share what they know of the directories that it is about."""
        unknown = [path for path in directories if path and self.known(path) is None]
        shared = self.shared.directories(unknown)

        async def learnt(tree: Tree) -> T:
            for path, cap in shared.items():
                tree.learn_directory(path, cap)
            return await operation(tree)

        result = self.run(learnt, name, caller)
        for path in unknown:
            node = self.known(path)
            if node is not None and node.is_directory and node.cap != shared.get(path):
                self.shared.put_directory(path, node.cap)
        return result

    def _offered(self, path: Path) -> Node | None:
        """As `known`; the other processes may know it then too."""
        node = self.known(path)
        if node is not None:
            self.shared.offer_file(path, node, monotonic() - self.connection.max_age)
        return node

    def _running_tree(self) -> Tree | None:
        loop = running_loop()
        return None if loop is None else loop.kept.get(self.connection)

    def _tree(self, loop: Loop) -> Tree:
        tree: Tree | None = loop.kept.get(self.connection)
        if tree is None:
            connection = self.connection
            transports = [
                Transport(loop.reactor, gateway, timeout=connection.timeout)
                for gateway in connection.gateways
            ]
            tree = loop.kept[connection] = Tree(
                Client(Gateways(transports)),
                connection.base_cap,
                max_age=connection.max_age,
                concurrency=connection.concurrency,
                commit_delay=connection.commit_delay,
            )
        return tree


def _source(content: File[Any], caller: CallingThread) -> ISource:
    chunks = iter(content.chunks())
    head = gather(chunks, _AT_ONCE)
    if len(head) < _AT_ONCE:
        return BytesSource(head)
    # The first pass goes on with what was begun; `chunks` goes back to the start by itself.
    passes = chain([chain([head], chunks)], iter(content.chunks, None))
    repeatable = hasattr(content, "seekable") and content.seekable()
    return BlockingSource(lambda: next(passes), caller.run, repeatable)
