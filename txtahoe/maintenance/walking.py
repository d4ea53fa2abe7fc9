"""Ways through a whole tree, with many requests at once and little that waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import Deferred

from txtahoe.api.client import Client
from txtahoe.caps import Cap
from txtahoe.concurrency import run_workers
from txtahoe.errors import TahoeError, Unrecoverable
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path
from txtahoe.tree.removed import is_empty, without_removed
from txtahoe.tree.spread.format import Contents, contents_of, gather, onward, visible

T = TypeVar("T")
Children = dict[str, Node]

# Called after each object with how many are done, and with how many are known until then: while
# directories are read, the second number grows too.
Progress = Callable[[int, int], None]

# Requests at a time; more are no faster, see `python -m tests.bench`.
AT_ONCE = 8


@frozen(eq=False)
class Place:
    """
    Where a walk has come: to what a path leads to, by way of the directories above it.

    `depth`: how many parts it is below the directory of the path, where it is a part of that.
    """

    path: Path
    node: Node
    above: Place | None = None
    depth: int = 0

    def parts(self, contents: Contents) -> list[Place]:
        """
        The places of the parts of this directory, which have its path.

        Raises: NotADirectory where they lead back to it, or on and on.
        """
        way = [self.node.cap]
        up = self.above
        while up is not None and up.path == self.path:
            way.append(up.node.cap)
            up = up.above
        parts = [node for _, node in contents.part_links.values()]
        for part in parts:
            onward(self.path, way, part.cap)
        return [Place(self.path, part, self, self.depth + 1) for part in parts]

    def enter(self, children: Children) -> Iterator[Place]:
        """The places of the children of this directory."""
        for name, node in children.items():
            yield Place((*self.path, name), node, self)

    @property
    def is_below_itself(self) -> bool:
        """Whether the directory here is one of those that lead here."""
        up = self.above
        while up is not None:
            if up.node.cap.names_same(self.node.cap):
                return True
            up = up.above
        return False


async def explore(
    start: T,
    visit: Callable[[T], Awaitable[Iterable[T]]],
    at_once: int,
    progress: Progress | None = None,
) -> None:
    """
    Visit a thing, then the things that the visit gives, and so on; `at_once` of them at a time.

    What was found last comes first: that keeps the list of what is still to be visited short.

    Raises: what a visit raises; the others are cancelled then.
    """
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
    """The children of directories, as a Tree shows them; each directory is read once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        # Read already, and to be asked for.
        self._ahead: dict[Cap, Contents] = {}

    async def of(self, path: Path, directory: Cap) -> Children:
        """
        The children of a directory, without those that are hidden or removed.

        `path`: where it is, for errors. Raises: as `Client.list`; NotADirectory.
        """
        return await self._present(path, await self._whole(path, directory))

    async def contents(self, path: Path, directory: Cap, depth: int) -> Contents:
        """As `of`, but for the names that a part has, itself `depth` parts below the directory."""
        contents = await self._contents(path, directory, depth)
        return evolve(contents, names=await self._present(path, contents.names))

    def know(self, directory: Cap, contents: Contents) -> None:
        """Take the contents of a directory, which somebody has read already."""
        self._ahead[directory] = contents

    async def _contents(self, path: Path, directory: Cap, depth: int) -> Contents:
        ahead = self._ahead.pop(directory, None)
        if ahead is not None:
            return ahead
        try:
            return contents_of(await self._client.list(directory), depth, path)
        except TahoeError as error:
            error.filename = error.filename or "/".join(path)
            raise

    async def _whole(self, path: Path, directory: Cap) -> Children:
        """What is in a directory and its parts."""

        async def read(part: Cap, depth: int, digits: object) -> Contents:
            return await self._contents(path, part, depth)

        return await gather(path, directory, read)

    async def _present(self, path: Path, children: Children) -> Children:
        return await without_removed(path, visible(children), self._is_removed, AT_ONCE)

    async def _is_removed(self, path: Path, node: Node) -> bool:
        read: dict[Cap, Contents] = {}

        async def look(path: Path, directory: Cap) -> Children:
            contents = read[directory] = await self._contents(path, directory, 0)
            self.know(directory, contents)
            return visible(await self._whole(path, directory))

        try:
            empty = await is_empty(path, node.cap, look, AT_ONCE)
        except Unrecoverable:
            return False
        if not empty:
            self._ahead.update(read)
        return empty
