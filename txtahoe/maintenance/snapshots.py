"""Snapshots: immutable copies of all directories of a tree, with links to its files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from time import time
from typing import Any

from attrs import define, field, frozen

from txtahoe.api.client import Client
from txtahoe.caps import Cap
from txtahoe.errors import ExistingChild, NoSuchChild, NotADirectory, NotWriteable, Unrecoverable
from txtahoe.maintenance.records import RECORDS, record, records, require_place
from txtahoe.maintenance.walking import AT_ONCE, Listings, Place, Progress, explore
from txtahoe.nodes import Link, Node
from txtahoe.tree.paths import Path
from txtahoe.tree.removed import REMOVED
from txtahoe.tree.spread.format import part_name
from txtahoe.tree.tree import Tree

# The key of a snapshot's numbers in the metadata of its link.
_SNAPSHOT = "txtahoe-snapshot"
_NUMBERS = ("files", "directories", "left_out")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
# A number follows if there are several snapshots of one second.
_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)(?:-(\d{1,9}))?", re.ASCII)


@frozen
class Snapshot:
    """
    A tree as it was. `Tree(client, snapshot.cap)` reads it.

    `name`: its time, such as "2026-11-22T18:30:00Z". `began`: the same in seconds since 1970 UTC.
    `left_out`: how many objects of the tree are not in it. `reasons`: why each of them is not, by
    path; only in the result of `take_snapshot`.
    """

    name: str
    cap: Cap
    began: float
    files: int
    directories: int
    left_out: int = 0
    reasons: Mapping[Path, str] = field(factory=dict, repr=False)

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left out."""
        return not self.left_out


async def take_snapshot(tree: Tree, *, progress: Progress | None = None) -> Snapshot:
    """
    Take a snapshot of a tree, and keep it in the list under its root.

    It reads each directory once and makes an immutable one of it. It moves no byte of a file.
    Anything that is saved meanwhile may be in it or not. It leaves out files that can change,
    objects of an unknown kind, lost directories, and directories that lie below themselves. `renew`
    of the tree renews the leases of its snapshots too.

    Raises: NotWriteable; the errors of `Client`.
    """
    if not tree.root.is_writable:
        raise NotWriteable(f"{tree.root!r} does not give the right to write")
    began = time()
    contents = await tree.contents()
    require_place(contents.names.get(RECORDS))
    copying = _Copying(tree.client, Listings(tree.client, {tree.root: contents}))
    root = _Directory(Place((), Node("dirnode", tree.root)))
    await explore(root, copying.visit, AT_ONCE, progress)
    assert root.copy is not None
    counts = copying.files, copying.directories, len(copying.left_out)
    numbers = dict(zip(_NUMBERS, counts, strict=True))
    name = await _keep(tree, began, Link(root.copy, {_SNAPSHOT: numbers}))
    return Snapshot(name, root.copy, _order(name)[0], **numbers, reasons=copying.left_out)


async def _keep(tree: Tree, began: float, link: Link) -> str:
    """Make the link of a snapshot. Returns its name: its time, or that with a number."""
    stamp = name = datetime.fromtimestamp(began, UTC).strftime(_TIME)
    for number in count(2):
        try:
            await record(tree, name, link)
            break
        except ExistingChild:
            name = f"{stamp}-{number}"
    return name


async def list_snapshots(tree: Tree) -> list[Snapshot]:
    """The snapshots that are kept under the root of a tree, in the order of their times."""
    found = [_snapshot(name, node) for name, node in (await records(tree)).items()]
    return sorted((each for each in found if each is not None), key=lambda each: _order(each.name))


async def remove_snapshot(tree: Tree, name: str) -> None:
    """
    Take a snapshot from the list. Its cap opens it until its leases run out.

    Raises: NoSuchChild; NotWriteable; UnknownOutcome.
    """
    if name not in [each.name for each in await list_snapshots(tree)]:
        raise NoSuchChild(f"no snapshot {name!r} is kept under this root")
    # It is an immutable directory, so nobody saves into it.
    await tree.unlink([RECORDS, name], only_files=False)


