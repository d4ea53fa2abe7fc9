"""Links to files whose names carry their caps, so that leases, checks and snapshots reach them."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from secrets import token_hex

from txtahoe.api.directories import Replace
from txtahoe.capnames.ledger import Ledger
from txtahoe.capnames.names import CapName, digest_of
from txtahoe.caps import Cap
from txtahoe.concurrency import all_done, all_of, each
from txtahoe.errors import (
    IncompleteDownload,
    NoSuchChild,
    NotADirectory,
    SomeFailed,
    TahoeError,
    Unrecoverable,
)
from txtahoe.nodes import Node
from txtahoe.tree.paths import ANCHORS as ANCHORS
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree

BATCH = 500
"""Links in one directory, at most: a write of so many is as fast as one of a single link."""

TOGETHER = 64 * BATCH
"""Links that one call of `Anchors.link` makes, at most."""

_LEDGER = "ledger"
# Bytes of a ledger, at most: those of 190 million names.
_MOST = 2**31
_AT_ONCE = 4
# The names of a month; of the days, hours and batches in it; and the paths of an hour and a batch.
_MONTH = re.compile(r"\d{4}-\d\d", re.ASCII)
_IN_MONTH = re.compile(r"\d\d|[0-9a-f]{8}", re.ASCII)
_HOUR = re.compile(rf"{_MONTH.pattern}/\d\d/\d\d", re.ASCII)
_BATCH = re.compile(rf"{_HOUR.pattern}/[0-9a-f]{{8}}", re.ASCII)
_DELETED = re.compile("deleted ([0-9a-f]{16})")
_NOTHING = Cap.parse("URI:LIT:")
# Nobody adds to an hour that is so old: clocks may differ, and a write can take a while.
_SETTLING = timedelta(hours=2)


class Anchors:
    """
    The links below one directory of a tree, in `.tahoe-anchors/2026-11/22/18/<batch>/`, by the hour
    (UTC) in which they were made.

    `below`: that directory. `seconds`: the time since 1970 UTC.

    New links go into new batches, so neither their number nor processes that make links at the
    same time matter. A batch that `link` makes never changes. `Anchoring` adds to its batch until
    the hour is over. The ledger records the links, but is only a memory: if it lacks a directory,
    `known` reads that.

    Anyone who has the tree's write cap can put anything there. This ignores entries of other forms.

    Every method raises the errors of `Tree`.
    """

    def __init__(
        self, tree: Tree, below: Path = (), *, seconds: Callable[[], float] = time.time
    ) -> None:
        self.tree = tree
        self._client = tree.client
        self._top = (*below, ANCHORS)
        self._seconds = seconds

    async def known(self, *, anew: bool = False) -> Ledger:
        """
        The names that are linked.

        `anew`: read all directories, without the ledger. Links in an unreadable one do not count.
        """
        top = await self._children(self._top)
        ledger = Ledger()
        if not anew and _LEDGER in top:
            ledger = await self._read(top[_LEDGER].cap)
        settled = self.hour(_SETTLING)
        batches = await self._batches(top, ledger.until, lost_is_empty=True)
        unknown = {path: node for path, node in batches.items() if path not in ledger.paths}
        read = await each(unknown.values(), lambda node: self._digests(node.cap), _AT_ONCE)
        for (path, node), found in zip(unknown.items(), read, strict=True):
            if isinstance(found, Exception):
                if _is_unreadable(found):
                    continue
                raise found
            linked, deleted = found
            is_settled = path.rpartition("/")[0] <= settled
            if is_settled:
                ledger.deleted |= deleted
            if is_settled or not node.cap.is_mutable:
                ledger.add(path, linked)
            else:
                ledger.note(linked)
        ledger.until = max(ledger.until, settled)
        return ledger

    async def link(self, names: Sequence[CapName], ledger: Ledger) -> None:
        """Link up to TOGETHER names that are not in the ledger: all of them, or none."""
        parts = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]

        async def make(part: Sequence[CapName]) -> Cap:
            return await self._client.mkdir_immutable({name.label: name.cap for name in part})

        caps = all_done(await each(parts, make, _AT_ONCE), "making directories of links")
        if not caps:
            return
        if len(caps) > 1:
            group = {str(number): cap for number, cap in enumerate(caps)}
            caps = [await self._client.mkdir_immutable(group)]
        path = self.new_batch()
        await self.link_together({path: caps[0]})
        ledger.add("/".join(path[len(self._top) :]), (digest_of(name.text) for name in names))

    async def link_together(self, links: Mapping[Path, Cap], *, replace: Replace = False) -> None:
        """Make links in one directory, and missing directories above it, by one write."""
        try:
            await self.tree.link_many(links.items(), replace=replace)
        except SomeFailed as error:  # it is one write, so all of them failed
            first = error.errors[0]
            if isinstance(first, TahoeError):
                first.filename = first.filename or "/".join(next(iter(links))[:-1])
            raise first from None

    async def unlink(self, ledger: Ledger) -> None:
        """Unlink the names in the ledger that were deleted."""
        for path in ledger.holding(ledger.deleted):
            names = (*self._top, *path.split("/"))
            try:
                node = await self.tree.resolve(names)
                cap = await self._without(node.cap, ledger.deleted)
            except (NoSuchChild, NotADirectory):
                ledger.add(path, ())  # the ledger was wrong
                continue
            await self.tree.link(names, cap, replace=True)
            linked, _ = await self._digests(cap)
            ledger.add(path, linked)

    async def keep(self, ledger: Ledger) -> None:
        """Write the ledger, if it has changed."""
        if ledger.is_changed:
            cap = await self._client.upload(ledger.data)
            await self.tree.link((*self._top, _LEDGER), cap, replace=True)
            ledger.is_changed = False

    async def walk(self) -> AsyncGenerator[list[CapName], None]:
        """
        All names that are linked, batch by batch; a name can come more than once.

        Raises: Unrecoverable if some of the links are lost.
        """
        batches = await self._batches(await self._children(self._top))
        left = iter(sorted(batches))
        while some := list(islice(left, _AT_ONCE)):
            for links in await all_of(some, lambda path: self._links(batches[path].cap), _AT_ONCE):
                names = (CapName.of_link(label, node.cap) for label, node in links)
                yield [name for name in names if name is not None]

    def new_batch(self) -> Path:
        """The path of a new batch, of this hour."""
        return (*self._top, *self.hour().split("/"), token_hex(4))

    def hour(self, ago: timedelta = timedelta()) -> str:
        """The present hour, or an earlier one, as the path of its batches."""
        return f"{datetime.fromtimestamp(self._seconds(), UTC) - ago:%Y-%m/%d/%H}"

    async def _read(self, cap: Cap) -> Ledger:
        is_file = cap.is_file and cap.is_readable and not cap.is_mutable
        if is_file and (cap.size or 0) <= _MOST:
            with suppress(Unrecoverable, IncompleteDownload, ValueError):
                ledger = Ledger.parse(await self._client.read(cap))
                is_past = _HOUR.fullmatch(ledger.until) and ledger.until <= self.hour()
                if is_past and all(map(_BATCH.fullmatch, ledger.paths)):
                    return ledger
        return Ledger()

    async def _children(self, path: Path) -> Mapping[str, Node]:
        """The children of a directory; none if it is missing."""
        try:
            return await self.tree.list(path)
        except NoSuchChild:
            return {}
        except TahoeError as error:
            error.filename = error.filename or "/".join(path)
            raise

    async def _batches(
        self, top: Mapping[str, Node], until: str = "", *, lost_is_empty: bool = False
    ) -> dict[str, Node]:
        """The batches of all hours after `until`, by path."""

        async def children(path: str) -> Mapping[str, Node]:
            try:
                return await self._children((*self._top, *path.split("/")))
            except TahoeError as error:
                if lost_is_empty and _is_unreadable(error):
                    return {}
                raise

        def is_later(path: str) -> bool:
            return path > until or until.startswith(f"{path}/")

        found = {name: node for name, node in top.items() if _MONTH.fullmatch(name)}
        found = {
            path: node for path, node in found.items() if is_later(path) and _is_readable(node)
        }
        for _ in ("days", "hours", "batches"):
            listed = await all_of(found, children, _AT_ONCE)
            found = {
                path: node
                for above, below in zip(found, listed, strict=True)
                for name, node in below.items()
                if _IN_MONTH.fullmatch(name) and _is_readable(node)
                if is_later(path := f"{above}/{name}")
            }
        return found

    async def _digests(self, directory: Cap) -> tuple[list[int], set[int]]:
        """The digests of the names that a batch links, and of those that it says are deleted."""
        linked: list[int] = []
        deleted: set[int] = set()
        for label, node in await self._links(directory):
            name = CapName.of_link(label, node.cap)
            if name is not None:
                linked.append(digest_of(name.text))
            elif match := _DELETED.fullmatch(label):
                deleted.add(int(match[1], 16))
        return linked, deleted

    async def _links(self, directory: Cap, *, is_group: bool = True) -> list[tuple[str, Node]]:
        """All links in a batch or in a group of batches; groups in a group are ignored."""
        children = await self._client.list(directory)
        links = [(label, node) for label, node in children.items() if not node.is_directory]
        if is_group:
            parts = [node.cap for node in children.values() if _is_readable(node)]
            for more in await all_of(parts, partial(self._links, is_group=False), _AT_ONCE):
                links += more
        return links

    async def _without(self, directory: Cap, deleted: set[int], *, is_group: bool = True) -> Cap:
        """An immutable copy of a batch or group, without the names of these digests."""
        links: dict[str, Cap] = {}
        for label, node in (await self._client.list(directory)).items():
            name = None if node.is_directory else CapName.of_link(label, node.cap)
            if is_group and _is_readable(node):
                links[label] = await self._without(node.cap, deleted, is_group=False)
            elif name is not None and digest_of(name.text) not in deleted:
                links[label] = node.cap
        return await self._client.mkdir_immutable(links)


def deletion(name: CapName) -> tuple[str, Cap]:
    """The link, as its name and cap, by which a batch says that a name was deleted."""
    return f"deleted {digest_of(name.text):016x}", _NOTHING


def _is_readable(node: Node) -> bool:
    return node.is_directory and node.cap.is_readable


def _is_unreadable(result: object) -> bool:
    """Whether a result says that something cannot be read; silence does not say so."""
    return isinstance(result, TahoeError) and not isinstance(result, ConnectionError | TimeoutError)
