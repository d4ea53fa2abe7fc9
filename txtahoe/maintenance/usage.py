"""What a tree takes up: bytes and counts by directory."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add

from attrs import astuple, frozen

from txtahoe.api.client import Client
from txtahoe.errors import NotADirectory, Unrecoverable
from txtahoe.maintenance.walking import AT_ONCE, Listings, Place, Progress, explore
from txtahoe.tree.paths import Path, split
from txtahoe.tree.tree import Tree


@frozen
class Usage:
    """
    What is in a directory and below it.

    `size`: of the files in bytes, as they were saved: a grid that needs 2 of 3 shares takes half
    as much again. `unsized`: of how many files the gateway does not tell it.
    `files`, `directories`: how many names lead to each; `unread`: to directories that can't be
    read.
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
    What a directory and each one below it takes up, by path.

    A file counts where its name is, also if another name leads to it.

    Raises: NoSuchChild; NotADirectory; the errors of `Client`.
    """
    names = split(path)
    node = await tree.resolve(names, fresh=True)
    if not node.is_directory:
        raise NotADirectory(f"{'/'.join(names)!r} is not a directory")
    summing = _Summing(tree.client)
    await explore(Place(names, node), summing.visit, at_once, progress)
    return dict(sorted(summing.found.items()))


class _Summing:
    def __init__(self, client: Client) -> None:
        self._listings = Listings(client)
        self.found: dict[Path, Usage] = {}

    async def visit(self, place: Place) -> list[Place]:
        """Add what is in a directory to it, and to all above it."""
        try:
            children = await self._listings.of(place.path, place.node.cap)
        except Unrecoverable:
            self._add(place, Usage(unread=1))
            return []
        below = [child for child in place.enter(children) if child.node.is_directory]
        files = [node for node in children.values() if not node.is_directory]
        sizes = [node.size for node in files if node.size is not None]
        self._add(
            place, Usage(sum(sizes), len(files), len(files) - len(sizes), directories=len(below))
        )
        return [child for child in below if not child.is_below_itself]

    def _add(self, place: Place, more: Usage) -> None:
        up: Place | None = place
        while up is not None:
            self.found[up.path] = self.found.get(up.path, Usage()) + more
            up = up.above
