"""What is kept beside the files of a tree: snapshots, what was checked last, who makes changes."""

from __future__ import annotations

from txtahoe.directories import Replace
from txtahoe.errors import ExistingChild, NoSuchChild
from txtahoe.layouts import HIDDEN
from txtahoe.nodes import Link, Node
from txtahoe.tree import Tree

# The directory under the root. It is in no listing of a tree and in no snapshot of it; other
# Tahoe clients show it.
RECORDS = ".tahoe-maintenance"


async def records(tree: Tree) -> dict[str, Node]:
    """All that is kept, by name."""
    try:
        return await tree.list([RECORDS])
    except NoSuchChild:
        return {}


async def record(tree: Tree, name: str, link: Link, *, replace: Replace = False) -> None:
    """Keep something. Raises: ExistingChild; NotWriteable."""
    try:
        await tree.resolve([RECORDS])
    except NoSuchChild:
        directory = await tree.client.mkdir({name: link})
        try:
            await tree.link([RECORDS], directory, metadata={HIDDEN: True})
            return
        except ExistingChild:
            pass  # somebody else was faster: theirs gets what is in ours
    await tree.link([RECORDS, name], link.cap, replace=replace, metadata=link.metadata)
