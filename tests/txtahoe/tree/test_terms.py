"""Callers of one tree that wait for longer or shorter, and have headers of their own."""

from __future__ import annotations

from math import nan
from traceback import walk_tb
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Client, Terms, Transport, Tree, asking
from txtahoe.errors import GatewayUnreachable, RequestTimeout, UnknownOutcome
from txtahoe.testing.fake import Silence

HASTY, PATIENT = Terms(timeout=5.0), Terms(timeout=500.0)


class CallersOfOneTree(ClockTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client._transport.pauses = ()

    def start_on(self, terms: Terms, coroutine: Any) -> Deferred[Any]:
        with asking(terms):
            return start(coroutine)

    def test_each_caller_waits_for_its_own_timeout(self) -> None:
        for terms in (HASTY, Terms(), PATIENT):  # 60 seconds are those of the transport
            seconds = terms.timeout or 60.0
            self.fake.fail_next("GET /uri/CAP?t=json", Silence())
            listing = self.start_on(terms, self.tree.list(""))
            self.clock.advance(seconds - 0.1)
            self.assertNoResult(listing)
            self.clock.advance(0.2)
            self.failureResultOf(listing, RequestTimeout)

    def test_a_shared_write_has_the_longest_timeout_of_its_callers(self) -> None:
        self.now(self.tree.save("d/first", b"1"))
        self.fake.fail_next("POST /uri/CAP?t=set_children*", Silence())
        first = self.start_on(HASTY, self.tree.save("d/second", b"2"))
        together = [
            self.start_on(terms, self.tree.save(f"d/{terms.timeout}", b"3"))
            for terms in (HASTY, PATIENT, Terms())  # Terms(): 60 seconds, of the transport
        ]
        self.fake.fail_next("POST /uri/CAP?t=set_children*", Silence())
        for _ in range(40):  # the first write, and the looks at what came of it
            self.clock.advance(1.0)
        self.failureResultOf(first, UnknownOutcome)
        self.clock.advance(400)
        for each in together:
            self.assertNoResult(each)
        self.clock.advance(100)
        for _ in range(40):
            self.clock.advance(1.0)
        for each in together:
            self.failureResultOf(each, UnknownOutcome)

    def test_each_caller_takes_answers_up_to_its_own_max_age(self) -> None:
        self.now(self.tree.save("f", b"x"))
        self.clock.advance(60)
        for max_age, is_known in ((None, False), (59.0, False), (61.0, True), (0.0, False)):
            with asking(Terms(max_age=max_age)):
                self.assertEqual(self.tree.known("f") is not None, is_known, max_age)


class Numbers(SynchronousTestCase):
    def test_those_that_make_no_sense_are_refused(self) -> None:
        for wrong in ({"timeout": 0}, {"timeout": nan}, {"max_age": -1}, {"max_age": nan}):
            self.assertRaises(ValueError, Terms, **wrong)
        self.assertEqual(Terms(0.1, 0), Terms(timeout=0.1, max_age=0.0))


class Refusing:
    """An agent that reaches no gateway."""

    @staticmethod
    def request(*args: Any) -> Deferred[Any]:
        return fail(ConnectionRefusedError())


class Headers(ClockTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.seen: list[tuple[list[str] | None, list[str] | None]] = []
        inner = self.fake.agent

        class Agent:
            @staticmethod
            def request(method: bytes, uri: bytes, headers: Any, body: Any) -> Any:
                named = headers.getRawHeaders("X-Request-Id"), headers.getRawHeaders("Range")
                self.seen.append(named)
                return inner.request(method, uri, headers, body)

        self.client = Client(Transport(self.clock, "http://fake/", agent=Agent))
        self.tree = Tree(self.client, self.root)

    def test_all_requests_of_a_call_have_the_headers_of_the_caller(self) -> None:
        async def use() -> None:
            with asking(Terms(headers={"X-Request-Id": "7"})):
                await self.tree.save("a/b", b"x" * 100)
            with asking(Terms(headers={"Range": "bytes=0-0"})):
                cap = (await self.tree.resolve("a/b")).cap
                self.assertEqual(await self.client.read(cap, 5, 10), b"x" * 10)

        self.now(use())
        *saving, reading = self.seen
        self.assertEqual(saving, [(["7"], None)] * len(saving))
        self.assertGreater(len(saving), 2)
        self.assertEqual(reading, (None, ["bytes=5-14"]))

    def test_a_header_that_cannot_be_sent_is_refused_before_a_request_and_not_shown(self) -> None:
        for name, value in (
            ("X", 1234),
            ("X", b"1234"),
            ("X Y", "1234"),
            ("", "1234"),
            (7, "1234"),
        ):
            headers: Any = {name: value}
            error = self.assertRaises(ValueError, Terms, headers=headers)
            self.assertIn("headers", str(error))
            self.assertNotIn("1234", str(error))
        for value in ("two\nlines", "a\rb", "a\0b", "\ud800"):
            self.assertRaises(ValueError, Terms, headers={"X": value})

    def test_they_are_not_shown(self) -> None:
        terms = Terms(headers={"Authorization": "secret"})
        self.assertNotIn("secret", repr(terms))
        client = Client(Transport(self.clock, "http://fake/", agent=Refusing, pauses=()))
        with asking(terms):
            asking_for_it = start(client.status())
        error = self.failureResultOf(asking_for_it, GatewayUnreachable).value
        frames = [frame for frame, _ in walk_tb(error.__traceback__)]
        self.assertIn("_exchange", [frame.f_code.co_name for frame in frames])
        self.assertNotIn("secret", str([frame.f_locals for frame in frames]))
