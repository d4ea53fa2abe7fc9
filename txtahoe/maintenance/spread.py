"""Spreads directories that are large already, while other processes use them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from attrs import define
from twisted.internet.task import deferLater

from txtahoe.errors import ExistingChild, NoSuchChild, NotADirectory, NotWriteable
from txtahoe.maintenance.walking import AT_ONCE, Place, Progress, directory_at, explore
from txtahoe.nodes import Link
from txtahoe.tree.spread.format import DIGITS, Contents, is_like_part
from txtahoe.tree.tree import Tree

# The root cannot be replaced. It is swept name by name, if it has no more superseded links.
_MOST_SWEPT = 500
# Parts that one write links. If the process is killed, those that it has not linked are lost.
_TOGETHER = 4


@define
class Spread:
    """
    The result of `spread`. `directories`: how many were too large, or not wholly spread; parts
    count too. `names`: how many of their names came into parts. `swept`: how many superseded links
    it took away. `unswept`: how many are still there; they only make reading slower.
    """

    directories: int = 0
    names: int = 0
    swept: int = 0
    unswept: int = 0


async def spread(
    tree: Tree, path: str | Sequence[str] = (), *, progress: Progress | None = None
) -> Spread:
    """
    Spread all directories at a path and below it that are larger than the limit of the tree's
    `fanout`, and sweep away their superseded links.

    It can be killed at any point and run again, run while other processes use the tree, and run
    several times at once. Closing takes three times the `pace`, for all directories together.
    `progress` counts directories that were read, and then, from 0 again, those that were spread.

    Raises: ValueError if the tree has no `fanout`; NotWriteable; NotADirectory.
    """
    if tree.changer.fanout is None:
        raise ValueError("the tree has no fanout: nothing says when a directory is too large")
    if not tree.root.is_writable:
        raise NotWriteable(f"{tree.root!r} does not give the right to write")
    spreading = _Spreading(tree, tree.changer.fanout.limit)
    # All large ones are marked first, so that their times to wait run together.
    await explore(await directory_at(tree, path), spreading.announce, AT_ONCE, progress)
    for number, place in enumerate(reversed(spreading.large), 1):
        await spreading.spread(place)
        if progress is not None:
            progress(number, len(spreading.large))
    return spreading.done


class _Spreading:
    def __init__(self, tree: Tree, limit: int) -> None:
        self._tree = tree
        self._client = tree.client
        self._builder = tree.changer.builder
        self._limit = limit
        self.large: list[Place] = []
        self.done = Spread()

    async def announce(self, place: Place) -> Iterable[Place]:
        """Mark a directory as closing if it is too large. Returns the directories below it."""
        contents = await place.read(self._client)
        is_unfinished = contents.is_closed and (contents.kept or len(contents.parts) < len(DIGITS))
        if self._is_large(contents):
            await self._builder.advance(place.path, place.node.cap, place.depth)
        if self._is_large(contents) or is_unfinished:
            self.large.append(place)
        if contents.is_closed:  # another client can have linked it below unmarked directories
            await self._builder.mark_path(place.path[:-1])
        below = [
            child
            for child in place.enter(contents.names)
            if child.node.is_directory and child.node.cap.is_writable and not child.is_below_itself
        ]
        return [*place.parts(contents), *below]

    async def spread(self, place: Place) -> None:
        """Wait until a directory is closed, make its parts, and sweep it."""
        path, cap, depth = place.path, place.node.cap, place.depth
        before = await place.read(self._client)
        if self._is_large(before):
            while wait := await self._builder.advance(path, cap, depth):
                await deferLater(self._client.reactor, wait)
            before = await place.read(self._client)
        if not before.is_closed:
            return  # it has shrunk
        self.done.directories += 1
        missing = [digit for digit in DIGITS if digit not in before.parts]
        for start in range(0, len(missing), _TOGETHER):
            digits = missing[start : start + _TOGETHER]
            if not await self._builder.link_parts(path, cap, depth, before, digits):
                for digit in digits:  # another process links parts too
                    await self._builder.make_part(path, cap, depth, digit)
        for name, node in before.strays.items():
            await self._tree.changer.adopt(path, cap, depth, name, node)
        after = await place.read(self._client)
        self.done.names += len(before.names) - len(after.names)
        swept = await self._sweep(place, after)
        self.done.swept += swept
        self.done.unswept += len(after.superseded) - swept

    def _is_large(self, contents: Contents) -> bool:
        return not contents.is_closed and len(contents.names) > self._limit

    async def _sweep(self, place: Place, contents: Contents) -> int:
        """Take the superseded links of a directory away. Returns how many are gone."""
        superseded, cap = contents.superseded, place.node.cap
        if not superseded or contents.names or contents.strays:
            return 0
        if place.path or place.depth:
            return len(superseded) if await self._replace(place, contents) else 0
        if len(superseded) > _MOST_SWEPT:
            return 0
        children = await self._client.list(cap)
        names = [name for name in superseded if not is_like_part(name) and name in children]
        for name in names:
            with suppress(NoSuchChild):
                await self._client.unlink(cap, name, children[name])
        return len(names)

    async def _replace(self, place: Place, contents: Contents) -> bool:
        """
        Link a copy with the same parts in the place of a directory or part. Returns whether it did.

        Nothing is lost: no process changes a directory that has all parts, and one that remembers
        the old directory finds the same parts through it.
        """
        links = [contents.marks["closed"], *contents.part_links.values()]
        kept = {name: Link(node.cap, node.metadata) for name, node in links}
        new = await self._client.mkdir(kept, keep_times=True)
        if place.depth:
            assert place.above is not None
            for name, node in (await place.above.read(self._client)).part_links.values():
                if node.cap == place.node.cap:
                    link = {name: Link(new, node.metadata)}
                    await self._client.set_children(place.above.node.cap, link, replace=True)
                    return True
            return False
        try:
            node = await self._tree.resolve(place.path, fresh=True)
            if node.cap != place.node.cap:
                return False
            await self._tree.replace(place.path, new, node, metadata=node.metadata)
        except (NoSuchChild, NotADirectory, ExistingChild):
            return False
        return True
