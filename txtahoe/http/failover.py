"""Several gateways to one grid: reads and uploads go on when one of them is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from logging import getLogger

from txtahoe.caps import redact
from txtahoe.errors import (
    AnswerLost,
    GatewayError,
    GatewayUnreachable,
    NotAGateway,
    NotAuthorized,
    NotEnoughServers,
    RequestTimeout,
    TahoeError,
    Unrecoverable,
)
from txtahoe.http.request import BaseTransport, Request
from txtahoe.http.streams import Incoming
from txtahoe.http.transport import Transport

logger = getLogger("txtahoe")

# The gateway is in trouble: for a while this asks the others before it.
_AWAY = (
    AnswerLost,
    GatewayError,
    GatewayUnreachable,
    NotAGateway,
    NotAuthorized,
    RequestTimeout,
)
# Another gateway may see more servers than this one.
_ELSEWHERE = (*_AWAY, NotEnoughServers, Unrecoverable)


class Gateways(BaseTransport):
    """
    Requests to the first of several gateways that answers.

    If a gateway refuses, times out or fails, or its answer breaks off, this asks the others first
    for `rest` seconds. An upload goes on at the next gateway from the start of its source, if that
    can be read again.

    One gateway alone changes directories and mutable files: two gateways that write the same
    directory lose links. `writer` gives it, and it need not be in the list; without `writer` it is
    the first of the list. If it is away, changes fail. With `next_may_change` the next gateway of
    the list makes them then; set it only if no other program has another gateway first.
    """

    def __init__(
        self,
        transports: Sequence[Transport],
        *,
        writer: Callable[[], Awaitable[Transport]] | None = None,
        rest: float = 30.0,
        next_may_change: bool = False,
    ) -> None:
        if not transports:
            raise ValueError("at least one gateway is needed")
        if writer is not None and next_may_change:
            raise ValueError("with a writer no other gateway may make changes")
        super().__init__(transports[0].reactor)
        self.gateway = transports[0].gateway
        self.timeout = transports[0].timeout
        self.pauses = transports[0].pauses
        self.observer = transports[0].observer
        self._transports = list(transports)
        self._writer = writer
        self._rest = rest
        self._next_may_change = next_may_change
        self._away_until: dict[Transport, float] = {}
        self._all = set(transports)

    async def open(self, request: Request) -> Incoming:
        # The next gateway must not make a change that may have been made already.
        moves_on = (GatewayUnreachable,) if request.changes else _ELSEWHERE
        self._require_open(request.doing)
        candidates = await self._candidates(request.changes)
        for transport in candidates:
            try:
                answer = await transport.open(request)
                answer.failed = partial(self._broke_off, transport, request)
                return answer
            except moves_on as error:
                self._note(transport, error)
                is_over = transport is candidates[-1] or self.is_closed
                if is_over and request.changes and not self._next_may_change:
                    raise type(error)(f"{error} No other gateway makes changes.") from error
                # Some bytes of a source that can be read once may be gone.
                is_spent = request.body is not None and not request.body.repeatable
                if is_over or (is_spent and not isinstance(error, GatewayUnreachable)):
                    raise
                logger.info("asking the next gateway: %s", error)
        raise AssertionError("there is at least one candidate")

    async def close(self) -> None:
        await super().close()
        for transport in self._all:
            await transport.close()

    async def _candidates(self, changes: bool) -> list[Transport]:
        if changes and not self._next_may_change:
            writer = self._transports[0] if self._writer is None else await self._writer()
            self._all.add(writer)
            return [writer]
        # Stable sorting: gateways that are not away come first, in the order of the list.
        return sorted(self._transports, key=self._is_away)

    def _is_away(self, transport: Transport) -> bool:
        return bool(self._away_until.get(transport, 0.0) > self.reactor.seconds())

    def _broke_off(self, transport: Transport, request: Request, error: TahoeError) -> None:
        self._note(transport, error)
        if not request.changes and not all(map(self._is_away, self._transports)):
            error.transient = True  # the next attempt asks another gateway

    def _note(self, transport: Transport, error: TahoeError) -> None:
        # A request that `close` ends tells nothing of its gateway.
        if isinstance(error, _AWAY) and not self.is_closed:
            is_one_of_several = len(self._transports) > 1 and transport in self._transports
            if is_one_of_several and not self._is_away(transport):
                where = redact(transport.gateway.to_text())
                logger.warning(
                    "reads and uploads pass over %s for %g seconds: %s", where, self._rest, error
                )
            self._away_until[transport] = self.reactor.seconds() + self._rest
