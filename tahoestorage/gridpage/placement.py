"""The shares of a file or directory: which servers have them, and their health."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from attrs import frozen
from django.utils.translation import gettext, gettext_lazy

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

# By whether it is a directory, and whether it is mutable.
_KINDS = {
    (True, True): gettext_lazy("directory"),
    (True, False): gettext_lazy("directory of a snapshot, which does not change"),
    (False, True): gettext_lazy("file of another program, which can change"),
    (False, False): gettext_lazy("file"),
}


@frozen
class Share:
    """A share. `version`: of a directory that has several: "seq2" is newer than "seq1"."""

    version: str = ""
    is_damaged: bool = False


@frozen
class Holder:
    """A storage server, and its share of each number; None if it has none."""

    name: str
    has_answered: bool  # whether it was connected and reported its shares
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

    node: Node
    report: Part[CheckReport | None]
    status: Part[GatewayStatus]
    listing: Part[Listing]

    @property
    def kind(self) -> Any:
        """The kind, in words."""
        if not self.is_known:
            return gettext_lazy("unknown")
        return _KINDS[self.node.is_directory, self.node.cap.is_mutable]

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


def look_at(whole: WholeTree, path: Path, action: Action | None, page: str) -> Sight:
    """
    Ask a grid for the file or directory at a path; a directory comes with a page of its listing.

    `action` takes LONG_PATIENCE seconds at most; without it, servers only report their shares.

    Raises: NoSuchChild; NotADirectory; other errors of `Client` if the lookup fails.
    """

    async def ask(tree: Tree, _: Any) -> Sight:
        client = tree.client
        inquiry = Inquiry(client.reactor, PATIENCE)
        resolving = tree.resolve(path, fresh=True)
        node = await Deadline(client.reactor, PATIENCE, "looking up the name").guard(resolving)

        async def check() -> CheckReport | None:
            if not node.cap.is_readable or node.cap.storage_index is None:
                return None
            # Only a check that reads everything finds and repairs damage.
            verify, repair = action in ("verify", "repair"), action == "repair"
            return await client.check(node.cap, verify=verify, repair=repair)

        patient = Inquiry(client.reactor, LONG_PATIENCE) if action else inquiry
        report = patient.ask(check())
        status = inquiry.ask(client.status())
        listing: Part[Listing] = Part()
        if node.is_directory:
            listing = await list_directory(inquiry, tree, path, page)
        return Sight(node, await report, await status, listing)

    return whole.run(ask)


def share_counts(counts: Mapping[str, Any]) -> str:
    """The counts of a check, in the words of the active language."""
    names = ("good", "expected", "needed")
    numbers = {name: counts.get(f"count-shares-{name}", "?") for name in names}
    text = gettext("%(good)s of %(expected)s shares are good, and %(needed)s are enough to read it")
    text %= numbers
    if damaged := counts.get("count-corrupt-shares"):
        text += "; " + gettext("%(number)s damaged") % {"number": damaged}
    return text


def _placement(counts: Mapping[str, Any], servers: Sequence[Server]) -> Placement:
    """Raises: KeyError and others if the counts have an unknown form."""
    shares = _shares(counts)
    highest = max((number for held in shares.values() for number in held), default=-1)
    numbers = range(max(highest + 1, int(counts["count-shares-expected"])))
    names = dict.fromkeys(shares, "") | {server.id: server.nickname for server in servers}
    holders = [
        Holder(
            name or id_,
            id_ in counts["servers-responding"],
            [shares.get(id_, {}).get(number) for number in numbers],
        )
        for id_, name in names.items()
    ]
    return Placement(numbers, sorted(holders, key=lambda holder: holder.name))


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
