"""Ways through a whole tree, with many requests at once and little that waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, FirstError, gatherResults

from txtahoe.caps import Cap
from txtahoe.client import Client
from txtahoe.errors import TahoeError, Unrecoverable
from txtahoe.layouts import HIDDEN, Contents, contents_of
from txtahoe.many import all_or_first, each
from txtahoe.names import REMOVED
from txtahoe.nodes import Node
from txtahoe.paths import Path

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

    def parts(self, contents: Contents) -> Iterator[Place]:
        """The places of the parts of this directory, which have its path."""
        for _, node in contents.part_links.values():
            yield Place(self.path, node, self, self.depth + 1)

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

    workers = [Deferred.fromCoroutine(work()) for _ in range(at_once)]
    try:
        await gatherResults(workers, consumeErrors=True)
    except FirstError as error:
        for worker in workers:
            worker.cancel()
        raise error.subFailure.value from None  # type: ignore[misc]


class Listings:
    """The children of directories, as a Tree shows them; each directory is read once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ahead: dict[Cap, Contents] = {}

    async def of(self, path: Path, directory: Cap) -> Children:
        """
        The children of a directory, without those that are hidden or removed.

        `path`: where it is, for errors. Raises: as `Client.list`.
        """
        return await self._whole(path, directory, 0)

    async def contents(self, path: Path, directory: Cap, depth: int) -> Contents:
        """As `of`, but for the names that a part has, itself `depth` parts below the directory."""
        try:
            return await self._contents(directory, depth)
        except TahoeError as error:
            error.filename = error.filename or "/".join(path)
            raise

    async def know(self, directory: Cap, contents: Contents) -> None:
        """Take the contents of a directory, which somebody has read already."""
        self._ahead[directory] = await self._shown(contents)

    async def _whole(self, path: Path, directory: Cap, depth: int) -> Children:
        contents = await self.contents(path, directory, depth)
        children = {**contents.stays, **contents.names}
        parts = contents.parts.values()
        below = await each(parts, lambda part: self._whole(path, part, depth + 1), len(parts))
        for found in all_or_first(below):
            children.update(found)
        return children

    async def _contents(self, directory: Cap, depth: int) -> Contents:
        ahead = self._ahead.pop(directory, None)
        if ahead is not None:
            return ahead
        return await self._shown(contents_of(await self._client.list(directory), depth))

    async def _shown(self, contents: Contents) -> Contents:
        return evolve(
            contents,
            names={
                name: node
                for name, node in contents.names.items()
                if HIDDEN not in node.metadata and not await self._is_removed(node)
            },
        )

    async def _is_removed(self, node: Node) -> bool:
        """Whether a directory with that mark is empty still."""
        if REMOVED not in node.metadata:
            return False
        try:
            contents = await self._contents(node.cap, 0)
            if contents.parts:
                return not await self._whole((), node.cap, 0)
        except Unrecoverable:
            return False
        if contents.names:
            self._ahead[node.cap] = contents
        return not contents.names
