"""All operations of the web API in one class: caps and bytes in, values out."""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager, suppress
from email.utils import parsedate_to_datetime
from typing import Any, Self

from twisted.web.http import Request as WebRequest

from txtahoe.api.checking import CheckOperations
from txtahoe.api.directories import DirectoryOperations
from txtahoe.api.serving import serve
from txtahoe.caps import Cap
from txtahoe.errors import NotAGateway, NotEnoughServers, RequestTimeout, TahoeError
from txtahoe.http.deadline import Deadline
from txtahoe.http.events import Observer
from txtahoe.http.request import Request
from txtahoe.http.transport import Transport
from txtahoe.nodes import GatewayStatus

# The foot of the gateway's own page, which also has the releases of storage servers. Releases
# before 1.16 go on with the versions of libraries.
_VERSION = re.compile(rb'<p class="minutia">\s*tahoe-lafs(?:/|: )(\d[\w.]*)')


class Client(DirectoryOperations, CheckOperations, AbstractAsyncContextManager["Client"]):
    """
    The operations of Tahoe-LAFS's `docs/frontends/webapi.rst`: those on files, on directories, of
    checking, and on the gateway itself. An `async with` block closes the client at its end.
    """

    @classmethod
    def connect(cls, reactor: Any, gateway: str, *, timeout: float = 60.0) -> Self:
        """
        A client of one gateway, with a Transport of its own, which has the other options.

        It makes no request. Arguments and errors: as those of `Transport`.
        """
        return cls(Transport(reactor, gateway, timeout=timeout))

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def reactor(self) -> Any:
        """The reactor of the requests."""
        return self._transport.reactor

    @property
    def observer(self) -> Observer | None:
        """The observer of the requests."""
        return self._transport.observer

    @property
    def timeout(self) -> float:
        """Seconds that a request may go on without progress; of several gateways, at the first."""
        return self._transport.timeout

    async def wait_ready(self, servers: int, timeout: float) -> GatewayStatus:
        """
        Wait until the gateway is connected to at least `servers` storage servers.

        A gateway that has just started knows few or none: reads fail then, and it may write a
        directory to fewer servers than wanted, without an error.

        Raises: NotEnoughServers, or the gateway's own error, after `timeout` seconds.
        """
        failure: TahoeError | None = None

        async def ready() -> GatewayStatus:
            nonlocal failure
            while True:
                try:
                    status = await self.status(changes=True)
                    if status.connected >= servers:
                        return status
                    failure = NotEnoughServers(
                        f"the gateway is connected to {status.connected} storage servers of the "
                        f"{servers} that are wanted, after {timeout:g} seconds"
                    )
                except TahoeError as error:
                    failure = error
                await self._transport.sleep(0.25)

        doing = f"waiting for {servers} storage servers"
        try:
            return await Deadline(self.reactor, timeout, doing).guard(ready())
        except RequestTimeout as error:
            raise failure or error from None

    async def version(self) -> str | None:
        """The gateway's release of tahoe-lafs, such as "1.20.0"; None if its page does not say."""
        request = Request("version", "GET", [""], doing="asking for the version")
        found = _VERSION.search(await self._transport.ask(request, repeat=True))
        return found and found[1].decode()

    async def time(self) -> float | None:
        """The gateway's clock, in seconds since 1970 UTC; None if the gateway does not tell it."""
        request = Request("time", "GET", [""], {"t": "json"}, doing="asking for the time")
        answer = await self._transport.open(request)
        answer.abandon()
        with suppress(ValueError, OverflowError):
            return parsedate_to_datetime(answer.header("date")).timestamp()
        return None

    async def statistics(self) -> dict[str, Any]:
        """The gateway's counters and statistics, as it words them: "counters" and "stats"."""
        return await self._page("statistics", "statistics")

    async def transfers(self) -> dict[str, Any]:
        """The gateway's uploads, downloads and checks: "active" ones and "recent" ones."""
        return await self._page("transfers", "status")

    async def _page(self, operation: str, name: str) -> dict[str, Any]:
        doing = f"asking for the {operation}"
        told = await self._json(Request(operation, "GET", [name], {"t": "json"}, doing=doing))
        if not isinstance(told, dict):
            raise NotAGateway(f"{doing}: the answer has an unknown form")
        return told

    async def serve(self, request: WebRequest, cap: Cap, name: str = "") -> None:
        """
        Answer a request of twisted.web with the file of a cap; see `txtahoe.serve`.

        Raises: as `download`, and as `serve`, before it sends anything.
        """
        await serve(request, await self.download(cap), name)

    async def close(self) -> None:
        """
        End all that is under way, for good; return when no connection and no delayed call is left.

        Requests that were sent raise AnswerLost, changes of links UnknownOutcome, and all later
        calls ClientClosed.
        """
        await self._transport.close()
