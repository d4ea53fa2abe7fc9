"""Snapshots: trees as they were, in directories that never change, over the files of the tree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from time import time
from typing import Any

from attrs import define, field, frozen

from txtahoe.api.client import Client
from txtahoe.caps import Cap
from txtahoe.errors import (
    ExistingChild,
    NoSuchChild,
    NotADirectory,
    NotWriteable,
    Unrecoverable,
)
from txtahoe.maintenance.records import RECORDS, record, records, require_place
from txtahoe.maintenance.walking import AT_ONCE, Listings, Place, Progress, explore
from txtahoe.nodes import Link, Node
from txtahoe.tree.paths import Path
from txtahoe.tree.removed import REMOVED
from txtahoe.tree.spread.format import Contents, part_name
from txtahoe.tree.tree import Tree

# The key in a link's metadata under which the numbers of a snapshot stand.
_SNAPSHOT = "txtahoe-snapshot"
_NUMBERS = ("files", "directories", "left_out")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
# A number follows where there are several of one second.
_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)(?:-(\d{1,9}))?", re.ASCII)


@frozen
class Snapshot:
    """
    A tree as it was. `Tree(client, snapshot.cap)` reads it.

    `name`: its time, such as "2026-11-22T18:30:00Z". `began`: the same in seconds since 1970 UTC.
    `files`, `directories`: how many are in it. `left_out`: how many objects are not, though they
    were in the tree; `reasons` tells which and why, by path, to whoever takes the snapshot.
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
        return not self.left_out


async def take_snapshot(
    tree: Tree, *, at_once: int = AT_ONCE, progress: Progress | None = None
) -> Snapshot:
    """
    Take a snapshot of a tree, and keep it in the list under its root.

    Each directory is read once and an immutable one is made of it; no byte of a file is moved.
    What is saved meanwhile may be in it or not. Left out are files that can change, what is of an
    unknown kind, directories that are lost, and those that lie below themselves.

    A snapshot is as good as the leases of what is in it: `renew` of the tree renews them too.

    Raises: NotWriteable; the errors of `Client`.
    """
    if not tree.root.is_writable:
        raise NotWriteable(f"{tree.root!r} does not give the right to write")
    began = time()
    contents = await tree.contents()
    require_place(contents.names.get(RECORDS))
    copying = _Copying(tree.client)
    cap = await copying.run(tree.root, contents, at_once, progress)
    numbers = copying.files, copying.directories, len(copying.left_out)
    told = dict(zip(_NUMBERS, numbers, strict=True))
    name = await _kept(tree, began, Link(cap, {_SNAPSHOT: told}))
    return Snapshot(name, cap, _order(name)[0], *numbers, copying.left_out)


async def _kept(tree: Tree, began: float, link: Link) -> str:
    """The name under which a snapshot is kept: its time, or that with a number."""
    stamp = datetime.fromtimestamp(began, UTC).strftime(_TIME)
    for number in count(1):
        name = stamp if number == 1 else f"{stamp}-{number}"
        with suppress(ExistingChild):
            await record(tree, name, link)
            break
    return name


async def list_snapshots(tree: Tree) -> list[Snapshot]:
    """The snapshots that are kept under the root of a tree; the oldest one comes first."""
    found = [_snapshot(name, node) for name, node in (await records(tree)).items()]
    return sorted((each for each in found if each is not None), key=lambda each: _order(each.name))


async def remove_snapshot(tree: Tree, name: str) -> None:
    """
    Keep a snapshot no longer; its cap opens it for as long as its leases last.

    Raises: NoSuchChild; NotWriteable; UnknownOutcome.
    """
    node = (await records(tree)).get(name)
    if node is None or _snapshot(name, node) is None:
        raise NoSuchChild(f"no snapshot {name!r} is kept under this root")
    # It is a directory that can't change, so nobody saves into it.
    await tree.unlink([RECORDS, name], only_files=False)


def _snapshot(name: str, node: Node) -> Snapshot | None:
    """The snapshot of a link; None where it is another link, or can be that of no snapshot."""
    told = node.metadata.get(_SNAPSHOT)
    if not isinstance(told, Mapping):
        return None
    numbers: list[Any] = [told.get(number) for number in _NUMBERS]
    are_counts = all(isinstance(number, int) and number >= 0 for number in numbers)
    # A cap that can write, or whose directory can change, must not be told as that of a snapshot.
    is_fixed = node.cap.is_directory and node.cap.is_readable and not node.cap.is_mutable
    try:
        began, _ = _order(name)
    except ValueError:
        return None
    if not are_counts or not is_fixed:
        return None
    files, directories, left_out = numbers
    return Snapshot(name, node.cap, began, files, directories, left_out)


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
    A directory, or a part of one, that is to be copied.

    `name`: that of the copy in the one above it.
    `links`: what the copy is to hold. `missing`: how many directories are still to come into it.
    """

    place: Place
    name: str = ""
    above: _Directory | None = None
    links: dict[str, Link] = field(factory=dict)
    missing: int = 0


class _Copying:
    """Makes immutable directories, each as soon as those below it are made."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._listings = Listings(client)
        self._cap: Cap | None = None
        self.files = 0
        self.directories = 0
        self.left_out: dict[Path, str] = {}

    async def run(
        self, root: Cap, contents: Contents, at_once: int, progress: Progress | None
    ) -> Cap:
        """The cap of the copy of a directory with these contents, and of all below it."""
        self._listings.know(root, contents)
        start = _Directory(Place((), Node("dirnode", root)))
        await explore(start, self._visit, at_once, progress)
        assert self._cap is not None
        return self._cap

    async def _visit(self, directory: _Directory) -> list[_Directory]:
        place = directory.place
        try:
            contents = await self._listings.contents(place.path, place.node.cap, place.depth)
            parts = place.parts(contents)
        except (NotADirectory, Unrecoverable) as error:
            if directory.above is None:
                raise
            self._leave_out(place, str(error.strerror))
            directory.above.missing -= 1
            await self._make(directory.above)
            return []
        below = [
            _Directory(child, child.path[-1], directory)
            for child in place.enter(contents.shown)
            if self._is_to_be_copied(child, directory)
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

    def _is_to_be_copied(self, place: Place, into: _Directory) -> bool:
        """Whether it takes a copy; what can be linked as it is, is."""
        node = place.node
        if node.type == "unknown" or not node.cap.is_readable:
            self._leave_out(place, "it is of a kind that is not known")
        elif not node.cap.is_mutable:
            into.links[place.path[-1]] = Link(node.cap, node.metadata)
            self.files += not node.is_directory
            self.directories += node.is_directory
        elif not node.is_directory:
            self._leave_out(place, "it is a file that can change")
        elif place.is_below_itself:
            self._leave_out(place, "it lies below itself")
        else:
            return True
        return False

    async def _make(self, directory: _Directory) -> None:
        """Make the copy of a directory that has all, and so those above it that then have."""
        while not directory.missing:
            cap = await self._client.mkdir_immutable(directory.links)
            self.directories += not directory.place.depth
            if directory.above is None:
                self._cap = cap
                return
            node = directory.place.node
            kept = {key: value for key, value in node.metadata.items() if key != REMOVED}
            directory.above.links[directory.name] = Link(cap, kept)
            directory.above.missing -= 1
            directory = directory.above

    def _leave_out(self, place: Place, reason: str) -> None:
        self.left_out[place.path] = reason
