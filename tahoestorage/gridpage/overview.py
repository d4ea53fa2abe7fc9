"""What the admin's page of a grid shows: asked of it side by side, each part by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.gridpage.inquiry import PATIENCE, Inquiry, Part
from tahoestorage.gridpage.listing import Listing, list_directory
from txtahoe.api.client import Client
from txtahoe.api.reports import CheckReport
from txtahoe.errors import NotAGateway
from txtahoe.http.transport import Transport
from txtahoe.maintenance import Health, Snapshot, last_check, last_renewal, list_snapshots
from txtahoe.nodes import GatewayStatus, Server
from txtahoe.tree.tree import Tree

# Of the transfers that are over, so many are told of.
_RECENT = 5
# Directories are read all the time, by this page too.
_KINDS = {"upload": "upload", "download": "download", "publish": "change of a directory"}


@frozen
class Transfer:
    """
    Something that a gateway does, or has done.

    `size`: in bytes. `progress`: from 0 to 1. Both are None where the gateway does not tell.
    """

    kind: str
    size: int | None
    progress: float | None
    status: str


@frozen
class Transfers:
    """Those under way, and the last of those that are over."""

    active: Sequence[Transfer]
    recent: Sequence[Transfer]


@frozen
class Gateway:
    """A gateway. `seconds`: how long it took to answer, or not to."""

    url: str
    seconds: float
    status: Part[GatewayStatus]
    transfers: Part[Transfers]


@frozen
class SeenServer:
    """
    A storage server, as the gateway says that heard of it last.

    `seen`: for each gateway that answers, whether it is connected; None where it knows no such
    server.
    """

    server: Server
    seen: Sequence[bool | None]

    @property
    def connected(self) -> int:
        """To how many gateways."""
        return sum(map(bool, self.seen))


@frozen
class Overview:
    """
    What there is to say of a tree and of its grid.

    `root`: the health of the root directory. `renewed`: when the last complete renewal of leases
    began, in seconds since 1970 UTC.
    """

    gateways: Sequence[Gateway]
    root: Part[CheckReport]
    listing: Part[Listing]
    checked: Part[Health | None]
    renewed: Part[float | None]
    snapshots: Part[list[Snapshot]]

    @property
    def is_reachable(self) -> bool:
        """Whether there is a gateway that answers."""
        return any(gateway.status.value is not None for gateway in self.gateways)

    @property
    def servers(self) -> list[SeenServer]:
        """All that any gateway knows, by name."""
        return _seen_servers([each.status.value for each in self.gateways if each.status.value])

    @property
    def needed(self) -> int | None:
        """How many shares make up a file, if that is known, as it is for the root directory."""
        return self._count("needed")

    @property
    def expected(self) -> int | None:
        """How many shares there are of a file."""
        return self._count("expected")

    @property
    def kept(self) -> float | None:
        """How many bytes servers keep, at least, for what was counted; None if it is not known."""
        if self.listing.value is None or not self.needed or not self.expected:
            return None
        return self.listing.value.total.size * self.expected / self.needed

    def _count(self, name: str) -> int | None:
        counts = self.root.value.counts if self.root.value else {}
        return counts.get(f"count-shares-{name}")


def look_at(whole: WholeTree) -> Overview:
    """
    Ask a grid, for as long as PATIENCE. What can't be found out is no error.

    Raises: as `Loop.run`.
    """

    async def ask(tree: Tree, _: Any) -> Overview:
        inquiry = Inquiry(tree.client.reactor, PATIENCE)
        connection = whole.connection
        urls = dict.fromkeys([*connection.gateways, connection.writer])
        gateways = [Deferred.fromCoroutine(_gateway(inquiry, url)) for url in urls]
        root = inquiry.ask(tree.client.check(tree.root))
        listing = Deferred.fromCoroutine(list_directory(inquiry, tree, ()))
        checked = inquiry.ask(last_check(tree))
        renewed = inquiry.ask(last_renewal(tree))
        snapshots = inquiry.ask(list_snapshots(tree))
        return Overview(
            [await gateway for gateway in gateways],
            await root,
            await listing,
            await checked,
            await renewed,
            await snapshots,
        )

    return whole.run(ask)


def _seen_servers(statuses: Sequence[GatewayStatus]) -> list[SeenServer]:
    """The servers that gateways know, each once, by name."""
    known = [{server.id or server.nickname: server for server in each.servers} for each in statuses]
    found = []
    for key in set().union(*known):
        told = [servers.get(key) for servers in known]
        server = max(filter(None, told), key=lambda each: (each.connected, each.last_seen or 0.0))
        found.append(SeenServer(server, [each.connected if each else None for each in told]))
    return sorted(found, key=lambda each: (each.server.nickname, each.server.id))


async def _gateway(inquiry: Inquiry, url: str) -> Gateway:
    began = inquiry.reactor.seconds()
    client = Client(Transport(inquiry.reactor, url, pauses=()))
    status = await inquiry.ask(client.status())
    seconds = inquiry.reactor.seconds() - began
    transfers = await inquiry.ask(_transfers(client))
    await client.close()
    return Gateway(url, seconds, status, transfers)


async def _transfers(client: Client) -> Transfers:
    told = await client.transfers()
    try:
        active, recent = (
            [_transfer(each) for each in told[when] if each["type"] in _KINDS]
            for when in ("active", "recent")
        )
        return Transfers(active, recent[:_RECENT])
    except (TypeError, KeyError, AttributeError):
        raise NotAGateway("the gateway told of its transfers in a form that is not known") from None


def _transfer(told: Any) -> Transfer:
    # What it is about is left out: a storage index says nothing to a person.
    size, progress = told.get("total-size"), told.get("progress", told.get("progress-encode-push"))
    return Transfer(
        _KINDS[told["type"]],
        size if isinstance(size, int) else None,
        progress if isinstance(progress, int | float) else None,
        str(told["status"]),
    )
