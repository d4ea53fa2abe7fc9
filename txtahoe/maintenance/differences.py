"""What is different in two trees, such as two snapshots, or a snapshot and the tree now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, FirstError, gatherResults

from txtahoe.caps import Cap
from txtahoe.errors import NoSuchChild, NotADirectory, Unrecoverable
from txtahoe.maintenance.walking import AT_ONCE, Children, Listings, Progress, explore
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path, split
from txtahoe.tree.tree import Tree


@frozen
class Difference:
    """
    A path that leads to different things, or on one side to nothing, which is None.

    `unread`: why the directory there could not be read, on one side or the other; what is below
    it was not compared.
    """

    path: Path
    before: Node | None
    after: Node | None
    unread: str = ""

    @property
    def kind(self) -> Literal["added", "removed", "changed", "unread"]:
        if self.unread:
            return "unread"
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


async def differences(
    before: Tree,
    after: Tree,
    path: str | Sequence[str] = (),
    *,
    at_once: int = AT_ONCE,
    progress: Progress | None = None,
) -> list[Difference]:
    """
    What is different at a path and below it, in the order of paths, directories included.

    Files are compared by their caps: equal bytes have equal caps where they were uploaded through
    the same gateway. Immutable directories with equal caps are not read.

    Raises: NoSuchChild where the path leads nowhere on either side.
    """
    names = split(path)
    start = _Pair(names, await _found(before, names), await _found(after, names))
    if start.before is None and start.after is None:
        raise NoSuchChild(f"{'/'.join(names)!r} is in neither tree")
    comparing = _Comparing(Listings(before.client), Listings(after.client))
    for pair in comparing.compare(start):  # one, or none
        await explore(pair, comparing.visit, at_once, progress)
    return [comparing.found[path] for path in sorted(comparing.found)]


async def _found(tree: Tree, path: Path) -> Node | None:
    try:
        return await tree.resolve(path, fresh=True)
    except (NoSuchChild, NotADirectory):
        return None


@frozen(eq=False)
class _Pair:
    """What a path leads to in both trees."""

    path: Path
    before: Node | None
    after: Node | None
    above: _Pair | None = None

    @property
    def caps(self) -> list[Cap | None]:
        return [None if node is None else node.cap for node in (self.before, self.after)]

    @property
    def is_same(self) -> bool:
        before, after = self.caps
        if before is None or after is None:
            return before is after
        return before == after or before.names_same(after)

    @property
    def is_below_itself(self) -> bool:
        """Whether the same two directories lead here: there is nothing new below them."""
        caps, up = self.caps, self.above
        while up is not None and up.caps != caps:
            up = up.above
        return up is not None


class _Comparing:
    def __init__(self, before: Listings, after: Listings) -> None:
        self._before = before
        self._after = after
        self.found: dict[Path, Difference] = {}

    def compare(self, pair: _Pair) -> list[_Pair]:
        """Note what is different, and give the directories in which there may be more of it."""
        if pair.is_same:
            return []
        before, after = (
            node if node is not None and node.is_directory else None
            for node in (pair.before, pair.after)
        )
        if before is None or after is None:
            self.found[pair.path] = Difference(pair.path, pair.before, pair.after)
        below = _Pair(pair.path, before, after, pair.above)
        return [] if before is after or below.is_below_itself else [below]

    async def visit(self, pair: _Pair) -> list[_Pair]:
        """Compare the children of directories."""
        reading = [
            Deferred.fromCoroutine(_children(listings, pair.path, node))
            for listings, node in ((self._before, pair.before), (self._after, pair.after))
        ]
        try:
            before, after = await gatherResults(reading, consumeErrors=True)
        except FirstError as first:
            error = first.subFailure.value
            if not isinstance(error, Unrecoverable):
                raise error from None  # type: ignore[misc]
            noted = self.found.get(pair.path, Difference(pair.path, pair.before, pair.after))
            self.found[pair.path] = evolve(noted, unread=str(error.strerror))
            return []
        return [
            below
            for name in {**before, **after}
            for below in self.compare(
                _Pair((*pair.path, name), before.get(name), after.get(name), pair)
            )
        ]


async def _children(listings: Listings, path: Path, node: Node | None) -> Children:
    return {} if node is None else await listings.of(path, node.cap)
