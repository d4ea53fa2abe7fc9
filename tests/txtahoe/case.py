"""What tests on a gateway in memory have in common."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from txtahoe import Client, Transport, Tree
from txtahoe.testing.fake import FakeGateway


def start(coroutine: Any) -> Deferred[Any]:
    return Deferred.fromCoroutine(coroutine)


class ClockTestCase(SynchronousTestCase):
    """A test with a tree on a gateway in memory, and a clock that stands still."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.fake = FakeGateway(clock=self.clock)
        self.client = Client(Transport(self.clock, "http://fake/", agent=self.fake.agent))
        self.root = self.fake.make_directory()
        self.tree = Tree(self.client, self.root)

    def now(self, coroutine: Any) -> Any:
        """The result of what needs no time."""
        return self.successResultOf(start(coroutine))
