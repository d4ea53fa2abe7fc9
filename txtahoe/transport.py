"""One request to one gateway: pool, deadline, repeats, and from answer to exception."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from hyperlink import DecodedURL
from treq.client import HTTPClient
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.web.client import URI, Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IResponse
from zope.interface import implementer

from txtahoe.caps import Cap
from txtahoe.deadline import Deadline
from txtahoe.errors import AnswerLost, GatewayUnreachable, NotAGateway, TahoeError, error_for
from txtahoe.streams import Incoming, ISource, Outgoing

T = TypeVar("T")

# The gateway closes idle connections after 60 s; ours must be out of the pool by then.
_IDLE_SECONDS = 45
_CONNECT_SECONDS = 10.0
# After the last byte of an upload the gateway encodes and pushes it before it answers. This is
# the slowest rate, in bytes a second, at which it may do so without running into the deadline.
_PUSH_RATE = 2**20
# A listing of a million children is about this long, in bytes.
_ANSWER_LIMIT = 2**29
_ERROR_LIMIT = 2**20


class Requests(ABC):
    """
    Makes requests to a gateway, or to one of several.

    `gateway`: the URL of it, or of the first of them.
    `pauses`: seconds to wait before each repeat of what is safe to repeat.
    """

    gateway: DecodedURL
    pauses: tuple[float, ...]

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor

    @abstractmethod
    async def open(
        self,
        method: str,
        path: Sequence[str | Cap],
        query: Mapping[str, str] | None = None,
        *,
        doing: str,
        body: ISource | None = None,
        sent: Callable[[int], None] | None = None,
        headers: Mapping[str, str] | None = None,
        expected: Collection[int] = (200, 201, 206),
        changes: bool = False,
    ) -> Incoming:
        """
        Send a request; return its answer as soon as the head of it is here.

        `path`: the segments below the gateway's URL. `doing`: what is tried, for messages.
        `changes`: whether something mutable is changed, which one gateway at a time may do.

        Raises: GatewayUnreachable, AnswerLost, RequestTimeout, NotAGateway, or the TahoeError
        that a status other than the `expected` ones stands for.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close the idle connections."""

    async def ask(
        self,
        method: str,
        path: Sequence[str | Cap],
        query: Mapping[str, str] | None = None,
        *,
        doing: str,
        body: ISource | None = None,
        sent: Callable[[int], None] | None = None,
        repeat: bool = False,
        changes: bool = False,
    ) -> bytes:
        """
        One request and the whole body of its answer.

        `repeat`: the request may safely be made again after a transient error.
        `sent`: called with the number of bytes after each chunk of `body` that went out.

        Raises: as `open`.
        """

        async def once() -> bytes:
            incoming = await self.open(
                method, path, query, doing=doing, body=body, sent=sent, changes=changes
            )
            return await incoming.rest(_ANSWER_LIMIT)

        return await (self.repeat(once) if repeat else once())

    async def repeat(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The result of `attempt`, made again, up to a bound, after transient errors."""
        for pause in self.pauses:
            try:
                return await attempt()
            except TahoeError as error:
                if not error.transient:
                    raise
            await self.sleep(pause)
        return await attempt()

    async def sleep(self, seconds: float) -> None:
        await deferLater(self.reactor, seconds)


