"""The facts of the admin's page of a grid, asked side by side; each part can fail by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve, field, frozen
from django.utils.translation import gettext_lazy
from twisted.internet.defer import Deferred

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.gridpage.inquiry import PATIENCE, Inquiry, Part
from tahoestorage.gridpage.listing import Listing, list_directory
from txtahoe.api.client import Client
from txtahoe.api.reports import CheckReport
from txtahoe.errors import NotAGateway
from txtahoe.http.security import Security
from txtahoe.http.transport import Transport
from txtahoe.maintenance import Health, Snapshot, last_check, last_renewal, list_snapshots
from txtahoe.nodes import GatewayStatus, Server
from txtahoe.spool import Spool, Summary
from txtahoe.tree.tree import Tree

# Reads of directories are left out: this page causes some itself.
_KINDS = {
    "upload": gettext_lazy("upload"),
    "download": gettext_lazy("download"),
    "publish": gettext_lazy("change of a directory"),
}


@frozen
class Transfer:
    """A transfer that is under way. `size`: in bytes. None: the gateway does not report it."""

    kind: Any
    size: int | None
    percent: int | None


@frozen
class Gateway:
    """A gateway. `milliseconds`: until it answered, or until the page gave it up."""

    url: str
    milliseconds: int
    status: Part[GatewayStatus]
    transfers: Part[list[Transfer]]


@frozen
class SeenServer:
    """A storage server, as the gateway that heard of it last describes it."""

    server: Server
    # For each gateway that answers: whether it is connected; None if it does not know the server.
    seen: Sequence[bool | None]

    @property
    def connected(self) -> int:
        """The number of gateways connected to it."""
        return sum(map(bool, self.seen))


@frozen
class Overview:
    """
    A tree and its grid. `renewed`: as `last_renewal` tells it. `spool`: what is in the spool of
    this host, if there is one.
    """

    gateways: Sequence[Gateway]
    root: Part[CheckReport]
    listing: Part[Listing]
    checked: Part[Health | None]
    renewed: Part[float | None]
    snapshots: Part[list[Snapshot]]
    spool: Part[Summary | None] = field(factory=Part)

    @property
    def is_reachable(self) -> bool:
        """Whether any gateway answers."""
        return any(gateway.status.value is not None for gateway in self.gateways)

    @property
    def servers(self) -> list[SeenServer]:
        """The servers that any gateway knows: each server once, by name."""
        known = [
            {server.id or server.nickname: server for server in gateway.status.value.servers}
            for gateway in self.gateways
            if gateway.status.value is not None
        ]
        found = []
        for key in set().union(*known):
            told = [servers.get(key) for servers in known]
            newest = max(filter(None, told), key=lambda one: (one.connected, one.last_seen or 0.0))
            found.append(SeenServer(newest, [one.connected if one else None for one in told]))
        return sorted(found, key=lambda seen: (seen.server.nickname, seen.server.id))

    @property
    def stored(self) -> dict[str, float] | None:
        """The bytes that servers keep, at least, for the counted files; None if not known."""
        counts = self.root.value.counts if self.root.value else {}
        needed, expected = (counts.get(f"count-shares-{name}") for name in ("needed", "expected"))
        if self.listing.value is None or not needed or not expected:
            return None
        size = self.listing.value.total.size * expected / needed
        return {"size": size, "expected": expected, "needed": needed}


def look_at(whole: WholeTree) -> Overview:
    """Ask a grid, for PATIENCE seconds at most. A question without an answer is no error."""

    async def ask(tree: Tree, _: Any) -> Overview:
        inquiry = Inquiry(tree.client.reactor, PATIENCE)
        urls = dict.fromkeys([*whole.connection.gateways, whole.connection.writer])
        security = whole.connection.security
        gateways = [Deferred.fromCoroutine(_gateway(inquiry, url, security)) for url in urls]
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

    return evolve(whole.run(ask), spool=_spooled(whole.connection.spool))


def _spooled(spool: Spool | None) -> Part[Summary | None]:
    try:
        return Part(None if spool is None else spool.summary())
    except OSError as error:
        return Part(problem=str(error))


async def _gateway(inquiry: Inquiry, url: str, security: Security) -> Gateway:
    began = inquiry.reactor.seconds()
    client = Client(Transport(inquiry.reactor, url, pauses=(), security=security))
    try:
        status = await inquiry.ask(client.status())
        milliseconds = round(1000 * (inquiry.reactor.seconds() - began))
        transfers = await inquiry.ask(_transfers(client))
    finally:
        await client.close()
    return Gateway(url, milliseconds, status, transfers)


async def _transfers(client: Client) -> list[Transfer]:
    told = await client.transfers()
    try:
        return [_transfer(each) for each in told["active"] if each["type"] in _KINDS]
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError):
        raise NotAGateway("the gateway reports its transfers in an unknown form") from None


def _transfer(told: Any) -> Transfer:
    size, progress = told.get("total-size"), told.get("progress", told.get("progress-encode-push"))
    return Transfer(
        _KINDS[told["type"]],
        size if isinstance(size, int) else None,
        round(100 * progress) if isinstance(progress, int | float) else None,
    )
