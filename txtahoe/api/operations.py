"""The base of the web API's operations."""

from __future__ import annotations

from typing import Any

from txtahoe.caps import BadCap, Cap, require_cap
from txtahoe.contentcache import ContentCache
from txtahoe.errors import NotADirectory, NotAGateway, NotEnoughServers
from txtahoe.http.request import BaseTransport, Request
from txtahoe.nodes import GatewayStatus, parse_json, parse_status
from txtahoe.sealing import sealed

# For this long a gateway that saw enough servers counts as seeing them still.
_READY_SECONDS = 5.0


class Operations:
    """
    Operations of a gateway's web API.

    `min_servers`: how many storage servers a gateway must be connected to before this writes a
    directory through it; see `wait_ready`.
    `content_cache`: keeps the bytes that are uploaded and downloaded, and gives them back.

    Every method raises the errors of `Transport.open`; its docstring names further ones.
    No URL has more than one segment after a cap: a failure on a longer path may go unanswered.
    """

    def __init__(
        self,
        transport: BaseTransport,
        *,
        min_servers: int = 0,
        content_cache: ContentCache | None = None,
    ) -> None:
        self._transport = transport
        self.content_cache = content_cache
        self._min_servers = min_servers
        self._ready_until = 0.0

    async def status(self, *, changes: bool = False) -> GatewayStatus:
        """
        The state of the gateway and of the storage servers that it knows.

        `changes`: ask the one of several gateways that makes the changes.
        """
        doing = "asking for the status"
        request = Request("status", "GET", [""], {"t": "json"}, doing=doing, changes=changes)
        return parse_status(await self._json(request))

    async def _require_servers(self) -> None:
        """Raises: NotEnoughServers. The gateway would write to fewer servers without an error."""
        now = self._transport.reactor.seconds()
        if not self._min_servers or now < self._ready_until:
            return
        connected = (await self.status(changes=True)).connected
        if connected < self._min_servers:
            raise NotEnoughServers(
                f"the gateway is connected to {connected} storage servers; no directory is "
                f"written before there are {self._min_servers}"
            )
        self._ready_until = now + _READY_SECONDS

    async def _json(self, request: Request) -> Any:
        """The answer to a request that may be repeated, as JSON. Raises: NotAGateway."""
        return parse_json(await self._transport.ask(request, repeat=True), request.doing)

    async def _cap(self, request: Request, *, repeat: bool = True) -> Cap:
        """The answer to a request, as a cap. Raises: NotAGateway."""
        return _parse_cap(await self._transport.ask(request, repeat=repeat), request.doing)


def given(**arguments: Any) -> dict[str, str]:
    """The arguments of a query, without those that are None or False; `_` stands for `-`."""
    return {
        name.replace("_", "-"): "true" if value is True else str(value)
        for name, value in arguments.items()
        if value is not None and value is not False
    }


@sealed
def _parse_cap(answer: bytes, doing: str) -> Cap:
    try:
        cap = Cap.parse(answer)
    except BadCap:
        cap = None
    if cap is None or not cap.is_known:
        raise NotAGateway(f"{doing}: the answer is no cap, so it is not from a Tahoe-LAFS gateway")
    return cap


def require_directory(cap: Cap) -> None:
    """Raises: NotADirectory; TypeError if it is no Cap."""
    require_cap(cap)
    if not cap.is_directory:
        raise NotADirectory(f"{cap!r} is not a directory")
