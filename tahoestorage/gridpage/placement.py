"""Where the shares of a file or directory are, and how it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from attrs import frozen
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
"""Seconds for what reads or writes all of a file. Servers of sites often end requests after 30."""


@frozen
class Share:
    """
    A share on a server.

    `version`: of a directory, where there are several: "seq2" is newer than "seq1".
    """

    version: str = ""
    is_damaged: bool = False


@frozen
class Holder:
    """
    A storage server, and its share of each number, if it has one.

    `has_answered`: whether it was connected, and has told which it has.
    """

    name: str
    has_answered: bool
    shares: Sequence[Share | None]


@frozen
class Placement:
    """Which server holds what. `numbers`: of all shares that there are, or should be."""

    numbers: Sequence[int]
    holders: Sequence[Holder]


@frozen
class Sight:
    """
    What there is to say of a file or directory.

    `report`: None, without a problem, for what has no shares. `listing`: of a
    directory; of a file it is neither there nor a problem.
    """

    path: Path
    node: Node
    report: Part[CheckReport | None]
    status: Part[GatewayStatus]
    listing: Part[Listing]

    @property
    def kind(self) -> str:
        """In words."""
        if not self.is_known:
            return "unknown"
        is_mutable = self.node.cap.is_mutable
        if self.node.is_directory:
            return "directory" if is_mutable else "directory of a snapshot, which does not change"
        return "file of another program, which can change" if is_mutable else "file"

    @property
    def is_directory(self) -> bool:
        return self.node.is_directory

    @property
    def size(self) -> int | None:
        """Of a file, in bytes, if it is known."""
        return None if self.is_directory else self.node.size

    @property
    def modified(self) -> float | None:
        """When it was last linked, in seconds since 1970 UTC."""
        return self.node.modified

    @property
    def is_known(self) -> bool:
        """Whether the gateway and this program know what it is."""
        return self.node.type != "unknown" and self.node.cap.is_readable

    @property
    def has_shares(self) -> bool:
        """Whether it is more than the link to it."""
        return self.is_known and self.node.cap.storage_index is not None

    @property
    def placement(self) -> Placement | None:
        """None where there are no shares, or where the gateway does not tell."""
        counts = self.report.value.counts if self.report.value else {}
        servers = self.status.value.servers if self.status.value else ()
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            return _placement(counts, servers)
        return None


def look_at(whole: WholeTree, path: Path, action: Action | None = None, page: int = 1) -> Sight:
    """
    Ask a grid what is at a path; of a directory that includes a page of its listing.

    `action`: what else is done, in LONG_PATIENCE; without it servers are only asked what they have.

    Raises: NoSuchChild; NotADirectory; other errors of `Client` where nothing can be said.
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
    # What is damaged is found, and mended, only where everything is read.
    verify, repair = action in ("verify", "repair"), action == "repair"
    return await tree.client.check(node.cap, verify=verify, repair=repair)


async def _listing(
    inquiry: Inquiry, tree: Tree, path: Path, node: Node, page: int
) -> Part[Listing]:
    return await list_directory(inquiry, tree, path, page) if node.is_directory else Part()


def _placement(counts: Mapping[str, Any], servers: Sequence[Server]) -> Placement:
    """Raises: KeyError, and others, where the counts are not those of a report of shares."""
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
    """By the id of their server, and their number."""
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
