"""The web API of one gateway: caps and bytes in, values out."""

from __future__ import annotations

from typing import Any, Self

from txtahoe.checking import CheckOperations
from txtahoe.directories import DirectoryOperations
from txtahoe.errors import NotEnoughServers, TahoeError
from txtahoe.nodes import GatewayStatus


class Client(DirectoryOperations, CheckOperations):
    """
    The operations of Tahoe-LAFS's `docs/frontends/webapi.rst`: those on files, on directories, of
    checking, and on the gateway itself. An `async with` block closes the client at its end.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def reactor(self) -> Any:
        """The reactor in which the requests are made."""
        return self._transport.reactor

    async def wait_ready(self, servers: int, timeout: float) -> GatewayStatus:
        """
        Wait until the gateway is connected to at least `servers` storage servers.

        A gateway that has just started knows few or none: reads fail then, and a directory may be
        written to fewer servers than wanted, without an error.

        Raises: NotEnoughServers, or the gateway's own error, after `timeout` seconds.
        """
        deadline = self._transport.reactor.seconds() + timeout
        while True:
            try:
                status = await self.status(changes=True)
                if status.connected >= servers:
                    return status
                failure: TahoeError = NotEnoughServers(
                    f"the gateway is connected to {status.connected} storage servers of the "
                    f"{servers} that are wanted, after {timeout:g} seconds"
                )
            except TahoeError as error:
                failure = error
            if self._transport.reactor.seconds() >= deadline:
                raise failure
            await self._transport.sleep(0.25)

    async def statistics(self) -> dict[str, Any]:
        """The gateway's counters and statistics, as it words them: "counters" and "stats"."""
        doing = "asking for the statistics"
        found: dict[str, Any] = await self._json("GET", ["statistics"], {"t": "json"}, doing)
        return found

    async def transfers(self) -> dict[str, Any]:
        """The gateway's uploads, downloads and checks: "active" ones and "recent" ones."""
        doing = "asking for the transfers"
        found: dict[str, Any] = await self._json("GET", ["status"], {"t": "json"}, doing)
        return found

    async def close(self) -> None:
        """Close the idle connections to the gateway."""
        await self._transport.close()
