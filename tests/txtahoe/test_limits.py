"""A limit of requests finds how many keep a gateway busy, whatever the gateway and the line."""

from __future__ import annotations

import random
from collections import deque
from heapq import heappop, heappush
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from txtahoe.errors import NotEnoughServers, RequestTimeout
from txtahoe.limits import FIRST, TOLERANCE, WAITING, Limit, Room

MOST = 64
SIZE = 10_000


@define
class Model:
    """
    A gateway that works on `cores` requests at a time, first come, first served.

    A request makes so many `rounds` with the servers. All together take `work` seconds of a core
    and `delay` seconds on the line. Each part of that is longer or shorter by up to `jitter`.
    """

    cores: int
    work: float
    delay: float
    rounds: int = 1
    jitter: float = 0.0
    now: float = 1e6
    _random: random.Random = field(factory=lambda: random.Random(1))

    @property
    def rate(self) -> float:
        """Requests a second, at most."""
        return self.cores / self.work

    @property
    def enough(self) -> float:
        """The least number of requests under way that have this rate."""
        return self.cores + self.rate * self.delay

    def ask_once(self, limit: Limit) -> None:
        """A request alone."""
        begun = limit.begin(self.now)
        self.now += self.work + self.delay
        limit.end(begun, self.now, SIZE)

    def use(self, limit: Limit, seconds: float, clients: int = 1000) -> tuple[float, float]:
        """Ask for so long. Returns the requests a second, and the mean of the limit's level."""
        begun: dict[int, tuple[float, float]] = {}
        left: dict[int, int] = {}
        queue: deque[int] = deque()
        events: list[tuple[float, bool, int]] = []
        working = done = 0
        start, levels = self.now, []
        while self.now < start + seconds:
            while limit.has_room and len(left) < clients:
                number = done + len(left)
                begun[number] = limit.begin(self.now)
                left[number] = self.rounds
                queue.append(number)
            while queue and working < self.cores:
                working += 1
                heappush(events, (self.now + self._part(self.work), True, queue.popleft()))
            self.now, worked, number = heappop(events)
            if worked:
                working -= 1
                heappush(events, (self.now + self._part(self.delay), False, number))
                continue
            left[number] -= 1
            if left[number]:
                queue.append(number)
            else:
                del left[number]
                done += 1
                limit.end(begun.pop(number), self.now, SIZE)
                levels.append(limit._level)
        for each in begun.values():
            limit.end(each, self.now, None)
        return done / seconds, sum(levels) / len(levels)

    def _part(self, seconds: float) -> float:
        return seconds / self.rounds * self._random.uniform(1 - self.jitter, 1 + self.jitter)


NEAR = Model(1, 0.02, 0.01)
FAR = Model(1, 0.02, 0.65)
MODELS = [
    NEAR,
    FAR,
    Model(2, 0.03, 0.0),
    Model(4, 0.02, 0.1),
    Model(1, 0.1, 0.5),
    Model(1, 0.02, 0.65, rounds=4, jitter=0.3),
    Model(4, 0.02, 0.1, rounds=4, jitter=0.3),
]
# With fewer requests a minute, for tests of many minutes.
SLOW_MODELS = [Model(1, 0.1, 0.05), Model(1, 0.1, 2.0), Model(2, 0.2, 2.0, rounds=4, jitter=0.3)]


def again(model: Model) -> Model:
    return Model(model.cores, model.work, model.delay, model.rounds, model.jitter)


