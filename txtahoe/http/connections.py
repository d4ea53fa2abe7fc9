"""Connections to one gateway: made, secured, bounded and ended."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from attrs import frozen
from hyperlink import DecodedURL
from OpenSSL.SSL import Error as TLSError
from twisted.internet import endpoints, error, interfaces
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from txtahoe.http.security import Security, Untrusted

# To look up the host and to reach it, and again for the TLS handshake.
_CONNECT_SECONDS = 10.0
# Before it asks a server in HTTP that does not answer to TLS: a gateway without TLS says nothing,
# and waits for more.
_SILENT_SECONDS = 1.0
# In bytes. Tahoe, and the proxies before it, send less than 1 KiB.
_HEAD_LIMIT = 2**16


class HeadTooLong(Exception):
    """The head of an answer has no end."""


class NoHandshake(Exception):
    """The server does not answer to the beginning of TLS, and answers to a request in HTTP."""


@implementer(IAgentEndpointFactory, interfaces.IStreamClientEndpoint)
class Connections:
    """Connections to a gateway, for an Agent."""

    def __init__(self, reactor: Any, gateway: DecodedURL, security: Security) -> None:
        self.has_answered: bool | None = None
        """Whether the head of any answer has come; None before the first request."""
        self._reactor = reactor
        self._security = security
        self._is_secure = gateway.scheme == "https"
        self._socket = "/" + "/".join(gateway.path) if gateway.scheme == "unix" else None
        self._host: str = gateway.encoded_url.host
        self._port = gateway.port or 0
        self._open: dict[_Connection | _Question, int] = {}

    def endpointForURI(self, uri: URI) -> interfaces.IStreamClientEndpoint:
        """Itself: all URLs are those of the gateway."""
        return self

    def connect(self, protocolFactory: interfaces.IProtocolFactory) -> Deferred[Any]:  # noqa: N803
        """
        Make a connection; if the gateway's URL says https, secure it before it is used.

        If this is cancelled, it raises ConnectingCancelledError at once: a cancelled look-up of the
        host's name would say that the host is not known.
        """
        connecting = Deferred.fromCoroutine(self._connect(protocolFactory))

        def cancel(connected: Deferred[Any]) -> None:
            connected.errback(error.ConnectingCancelledError(self._host))
            connecting.cancel()

        connected: Deferred[Any] = Deferred(cancel)
        connecting.addBoth(lambda result: None if connected.called else connected.callback(result))
        return connected

    async def close(self) -> None:
        """Cut all connections; return when they are gone."""
        connections = list(self._open)
        for connection in connections:
            connection.abortConnection()
        await gatherResults([connection.lost for connection in connections])

    async def _connect(self, factory: interfaces.IProtocolFactory) -> Any:
        bounded: WrappingFactory[Any] = WrappingFactory(factory)
        bounded.protocol = lambda *args: _Connection(self, *args)
        bounded.protocols = self._open
        if not self._is_secure:
            return (await self._reach(bounded)).wrappedProtocol
        handshake: Any = self._security.handshake(self._host)
        # As `wrapClientTLS`; in some releases of Twisted its writes wait for the global reactor.
        tls = await self._reach(TLSMemoryBIOFactory(handshake, True, bounded, clock=self._reactor))
        connection = tls.wrappedProtocol
        http = connection.wrappedProtocol
        asking = Deferred.fromCoroutine(self._ask_in_http(connection)).addErrback(lambda _: None)
        try:
            await connection.secured().addTimeout(_CONNECT_SECONDS, self._reactor, _too_late)
        except error.ConnectionClosed:
            reason = "it ended the connection before it was secure"
            raise error.ConnectError(string=reason) from None
        except TLSError as failure:
            raise handshake.explain(failure) from None
        finally:
            asking.cancel()
        try:
            handshake.check_host()
        except Untrusted:
            connection.abortConnection()
            raise
        return http

    async def _ask_in_http(self, connection: _Connection) -> None:
        """End a connection if the server speaks HTTP; be cancelled if it speaks TLS."""
        if self.has_answered:
            return
        await deferLater(self._reactor, _SILENT_SECONDS)
        question: _Question = await self._reach(Factory.forProtocol(partial(_Question, self._open)))
        if await question.answer:
            connection.fail(NoHandshake("it does not answer to TLS"))

    def _reach(self, factory: Any) -> Deferred[Any]:
        reactor, host, port = self._reactor, self._host, self._port
        connecting: Deferred[Any]
        # An IP address needs no look-up: that takes a thread, and HostnameEndpoint imports the
        # global reactor, and so installs it.
        if self._socket is not None:
            connecting = endpoints.UNIXClientEndpoint(reactor, self._socket).connect(factory)
            connecting.addErrback(_about_socket)
        elif isIPAddress(host):
            connecting = endpoints.TCP4ClientEndpoint(reactor, host, port).connect(factory)
        elif isIPv6Address(host):
            connecting = endpoints.TCP6ClientEndpoint(reactor, host, port).connect(factory)
        else:
            naming = _Naming(reactor, host)
            connecting = endpoints.HostnameEndpoint(naming, "gateway", port).connect(factory)
            connecting.addErrback(naming.explain)
        return connecting.addTimeout(_CONNECT_SECONDS, reactor, _too_late)


_SOCKETS: dict[int | None, str] = {
    errno.ECONNREFUSED: "nothing listens at this socket",
    errno.ENOENT: "there is no such socket",
    errno.EACCES: "this process may not use this socket: see its mode and owner, and its folders'",
}


def _about_socket(failure: Failure) -> Failure:
    reason: Any = failure.value
    told = _SOCKETS.get(getattr(reason, "osError", None))
    return failure if told is None else Failure(type(reason)(string=told))


def _too_late(result: object, seconds: float) -> NoReturn:
    raise error.TimeoutError(string=f"no connection within {seconds:g} seconds")


@implementer(interfaces.IHandshakeListener)
class _Connection(ProtocolWrapper):
    """
    Bounds the heads of answers, between Twisted's HTTP client, which keeps all lines of a head, and
    its transport.

    `lost` fires when the connection is gone.
    """

    def __init__(self, connections: Connections, factory: Any, http: Any) -> None:
        super().__init__(factory, http)
        self.lost: Deferred[None] = Deferred()
        self._connections = connections
        self._secured: Deferred[None] | None = None
        self._is_agreed = False  # on TLS
        self._has_answered = False
        self._head_left: int | None = None
        self._reason: Failure | None = None
        # The pool makes all requests of a connection through this method of one object.
        self._request: Callable[[object], Deferred[Any]] = http.request
        http.request = self._begin

    def secured(self) -> Deferred[None]:
        """Fires when TLS is agreed on, or with the reason why it is not."""
        self._secured = Deferred(lambda _: self.abortConnection())
        return self._secured

    def fail(self, reason: Exception) -> None:
        """End the connection before TLS is agreed on."""
        if self._secured is not None and not self._secured.called:
            self._secured.errback(reason)
        self.abortConnection()

    def handshakeCompleted(self) -> None:
        self._is_agreed = True
        if self._secured is not None:
            self._secured.callback(None)

    def dataReceived(self, data: bytes) -> None:
        if self._head_left is not None:
            if self._head_left <= 0:
                self._reason = Failure(HeadTooLong())
                self.abortConnection()
                return
            self._head_left -= len(data)
        super().dataReceived(data)  # type: ignore[no-untyped-call]

    def stopProducing(self) -> None:
        # To close a TLS connection, and not cut it, would wait until the other side agrees.
        self.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # With an alert, as its first words, a server refuses a certificate. If TLS fails in another
        # way, the server may have done what it was asked.
        is_refusal = "alert" in str(reason.value) and not self._has_answered
        if self._is_agreed and reason.check(TLSError) and not is_refusal:
            reason = Failure(error.ConnectionLost())
        super().connectionLost(self._reason or reason)  # type: ignore[no-untyped-call]
        if self._secured is not None and not self._secured.called:
            self._secured.errback(reason)
        self.lost.callback(None)

    def _begin(self, request: object) -> Deferred[Any]:
        self._head_left = _HEAD_LIMIT

        def is_over(answer: Any) -> Any:
            self._head_left = None
            is_answer = not isinstance(answer, Failure)
            self._has_answered = self._has_answered or is_answer
            self._connections.has_answered = self._connections.has_answered or is_answer
            return answer

        return self._request(request).addBoth(is_over)


class _Question(Protocol):
    """
    Asks a server in HTTP. `answer` fires with whether it speaks HTTP.

    With status 400 servers that speak TLS answer too, to say that they do.
    """

    transport: Any

    def __init__(self, connections: dict[Any, int]) -> None:
        self.answer: Deferred[bool] = Deferred(lambda _: self.abortConnection())
        self.lost: Deferred[None] = Deferred()
        self._connections = connections
        self._told = b""

    def connectionMade(self) -> None:
        self._connections[self] = 1
        self.transport.write(b"HEAD / HTTP/1.0\r\n\r\n")

    def dataReceived(self, data: bytes) -> None:
        self._told += data
        if len(self._told) >= len("HTTP/1.1 400"):
            self.abortConnection()

    def abortConnection(self) -> None:
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        del self._connections[self]
        if not self.answer.called:
            self.answer.callback(re.match(rb"HTTP/\d\.\d (?!400)", self._told) is not None)
        self.lost.callback(None)


@implementer(interfaces.IReactorPluggableNameResolver, interfaces.IHostnameResolver)
@frozen
class _Naming:
    """
    A reactor for HostnameEndpoint in which every name is that of one host.

    The endpoint takes no name with an underscore, or with a hyphen at an end, as Docker Compose
    gives them. The machine's resolver does.
    """

    _reactor: Any
    _host: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    @property
    def nameResolver(self) -> interfaces.IHostnameResolver:
        return self

    def resolveHostName(
        self,
        resolutionReceiver: interfaces.IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        resolver = self._reactor.nameResolver
        return resolver.resolveHostName(resolutionReceiver, self._host, *args, **kwargs)

    def explain(self, failure: Failure) -> NoReturn:
        failure.trap(error.DNSLookupError)
        raise error.DNSLookupError(f"the host {self._host!r} is not known here")
