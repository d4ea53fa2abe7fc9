"""Operations that check, repair and renew, on one object or on all below a directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from secrets import token_hex
from typing import Any, Self

from txtahoe.api.operations import Operations, given, require_directory
from txtahoe.api.reports import CheckReport, Entry, parse_entry, parse_report
from txtahoe.caps import Cap, require_cap
from txtahoe.errors import AnswerLost, NotAGateway, RequestTimeout, TahoeError, error_for
from txtahoe.http.deadline import Deadline
from txtahoe.http.request import BaseTransport, Request
from txtahoe.http.streams import Incoming
from txtahoe.nodes import parse_json
from txtahoe.sealing import sealed_async

# The slowest rate, in bytes a second, at which the gateway may read a file that it verifies.
_READ_RATE = 2**20
# In bytes: a path of 10,000 characters, with the shares of an object on 1,000 servers.
_LINE_LIMIT = 2**20


class Walk:
    """
    The objects of a tree, as the gateway meets them: an asynchronous iterator.

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
        self._lines: list[bytes] = []
        self.stats: Mapping[str, Any] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    @sealed_async
    async def __anext__(self) -> Entry:
        """
        The next object.

        Raises: the error with which the walk failed; AnswerLost where it was cut off;
        RequestTimeout.
        """
        try:
            return await self._entry()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Want no more; the gateway then stops its walk."""
        self._incoming.abandon()

    async def _entry(self) -> Entry:
        while (line := await self._next_line()) is not None:
            if not line.startswith(b"{"):
                raise await self._failure(line)
            told = parse_json(line, self._doing)
            if told.get("type") != "stats":
                return parse_entry(told)
            self.stats = told.get("stats", {})
        if self.stats is None:
            raise AnswerLost(f"{self._doing}: the gateway stopped before the end")
        raise StopAsyncIteration

    async def _next_line(self) -> bytes | None:
        if not self._lines:
            # A line that comes byte by byte has no more time than one that does not come.
            deadline = Deadline(self._incoming.reactor, self._seconds, self._doing)
            try:
                self._lines = (await deadline.guard(self._next_lines()))[::-1]
            except RequestTimeout as error:
                self._incoming.failed(error)
                raise
        return self._lines.pop() if self._lines else None

    async def _next_lines(self) -> list[bytes]:
        """At least one line; none at the end."""
        while data := await self._incoming.read(self._seconds):
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > _LINE_LIMIT:
                raise NotAGateway(f"{self._doing}: a line of the stream has no end")
            if lines:
                return lines
        last, self._rest = self._rest, b""
        return [last] if last else []

    async def _failure(self, line: bytes) -> Exception:
        """The error that the rest of the stream, a traceback, tells of."""
        here = b"\n".join([line, *self._lines[::-1], self._rest])
        text = (here + await self._incoming.rest(_LINE_LIMIT)).decode("utf-8", "replace")
        # "ERROR: NotEnoughSharesError(…)", then a traceback.
        name = text.partition("\n")[0].removeprefix("ERROR: ").partition("(")[0]
        return error_for(500, f"{name}: {text}", self._doing)


class Operation:
    """
    A slow operation that the gateway goes on with by itself. Of several gateways it is the first:
    the others do not know the handle.

    `handle`: the name under which the gateway keeps it, also after this client has gone.
    """

    def __init__(self, transport: BaseTransport, handle: str) -> None:
        self._operations = Operations(transport)
        self._transport = transport
        self.handle = handle

    async def poll(
        self, *, retain_for: int | None = None, release_after_complete: bool = False
    ) -> dict[str, Any]:
        """
        What the gateway says of it now; "finished" tells whether it is.

        `retain_for`: seconds that the gateway is to keep it from now on.

        Raises: NoSuchChild for a handle that is not known any more; the error it ended with.
        """
        query = given(
            output="JSON", retain_for=retain_for, release_after_complete=release_after_complete
        )
        doing = "asking about an operation"
        path = ["operations", self.handle]
        return await self._operations._object("GET", path, query, doing, changes=True)

    async def wait(
        self, progress: Callable[[dict[str, Any]], None] | None = None, pause: float = 0.5
    ) -> dict[str, Any]:
        """
        The results, once it is finished; the gateway forgets it when they are here.

        `progress`: called with what `poll` gives, every `pause` seconds. Raises: as `poll`.
        """
        while True:
            told = await self.poll()
            if progress is not None:
                progress(told)
            if told.get("finished", True):
                with suppress(TahoeError):  # the gateway forgets it by itself, within a day
                    await self.cancel()
                return told
            await self._transport.sleep(pause)

    async def cancel(self) -> None:
        """Stop it, and have the gateway forget it. Raises: NoSuchChild."""
        path = ["operations", self.handle]
        doing = "cancelling an operation"
        request = Request("POST", path, {"t": "cancel"}, doing=doing, changes=True)
        # Its body, the results as a page, is not wanted.
        (await self._transport.open(request)).abandon()


class CheckOperations(Operations):
    """Checks, repairs, leases; one object at once, or a tree by stream or by handle."""

    async def check(
        self, cap: Cap, *, verify: bool = False, repair: bool = False, add_lease: bool = False
    ) -> CheckReport:
        """
        The health of one object.

        `verify`: read every share and compare its hashes, instead of asking who has them.
        `repair`: make new shares where some are missing. `add_lease`: keep it for another 31 days.
        """
        require_cap(cap)
        query = given(t="check", output="JSON", verify=verify, repair=repair, add_lease=add_lease)
        doing = f"checking {cap!r}"
        # The gateway answers when all is read, and perhaps written anew.
        patience = (cap.size or 0) / _READ_RATE if verify or repair else 0.0
        return parse_report(
            await self._json("POST", ["uri", cap], query, doing, changes=repair, patience=patience)
        )

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
        arguments = {"verify": verify, "repair": repair, "add_lease": add_lease}
        patience = patience if verify or repair else 0.0
        return await self._walk("stream-deep-check", directory, patience, **arguments)

    async def manifest(self, directory: Cap) -> Walk:
        """Everything below a directory, itself included, without checks."""
        return await self._walk("stream-manifest", directory)

    async def start_deep_check(
        self,
        directory: Cap,
        *,
        verify: bool = False,
        repair: bool = False,
        add_lease: bool = False,
        retain_for: int | None = None,
    ) -> Operation:
        """As `deep_check`, by handle. `retain_for`: seconds to keep it after its end."""
        arguments = {"verify": verify, "repair": repair, "add_lease": add_lease}
        return await self._start("start-deep-check", directory, retain_for, **arguments)

    async def start_manifest(self, directory: Cap, *, retain_for: int | None = None) -> Operation:
        """As `manifest`, by handle."""
        return await self._start("start-manifest", directory, retain_for)

    async def start_deep_size(self, directory: Cap, *, retain_for: int | None = None) -> Operation:
        """The sum of the sizes of everything below a directory, in bytes."""
        return await self._start("start-deep-size", directory, retain_for)

    async def start_deep_stats(self, directory: Cap, *, retain_for: int | None = None) -> Operation:
        """Numbers and sizes of everything below a directory."""
        return await self._start("start-deep-stats", directory, retain_for)

    async def _walk(
        self, operation: str, directory: Cap, patience: float = 0.0, **arguments: bool
    ) -> Walk:
        require_directory(directory)
        doing = f"{operation} of {directory!r}"
        query = given(t=operation, **arguments)
        changes = arguments.get("repair", False)
        request = Request("POST", ["uri", directory], query, doing=doing, changes=changes)
        incoming = await self._transport.repeat(lambda: self._transport.open(request))
        return Walk(incoming, doing, patience)

    async def _start(
        self, operation: str, directory: Cap, retain_for: int | None, **arguments: bool
    ) -> Operation:
        require_directory(directory)
        handle = token_hex(16)
        query = given(t=operation, ophandle=handle, retain_for=retain_for, **arguments)
        doing = f"{operation} of {directory!r}"
        # The answer leads to the handle, which is known.
        request = Request(
            "POST", ["uri", directory], query, doing=doing, expected=(302,), changes=True
        )
        answer = await self._transport.open(request)
        answer.abandon()
        return Operation(self._transport, handle)