class Transport(Requests):
    """
    Requests to one gateway.

    `gateway`: the base URL of its web API, such as `http://127.0.0.1:3456/`.
    `timeout`: seconds that a request may go on without progress.
    `pauses`: seconds to wait before each repeat of what is safe to repeat.
    `agent`: makes the requests in place of one with a pool of connections of its own.

    Raises: ValueError for a URL that is not http or https.
    """

    def __init__(
        self,
        reactor: Any,
        gateway: str,
        *,
        timeout: float = 60.0,
        pauses: Sequence[float] = (0.25, 1.0),
        agent: IAgent | None = None,
    ) -> None:
        super().__init__(reactor)
        self.gateway = gateway_url(gateway)
        self.timeout = timeout
        self.pauses = tuple(pauses)
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._pool.maxPersistentPerHost = 16
        self._pool.cachedConnectionTimeout = _IDLE_SECONDS
        self._pool.retryAutomatically = False
        agent = agent or Agent.usingEndpointFactory(reactor, _Endpoints(reactor), self._pool)
        self._http = HTTPClient(agent)

    async def open(
        self,
        method: str,
        path: Sequence[str | Cap],
        query: Mapping[str, str] | None = None,
        *,
        doing: str,
        body: ISource | None = None,
        sent: Callable[[int], None] | None = None,
        headers: Mapping[str, str] | None = None,
        expected: Collection[int] = (200, 201, 206),
        changes: bool = False,
    ) -> Incoming:
        deadline = Deadline(self.reactor, self.timeout, doing)
        total = 0

        def progress(count: int) -> None:
            nonlocal total
            total += count
            deadline.renew(extra=total / _PUSH_RATE)
            if sent is not None:
                sent(count)

        outgoing = None if body is None else Outgoing(body, progress)
        answer = await deadline.guard(self._exchange(method, path, query, headers, outgoing, doing))
        incoming = Incoming(self.reactor, self.timeout, doing, answer)
        if incoming.status in expected:
            return incoming
        text = (await incoming.rest(_ERROR_LIMIT)).decode("utf-8", "replace")
        raise error_for(incoming.status, text, doing)

    async def close(self) -> None:
        await self._pool.closeCachedConnections()

    async def _exchange(
        self,
        method: str,
        path: Sequence[str | Cap],
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: Outgoing | None,
        doing: str,
    ) -> IResponse:
        try:
            return await self._http.request(
                method,
                # Not kept in a variable: it holds caps, and error pages show variables.
                self.gateway.child(*map(str, path)).replace(query=tuple((query or {}).items())),
                # Plain text: an HTML traceback is harder to read the exception's name from.
                headers=Headers(
                    {"Accept": ["text/plain"], **{k: [v] for k, v in (headers or {}).items()}}
                ),
                data=body,
                allow_redirects=False,
                unbuffered=True,
                reactor=self.reactor,
            )
        except Exception as error:
            if body is not None and body.failure is not None:
                raise body.failure from None
            raise self._network_error(error, doing) from None

    def _network_error(self, error: Exception, doing: str) -> Exception:
        where = self.gateway.to_text()
        causes = _causes(error)
        if any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in causes):
            return CancelledError()
        if any(isinstance(cause, ConnectError | DNSLookupError) for cause in causes):
            return GatewayUnreachable(
                f"{doing}: no Tahoe-LAFS gateway can be reached at {where} "
                f"({str(causes[-1]).rstrip('.')}). Is the node running, and is this its address?"
            )
        names = {type(cause).__name__ for cause in causes}
        if names & {"ParseError", "BadResponseVersion", "Error", "BadHeaders"}:
            return NotAGateway(f"{doing}: what listens at {where} is not a Tahoe-LAFS gateway")
        return AnswerLost(f"{doing}: the connection to {where} was lost")


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """
    Where to connect to for a URL. As Agent's own, but that an IP address is not looked up: this
    takes a thread, and HostnameEndpoint imports the global reactor, which then is installed.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._tls = BrowserLikePolicyForHTTPS()

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        make: Callable[..., IStreamClientEndpoint] = HostnameEndpoint
        if isIPAddress(host):
            make = TCP4ClientEndpoint
        elif isIPv6Address(host):
            make = TCP6ClientEndpoint
        endpoint = make(self._reactor, host, uri.port, timeout=_CONNECT_SECONDS)
        if uri.scheme == b"https":
            return wrapClientTLS(self._tls.creatorForNetloc(uri.host, uri.port), endpoint)
        return endpoint


def gateway_url(text: str) -> DecodedURL:
    """
    The URL of a gateway, without a slash at its end.

    Raises: ValueError, with what is expected.
    """
    try:
        url = DecodedURL.from_text(text)
    except (TypeError, ValueError):
        url = DecodedURL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(
            "a gateway's URL begins with http:// or https:// and a host, "
            "such as http://127.0.0.1:3456/"
        )
    if any(url.userinfo):
        raise ValueError("a gateway's URL with a user or a password is not supported")
    return url.replace(path=[segment for segment in url.path if segment], query=(), fragment="")


def _causes(error: Exception) -> list[Exception]:
    reasons = getattr(error, "reasons", None) or ()
    return [error, *(cause for reason in reasons for cause in _causes(reason.value))]
