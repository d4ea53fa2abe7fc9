"""Base classes of tests with a gateway, real or in memory, or with a stranger in its place."""

from __future__ import annotations

from typing import Any
from urllib.request import Request, urlopen

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import TestCase

from tests.grid.proxy import Proxy
from tests.grid.shared import gateways_for, shared_grid
from tests.grid.strangers import Behaviour, stranger
from tests.needs import GRID, needed_by
from txtahoe import Client, Transport, Tree
from txtahoe.testing.grid import Grid


def make_directory(gateway: str) -> str:
    """The write cap of a new directory, without the code that is tested."""
    with urlopen(Request(f"{gateway}uri?t=mkdir", method="POST"), timeout=60) as answer:
        return str(answer.read().decode())


class GatewayTestCase(TestCase):
    """A test with a client of a gateway; `is_on_grid` says of which."""

    timeout = 120

    def setUp(self) -> None:
        self.gateways = gateways_for(self)
        self.gateway = self.gateways[0]
        self.client = self.connect(self.gateway)

    @property
    def grid(self) -> Grid:
        """The real grid; the test must say that it needs it."""
        self.assertIn(GRID, needed_by(self))
        return shared_grid()

    def connect(self, gateway: str, **options: Any) -> Client:
        """A client that is closed when the test ends."""
        client = Client(Transport(reactor, gateway, **options))
        self.addCleanup(lambda: ensureDeferred(client.close()))
        return client

    def connect_through_proxy(self, **options: Any) -> tuple[Client, Proxy]:
        """A client that reaches the gateway through a proxy of its own."""
        proxy = Proxy(self.gateway).__enter__()
        self.addCleanup(proxy.__exit__)
        return self.connect(proxy.url, **options), proxy

    async def new_tree(self, client: Client | None = None) -> Tree:
        client = client or self.client
        return Tree(client, await client.mkdir())


class StrangerTestCase(TestCase):
    """A test with clients of servers that are no gateway, or one in trouble."""

    timeout = 120

    def tearDown(self) -> None:
        # Twisted logs one if an answer comes before its request is sent whole.
        self.flushLoggedErrors(AttributeError)

    def connect(self, url: str, **options: Any) -> Client:
        """A client that repeats no request, and is closed when the test ends."""
        client = Client(Transport(reactor, url, **{"pauses": (), "timeout": 20, **options}))
        self.addCleanup(lambda: ensureDeferred(client.close()))
        return client

    def meet(self, behave: Behaviour) -> str:
        """The URL of a server that behaves so."""
        context = stranger(behave)
        self.addCleanup(context.__exit__, None, None, None)
        return context.__enter__()
