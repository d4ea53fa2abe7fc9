"""Test cases on a gateway in memory."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txtahoe import Client, Transport, Tree
from txtahoe.testing.fake import Delay, FakeGateway
from txtahoe.testing.fake.http.site import Exchange


def start(coroutine: Any) -> Deferred[Any]:
    return Deferred.fromCoroutine(coroutine)


@frozen
class Late:
    """The answer of now, so many seconds late; that of a `Delay` is as new as it can be."""

    seconds: float

    def happen(self, exchange: Exchange) -> None:
        answer = exchange.work()
        exchange.later(self.seconds, lambda: exchange.send(answer))


class StrictClock(Clock):
    """Calls nothing in the past, as a reactor."""

    def callLater(self, delay: float, *args: Any, **kwargs: Any) -> Any:  # noqa: N802
        assert delay >= 0
        return super().callLater(delay, *args, **kwargs)


class CountingClock(Clock):
    """Counts the work of a turn: the items added to a list between two calls of `callLater`."""

    def __init__(self, done: list[Any]) -> None:
        super().__init__()
        self._done = done
        self._before = 0
        self.most_in_a_turn = 0

    def callLater(self, *args: Any, **kwargs: Any) -> Any:  # noqa: N802
        self.most_in_a_turn = max(self.most_in_a_turn, len(self._done) - self._before)
        self._before = len(self._done)
        return super().callLater(*args, **kwargs)


class ClockTestCase(SynchronousTestCase):
    """A test with a tree on a gateway in memory, and a clock that stands still."""

    def setUp(self) -> None:
        self.clock: Clock = StrictClock()
        self.fake = FakeGateway(clock=self.clock)
        self.client = Client(Transport(self.clock, "http://fake/", agent=self.fake.agent))
        self.root = self.fake.make_directory()
        self.tree = Tree(self.client, self.root)

    def now(self, coroutine: Any) -> Any:
        """The result of an operation that takes no time."""
        return self.successResultOf(start(coroutine))

    def cost(self, coroutine: Any, *expected: type[Exception]) -> tuple[int, int]:
        """
        The requests of an operation, and its rounds: the longest chain of requests of which each
        waits for the answer of the one before. `expected`: the errors that it may raise, if it is
        to raise one.

        Every answer takes a second of the clock, so the seconds that the operation takes are its
        rounds. Requests that wait for room count too.
        """
        self.fake.requests.clear()
        self.fake.fail_next("*", Delay(1), times=10_000)
        began = self.clock.seconds()
        operation = start(coroutine)
        for _ in range(100):
            if not operation.called:
                self.clock.advance(1)
        self.fake.forget_faults()
        if expected:
            self.failureResultOf(operation, *expected)
        else:
            self.successResultOf(operation)
        return len(self.fake.requests), round(self.clock.seconds() - began)
