"""
Directories that were removed. Their links stay, with a mark, and count as long as nothing is in the
directory: so nothing is lost that others, who know its cap, save in it at this moment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from txtahoe.caps import Cap
from txtahoe.concurrency import all_of
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path
from txtahoe.tree.spread.format import HIDDEN, Children

# The key in a link's metadata that says: this directory is removed while it is empty.
REMOVED = "txtahoe-removed"


def counts_for_nothing(node: Node) -> bool:
    """Whether a directory with nothing else in it is empty."""
    return REMOVED in node.metadata or HIDDEN in node.metadata


async def without_removed(
    path: Path,
    children: Children,
    is_removed: Callable[[Path, Node], Awaitable[bool]],
    at_once: int,
) -> Children:
    """The children of the directory of a path, without those that are removed."""
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
    Whether nothing is in the directory of a path but directories that are removed themselves.

    `look` gives the children of a directory, without what is hidden.
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
        # One that lies below itself is as empty as the others.
        level = [(below, node.cap) for below, node in inside if node.cap not in met]
        met.update(cap for _, cap in level)
    return True
