"""Agents of one's own: through Tor, or another SOCKS proxy, to a host that only that knows."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from txtorcon.web import tor_agent

from tests.txtahoe.http.test_connections import ConnectionsTestCase, Resolver

ONION = "mrswmz3infvgw3dnnzxxa4lson2hk5txpb4xu634pv7h7aebqkbqaaaa.onion"


class Socks(Protocol):
    """
    A SOCKS proxy (RFC 1928) to `port` of this machine, for one connection.

    `asked`: the hosts for which it was asked.
    """

    def __init__(self, port: int, asked: list[str]) -> None:
        self._port = port
        self._asked = asked
        self._other: Any = None
        self._is_greeted = False

    def dataReceived(self, data: bytes) -> None:
        if self._other is not None:
            self._other.transport.write(data)
        elif not self._is_greeted:
            self._is_greeted = True
            self.transport.write(b"\x05\x00")  # no authentication
        else:
            self._asked.append(data[5 : 5 + data[4]].decode())
            self._connect()

    def _connect(self) -> None:
        self._other = Other(self)
        target = TCP4ClientEndpoint(reactor, "127.0.0.1", self._port)
        connectProtocol(target, self._other)

    def begin(self) -> None:
        self.transport.write(b"\x05\x00\x00\x01" + bytes(6))  # connected

    def connectionLost(self, reason: Any = None) -> None:
        if self._other is not None:
            self._other.transport.loseConnection()


class Other(Protocol):
    def __init__(self, socks: Socks) -> None:
        self._socks = socks

    def connectionMade(self) -> None:
        self._socks.begin()

    def dataReceived(self, data: bytes) -> None:
        self._socks.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        self._socks.transport.loseConnection()


class ThroughSocks(ConnectionsTestCase):
    def agent(self, port: int) -> tuple[Any, list[str]]:
        """An Agent through a proxy, and the hosts for which it asks that."""
        asked: list[str] = []
        factory = Factory.forProtocol(lambda: Socks(port, asked))  # type: ignore[arg-type]
        proxy = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(proxy.stopListening)
        socks = TCP4ClientEndpoint(reactor, "127.0.0.1", proxy.getHost().port)
        return tor_agent(reactor, socks), asked

    async def test_a_hidden_gateway_is_reached_through_the_agent_alone(self) -> None:
        before = reactor.installNameResolver(Resolver())  # this machine knows no host
        self.addCleanup(reactor.installNameResolver, before)
        agent, asked = self.agent(self.serve_plainly())
        client = self.connect(f"http://{ONION}:3456/", agent=agent)
        data = b"x" * 10**5
        self.assertEqual(await client.read(await client.upload(data)), data)
        self.assertEqual(set(asked), {ONION})
