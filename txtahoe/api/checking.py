"""Operations that check, repair and renew, on one object or on all below a directory."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from txtahoe.api.operations import Operations, given, require_directory
from txtahoe.api.reports import CheckReport, Entry, parse_entry, parse_report
from txtahoe.caps import Cap, require_cap
from txtahoe.errors import AnswerLost, NotAGateway, RequestTimeout, TahoeError, error_for
from txtahoe.http.deadline import Deadline
from txtahoe.http.request import Request
from txtahoe.http.streams import Incoming
from txtahoe.nodes import parse_json
from txtahoe.sealing import sealed_async

# The slowest rate, in bytes a second, at which the gateway may read a file that it verifies.
_READ_RATE = 2**20
# In bytes: a path of 10,000 characters, with the shares of an object on 1,000 servers.
_LINE_LIMIT = 2**20


class Walk(AsyncIterator[Entry], AbstractAsyncContextManager["Walk"]):
    """
    The objects of a tree, as the gateway meets them.

    At most 1 MiB of lines waits here. The gateway does not slow down for a slow reader: it keeps
    the other lines in its own memory (docs/gateway.md 5). A walk that has ended has met everything:
    one that fails or is cut off raises. An `async with` block closes it at its end.

    `patience`: seconds that an object may take, beyond the transport's timeout.
    `stats`: the gateway's sums over the tree, after the end; None before.
    """

    def __init__(self, incoming: Incoming, doing: str, patience: float = 0.0) -> None:
        self._incoming = incoming
        self._doing = doing
        self._seconds = incoming.seconds + patience
        self._rest = b""
        self._lines: deque[bytes] = deque()
        self.stats: Mapping[str, Any] | None = None

    async def __aexit__(self, *_: object) -> None:
        self.close()

    @sealed_async
    async def __anext__(self) -> Entry:
        """The next object. Raises: AnswerLost, RequestTimeout, or the error that ended the walk."""
        try:
            return await self._entry()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the walk; the gateway then stops, too."""
        self._incoming.abandon()

    async def _entry(self) -> Entry:
        while (line := await self._line()) is not None:
            if not line.startswith(b"{"):
                raise await self._failure(line)
            told = parse_json(line, self._doing)
            if told.get("type") != "stats":
                return parse_entry(told)
            self.stats = told.get("stats", {})
        if self.stats is None:
            raise AnswerLost(f"{self._doing}: the gateway stopped before the end")
        raise StopAsyncIteration

    async def _line(self) -> bytes | None:
        if not self._lines:
            # A line that comes byte by byte has no more time than one that does not come.
            deadline = Deadline(self._incoming.reactor, self._seconds, self._doing)
            try:
                await deadline.guard(self._receive())
            except RequestTimeout as error:
                raise self._incoming.told(error) from None
        return self._lines.popleft() if self._lines else None

    async def _receive(self) -> None:
        """Wait for a line; there is none at the end."""
        while not self._lines:
            data = await self._incoming.read(self._seconds)
            if not data:
                if self._rest:
                    self._lines.append(self._rest)
                    self._rest = b""
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > _LINE_LIMIT:
                raise NotAGateway(f"{self._doing}: a line of the stream has no end")
            self._lines.extend(lines)

    async def _failure(self, line: bytes) -> TahoeError:
        """The error that the rest of the stream, a traceback, tells of."""
        here = b"\n".join([line, *self._lines, self._rest])
        text = (here + await self._incoming.rest(_LINE_LIMIT)).decode("utf-8", "replace")
        # "ERROR: NotEnoughSharesError(…)", then a traceback.
        name = text.partition("\n")[0].removeprefix("ERROR: ").partition("(")[0]
        return error_for(500, f"{name}: {text}", self._doing)


class CheckOperations(Operations):
    """Checks, repairs, leases: of one object, or of a tree as a stream."""

    async def check(
        self, cap: Cap, *, verify: bool = False, repair: bool = False, add_lease: bool = False
    ) -> CheckReport:
        """
        The health of one object.

        `verify`: read every share and compare its hashes, instead of asking which servers have one.
        `repair`: make new shares if some are missing. `add_lease`: keep it for another 31 days.
        """
        require_cap(cap)
        query = given(t="check", output="JSON", verify=verify, repair=repair, add_lease=add_lease)
        # The gateway answers when it has read all, and perhaps written it anew.
        patience = (cap.size or 0) / _READ_RATE if verify or repair else 0.0
        doing = f"checking {cap!r}"
        request = Request(
            "check", "POST", ["uri", cap], query, doing=doing, changes=repair, patience=patience
        )
        return parse_report(await self._json(request))

    async def deep_check(
        self,
        directory: Cap,
        *,
        verify: bool = False,
        repair: bool = False,
        add_lease: bool = False,
        patience: float = 3600.0,
    ) -> Walk:
        """
        Check everything below a directory, itself included. Arguments: as `check`.

        `patience`: seconds that one object may take with `verify` or `repair`, beyond the
        transport's timeout. A gateway reads about 3.5 GiB in an hour at its slowest.
        """
        query = given(t="stream-deep-check", verify=verify, repair=repair, add_lease=add_lease)
        return await self._walk(directory, query, repair, patience if verify or repair else 0.0)

    async def manifest(self, directory: Cap) -> Walk:
        """Everything below a directory, itself included, without checks."""
        return await self._walk(directory, {"t": "stream-manifest"})

    async def _walk(
        self, directory: Cap, query: Mapping[str, str], changes: bool = False, patience: float = 0.0
    ) -> Walk:
        require_directory(directory)
        kind = query["t"].removeprefix("stream-")
        doing = f"{kind} of {directory!r}"
        request = Request(kind, "POST", ["uri", directory], query, doing=doing, changes=changes)
        incoming = await self._transport.repeat(lambda: self._transport.open(request))
        return Walk(incoming, doing, patience)
