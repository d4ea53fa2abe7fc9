"""Walks through a whole tree, with many requests at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, takewhile
from typing import TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import Deferred

from txtahoe.api.client import Client
from txtahoe.caps import Cap
from txtahoe.concurrency import run_workers
from txtahoe.errors import NotADirectory, TahoeError, Unrecoverable
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path, split
from txtahoe.tree.removed import is_empty, without_removed
from txtahoe.tree.spread.format import Children, Contents, contents_of, gather, onward, visible
from txtahoe.tree.tree import Tree

T = TypeVar("T")

# Called after each object with the number of finished and of known objects. While directories are
# read, the second number grows too.
Progress = Callable[[int, int], None]

# Requests at a time; more are no faster, see `python -m tests.bench`.
AT_ONCE = 8


@frozen(eq=False)
class Place:
    """
    A step of a walk: what a path leads to, and the step to the directory above it. `depth`: 0 for a
    directory itself, 1 for one of its parts, 2 for a part of that, and so on.
    """

    path: Path
    node: Node
    above: Place | None = None
    depth: int = 0

    @property
    def way(self) -> Iterator[Place]:
        """This place, and then those above it, up to the start of the walk."""
        up: Place | None = self
        while up is not None:
            yield up
            up = up.above

    @property
    def is_below_itself(self) -> bool:
        """Whether a directory is one of those above it."""
        return any(up.node.cap.names_same(self.node.cap) for up in islice(self.way, 1, None))

    async def read(self, client: Client) -> Contents:
        """The contents of a directory or part itself. Raises: as `Client.list`; NotADirectory."""
        return contents_of(await client.list(self.node.cap), self.depth, self.path)

    def parts(self, contents: Contents) -> list[Place]:
        """The parts of this directory. Raises: NotADirectory if they lead back to it."""
        way = [up.node.cap for up in takewhile(lambda up: up.path == self.path, self.way)]
        parts = [node for _, node in contents.part_links.values()]
        for part in parts:
            onward(self.path, way, part.cap)
        return [Place(self.path, part, self, self.depth + 1) for part in parts]

    def enter(self, children: Children) -> Iterator[Place]:
        return (Place((*self.path, name), node, self) for name, node in children.items())


async def directory_at(tree: Tree, path: str | Sequence[str]) -> Place:
    """The place of a directory. Raises: NoSuchChild; NotADirectory; the errors of `Client`."""
    names = split(path)
    node = await tree.resolve(names, fresh=True)
    if not node.is_directory:
        raise NotADirectory(f"{'/'.join(names)!r} is not a directory")
    return Place(names, node)


async def explore(
    start: T,
    visit: Callable[[T], Awaitable[Iterable[T]]],
    at_once: int,
    progress: Progress | None = None,
) -> None:
    """
    Visit a thing, then the things that the visit returns, and so on; `at_once` at a time. The last
    ones come first, which keeps the list of those to be visited short.

    Raises: the errors of `visit`; this cancels the other visits then. ValueError for an `at_once`
    below 1.
    """
    if not at_once >= 1:  # it would visit nothing, and find nothing wrong
        raise ValueError(f"at_once is {at_once}: give 1 or more")
    waiting = [start]
    resting: list[Deferred[None]] = []
    busy = done = 0

    async def work() -> None:
        nonlocal busy, done
        while waiting or busy:
            if not waiting:
                rest: Deferred[None] = Deferred()
                resting.append(rest)
                await rest
                continue
            busy += 1
            waiting.extend(await visit(waiting.pop()))
            busy -= 1
            done += 1
            if progress is not None:
                progress(done, done + busy + len(waiting))
            while resting and (waiting or not busy):
                resting.pop().callback(None)

    await run_workers(work, at_once)


class Listings:
    """
    The children of directories, as a Tree shows them. It reads each directory once, and none that
    is `ahead`, with contents that the caller has read already.
    """

    def __init__(self, client: Client, ahead: Mapping[Cap, Contents] | None = None) -> None:
        self._client = client
        self._ahead = dict(ahead or {})

    async def of(self, path: Path, directory: Cap) -> Children:
        """The children of a directory, without hidden and removed ones. `path`: for errors."""
        return await self._shown(path, await self._all(path, directory))

    async def contents(self, path: Path, directory: Cap, depth: int) -> Contents:
        """As `of`, for a directory or a part itself, without the names in its parts."""
        contents = await self._read(path, directory, depth)
        return evolve(contents, names=await self._shown(path, contents.names))

    async def _read(self, path: Path, directory: Cap, depth: int) -> Contents:
        ahead = self._ahead.pop(directory, None)
        if ahead is not None:
            return ahead
        try:
            return contents_of(await self._client.list(directory), depth, path)
        except TahoeError as error:
            error.filename = error.filename or "/".join(path)
            raise

    async def _all(self, path: Path, directory: Cap) -> Children:
        return await gather(path, directory, lambda part, depth, _: self._read(path, part, depth))

    async def _shown(self, path: Path, children: Children) -> Children:
        return await without_removed(path, visible(children), self._is_removed, AT_ONCE)

    async def _is_removed(self, path: Path, node: Node) -> bool:
        read: dict[Cap, Contents] = {}

        async def look(path: Path, directory: Cap) -> Children:
            read[directory] = self._ahead[directory] = await self._read(path, directory, 0)
            return visible(await self._all(path, directory))

        try:
            empty = await is_empty(path, node.cap, look, AT_ONCE)
        except Unrecoverable:
            return False
        if not empty:
            self._ahead.update(read)
        return empty
