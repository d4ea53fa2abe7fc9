"""Base class of tests that kill and freeze nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.grid.proxy import Proxy
from tests.grid.shared import shared_grid
from tests.needs import GRID, needs
from txtahoe import Client, TahoeError, Transport
from txtahoe.testing.grid import Grid

# Seconds that a request may go on without progress.
REQUEST_SECONDS = 4.0
# An operation is a few requests, each of which may take its whole time: the first, and those that
# read back; and it may wait for those of another one. Well above what they take together, and well
# below for ever.
OUTCOME_SECONDS = 16 * REQUEST_SECONDS


def mend(grid: Grid) -> None:
    """Thaw and start all nodes, and wait until the gateways know all servers."""
    for node in grid.nodes:
        node.thaw()
    for node in grid.nodes:
        node.start()
    grid.wait_ready()


@frozen
class Outcome:
    """How an operation ended: with a result, or with an error."""

    result: Any = None
    error: TahoeError | None = None

    @property
    def succeeded(self) -> bool:
        return self.error is None


@needs(GRID)
class FaultTestCase(TestCase):
    """A test on a grid whose nodes it may kill and freeze; it is whole again at the end."""

    timeout = 180

    def setUp(self) -> None:
        self.grid = shared_grid()
        self.addCleanup(self.mend)
        self.gateway = self.grid.gateways[0]
        self.client = self.connect()

    async def mend(self) -> None:
        await deferToThread(mend, self.grid)

    def connect(self, gateway: str | None = None, **options: Any) -> Client:
        """A client that is closed when the test ends."""
        options.setdefault("timeout", REQUEST_SECONDS)
        client = Client(Transport(reactor, gateway or self.gateway.url, **options))
        self.addCleanup(lambda: ensureDeferred(client.close()))
        return client

    def connect_through_proxy(self, **options: Any) -> tuple[Client, Proxy]:
        """A client that reaches the gateway through a proxy of its own."""
        proxy = Proxy(self.gateway.url).__enter__()
        self.addCleanup(proxy.__exit__)
        return self.connect(proxy.url, **options), proxy

    async def outcome(self, operation: Awaitable[Any]) -> Outcome:
        """
        The outcome of an operation. The test fails if it is neither a result nor one of our
        errors, or if it does not come in time.
        """
        work = ensureDeferred(_awaited(operation))
        work.addTimeout(OUTCOME_SECONDS, reactor)
        try:
            return Outcome(result=await work)
        except TahoeError as error:
            return Outcome(error=error)
        except CancelledError:
            self.fail("the operation was cancelled, and not by this test")

    def start(self, operation: Awaitable[Any]) -> Deferred[Outcome]:
        """Start an operation; its outcome is to be awaited later."""
        return Deferred.fromCoroutine(self.outcome(operation))

    async def seconds_of(self, operation: Callable[[], Awaitable[Any]]) -> float:
        """The seconds that an operation takes undisturbed."""
        before = reactor.seconds()
        await operation()
        return reactor.seconds() - before


async def _awaited(operation: Awaitable[Any]) -> Any:
    return await operation


async def pause(seconds: float) -> None:
    await deferLater(reactor, seconds)


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a blocking function, such as the start of a node, beside the reactor."""
    return await deferToThread(function, *arguments)
