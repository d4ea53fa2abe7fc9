"""Answers that stall, break off or trickle, and walks that take long."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Client, Gateways, Transport
from txtahoe.errors import (
    AnswerLost,
    NotAGateway,
    NotEnoughServers,
    RequestTimeout,
)
from txtahoe.testing.fake import CutBody, LostAnswer, Silence
from txtahoe.testing.fake.http.question import Answer
from txtahoe.testing.fake.http.site import Exchange

DATA = bytes(range(256)) * 400
LINE = b'{"type": "file", "path": ["f"], "cap": "URI:LIT:nbswy3dp"}\n'
LAST = b'{"type": "stats", "stats": {}}\n'


@frozen
class Stall:
    """The gateway sends so many bytes of the body, and no more."""

    after: int

    def happen(self, exchange: Exchange) -> None:
        answer = exchange.work()
        exchange.begin(answer, answer.body[: self.after])


@frozen
class Trickle:
    """The gateway sends so many bytes of the body each second."""

    rate: int

    def happen(self, exchange: Exchange) -> None:
        answer = exchange.work()

        def come(position: int) -> None:
            exchange.begin(answer, answer.body[position : position + self.rate])
            exchange.later(1, lambda: come(position + self.rate))

        come(0)


class Held:
    """An answer whose bytes come when `come` is called."""

    def happen(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.come(b"")

    def come(self, data: bytes) -> None:
        self._exchange.begin(Answer(200, b"", chunked=True), data)

    def close(self) -> None:
        self._exchange.close()


class SlowTestCase(ClockTestCase):
    def after(self, seconds: int, *work: Any) -> list[Deferred[Any]]:
        """Work that was begun so many seconds ago."""
        begun = [start(each) for each in work]
        self.clock.pump([1.0] * seconds)
        return begun


class SlowBodies(SlowTestCase):
    """One gateway, and the transport's 60 seconds."""

    def test_a_body_of_a_byte_a_second_times_out(self) -> None:
        cap = self.now(self.client.upload(DATA))
        for work in (lambda: self.client.read(cap), lambda: self.client.list(self.root)):
            self.fake.fail_next("GET *", Trickle(1))
            (asking,) = self.after(59, work())
            self.assertNoResult(asking)
            self.clock.pump([1.0] * 3)
            error = self.failureResultOf(asking, RequestTimeout).value
            self.assertIn("less than 1024 bytes a second", str(error))
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_slow_line_is_no_fault(self) -> None:
        cap = self.now(self.client.upload(DATA))
        self.fake.fail_next("GET *", Trickle(1030))
        (reading,) = self.after(len(DATA) // 1030 + 1, self.client.read(cap))
        self.assertEqual(self.successResultOf(reading), DATA)

    def test_the_time_of_a_slow_reader_does_not_count(self) -> None:
        cap = self.now(self.client.upload(DATA * 30))
        download = self.now(self.client.download(cap))
        data = self.now(download.read())
        self.clock.advance(10_000)
        self.assertEqual(data + self.now(download.rest()), DATA * 30)

    def test_a_body_that_stops_ends_after_the_timeout(self) -> None:
        cap = self.now(self.client.upload(DATA))
        self.fake.fail_next("GET *", Stall(1000))
        (reading,) = self.after(59, self.client.read(cap))
        self.assertNoResult(reading)
        self.clock.pump([1.0] * 2)
        error = self.failureResultOf(reading, RequestTimeout).value
        self.assertIn("no progress for 60 seconds", str(error))


class SeveralGateways(SlowTestCase):
    """Two gateways to one grid, of which the first one is in trouble in the middle of an answer."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[str] = []
        transports = [self.transport("first"), self.transport("second")]
        self.client = Client(Gateways(transports, rest=30))
        self.cap = self.now(self.client.upload(DATA))
        self.asked.clear()

    def transport(self, name: str) -> Transport:
        asked = self.asked

        class Noting(Transport):
            async def open(self, request: Any) -> Any:
                asked.append(name)
                return await super().open(request)

        return Noting(self.clock, f"http://{name}/", agent=self.fake.agent, timeout=10)

    def test_a_download_goes_on_at_the_next_one(self) -> None:
        for fault in (Stall(1000), CutBody(1000), Trickle(40)):
            self.fake.fail_next("GET *", fault)
            (reading,) = self.after(30, self.client.read(self.cap))
            self.assertEqual(self.successResultOf(reading), DATA, fault)
            self.assertEqual(self.asked, ["first", "second"], fault)
            self.clock.advance(30)
            self.asked.clear()

    def test_a_listing_goes_on_at_the_next_one(self) -> None:
        self.now(self.client.link(self.root, "f", self.cap))
        self.asked.clear()
        for fault in (Stall(10), CutBody(10)):
            self.fake.fail_next("GET *", fault)
            (listing,) = self.after(20, self.client.list(self.root))
            self.assertEqual(set(self.successResultOf(listing)), {"f"})
            self.assertEqual(self.asked, ["first", "second"])
            self.clock.advance(30)
            self.asked.clear()

    def test_the_one_in_trouble_is_passed_over_for_a_while(self) -> None:
        self.fake.fail_next("GET *", Stall(1000))
        self.after(15, self.client.read(self.cap))
        self.asked.clear()
        self.now(self.client.read(self.cap))
        self.clock.advance(31)
        self.now(self.client.read(self.cap))
        self.assertEqual(self.asked, ["second", "first"])

    def test_a_walk_that_stalls_is_not_begun_anew_but_its_gateway_is_passed_over(self) -> None:
        self.fake.fail_next("POST *", Stall(0))
        walk = self.now(self.client.manifest(self.root))
        (entry,) = self.after(11, anext(walk))
        self.failureResultOf(entry, RequestTimeout)
        self.now(self.client.status())
        self.assertEqual(self.asked, ["first", "second"])

    def test_when_all_are_in_trouble_the_error_is_told(self) -> None:
        self.fake.fail_next("GET *", Stall(1000), times=9)
        (reading,) = self.after(60, self.client.read(self.cap))
        self.failureResultOf(reading, RequestTimeout)
        self.assertEqual(self.asked, ["first", "second"])

    def test_a_change_is_not_repeated_elsewhere(self) -> None:
        self.fake.fail_next("POST *", Stall(1))
        (making,) = self.after(15, self.client.mkdir())
        self.failureResultOf(making, RequestTimeout)
        self.assertEqual(self.asked, ["first"])


class Walks(SlowTestCase):
    def begin(self, **options: Any) -> tuple[Any, Held]:
        held = Held()
        self.fake.fail_next("POST *", held)
        return self.now(self.client.deep_check(self.root, **options)), held

    def test_an_object_that_is_verified_or_repaired_may_take_long(self) -> None:
        for options in ({"verify": True}, {"repair": True}):
            walk, held = self.begin(**options)
            (entry,) = self.after(3000, anext(walk))
            self.assertNoResult(entry)
            held.come(LINE + LAST)
            self.clock.advance(0)
            self.assertEqual(self.successResultOf(entry).path, ("f",))
            walk.close()

    def test_patience_bounds_the_time_of_an_object(self) -> None:
        walk, _ = self.begin(verify=True, patience=100)
        (entry,) = self.after(159, anext(walk))
        self.assertNoResult(entry)
        self.clock.advance(2)
        self.failureResultOf(entry, RequestTimeout)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_walk_that_only_looks_waits_no_longer_than_any_request(self) -> None:
        walk, _ = self.begin(add_lease=True)
        (entry,) = self.after(61, anext(walk))
        self.failureResultOf(entry, RequestTimeout)

    def test_a_line_that_comes_byte_by_byte_times_out(self) -> None:
        walk, held = self.begin()
        entry = start(anext(walk))
        for second in range(61):
            held.come(b"{")
            self.clock.advance(1)
        self.failureResultOf(entry, RequestTimeout)

    def test_a_line_without_end_is_not_kept(self) -> None:
        walk, held = self.begin()
        entry = start(anext(walk))
        for _ in range(40):
            held.come(b"{" * 2**15)
            self.clock.advance(0)
        self.failureResultOf(entry, NotAGateway)

    def test_many_last_lines_are_no_recursion(self) -> None:
        walk, held = self.begin()
        held.come(LAST * 5000 + LINE)
        self.clock.advance(0)
        self.assertEqual(self.now(anext(walk)).path, ("f",))


class Readiness(SlowTestCase):
    def test_waiting_ends_in_time_whatever_a_request_does(self) -> None:
        for fault, expected in (
            (Silence(), RequestTimeout),
            (Stall(5), RequestTimeout),
            (LostAnswer(), AnswerLost),
        ):
            self.fake.fail_next("GET /?t=json", fault, times=100)
            (waiting,) = self.after(4, self.client.wait_ready(3, timeout=5))
            self.assertNoResult(waiting)
            self.clock.advance(1.1)
            self.failureResultOf(waiting, expected)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.fake.forget_faults()

    def test_the_last_status_is_in_the_error(self) -> None:
        waiting = start(self.client.wait_ready(4, timeout=5))
        self.fake.fail_next("GET /?t=json", Silence())
        self.clock.pump([0.1] * 60)
        error = self.failureResultOf(waiting, NotEnoughServers).value
        self.assertIn("connected to 3 storage servers of the 4", str(error))

    def test_a_gateway_that_comes_back_in_time_is_ready(self) -> None:
        self.fake.fail_next("GET /?t=json", LostAnswer(), times=3)
        (waiting,) = self.after(4, self.client.wait_ready(3, timeout=5))
        self.assertEqual(self.successResultOf(waiting).connected, 3)
