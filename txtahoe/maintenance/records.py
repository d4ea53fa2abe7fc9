"""
Records that a tree keeps beside its files: snapshots, the last check, the writer.

Anyone with the write cap of the tree can link anything there. So each reader of a record checks its
form before it believes it.
"""

from __future__ import annotations

from time import time

from txtahoe.api.directories import Replace
from txtahoe.errors import ExistingChild, NoSuchChild, NotADirectory
from txtahoe.nodes import Link, Node
from txtahoe.tree.paths import RECORDS as RECORDS
from txtahoe.tree.spread.format import HIDDEN
from txtahoe.tree.tree import Tree

# Bytes of a record, at most. One of 1,000 problems with long names has less than a tenth of it.
_MOST = 2**24
# Seconds by which the clock of another host may be ahead of this one's.
_AHEAD = 3600


async def records(tree: Tree) -> dict[str, Node]:
    """All records by name. Raises: NotADirectory if something else has their place."""
    try:
        return await tree.list([RECORDS])
    except NoSuchChild:
        return {}
    except NotADirectory:
        raise _not_a_directory() from None


async def read(tree: Tree, name: str) -> bytes | None:
    """The bytes of a record; None if there is none, or something that can't be one."""
    node = (await records(tree)).get(name)
    if node is None:
        return None
    cap = node.cap
    is_file = cap.is_file and cap.is_readable and not cap.is_mutable
    return await tree.client.read(cap) if is_file and (cap.size or 0) <= _MOST else None


async def write(tree: Tree, name: str, data: bytes) -> None:
    """Replace the bytes of a record. Raises: NotADirectory; NotWriteable."""
    await record(tree, name, Link(await tree.client.upload(data)), replace=True)


async def record(tree: Tree, name: str, link: Link, *, replace: Replace = False) -> None:
    """Make the link of a record. Raises: ExistingChild; NotADirectory; NotWriteable."""
    try:
        await tree.resolve([RECORDS])
    except NoSuchChild:
        directory = await tree.client.mkdir({name: link})
        try:
            await tree.link([RECORDS], directory, metadata={HIDDEN: True})
            return
        except ExistingChild:
            pass  # another process was faster; its directory gets the link
    try:
        await tree.link([RECORDS, name], link.cap, replace=replace, metadata=link.metadata)
    except NotADirectory:
        raise _not_a_directory() from None


def require_place(node: Node | None) -> None:
    """Raises: NotADirectory if the link of `RECORDS` leads to something else."""
    if node is not None and not node.is_directory:
        raise _not_a_directory()


def is_past(seconds: float) -> bool:
    """Whether a time in a record, in seconds since 1970 UTC, can be in the past."""
    return 0 <= seconds <= time() + _AHEAD  # NaN is not


def _not_a_directory() -> NotADirectory:
    return NotADirectory(
        f"{RECORDS!r} under the root is no directory, so nothing can be kept there: another Tahoe "
        "client can give it another name"
    )