def _snapshot(name: str, node: Node) -> Snapshot | None:
    """The snapshot of a link; None if it is another link, or can't be one of a snapshot."""
    told = node.metadata.get(_SNAPSHOT)
    # A cap that can write, or whose directory can change, must not be shown as a snapshot's.
    is_fixed = node.cap.is_directory and node.cap.is_readable and not node.cap.is_mutable
    if not isinstance(told, Mapping) or not is_fixed:
        return None
    numbers: dict[str, Any] = {key: told.get(key) for key in _NUMBERS}
    if not all(isinstance(number, int) and number >= 0 for number in numbers.values()):
        return None
    try:
        return Snapshot(name, node.cap, _order(name)[0], **numbers)
    except ValueError:
        return None


def _order(name: str) -> tuple[float, int]:
    """The time in the name of a snapshot, and its number. Raises: ValueError."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError("this is not the name of a snapshot")
    moment = datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)
    return moment.timestamp(), int(match[2] or 1)


@define(eq=False)
class _Directory:
    """
    A directory or part that must be copied. `name`: that of the copy in the one above. `links`: the
    copy's own. `missing`: how many of them are still to come. `copy`: its cap, once it is made.
    """

    place: Place
    name: str = ""
    above: _Directory | None = None
    links: dict[str, Link] = field(factory=dict)
    missing: int = 0
    copy: Cap | None = None


@define(eq=False)
class _Copying:
    """Makes immutable copies of directories, each one as soon as those below it are made."""

    _client: Client
    _listings: Listings
    files: int = field(default=0, init=False)
    directories: int = field(default=0, init=False)
    left_out: dict[Path, str] = field(factory=dict, init=False)

    async def visit(self, directory: _Directory) -> list[_Directory]:
        place = directory.place
        try:
            contents = await self._listings.contents(place.path, place.node.cap, place.depth)
            parts = place.parts(contents)
        except (NotADirectory, Unrecoverable) as error:
            if directory.above is None:
                raise
            self.left_out[place.path] = str(error.strerror)
            directory.above.missing -= 1
            await self._make(directory.above)
            return []
        below = [
            _Directory(child, child.path[-1], directory)
            for child in place.enter(contents.shown)
            if self._needs_copy(child, directory)
        ]
        if contents.is_closed:
            name, closed = contents.marks["closed"]
            directory.links[name] = Link(closed.cap, closed.metadata)
            below += [
                _Directory(part, part_name(digit, contents.kept), directory)
                for digit, part in zip(contents.parts, parts, strict=True)
            ]
        directory.missing = len(below)
        await self._make(directory)
        return below

    def _needs_copy(self, place: Place, into: _Directory) -> bool:
        """Whether a child must be copied. If not, link it as it is, or leave it out."""
        node = place.node
        if node.type == "unknown" or not node.cap.is_readable:
            reason = "it is of a kind that is not known"
        elif not node.cap.is_mutable:
            into.links[place.path[-1]] = Link(node.cap, node.metadata)
            self.files += not node.is_directory
            self.directories += node.is_directory
            return False
        elif not node.is_directory:
            reason = "it is a file that can change"
        elif place.is_below_itself:
            reason = "it lies below itself"
        else:
            return True
        self.left_out[place.path] = reason
        return False

    async def _make(self, directory: _Directory | None) -> None:
        """Make the copy of a directory that has all its links, then of those above it."""
        while directory is not None and not directory.missing:
            directory.copy = await self._client.mkdir_immutable(directory.links)
            self.directories += not directory.place.depth
            if directory.above is not None:
                metadata = directory.place.node.metadata
                kept = {key: value for key, value in metadata.items() if key != REMOVED}
                directory.above.links[directory.name] = Link(directory.copy, kept)
                directory.above.missing -= 1
            directory = directory.above
