"""
Removed directories. The link of one stays, with a mark, which counts while the directory is empty.

So a file is not lost that another process, which knows the directory's cap, saves in it meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from txtahoe.caps import Cap
from txtahoe.concurrency import all_of
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path
from txtahoe.tree.spread.format import HIDDEN, Children

# The key of the mark in the link's metadata.
REMOVED = "txtahoe-removed"


def counts_for_nothing(node: Node) -> bool:
    """Whether a directory that has only this link is empty."""
    return REMOVED in node.metadata or HIDDEN in node.metadata


async def without_removed(
    path: Path,
    children: Children,
    is_removed: Callable[[Path, Node], Awaitable[bool]],
    at_once: int,
) -> Children:
    """Children of the directory of a path, without removed directories."""
    marked = [name for name, node in children.items() if REMOVED in node.metadata]
    if not marked:
        return children
    answers = await all_of(marked, lambda name: is_removed((*path, name), children[name]), at_once)
    removed = dict(zip(marked, answers, strict=True))
    return {name: node for name, node in children.items() if not removed.get(name)}


async def is_empty(
    path: Path, directory: Cap, look: Callable[[Path, Cap], Awaitable[Children]], at_once: int
) -> bool:
    """
    Whether the directory of a path has nothing, or only directories that are removed too.

    `look` returns the children of a directory, without hidden ones.
    """
    met = {directory}
    level = [(path, directory)]
    while level:
        found = await all_of(level, lambda below: look(*below), at_once)
        inside = [
            ((*above, name), node)
            for (above, _), children in zip(level, found, strict=True)
            for name, node in children.items()
        ]
        if not all(counts_for_nothing(node) for _, node in inside):
            return False
        # A directory that lies below itself is looked at once.
        level = [(below, node.cap) for below, node in inside if node.cap not in met]
        met.update(cap for _, cap in level)
    return True
