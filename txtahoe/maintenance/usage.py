"""How much a tree holds: bytes and counts by directory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from operator import add

from attrs import astuple, frozen

from txtahoe.errors import Unrecoverable
from txtahoe.maintenance.walking import AT_ONCE, Listings, Place, Progress, directory_at, explore
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree


@frozen
class Usage:
    """
    How much a directory and everything below it holds. `size`: bytes of the files, as they were
    saved; a grid that needs 2 of 3 shares stores half as much again. `unsized`: how many files have
    an unknown size. `files`, `directories`: how many names lead to each. `unread`: how many of the
    directories can't be read.
    """

    size: int = 0
    files: int = 0
    unsized: int = 0
    directories: int = 0
    unread: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*map(add, astuple(self), astuple(other)))


async def usage(
    tree: Tree,
    path: str | Sequence[str] = (),
    *,
    at_once: int = AT_ONCE,
    progress: Progress | None = None,
) -> dict[Path, Usage]:
    """
    The usage of a directory, and of each one below it, by path. A file counts at each of its names.

    Raises: NoSuchChild; NotADirectory; the errors of `Client`; ValueError for an `at_once` below 1.
    """
    start = await directory_at(tree, path)
    listings = Listings(tree.client)
    found: defaultdict[Path, Usage] = defaultdict(Usage)

    async def visit(place: Place) -> list[Place]:
        below: list[Place] = []
        try:
            children = await listings.of(place.path, place.node.cap)
        except Unrecoverable:
            here = Usage(unread=1)
        else:
            below = [child for child in place.enter(children) if child.node.is_directory]
            sizes = [node.size for node in children.values() if not node.is_directory]
            known = [size for size in sizes if size is not None]
            here = Usage(sum(known), len(sizes), len(sizes) - len(known), len(below))
        for up in place.way:
            found[up.path] += here
        return [child for child in below if not child.is_below_itself]

    await explore(start, visit, at_once, progress)
    return dict(sorted(found.items()))
