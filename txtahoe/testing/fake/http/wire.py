"""An agent that reaches a resource without a socket, through Twisted's own HTTP on both sides."""

from __future__ import annotations

from collections import deque
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IConsumer,
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.components import proxyForInterface
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from twisted.web.resource import IResource
from zope.interface import implementer

from txtahoe.testing.fake.http.site import quiet_site

T = TypeVar("T")

# A wire delivers no more bytes than this at a time, so that a reader can ask for a pause.
_CHUNK = 2**16


@implementer(IAgent)
class WireAgent:
    """
    Makes every request on a connection of its own, in memory.

    Nothing waits for a reactor: an answer comes before `request` returns, or when the body of the
    request has ended. Bodies stream both ways, with back-pressure on answers; a request without an
    answer waits, and can be cancelled.
    """

    def __init__(self, resource: IResource, clock: IReactorTime | None = None) -> None:
        self._clock = clock or Clock()
        self._site = quiet_site(resource, self._clock, timeout=None)
        self._pool = HTTPConnectionPool(self._clock, persistent=False)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803
    ) -> Deferred[IResponse]:
        body = _Body(bodyProducer) if bodyProducer else None
        # The body can make requests of its own before this one is out.
        line = _Line(self._site, self._clock)
        agent = Agent.usingEndpointFactory(self._clock, line, self._pool)
        answer: Deferred[IResponse] = agent.request(method, uri, headers, body)

        def flow(result: T) -> T:
            line.wire.flow()
            return result

        # Only now may an answer come: Twisted's client takes none before its request is out.
        ((body and body.sent) or succeed(None)).addBoth(flow)
        # A cancelled request has hung up; that is for the server to hear.
        return answer.addBoth(flow)


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _Line:
    """Makes the connection of one request; `wire` is that connection."""

    wire: _Wire

    def __init__(self, site: Any, clock: IReactorTime) -> None:
        self._site = site
        self._clock = clock

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:  # noqa: N803
        client: Any = protocolFactory.buildProtocol(None)
        server: Any = self._site.buildProtocol(None)
        self.wire = _Wire(client, server, self._clock)
        return succeed(client)


class _Body(proxyForInterface(IBodyProducer)):  # type: ignore[misc]
    """The body of a request. `sent` fires after the client has heard that the body has ended."""

    sent: Deferred[None] | None = None

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self.sent = self.original.startProducing(consumer)
        return self.sent


class _Wire:
    """A connection: what one end writes, the other end reads, when it flows."""

    def __init__(self, client: Any, server: Any, clock: IReactorTime) -> None:
        self._ends = [_End(self, client), _End(self, server)]
        self._clock = clock
        self._is_flowing = False
        self._is_open = True
        server.makeConnection(self._ends[1])
        client.makeConnection(self._ends[0])

    def flow(self) -> None:
        """Deliver what was written, and the end of the connection, until nothing moves."""
        if self._is_flowing:
            return
        self._is_flowing = True
        try:
            while self._is_open and self._move():
                pass
        finally:
            self._is_flowing = False

    def flow_later(self, end: _End) -> None:
        """Flow soon, after a server has written or closed; a client's request sees to its own."""
        if end is self._ends[1] and not self._is_flowing:
            self._clock.callLater(0, self.flow)

    def _move(self) -> bool:
        for writer, reader in zip(self._ends, reversed(self._ends), strict=True):
            if writer.written and not reader.is_paused and not reader.disconnecting:
                reader.protocol.dataReceived(writer.written.popleft())
                return True
        if any(end.disconnecting and (not end.written or end.disconnected) for end in self._ends):
            self._is_open = False
            for end in self._ends:
                end.protocol.connectionLost(Failure(ConnectionDone()))
        return False


class _End(StringTransport):
    """The transport of one side. It pauses no writer: bytes wait in memory for their reader."""

    def __init__(self, wire: _Wire, protocol: Any) -> None:
        StringTransport.__init__(self, lenient=True)
        self._wire = wire
        self.protocol = protocol
        self.written: deque[bytes] = deque()

    @property
    def is_paused(self) -> bool:
        return self.producerState == "paused"

    def write(self, data: bytes) -> None:
        if not self.disconnecting:
            self.written.extend(
                data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)
            )
        self._wire.flow_later(self)

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        self.disconnecting = True
        self._wire.flow_later(self)

    def resumeProducing(self) -> None:
        StringTransport.resumeProducing(self)
        self._wire.flow()

    def stopProducing(self) -> None:
        StringTransport.abortConnection(self)
        self._wire.flow()
