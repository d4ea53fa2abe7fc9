"""One request to one gateway: pool, deadline, repeats, and from answer to exception."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from hyperlink import DecodedURL
from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.client import URI, Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IResponse
from zope.interface import implementer

from txtahoe.deadline import Deadline
from txtahoe.errors import (
    AnswerLost,
    GatewayRefused,
    GatewayUnreachable,
    NotAGateway,
    NotSecure,
    RequestTimeout,
    error_for,
)
from txtahoe.requests import Request, Requests
from txtahoe.sealing import sealed
from txtahoe.streams import Incoming, Outgoing, SourceFailed
from txtahoe.terms import timeout

# The gateway closes idle connections after 60 s; ours must be out of the pool by then.
_IDLE_SECONDS = 45
_CONNECT_SECONDS = 10.0
# After the last byte of an upload the gateway encodes and pushes it before it answers. This is
# the slowest rate, in bytes a second, at which it may do so without running into the deadline.
_PUSH_RATE = 2**20
_ERROR_LIMIT = 2**20


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

    async def open(self, request: Request) -> Incoming:
        seconds = timeout(self.timeout)
        deadline = Deadline(self.reactor, seconds + request.patience, request.doing)
        total = 0

        def progress(count: int) -> None:
            nonlocal total
            total += count
            deadline.renew(extra=total / _PUSH_RATE)
            if request.sent is not None:
                request.sent(count)

        body = None if request.body is None else Outgoing(request.body, progress)
        try:
            answer = await deadline.guard(self._exchange(request, body))
        except RequestTimeout:
            if body is not None and body.is_asking:
                raise self._silent_source(request.doing) from None
            raise
        finally:
            if body is not None:
                await self._end(body, request.doing)
        incoming = Incoming(self.reactor, seconds, request.doing, answer)
        if incoming.status in request.expected:
            return incoming
        raise error_for(incoming.status, await incoming.rest(_ERROR_LIMIT), request.doing)

    async def close(self) -> None:
        await self._pool.closeCachedConnections()

    async def _end(self, body: Outgoing, doing: str) -> None:
        """Wait until nothing reads from the body's source. Raises: SourceFailed."""
        try:
            await Deadline(self.reactor, timeout(self.timeout), doing).guard(body.end())
        except RequestTimeout:
            raise self._silent_source(doing) from None

    def _silent_source(self, doing: str) -> SourceFailed:
        seconds = timeout(self.timeout)
        return SourceFailed(
            RequestTimeout(f"{doing}: the source gave no bytes for {seconds:g} seconds")
        )

    async def _exchange(self, request: Request, body: Outgoing | None) -> IResponse:
        # Plain text: an HTML traceback is harder to read the exception's name from.
        headers = {"Accept": "text/plain", **request.headers}
        try:
            return await self._http.request(
                request.method,
                # Not kept in a variable: it holds caps, and error pages show variables.
                self.gateway.child(*map(str, request.path)).replace(query=request.query),
                headers=Headers({name: [value] for name, value in headers.items()}),
                data=body,
                allow_redirects=False,
                unbuffered=True,
                reactor=self.reactor,
            )
        except Exception as error:
            if body is not None and body.failure is not None:
                raise SourceFailed(body.failure) from None
            raise self._network_error(error, request.doing) from None

    def _network_error(self, error: Exception, doing: str) -> Exception:
        where = self.gateway.to_text()
        causes = _causes(error)
        if any(isinstance(cause, CancelledError | ConnectingCancelledError) for cause in causes):
            return CancelledError()
        if any(isinstance(cause, ConnectError | DNSLookupError) for cause in causes):
            is_refused = any(isinstance(cause, ConnectionRefusedError) for cause in causes)
            return (GatewayRefused if is_refused else GatewayUnreachable)(
                f"{doing}: no Tahoe-LAFS gateway can be reached at {where} "
                f"({str(causes[-1]).rstrip('.')}). Is the node running, and is this its address?"
            )
        if any(isinstance(cause, TLSError | VerificationError) for cause in causes):
            reason = _tls_reason(causes[-1])
            return NotSecure(f"{doing}: no secure connection to {where} could be made ({reason})")
        names = {type(cause).__name__ for cause in causes}
        if names & {"ParseError", "BadResponseVersion", "BadHeaders"}:
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
            creator = self._tls.creatorForNetloc(uri.host, uri.port)
            return _Secure(self._reactor, creator, endpoint)
        return endpoint


@implementer(IStreamClientEndpoint)
@frozen
class _Secure:
    """
    TLS over another endpoint. As `wrapClientTLS`, whose writes wait for the global reactor in
    releases of Twisted that do not let it be told another clock.
    """

    _reactor: Any
    _creator: Any
    _endpoint: IStreamClientEndpoint

    def connect(self, factory: Any) -> Deferred[Any]:
        secure = TLSMemoryBIOFactory(self._creator, True, factory, clock=self._reactor)
        connecting: Deferred[Any] = self._endpoint.connect(secure)
        return connecting.addCallback(lambda protocol: protocol.wrappedProtocol)


@sealed
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


def _tls_reason(error: Exception) -> str:
    """OpenSSL tells (library, function, reason), of each of several errors."""
    match error.args:
        case ([*_, (_, _, str(reason))],):
            return reason
    return "its certificate is for another host"
