"""Timeouts and ages while the wall clock is set."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from twisted.internet.base import ReactorBase
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from tests.environment import environment
from tests.needs import TIME, needs
from tests.txtahoe.case import start
from txtahoe import Client, Transport, Tree
from txtahoe.errors import RequestTimeout
from txtahoe.http import clock
from txtahoe.http.deadline import Deadline
from txtahoe.testing.fake import FakeGateway

HOUR = 3600.0


class Reactor(ReactorBase):
    """A reactor of Twisted that a test moves on by hand."""

    def installWaker(self) -> None: ...

    def wakeUp(self) -> None: ...


class WallClockTestCase(SynchronousTestCase):
    """A test with a reactor of Twisted and two clocks, of which the wall clock can be set."""

    def setUp(self) -> None:
        self.wall = 1_000_000.0
        self.even = 50.0
        self.patch(ReactorBase, "seconds", staticmethod(lambda: self.wall))
        self.patch(clock, "monotonic", lambda: self.even)
        self.reactor = Reactor()

    def advance(self, seconds: float) -> None:
        """Time goes by."""
        self.wall += seconds
        self.even += seconds
        self.reactor.runUntilCurrent()

    def set(self, seconds: float) -> None:
        """The wall clock is set forward, or back."""
        self.wall += seconds
        self.reactor.runUntilCurrent()


class Steady(WallClockTestCase):
    def setUp(self) -> None:
        super().setUp()
        clock.keep_steady(self.reactor)

    def test_it_begins_with_the_time_of_the_wall_clock(self) -> None:
        self.assertEqual(self.reactor.seconds(), 1_000_000.0)
        self.advance(5)
        self.assertEqual(self.reactor.seconds(), 1_000_005.0)
        self.set(HOUR)
        clock.keep_steady(self.reactor)
        self.assertEqual(self.reactor.seconds(), 1_000_005.0)

    def test_delayed_calls_are_neither_late_nor_early(self) -> None:
        for step in (HOUR, -HOUR):
            due = deferLater(self.reactor, 10)
            self.advance(4)
            self.set(step)
            self.advance(5)
            self.assertNoResult(due)
            self.advance(1)
            self.successResultOf(due)

    def test_a_deadline_passes_when_it_should(self) -> None:
        for step in (HOUR, -HOUR):
            waiting: Deferred[None] = Deferred()
            deadline = Deadline(self.reactor, 10, "waiting")
            guarded = start(deadline.guard(self.wait(waiting)))
            self.advance(6)
            self.set(step)
            deadline.renew()
            self.set(step)
            self.advance(9)
            self.assertNoResult(guarded)
            self.advance(1)
            self.failureResultOf(guarded, RequestTimeout)

    async def wait(self, waiting: Deferred[None]) -> None:
        await waiting

    def test_calls_that_were_scheduled_before_stay_due(self) -> None:
        for step in (HOUR, -HOUR):
            self.reactor = Reactor()
            called: list[str] = []
            self.reactor.callLater(10, called.append, "a")
            renewed = self.reactor.callLater(10, called.append, "b")
            self.advance(4)
            clock.keep_steady(self.reactor)
            self.set(step)
            renewed.reset(10)
            self.advance(5)
            self.assertEqual(called, [])
            self.advance(1)
            self.assertEqual(called, ["a"])
            self.advance(4)
            self.assertEqual(called, ["a", "b"])


class Requests(WallClockTestCase):
    def test_making_a_transport_keeps_its_reactor_steady(self) -> None:
        Transport(self.reactor, "http://127.0.0.1:1/")
        self.set(HOUR)
        self.assertEqual(self.reactor.seconds(), 1_000_000.0)

    def test_a_reactor_with_a_clock_of_its_own_keeps_it(self) -> None:
        own = Clock()
        self.reactor.seconds = own.seconds  # type: ignore[method-assign]
        Transport(self.reactor, "http://127.0.0.1:1/")
        own.advance(7)
        self.assertEqual(self.reactor.seconds(), 7)
        Transport(own, "http://127.0.0.1:1/")
        self.set(HOUR)
        self.assertEqual(own.seconds(), 7)


class Kept(WallClockTestCase):
    def test_a_tree_keeps_names_for_max_age_and_no_longer(self) -> None:
        fake = FakeGateway(clock=Clock())
        root = fake.make_directory()

        def new_tree() -> Tree:
            return Tree(Client(Transport(self.reactor, "http://fake/", agent=fake.agent)), root)

        mine, theirs = new_tree(), new_tree()
        for step in (HOUR, -HOUR):
            self.now(theirs.save("f", b"old" * 100, replace=True))
            self.assertEqual(self.now(mine.resolve("f")).size, 300)
            self.now(theirs.save("f", b"newer" * 100, replace=True))
            self.set(step)
            self.advance(9)
            self.assertEqual(self.now(mine.resolve("f")).size, 300)
            self.advance(1)
            self.assertEqual(self.now(mine.resolve("f")).size, 500)
            self.advance(10)

    def now(self, coroutine: Any) -> Any:
        return self.successResultOf(start(coroutine))


SCRIPT = """
import sys, threading, time
wall, even, set_by = time.time, time.monotonic, [0.0]
time.time = lambda: wall() + set_by[0]
from importlib import import_module
import_module("twisted.internet." + sys.argv[1]).install()
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from tests.grid.strangers import silent, stranger
from txtahoe import Client, Transport
from txtahoe.errors import RequestTimeout

async def main(url):
    client = Client(Transport(reactor, url, timeout=0.5))
    for step in (3600, -3600):
        began = even()
        reactor.callFromThread(set_by.__setitem__, 0, set_by[0] + step)
        try:
            await client.status()
        except RequestTimeout:
            print("timeout", even() - began, flush=True)

with stranger(silent) as url:
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main(url)).addBoth(finish))
    def finish(result):
        print(result)
        reactor.stop()
    reactor.run()
"""


@needs(TIME)
class Processes(SynchronousTestCase):
    """With each kind of reactor, the wall clock is set while a request is under way."""

    def test_a_silent_gateway_is_given_up_when_it_should(self) -> None:
        for kind in ("epollreactor", "pollreactor", "selectreactor", "asyncioreactor"):
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT, kind],
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )
            *timeouts, last = done.stdout.splitlines()
            self.assertEqual(last, "None", f"{kind}: {done.stdout}")
            self.assertEqual(len(timeouts), 2)
            for line in timeouts:
                self.assertGreater(float(line.split()[1]), 0.49)
