"""`serve`: files that cannot be read to their end, and clients that go away."""

from __future__ import annotations

from typing import Any

from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, readBody
from twisted.web.server import Request as WebRequest
from twisted.web.server import Site

from tests.txtahoe.api.serving_case import DATA, ServingTestCase
from tests.txtahoe.case import start
from txtahoe import Download
from txtahoe.errors import IsADirectory, NoSuchChild, TahoeError, Unrecoverable
from txtahoe.testing.fake import CutBody, EndMarker, ExceptionPage, Silence

GET = "GET /uri/CAP"
_LOST = ExceptionPage("allmydata.interfaces.NotEnoughSharesError", "gone")


class Body(Protocol):
    """Keeps the bytes of a body, and the reason of its end."""

    data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason


class Slow(StringTransport):
    """Asks its producer to pause after each write, as a socket does when its buffer is full."""

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.producer is not None:
            self.producer.pauseProducing()


class Failing(ServingTestCase):
    """A file that cannot be read to its end."""

    def test_an_error_before_the_first_byte_is_raised_and_nothing_is_sent(self) -> None:
        self.now(self.tree.make_directories("directory"))
        self.fake.lose(self.cap)
        for name, expected in (
            ("file.bin", Unrecoverable),
            ("missing", NoSuchChild),
            ("directory", IsADirectory),
        ):
            for method in ("GET", "HEAD"):
                asking = self.ask(name, method)
                self.clock.pump([1] * 5)
                if (name, method) == ("file.bin", "HEAD"):
                    self.assertEqual(self.successResultOf(asking).code, 200)
                    continue
                self.assertNoResult(asking)
                self.assertTrue(self.errors.pop().check(expected))
                asking.addErrback(lambda _: None).cancel()

    def test_a_download_that_was_read_raises_value_error(self) -> None:
        download = self.now(self.client.download(self.cap))
        self.now(download.rest())

        async def again(*args: object) -> Download:
            return download

        self.patch(self.client, "download", again)
        self.ask("file.bin").addErrback(lambda _: None).cancel()
        self.assertTrue(self.errors.pop().check(ValueError))

    def assert_cut_off(self, asking: Any) -> None:
        body = Body()
        with self.assertLogs("txtahoe", "ERROR") as logs:
            self.successResultOf(asking).deliverBody(body)
            self.clock.pump([1] * 10)
        self.assertTrue(body.reason.check(ResponseFailed))
        self.assertTrue(body.data and DATA.startswith(body.data))
        self.assertLess(len(body.data), len(DATA))
        self.assertIn(self.cap.fingerprint, logs.output[0])
        self.assertEqual((self.errors, self.flushLoggedErrors()), ([], []))
        self.successResultOf(self.answering)
        self.assertFalse(self.requests[-1].finished)

    def test_a_later_error_ends_the_connection_and_is_not_raised(self) -> None:
        for fault in (CutBody(2**19), EndMarker(2**19), EndMarker(len(DATA) - 10)):
            self.fake.fail_next(GET, fault)
            self.fake.fail_next(GET, _LOST, times=9)
            self.assert_cut_off(self.ask("file.bin"))
            self.fake.forget_faults()

    def test_cancelling_it_ends_the_connection(self) -> None:
        self.fake.fail_next(GET, EndMarker(2**19))
        asking = self.ask("file.bin")
        self.clock.callLater(1, self.answering.cancel)
        self.assert_cut_off(asking)
        self.fake.fail_next(GET, Silence())
        self.ask("file.bin").addErrback(lambda _: None)
        self.answering.cancel()
        self.assertTrue(self.errors.pop().check(CancelledError))


class WithKlein(Failing):
    """The same, with Klein, which writes an error page if a route raises."""

    @property
    def site(self) -> Any:
        app = Klein()

        @app.route("/<path:name>", methods=["GET"])
        async def get(request: WebRequest, name: str) -> None:
            self.requests.append(request)
            node = await self.tree.resolve(name)
            self.answering = start(self.client.serve(request, node.cap, name))
            await self.answering

        @app.handle_errors(TahoeError, ValueError, CancelledError)
        def failed(request: WebRequest, failure: Failure) -> bytes:
            request.setResponseCode(503)
            self.errors.append(failure)
            return b"This file cannot be read now."

        return app.resource()

    def test_an_error_before_the_first_byte_is_raised_and_nothing_is_sent(self) -> None:
        self.fake.lose(self.cap)
        asking = self.ask("file.bin")
        self.clock.pump([1] * 5)
        answer = self.successResultOf(asking)
        self.assertEqual(answer.code, 503)
        self.assertEqual(self.successResultOf(readBody(answer)), b"This file cannot be read now.")
        told = {name for name, _ in answer.headers.getAllRawHeaders()}
        self.assertFalse(told & {b"ETag", b"Etag", b"Accept-Ranges", b"Content-Disposition"})


class Browsers(ServingTestCase):
    """Clients that go away, or are slow."""

    def setUp(self) -> None:
        super().setUp()
        self.transport = StringTransport()
        self.channel: Any = None

    def begin(self) -> None:
        self.channel = Site(self.site, reactor=self.clock).buildProtocol(None)
        self.channel.makeConnection(self.transport)
        self.channel.dataReceived(b"GET /file.bin HTTP/1.1\r\nHost: h\r\n\r\n")

    def leave(self) -> None:
        if self.transport.producer is not None:
            self.transport.producer.stopProducing()
        self.channel.connectionLost(Failure(ConnectionDone()))

    def assert_quiet(self) -> None:
        self.assertEqual((self.errors, self.flushLoggedErrors()), ([], []))
        self.successResultOf(self.answering)

    def test_one_that_goes_away_before_the_first_byte_ends_the_download(self) -> None:
        self.fake.fail_next(GET, Silence())
        self.begin()
        self.leave()
        self.assert_quiet()
        self.assertEqual(self.transport.value(), b"")

    def test_one_that_goes_away_in_the_middle_ends_the_download(self) -> None:
        self.fake.fail_next(GET, EndMarker(2**19))
        self.begin()
        self.assertIn(b"200 OK", self.transport.value())
        self.leave()
        self.assert_quiet()

    def test_one_that_has_gone_already_costs_nothing(self) -> None:
        looking: Deferred[Any] = Deferred()
        node = self.now(self.tree.resolve("file.bin"))
        self.patch(self.tree, "resolve", lambda name: looking)
        self.begin()
        self.leave()
        self.fake.requests.clear()
        looking.callback(node)
        self.assert_quiet()
        self.assertEqual(self.fake.requests, [])

    def test_one_that_was_answered_by_others_is_left_alone(self) -> None:
        self.fake.fail_next(GET, Silence())
        self.begin()
        self.requests[0].finish()
        self.assert_quiet()

    def test_one_that_is_slow_is_sent_no_more_than_it_takes(self) -> None:
        self.transport = Slow()
        self.now(self.tree.link("file.bin", self.save("large", DATA * 8), replace=True))
        self.begin()
        for _ in range(9):
            sent = len(self.transport.value())
            self.clock.pump([1] * 5)
            self.assertEqual(len(self.transport.value()), sent)
            self.assertNoResult(self.answering)
            self.transport.producer.resumeProducing()
            self.assertLess(len(self.transport.value()) - sent, 2**21)
            if self.answering.called:
                break
        self.assert_quiet()
        self.assertTrue(self.transport.value().endswith(DATA * 8))