class Finding(SynchronousTestCase):
    """The level that a limit comes to."""

    def assert_found(self, model: Model, level: float) -> None:
        self.assertGreater(level, model.enough)
        self.assertLess(level, max(FIRST, TOLERANCE * model.enough + WAITING) + 1, model)

    def test_after_a_lone_request_it_finds_the_level_of_any_gateway_and_line(self) -> None:
        for model in map(again, MODELS):
            limit = Limit(MOST)
            model.ask_once(limit)
            model.use(limit, 10)
            rate, level = model.use(limit, 40)
            self.assert_found(model, level)
            self.assertGreater(rate, 0.94 * model.rate, model)

    def test_without_one_it_finds_the_level_too(self) -> None:
        for model in map(again, SLOW_MODELS):
            limit = Limit(MOST)
            model.use(limit, 60)
            rate, level = model.use(limit, 120)
            self.assertGreater(rate, 0.93 * model.rate, model)
            most = max(1.5 * FIRST, TOLERANCE * model.enough) + 2 * WAITING
            self.assertLess(level, most, model)

    def test_nearby_it_stays_where_it_begins(self) -> None:
        limit = Limit(MOST)
        _, level = again(NEAR).use(limit, 50)
        self.assertEqual((limit.number, round(level)), (FIRST, FIRST))

    def test_it_follows_a_line_that_becomes_longer_and_shorter(self) -> None:
        limit, model = Limit(MOST), again(SLOW_MODELS[0])
        for delay in (0.05, 2.0, 0.05):
            model.delay = delay
            model.use(limit, 60)
            self.assertGreaterEqual(limit.number, FIRST)
            model.ask_once(limit)
            model.use(limit, 60)
            rate, level = model.use(limit, 60)
            self.assertGreater(rate, 0.93 * model.rate)
            self.assert_found(model, level)

    def test_few_clients_do_not_move_it(self) -> None:
        limit, model = Limit(MOST), again(FAR)
        model.ask_once(limit)
        model.use(limit, 20)
        before = limit.number
        model.use(limit, 200, clients=before // 3)
        self.assertEqual(limit.number, before)

    def test_it_keeps_its_bounds(self) -> None:
        for most in (1, 2, 8):
            limit, model = Limit(most), again(FAR)
            self.assertEqual(limit.number, most)
            rate, _ = model.use(limit, 100)
            self.assertGreater(rate, 0.9 * most / (model.work + model.delay))
            self.assertLessEqual(limit.number, most)


class Sizes(SynchronousTestCase):
    """Requests of different sizes."""

    def test_a_large_request_is_not_taken_for_a_slow_gateway(self) -> None:
        limit, now = Limit(MOST), 0.0
        for _ in range(7):
            for size, seconds in ((1_000, 0.7), (1_000_000, 7.0)):
                begun = [limit.begin(now) for _ in range(limit.number)]
                now += seconds
                for each in begun:
                    limit.end(each, now, size)
        self.assertGreater(limit.number, MOST / 2)


class Failing(SynchronousTestCase):
    """Requests that fail."""

    def test_an_error_of_too_many_requests_sets_it_back(self) -> None:
        limit, model = Limit(MOST), again(FAR)
        model.use(limit, 20)
        self.assertGreater(limit.number, FAR.enough)
        limit.end(limit.begin(model.now), model.now + 15, None, was_too_much=True)
        self.assertEqual(limit.number, FIRST)
        model.now += 15
        model.use(limit, 20)
        rate, _ = model.use(limit, 20)
        self.assertGreater(rate, 0.95 * model.rate)

    def test_other_failures_do_not_move_it(self) -> None:
        limit = Limit(MOST)
        for _ in range(100):
            limit.end(limit.begin(0.0), 0.001, None)
        self.assertEqual(limit.number, FIRST)
        again(FAR).use(limit, 60)
        self.assertGreater(limit.number, FAR.enough)


class Queueing(SynchronousTestCase):
    """The queue at the limit."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.room = Room(self.clock.seconds, Limit(2))
        self.begun: list[str] = []
        self.answers: dict[str, Deferred[None]] = {}

    async def ask(self, name: str) -> None:
        def request() -> Deferred[None]:
            self.begun.append(name)
            self.answers[name] = Deferred()
            return self.answers[name]

        await self.room.make(request, lambda result: SIZE)

    def asking(self, names: str) -> list[Deferred[Any]]:
        return [Deferred.fromCoroutine(self.ask(name)) for name in names]

    def test_requests_begin_in_their_order_when_others_end(self) -> None:
        self.asking("abcd")
        self.assertEqual(self.begun, ["a", "b"])
        self.answers["b"].callback(None)
        self.assertEqual(self.begun, ["a", "b", "c"])
        self.answers["a"].callback(None)
        self.assertEqual(self.begun, ["a", "b", "c", "d"])

    def test_a_request_that_fails_makes_room(self) -> None:
        first, *_ = self.asking("abc")
        self.answers["a"].errback(RequestTimeout("too late"))
        self.failureResultOf(first, RequestTimeout)
        self.assertEqual(self.begun, ["a", "b", "c"])

    def test_a_cancelled_request_leaves_the_queue(self) -> None:
        *_, third, _ = self.asking("abcd")
        third.cancel()
        self.failureResultOf(third, CancelledError)
        self.answers["a"].callback(None)
        self.assertEqual(self.begun, ["a", "b", "d"])

    def test_a_request_of_a_reactor_that_has_ended_wakes_no_other(self) -> None:
        first = self.ask("a")
        first.send(None)
        self.asking("bc")
        first.close()
        self.assertEqual(self.begun, ["a", "b"])

    def test_the_limit_learns_of_times_sizes_and_errors(self) -> None:
        told = []

        @define
        class Told(Limit):
            def end(self, *arguments: Any) -> None:
                told.append(arguments)
                super().end(*arguments)

        self.room = Room(self.clock.seconds, Told(3))
        for error in (None, RequestTimeout("too late"), NotEnoughServers("full"), OSError()):
            [asked] = self.asking("a")
            self.clock.advance(15)
            self.answers["a"].callback(error if error is None else Failure(error))
            asked.addErrback(lambda _: None)
        now = [15.0, 30.0, 45.0, 60.0]
        self.assertEqual([each[1] for each in told], now)
        self.assertEqual([each[2] for each in told], [SIZE, None, None, None])
        self.assertEqual([each[3] for each in told], [False, True, True, False])
