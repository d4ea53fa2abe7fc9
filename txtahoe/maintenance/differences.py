"""The differences of two trees, such as two snapshots, or a snapshot and the tree now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import evolve, frozen

from txtahoe.caps import Cap
from txtahoe.concurrency import all_of
from txtahoe.errors import NoSuchChild, NotADirectory, Unrecoverable
from txtahoe.maintenance.walking import AT_ONCE, Listings, Progress, explore
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path, split
from txtahoe.tree.spread.format import Children
from txtahoe.tree.tree import Tree


@frozen
class Difference:
    """
    A path that does not lead to the same in both trees. None: it leads nowhere in that tree.
    `unread`: why the directory there can't be read in a tree, so that nothing below was compared.
    """

    path: Path
    before: Node | None
    after: Node | None
    unread: str = ""

    @property
    def kind(self) -> Literal["added", "removed", "changed", "unread"]:
        """The change of the path from the old tree to the new one."""
        if self.unread:
            return "unread"
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


@frozen(eq=False)
class _Pair:
    """The objects at one path of both trees. `above`: the caps of the directories above."""

    path: Path
    before: Node | None
    after: Node | None
    above: frozenset[tuple[Cap | None, ...]] = frozenset()

    @property
    def caps(self) -> tuple[Cap | None, ...]:
        return tuple(None if node is None else node.cap for node in (self.before, self.after))

    @property
    def is_same(self) -> bool:
        before, after = self.caps
        if before is None or after is None:
            return before is after
        return before == after or before.names_same(after)


async def differences(
    before: Tree, after: Tree, path: str | Sequence[str] = (), *, progress: Progress | None = None
) -> list[Difference]:
    """
    The differences at a path and below it, directories included, in the order of their paths.

    It compares files by their caps: equal bytes have equal caps if they were uploaded through the
    same gateway. It does not read immutable directories with equal caps.

    Raises: NoSuchChild if the path leads nowhere in both trees.
    """
    names = split(path)
    start = _Pair(names, await _found(before, names), await _found(after, names))
    if start.before is None and start.after is None:
        raise NoSuchChild(f"{'/'.join(names)!r} is in neither tree")
    listings = Listings(before.client), Listings(after.client)
    found: dict[Path, Difference] = {}

    def compare(pair: _Pair) -> list[_Pair]:
        """Note a difference, and return the pair of directories that is to be visited, if any."""
        if pair.is_same:
            return []
        before, after = (
            node if node is not None and node.is_directory else None
            for node in (pair.before, pair.after)
        )
        if before is None or after is None:
            found[pair.path] = Difference(pair.path, pair.before, pair.after)
        below = evolve(pair, before=before, after=after)
        # Below the same two directories, further up, there is nothing new.
        return [] if before is after or below.caps in below.above else [below]

    async def visit(pair: _Pair) -> list[_Pair]:
        async def children(side: tuple[Listings, Node | None]) -> Children:
            return {} if side[1] is None else await side[0].of(pair.path, side[1].cap)

        sides = zip(listings, (pair.before, pair.after), strict=True)
        try:
            before, after = await all_of(sides, children, 2)
        except Unrecoverable as error:
            noted = found.get(pair.path, Difference(pair.path, pair.before, pair.after))
            found[pair.path] = evolve(noted, unread=str(error.strerror))
            return []
        above = pair.above | {pair.caps}
        pairs = [
            _Pair((*pair.path, name), before.get(name), after.get(name), above)
            for name in {**before, **after}
        ]
        return [below for each in pairs for below in compare(each)]

    for pair in compare(start):
        await explore(pair, visit, AT_ONCE, progress)
    return [found[path] for path in sorted(found)]


async def _found(tree: Tree, path: Path) -> Node | None:
    try:
        return await tree.resolve(path, fresh=True)
    except (NoSuchChild, NotADirectory):
        return None
