"""A request as a value, and the base of transports, which make requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from itertools import count
from logging import getLogger
from typing import Any, TypeVar

from attrs import field, frozen
from hyperlink import DecodedURL
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, gatherResults
from twisted.internet.task import deferLater

from txtahoe.caps import Cap
from txtahoe.errors import ClientClosed, NotEnoughServers, TahoeError
from txtahoe.http.clock import keep_steady
from txtahoe.http.events import Observer
from txtahoe.http.sources import ISource, SourceFailed
from txtahoe.http.streams import Incoming

T = TypeVar("T")

logger = getLogger("txtahoe")

# A listing of a million children is about this long, in bytes.
_ANSWER_LIMIT = 2**29


def _require_utf_8(
    request: object, attribute: object, given: Sequence[str | Cap] | Mapping[str, str]
) -> None:
    for text in given.values() if isinstance(given, Mapping) else given:
        if isinstance(text, str):
            text.encode()


@frozen
class Request:
    """
    A request to a gateway.

    `operation`: a stable word for it, for observers. `doing`: the attempt in words, for messages.
    `path`: the segments below the gateway's URL.
    `sent`: called with the number of bytes after each chunk of `body` that went out.
    `expected`: the statuses that are no error.
    `changes`: whether it changes something mutable, which one gateway at a time may do.
    `patience`: seconds that the answer may take beyond the transport's timeout.
    `attempts`: counts the attempts.

    Raises: ValueError for a name in `path` or `query` that UTF-8 cannot encode, and so no URL can
    hold.
    """

    operation: str
    method: str
    path: Sequence[str | Cap] = field(validator=_require_utf_8)
    query: Mapping[str, str] = field(factory=dict, validator=_require_utf_8, repr=False)
    doing: str = field(kw_only=True)
    body: ISource | None = field(kw_only=True, default=None, repr=False)
    sent: Callable[[int], None] | None = field(kw_only=True, default=None, repr=False)
    headers: Mapping[str, str] = field(kw_only=True, factory=dict)
    expected: Collection[int] = field(kw_only=True, default=(200, 201, 206))
    changes: bool = field(kw_only=True, default=False)
    patience: float = field(kw_only=True, default=0.0)
    attempts: Iterator[int] = field(kw_only=True, factory=count, eq=False, repr=False)


class BaseTransport(ABC):
    """
    Makes requests to a gateway, or to one of several.

    `gateway`: the URL of it, or of the first of them.
    `timeout`: seconds that a request may go on without progress.
    `pauses`: seconds to wait before each repeat of a request that is safe to repeat.
    `observer`: called with an Event for each request.
    """

    gateway: DecodedURL
    timeout: float
    pauses: tuple[float, ...]
    observer: Observer | None

    def __init__(self, reactor: Any) -> None:
        keep_steady(reactor)
        self.reactor = reactor
        self.is_closed = False
        # Each piece of work, with a Deferred that fires when it is over.
        self._under_way: dict[Deferred[Any], Deferred[None]] = {}

    @abstractmethod
    async def open(self, request: Request) -> Incoming:
        """
        Send a request; return its answer as soon as the head of it is here.

        Raises: GatewayUnreachable, AnswerLost, RequestTimeout, NotAGateway, ClientClosed, or the
        TahoeError that an unexpected status stands for; SourceFailed with the error of a body's
        source.
        """

    async def close(self) -> None:
        """
        End all that is under way, for good; return when nothing of it is left.

        Requests that were sent raise AnswerLost, all later ones ClientClosed.
        """
        self.is_closed = True
        under_way = dict(self._under_way)
        for work in under_way:
            work.cancel()
        await gatherResults(under_way.values())

    async def ask(self, request: Request, *, repeat: bool = False) -> bytes:
        """
        Send a request; return the whole body of its answer.

        `repeat`: it may safely be made again after a transient error.

        Raises: as `open`, but the error of a body's source as it is.
        """

        async def once() -> bytes:
            incoming = await self.open(request)
            if (incoming.length or 0) < _ANSWER_LIMIT:
                body = await incoming.rest(_ANSWER_LIMIT)
                if len(body) < _ANSWER_LIMIT:
                    return body
            incoming.abandon()
            raise TahoeError(
                f"{request.doing}: the answer has more than {_ANSWER_LIMIT:,} bytes, and "
                "is not kept in memory"
            )

        try:
            return await (self.repeat(once) if repeat else once())
        except SourceFailed as failed:
            error = failed.error
        raise error  # not in the block above, which would replace the cause of the error

    async def repeat(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of `attempt`, made again after each transient error, as often as `pauses`."""
        pauses = list(self.pauses)
        while pauses:
            try:
                return await attempt()
            except TahoeError as error:
                if not error.transient or self.is_closed:
                    raise
                if isinstance(error, NotEnoughServers):  # it may cost a whole upload to learn
                    del pauses[1:]
                failure = error
            await self.pause(pauses.pop(0), failure)
        return await attempt()

    async def pause(self, seconds: float, failure: TahoeError) -> None:
        """Wait before a request that failed is made again. Raises: as `sleep`."""
        self._require_open("a pause")
        logger.info("trying again in %g seconds: %s", seconds, failure)
        await self.sleep(seconds)

    async def sleep(self, seconds: float) -> None:
        """Raises: ClientClosed, as soon as `close` is called."""
        await self._until_closed(lambda: deferLater(self.reactor, seconds), "a pause")

    async def _until_closed(
        self, begin: Callable[[], Coroutine[Deferred[Any], Any, T] | Deferred[T]], doing: str
    ) -> T:
        """The result of work that `close` cancels. Raises: ClientClosed."""
        self._require_open(doing)
        work = ensureDeferred(begin())
        self._under_way[work] = Deferred()
        try:
            return await work
        except CancelledError:
            self._require_open(doing)
            raise
        finally:
            self._under_way.pop(work).callback(None)

    def _require_open(self, doing: str) -> None:
        if self.is_closed:
            raise ClientClosed(f"{doing}: the client is closed; make another one") from None
