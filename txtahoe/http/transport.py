"""Requests to one gateway: pool, deadline, and an exception for each way to fail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from attrs import frozen
from hyperlink import URL, DecodedURL
from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet import error as network
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from txtahoe.caps import redact
from txtahoe.errors import (
    AnswerLost,
    GatewayRefused,
    GatewayUnreachable,
    NotAGateway,
    NotSecure,
    RequestTimeout,
    error_for,
)
from txtahoe.http.connections import Connections, HeadTooLong, NoHandshake
from txtahoe.http.deadline import Deadline
from txtahoe.http.events import Event, Exchange, Observer
from txtahoe.http.request import BaseTransport, Request
from txtahoe.http.security import BadSecurity, Security, Untrusted
from txtahoe.http.sources import SourceFailed
from txtahoe.http.streams import Incoming, Outgoing
from txtahoe.http.terms import headers, timeout
from txtahoe.sealing import sealed

# The gateway closes idle connections after 60 s; ours must be out of the pool by then.
_IDLE_SECONDS = 45
# After the last byte of an upload the gateway encodes and pushes it before it answers. This is
# the slowest rate, in bytes a second, at which it may do so without running into the deadline.
_PUSH_RATE = 2**20
_ERROR_LIMIT = 2**20
# treq takes all requests to be for this URL; see `_Addressed`.
_ANY_GATEWAY = DecodedURL.from_text("http://gateway")
_SOCKET = "unix:/run/tahoe/gateway.sock"
_LONGEST_SOCKET = 107  # bytes of a path that Linux takes
# A host that a machine may know, such as one that Docker Compose has named.
_LOCAL_NAME = re.compile(r"([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.ASCII | re.IGNORECASE)


class Transport(BaseTransport):
    """
    Requests to one gateway.

    `gateway`: the base URL of its web API, such as `http://127.0.0.1:3456/`, or its Unix socket,
    such as `unix:/run/tahoe/gateway.sock`.
    `timeout`: seconds that a request may go on without progress.
    `pauses`: seconds to wait before each repeat of a request that is safe to repeat.
    `agent`: an IAgent that makes the requests, through Tor, say; without it, an Agent with a pool
    of its own. It makes its own TLS, and must look at certificates itself.
    `security`: authorities, a certificate and credentials. Nothing of it goes to another server:
    no redirect is followed.
    `observer`: called with an Event for each request that has ended, in the reactor thread, and in
    the context (as of `contextvars`) in which the request began. It must not block.

    Raises: ValueError for another URL, for a `timeout` that is not above 0, and for a socket or TLS
    of `security` beside an `agent`.
    """

    def __init__(
        self,
        reactor: Any,
        gateway: str,
        *,
        timeout: float = 60.0,
        pauses: Sequence[float] = (0.25, 1.0),
        agent: Any = None,
        security: Security | None = None,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(reactor)
        self.gateway = gateway_url(gateway)
        security = security or Security()
        known = security.gateways
        # As texts: hyperlink cannot compare URLs with an address of IPv6.
        if known is not None and self.gateway.to_text() not in map(_text, known):
            security = Security(ca_file=security.ca_file)
        if agent is not None and (security.ca_file or security.client_certificate):
            raise ValueError("an agent makes its own TLS: give the files to it")
        is_socket = self.gateway.scheme == "unix"
        if agent is not None and is_socket:  # it would take caps to port 80 of some host
            raise ValueError("an agent reaches no Unix socket: give a URL of http or https")
        if not timeout > 0:
            raise ValueError(f"timeout is {timeout}: give a number of seconds above 0")
        self.timeout = timeout
        self.pauses = tuple(pauses)
        self.observer = observer
        self._shown = redact(self.gateway.to_text())
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._pool.maxPersistentPerHost = 64
        self._pool.cachedConnectionTimeout = _IDLE_SECONDS
        self._pool.retryAutomatically = False
        self._connections = Connections(reactor, self.gateway, security)
        agent = agent or Agent.usingEndpointFactory(reactor, self._connections, self._pool)
        url = "http://localhost" if is_socket else url_text(self.gateway)
        self._http = HTTPClient(_Addressed(agent, url.encode("ascii"), security))
        self._answers: WeakSet[Incoming] = WeakSet()

    async def open(self, request: Request) -> Incoming:
        self._require_open(request.doing)  # else there is no request to tell of
        repeats = next(request.attempts)
        begun = Event(request.operation, request.method, self._shown, repeats=repeats)
        exchange = Exchange(self.observer, self.reactor.seconds, begun)
        try:
            answer = await self._until_closed(lambda: self._open(request, exchange), request.doing)
        except Exception as error:
            exchange.end(error)
            raise
        answer.when_ended(exchange.end)
        return answer

    async def _open(self, request: Request, exchange: Exchange) -> Incoming:
        doing, seconds = request.doing, timeout(self.timeout)
        deadline = Deadline(self.reactor, seconds + request.patience, doing)

        def sent(count: int) -> None:
            exchange.sent += count
            deadline.renew(extra=exchange.sent / _PUSH_RATE)
            if request.sent is not None:
                request.sent(count)

        body = None if request.body is None else Outgoing(request.body, sent)
        silent = RequestTimeout(f"{doing}: the source gave no bytes for {seconds:g} seconds")
        try:
            answer = await deadline.guard(self._exchange(request, body, deadline))
        except RequestTimeout:
            if body is not None and body.is_asking:
                raise SourceFailed(silent) from None
            raise
        finally:
            if body is not None:
                try:
                    await Deadline(self.reactor, seconds, doing).guard(body.end())
                except RequestTimeout:
                    raise SourceFailed(silent) from None
        incoming = exchange.answer = Incoming(self.reactor, seconds, doing, answer)
        self._answers.add(incoming)
        if incoming.status in request.expected:
            return incoming
        raise error_for(incoming.status, await incoming.rest(_ERROR_LIMIT), doing)

    async def close(self) -> None:
        await super().close()
        for answer in list(self._answers):
            answer.abandon(AnswerLost("the client was closed"))
        await self._connections.close()
        await self._pool.closeCachedConnections()

    async def _exchange(
        self, request: Request, body: Outgoing | None, deadline: Deadline
    ) -> IResponse:
        try:
            return await self._http.request(
                request.method,
                # Not kept in variables: caps and tokens are in it, and error pages show variables.
                _ANY_GATEWAY.child(*map(str, request.path)).replace(query=request.query),
                # Plain text: an HTML traceback is harder to read the exception's name from.
                headers=Headers({"Accept": ["text/plain"], **headers(request.headers)}),
                data=body,
                allow_redirects=False,
                unbuffered=True,
                reactor=self.reactor,
            )
        except Exception as error:
            if body is not None and body.failure is not None:
                raise SourceFailed(body.failure) from None
            raise self._network_error(error, request.doing, deadline.is_over) from None

    def _network_error(self, error: Exception, doing: str, is_late: bool) -> Exception:
        where = self.gateway.to_text()
        causes = _causes(error)

        def is_any(*kinds: type[Exception]) -> bool:
            return any(isinstance(cause, kinds) for cause in causes)

        was_connecting = is_any(network.ConnectingCancelledError)
        no_connection = is_late and was_connecting
        if no_connection or is_any(network.ConnectError, network.DNSLookupError):
            reason = "no connection in time" if no_connection else str(causes[-1]).rstrip(".")
            kind = GatewayRefused if is_any(network.ConnectionRefusedError) else GatewayUnreachable
            return kind(
                f"{doing}: no Tahoe-LAFS gateway can be reached at {where} "
                f"({reason}). Is the node running, and is this its address?"
            )
        if was_connecting:
            return CancelledError()
        if is_any(CancelledError):
            if is_late or not self.is_closed:
                return CancelledError()
            return AnswerLost(f"{doing}: the client was closed before the answer came")
        if is_any(BadSecurity):
            return NotSecure(f"{doing}: nothing is sent to {where}: {causes[-1]}")
        if is_any(TLSError, VerificationError, Untrusted, NoHandshake):
            reason = _tls_reason(causes[-1])
            return NotSecure(f"{doing}: no secure connection to {where} could be made ({reason})")
        is_garbled = isinstance(error, ResponseFailed) and not is_any(network.ConnectionClosed)
        if is_garbled or is_any(HeadTooLong):
            return NotAGateway(f"{doing}: the server at {where} is not a Tahoe-LAFS gateway")
        is_plain = self.gateway.scheme == "http" and self._connections.has_answered is False
        hint = ". If it speaks https, say https://" if is_plain else ""
        return AnswerLost(f"{doing}: the connection to {where} was lost{hint}")


@implementer(IAgent)
@frozen
class _Addressed:
    """
    Sends requests for `_ANY_GATEWAY` to a gateway: treq does not take all hosts that gateways can
    have, such as addresses of IPv6 and names with an underscore.

    It unpacks no answer: treq would unpack all at once, and 26 KB can unpack to 16 GB.
    """

    _agent: IAgent
    _gateway: bytes
    _security: Security

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803
    ) -> Deferred[IResponse]:
        below = uri.removeprefix(b"http://gateway")
        plain = headers.copy() if headers else Headers()
        plain.setRawHeaders("Accept-Encoding", ["identity"])
        for name, value in self._security.headers().items():
            plain.setRawHeaders(name, [value])
        asked = self._agent.request(method, self._gateway + below, plain, bodyProducer)
        return asked.addCallback(_packed)


def _text(gateway: str) -> str:
    return gateway_url(gateway).to_text()


def _packed(answer: IResponse) -> IResponse:
    # Encodings are of any case; treq knows "gzip" alone.
    encodings = answer.headers.getRawHeaders("Content-Encoding")
    if encodings:
        upper = [encoding.replace("gzip", "GZIP") for encoding in encodings]
        answer.headers.setRawHeaders("Content-Encoding", upper)
    return answer


@sealed
def gateway_url(text: str) -> DecodedURL:
    """A gateway's URL, without blanks around it or a slash at its end. Raises: ValueError."""
    scheme, colon, rest = str(text).strip().partition(":")
    scheme = scheme.lower()
    try:
        url = DecodedURL.from_text(f"{scheme}{colon}{rest}")
    except (TypeError, ValueError):
        url = DecodedURL()
    path = [segment for segment in url.path if segment]
    if scheme == "unix":
        return _socket_url(url, path)
    if scheme not in ("http", "https") or not url.host:
        raise ValueError(
            "a gateway's URL begins with http:// or https:// and a host, "
            f"such as http://127.0.0.1:3456/; or it is like {_SOCKET}"
        )
    if any(url.userinfo):
        raise ValueError("a gateway's URL with a user or a password is not supported")
    if not 0 < (url.port or 0) < 2**16:
        raise ValueError(f"the port of a gateway's URL must be from 1 to 65535, not {url.port}")
    return url.replace(host=_host(url), path=path, query=(), fragment="")


