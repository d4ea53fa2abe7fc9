"""The shares of a file or directory: which servers have them, and their health."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from attrs import frozen
from django.utils.translation import gettext
from twisted.internet.defer import Deferred

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.gridpage.inquiry import PATIENCE, Inquiry, Part
from tahoestorage.gridpage.listing import Listing, list_directory
from txtahoe.api.reports import CheckReport
from txtahoe.http.deadline import Deadline
from txtahoe.nodes import GatewayStatus, Node, Server
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree

Action = Literal["check", "verify", "repair"]

LONG_PATIENCE = 25.0
"""Seconds to read or write all of a file. Web servers often end requests after 30."""


@frozen
class Share:
    """
    A share on a server.

    `version`: of a directory, if there are several: "seq2" is newer than "seq1".
    """

    version: str = ""
    is_damaged: bool = False


@frozen
class Holder:
    """
    A storage server, and its share of each number; None if it has none.

    `has_answered`: whether it was connected and reported its shares.
    """

    name: str
    has_answered: bool
    shares: Sequence[Share | None]


@frozen
class Placement:
    """The shares of each server. `numbers`: of all shares that exist or should exist."""

    numbers: Sequence[int]
    holders: Sequence[Holder]


@frozen
class Sight:
    """
    A file or directory.

    `report`: None, without a problem, if it has no shares. `listing`: of a directory; a file has
    neither listing nor problem.
    """

    path: Path
    node: Node
    report: Part[CheckReport | None]
    status: Part[GatewayStatus]
    listing: Part[Listing]

    @property
    def kind(self) -> str:
        """The kind, in the words of the active language."""
        if not self.is_known:
            return gettext("unknown")
        is_mutable = self.node.cap.is_mutable
        if self.node.is_directory:
            if is_mutable:
                return gettext("directory")
            return gettext("directory of a snapshot, which does not change")
        if is_mutable:
            return gettext("file of another program, which can change")
        return gettext("file")

    @property
    def is_directory(self) -> bool:
        return self.node.is_directory

    @property
    def size(self) -> int | None:
        """The size of a file in bytes; None if it is not known."""
        return None if self.is_directory else self.node.size

    @property
    def modified(self) -> float | None:
        """The time of the last link, in seconds since 1970 UTC."""
        return self.node.modified

    @property
    def is_known(self) -> bool:
        """Whether the gateway and this program know its kind."""
        return self.node.type != "unknown" and self.node.cap.is_readable

    @property
    def has_shares(self) -> bool:
        """Whether it has shares; a very small file is kept in the link to it."""
        return self.is_known and self.node.cap.storage_index is not None

    @property
    def placement(self) -> Placement | None:
        """None if there are no shares, or if the gateway does not report them."""
        counts = self.report.value.counts if self.report.value else {}
        servers = self.status.value.servers if self.status.value else ()
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            return _placement(counts, servers)
        return None


def look_at(whole: WholeTree, path: Path, action: Action | None = None, page: int = 1) -> Sight:
    """
    Ask a grid for the file or directory at a path; a directory comes with a page of its listing.

    `action` takes LONG_PATIENCE seconds at most; without it, servers only report their shares.

    Raises: NoSuchChild; NotADirectory; other errors of `Client` if the lookup fails.
    """

    async def ask(tree: Tree, _: Any) -> Sight:
        reactor = tree.client.reactor
        inquiry = Inquiry(reactor, PATIENCE)
        resolving = tree.resolve(path, fresh=True)
        node = await Deadline(reactor, PATIENCE, "looking up the name").guard(resolving)
        patient = Inquiry(reactor, LONG_PATIENCE) if action else inquiry
        report = patient.ask(_report(tree, node, action))
        status = inquiry.ask(tree.client.status())
        listing = Deferred.fromCoroutine(_listing(inquiry, tree, path, node, page))
        return Sight(path, node, await report, await status, await listing)

    return whole.run(ask)


async def _report(tree: Tree, node: Node, action: Action | None) -> CheckReport | None:
    if not node.cap.is_readable or node.cap.storage_index is None:
        return None
    # Only a check that reads everything finds and repairs damage.
    verify, repair = action in ("verify", "repair"), action == "repair"
    return await tree.client.check(node.cap, verify=verify, repair=repair)


async def _listing(
    inquiry: Inquiry, tree: Tree, path: Path, node: Node, page: int
) -> Part[Listing]:
    return await list_directory(inquiry, tree, path, page) if node.is_directory else Part()


def share_counts(counts: Mapping[str, Any]) -> str:
    """The counts of a check, in the words of the active language."""
    names = ("good", "expected", "needed")
    numbers = {name: counts.get(f"count-shares-{name}", "?") for name in names}
    text = gettext("%(good)s of %(expected)s shares are good, and %(needed)s are enough to read it")
    if damaged := counts.get("count-corrupt-shares"):
        return f"{text % numbers}; " + gettext("%(number)s damaged") % {"number": damaged}
    return text % numbers


def _placement(counts: Mapping[str, Any], servers: Sequence[Server]) -> Placement:
    """Raises: KeyError and others if the counts have an unknown form."""
    shares = _shares(counts)
    highest = max((number for held in shares.values() for number in held), default=-1)
    numbers = range(max(highest + 1, int(counts["count-shares-expected"])))
    names = {id_: id_ for id_ in shares} | {each.id: each.nickname for each in servers}
    return Placement(
        numbers,
        [
            Holder(
                names[id_] or id_,
                id_ in counts["servers-responding"],
                [shares.get(id_, {}).get(number) for number in numbers],
            )
            for id_ in sorted(names, key=lambda each: (names[each], each))
        ],
    )


def _shares(counts: Mapping[str, Any]) -> dict[str, dict[int, Share]]:
    """The shares by the id of their server and by their number."""
    versions = {key.rpartition("sh")[0] for key in counts["sharemap"]}
    shares: dict[str, dict[int, Share]] = defaultdict(dict)
    for key, ids in counts["sharemap"].items():
        # "2" of an immutable file, "seq1-vehq-sh2" of a mutable one.
        version, _, number = key.rpartition("sh")
        shown = version.partition("-")[0] if len(versions) > 1 else ""
        for id_ in ids:
            shares[id_][int(number)] = Share(shown)
    for id_, _, number in counts["list-corrupt-shares"]:
        shares[id_][int(number)] = Share(is_damaged=True)
    return shares
