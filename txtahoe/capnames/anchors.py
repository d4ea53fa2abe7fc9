"""Links to files whose names carry their caps: so that leases, checks and snapshots find them."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
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
"""Links in one directory, at most: it is written as fast with as many as with one."""

TOGETHER = 64 * BATCH
"""Links that one call of `Anchors.link` makes, at most."""

_LEDGER = "ledger"
# Bytes of a ledger, at most: those of 190 million names.
_MOST = 2**31
_AT_ONCE = 4
# The names of a month, and of what is in it: days, hours and batches.
_MONTH = re.compile(r"\d{4}-\d\d", re.ASCII)
_IN_MONTH = re.compile(r"\d\d|[0-9a-f]{8}", re.ASCII)
_HOUR = re.compile(rf"{_MONTH.pattern}/\d\d/\d\d", re.ASCII)
_BATCH = re.compile(rf"{_HOUR.pattern}/[0-9a-f]{{8}}", re.ASCII)
_DELETED = re.compile("deleted ([0-9a-f]{16})")
_NOTHING = Cap.parse("URI:LIT:")
# So old is an hour to which nobody adds any more: clocks may differ, and a write take a while.
_SETTLING = timedelta(hours=2)


class Anchors:
    """
    The links below one directory of a tree, in `.tahoe-anchors/2026-11/22/18/<batch>/`: by the
    hour in which they were made, UTC.

    `below`: that directory. `seconds`: the time since 1970 UTC.

    New links go into new batches, so it does not matter how many there are already, nor how many
    processes make links at the same time. What a batch of `link` holds never changes; others, see
    `batch`, are added to until their hour is over. What is linked is also written down in the
    ledger, which is no more than a memory: what is not in it is read from the directories.

    Anyone who has the tree's write cap can put anything there. What is not of the form that is
    written here is left alone, and is no link.

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
        What is linked.

        `anew`: read all directories, also those that the ledger knows. What can't be read of them
        is not linked.
        """
        top = await self._children(self._top)
        ledger = Ledger()
        if not anew and _LEDGER in top:
            ledger = await self._read(top[_LEDGER].cap)
        settled = _hour(self._now() - _SETTLING)
        batches = await self._batches(top, ledger.until, lost_is_empty=True)
        wanted = {path: node for path, node in batches.items() if not ledger.has(path)}
        read = await each(wanted.values(), lambda node: self._digests(node.cap), _AT_ONCE)
        for (path, node), found in zip(wanted.items(), read, strict=True):
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
        """Link names, no more than TOGETHER, that are not in the ledger: all of them, or none."""
        parts = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
        made = await each(parts, self._make, _AT_ONCE)
        caps = all_done(made, "making directories of links")
        if not caps:
            return
        cap = caps[0]
        if len(caps) > 1:
            cap = await self._client.mkdir_immutable({str(n): each for n, each in enumerate(caps)})
        path = self.batch()
        await self.link_together({path: cap})
        ledger.add(self._below(path), (digest_of(name.text) for name in names))

    async def link_together(self, links: Mapping[Path, Cap], *, replace: Replace = False) -> None:
        """Make links in one directory by one write; what is missing above it is made with them."""
        try:
            await self.tree.link_many(links.items(), replace=replace)
        except SomeFailed as error:  # it is one write, so all of them
            first = error.errors[0]
            if isinstance(first, TahoeError):
                first.filename = first.filename or "/".join(next(iter(links))[:-1])
            raise first from None

    async def _make(self, names: Sequence[CapName]) -> Cap:
        return await self._client.mkdir_immutable({name.label: name.cap for name in names})

    async def unlink(self, ledger: Ledger) -> None:
        """Take away the links of those names in the ledger that were deleted."""
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
        """Write the ledger down, where it has changed."""
        if not ledger.is_changed:
            return
        cap = await self._client.upload(ledger.data)
        await self.tree.link((*self._top, _LEDGER), cap, replace=True)
        ledger.is_changed = False

    async def walk(self) -> AsyncGenerator[list[CapName], None]:
        """
        All names that are linked, batch by batch; a name may come more than once.

        Raises: Unrecoverable where something of the links is lost.
        """
        batches = await self._batches(await self._children(self._top))
        left = iter(sorted(batches))
        while some := list(islice(left, _AT_ONCE)):
            for links in await all_of(some, lambda path: self._links(batches[path].cap), _AT_ONCE):
                names = (CapName.of_link(label, node.cap) for label, node in links)
                yield [name for name in names if name is not None]

    def batch(self) -> Path:
        """The path of a new batch, of this hour."""
        return (*self._top, *self.hour.split("/"), token_hex(4))

    @property
    def hour(self) -> str:
        """This one, as the path of its batches."""
        return _hour(self._now())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._seconds(), UTC)

    def _below(self, path: Path) -> str:
        return "/".join(path[len(self._top) :])

    async def _read(self, cap: Cap) -> Ledger:
        is_file = cap.is_file and cap.is_readable and not cap.is_mutable
        if is_file and (cap.size or 0) <= _MOST:
            with suppress(Unrecoverable, IncompleteDownload, ValueError):
                ledger = Ledger.parse(await self._client.read(cap))
                is_past = _HOUR.fullmatch(ledger.until) and ledger.until <= self.hour
                if is_past and all(map(_BATCH.fullmatch, ledger.paths)):
                    return ledger
        return Ledger()

    async def _children(self, path: Path) -> Mapping[str, Node]:
        """The children of a directory, or none where it is missing."""
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
        """The batches of all hours after `until`, by their paths."""
        months = [name for name in top if _MONTH.fullmatch(name) and _is_readable(top[name])]
        paths = [month for month in months if month >= until[:7]]
        for length in (10, 13):  # of the path of a day, and of an hour
            listed = await self._list_all(paths, lost_is_empty)
            paths = [path for path in _directories(listed) if path >= until[:length]]
        listed = await self._list_all((path for path in paths if path > until), lost_is_empty)
        return _directories(listed)

    async def _list_all(
        self, paths: Iterable[str], lost_is_empty: bool
    ) -> dict[str, Mapping[str, Node]]:
        wanted = list(paths)

        async def listing(path: str) -> Mapping[str, Node]:
            try:
                return await self._children((*self._top, *path.split("/")))
            except TahoeError as error:
                if lost_is_empty and _is_unreadable(error):
                    return {}
                raise

        return dict(zip(wanted, await all_of(wanted, listing, _AT_ONCE), strict=True))

    async def _digests(self, directory: Cap) -> tuple[list[int], set[int]]:
        """Of the names that are linked in a batch, and of those that it says are deleted."""
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
        """All links in a batch, or in a group of them, which is no group of groups."""
        children = await self._client.list(directory)
        links = [(label, node) for label, node in children.items() if not node.is_directory]
        if is_group:
            parts = [node.cap for node in children.values() if _is_readable(node)]
            for more in await all_of(parts, partial(self._links, is_group=False), _AT_ONCE):
                links += more
        return links

    async def _without(self, directory: Cap, deleted: set[int], *, is_group: bool = True) -> Cap:
        """A copy of a batch or group, which never changes, without the names of these digests."""
        links: dict[str, Cap] = {}
        for label, node in (await self._client.list(directory)).items():
            name = None if node.is_directory else CapName.of_link(label, node.cap)
            if is_group and _is_readable(node):
                links[label] = await self._without(node.cap, deleted, is_group=False)
            elif name is not None and digest_of(name.text) not in deleted:
                links[label] = node.cap
        return await self._client.mkdir_immutable(links)


def deletion(name: CapName) -> tuple[str, Cap]:
    """The link by which a batch says that a name was deleted, as its own name and its cap."""
    return f"deleted {digest_of(name.text):016x}", _NOTHING


def _directories(listed: Mapping[str, Mapping[str, Node]]) -> dict[str, Node]:
    """The directories in some others of a month, by their paths."""
    return {
        f"{path}/{name}": node
        for path, children in listed.items()
        for name, node in children.items()
        if _IN_MONTH.fullmatch(name) and _is_readable(node)
    }


def _is_readable(node: Node) -> bool:
    return node.is_directory and node.cap.is_readable


def _is_unreadable(result: object) -> bool:
    """Whether an answer says that something can't be read, and not that nobody answers."""
    return isinstance(result, TahoeError) and not isinstance(result, ConnectionError | TimeoutError)


def _hour(time: datetime) -> str:
    return f"{time:%Y-%m/%d/%H}"