def _socket_url(url: DecodedURL, path: list[str]) -> DecodedURL:
    if url.host or not (url.rooted and path):
        raise ValueError(f"a Unix socket is given by its whole path, such as {_SOCKET}")
    if len("/".join(["", *path]).encode()) > _LONGEST_SOCKET:
        raise ValueError(f"the path of a Unix socket has {_LONGEST_SOCKET} bytes at most")
    return DecodedURL(URL(scheme="unix", rooted=True)).child(*path)


def url_text(url: DecodedURL) -> str:
    """The text of a URL, for the wire. hyperlink itself encodes not all hosts of gateways."""
    return url.replace(host="").to_uri().replace(host=url.encoded_url.host).to_text()


def _host(url: DecodedURL) -> str:
    """The host of a URL, as resolvers take it. Raises: ValueError."""
    if ":" in url.host:
        return url.host
    try:
        return str(URL(scheme="http", host=url.host).to_uri().host)
    except UnicodeError:  # not a name as the rules for international ones have it
        if not _LOCAL_NAME.fullmatch(url.host):
            raise ValueError(f"{redact(url.host)!r} is not the name of a host") from None
    if url.scheme == "https":
        raise ValueError(
            f"{url.host!r} is a name that no certificate can be for: give the host another one, "
            "without underscores, and without a hyphen at an end; or use http"
        )
    return url.host.lower()


def _causes(error: Exception) -> list[Exception]:
    reasons = getattr(error, "reasons", None) or ()
    return [error, *(cause for reason in reasons for cause in _causes(reason.value))]


def _tls_reason(error: Exception) -> str:
    if isinstance(error, VerificationError):  # of an agent of one's own
        return "its certificate is for another host"
    reason = str(error)
    match error.args:
        # Of each of several errors OpenSSL tells its library, function and reason.
        case ([*_, (_, _, str(last))],):
            reason = last
    # Only a server with TLS sends an alert.
    is_tls = "certificate" in reason or "alert" in reason
    return reason if is_tls else f"{reason}; if it speaks http, say http://"
