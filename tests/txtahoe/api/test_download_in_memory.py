"""Downloads on a gateway in memory: files that change meanwhile, and requests that are ended."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from twisted.web.server import Request as WebRequest

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Client
from txtahoe.api.download import Download
from txtahoe.errors import AnswerLost, IncompleteDownload, NotAGateway, RequestTimeout
from txtahoe.testing.fake import CutBody, EndMarker, Silence
from txtahoe.testing.fake.http.question import Answer

DATA = bytes(range(256)) * 2**14
GET = "GET /uri/CAP"


@frozen
class Before:
    """No fault: call a function before the gateway answers a request."""

    what: Callable[[], None]

    def happen(self, exchange: Any) -> None:
        self.what()
        exchange.send(exchange.work())


class Open:
    """A fault: the head of another answer, so many bytes of its body, and an open connection."""

    def __init__(self, after: int = 0, **changes: Any) -> None:
        self._after = after
        self._changes = changes
        self._exchange: Any = None

    @property
    def is_gone(self) -> bool:
        """Whether the client has ended the request."""
        return bool(self._exchange._is_gone)

    def happen(self, exchange: Any) -> None:
        answer = evolve(exchange.work(), **self._changes)
        exchange.begin(answer, answer.body[: self._after])
        self._exchange = exchange


@frozen
class Halt:
    """A fault: the body stops for 3 seconds after so many bytes."""

    after: int

    def happen(self, exchange: Any) -> None:
        answer = exchange.work()
        exchange.begin(answer, answer.body[: self.after])
        exchange.later(3, lambda: exchange._request.write(answer.body[self.after :]))
        exchange.later(3, exchange._request.finish)


class FilesThatChange(ClockTestCase):
    """All bytes of a download are of one version of the file."""

    def setUp(self) -> None:
        super().setUp()
        # Its end looks like the beginning of a marker, and is asked for again.
        self.old = b"o" * 200 + b"prob"
        self.cap = self.now(self.client.create_mutable(self.old))

    def read_while_it_is_overwritten(self, new: bytes) -> Any:
        overwrite = Before(lambda: self.now(self.client.overwrite(self.cap, new)))
        self.fake.fail_next(GET, overwrite, skip=1)
        reading = start(self.client.read(self.cap))
        self.clock.pump([1] * 5)
        return reading

    def test_an_end_of_another_version_is_an_incomplete_download(self) -> None:
        for end in (b"abcd", b"prox", b"p\0\0\0", b"xpro", b"xxxp"):
            self.now(self.client.overwrite(self.cap, self.old))
            reading = self.read_while_it_is_overwritten(b"n" * 200 + end)
            self.failureResultOf(reading, IncompleteDownload)

    def test_an_equal_end_of_another_version_is_accepted(self) -> None:
        reading = self.read_while_it_is_overwritten(b"n" * 200 + b"prob")
        self.assertEqual(self.successResultOf(reading), self.old)

    def test_an_equal_end_may_come_in_parts(self) -> None:
        self.fake.fail_next(GET, Halt(2), skip=1)
        reading = start(self.client.read(self.cap))
        self.clock.pump([1] * 5)
        self.assertEqual(self.successResultOf(reading), self.old)

    def test_a_file_that_begins_with_a_marker_may_come_slowly(self) -> None:
        data = b"problem during download\nand more"
        self.now(self.client.overwrite(self.cap, data))
        self.fake.fail_next(GET, Halt(24))
        reading = start(self.client.read(self.cap))
        self.clock.pump([1] * 5)
        self.assertEqual(self.successResultOf(reading), data)

    def test_a_mutable_file_is_not_resumed(self) -> None:
        self.now(self.client.overwrite(self.cap, DATA))
        for fault in (CutBody(2**17), EndMarker(2**17), None):
            if fault is not None:
                self.fake.fail_next(GET, fault)
            download = self.now(self.client.download(self.cap))
            self.now(download.read())
            if fault is None:
                download.close()
            for _ in range(2):  # nor when it is tried once more
                rest = start(download.rest())
                self.clock.pump([1] * 5)
                self.assertIn("from its start", str(self.failureResultOf(rest).value))
                self.failureResultOf(start(download.rest()), IncompleteDownload)

    def test_a_mutable_file_is_read_again_before_its_first_byte(self) -> None:
        self.fake.fail_next(GET, CutBody(0))
        reading = start(self.client.read(self.cap))
        self.clock.pump([1] * 5)
        self.assertEqual(self.successResultOf(reading), self.old)


class Interruptions(ClockTestCase):
    """Answers that end midway, or are others than those that were asked for."""

    def setUp(self) -> None:
        super().setUp()
        self.cap = self.now(self.client.upload(DATA))
        self.fake.requests.clear()

    def test_a_body_that_breaks_off_is_asked_for_again_after_a_pause(self) -> None:
        for fault in CutBody(2**17), EndMarker(2**17):
            self.fake.requests.clear()
            self.fake.fail_next(GET, fault)
            reading = start(self.client.read(self.cap))
            self.assertEqual(self.fake.requests, [GET])
            self.clock.pump([1] * 3)
            self.assertEqual(self.successResultOf(reading), DATA)
            self.assertEqual(self.fake.requests, [GET] * 2)

    def test_a_body_that_stops_is_a_timeout_and_ends_its_request(self) -> None:
        stopped = Open(2**17)
        self.fake.fail_next(GET, stopped)
        reading = start(self.client.read(self.cap))
        self.assertFalse(stopped.is_gone)
        self.clock.advance(self.client.timeout)
        self.failureResultOf(reading, RequestTimeout)
        self.assertTrue(stopped.is_gone)
        self.assertEqual(self.fake.requests, [GET])

    def test_an_answer_that_is_not_the_range_is_refused_and_ended(self) -> None:
        # As of a proxy that knows no ranges, or packs what it hands on.
        mutable = self.now(self.client.create_mutable(DATA))
        for cap, error in ((self.cap, NotAGateway), (mutable, IncompleteDownload)):
            for offset, change in (
                (1, {"status": 200}),
                (1, {"headers": {}}),
                (1, {"headers": {"Content-Range": f"bytes 0-{len(DATA) - 2}/{len(DATA)}"}}),
                (1, {"body": DATA}),
                (0, {"status": 206}),
                (0, {"body": DATA[1:]}),
                (0, {"headers": {"Content-Encoding": "gzip"}}),
            ):
                changed = Open(**change)
                self.fake.fail_next(GET, changed)
                download = self.now(self.client.download(cap, offset))
                self.failureResultOf(start(download.read()), error)
                self.assertTrue(changed.is_gone, change)

    def test_a_download_that_is_cancelled_ends_its_request(self) -> None:
        stopped = Open(2**17)
        self.fake.fail_next(GET, stopped)
        reading = start(self.client.read(self.cap))
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        self.assertTrue(stopped.is_gone)


class Endings(ClockTestCase):
    """Every end of a download ends its request."""

    def setUp(self) -> None:
        super().setUp()
        self.cap = self.now(self.client.upload(DATA))

    def download(self, **options: Any) -> Download:
        return self.now(self.client.download(self.cap, **options))

    def assert_closed(self, download: Download) -> None:
        self.assertIsNone(download._answer)

    def test_a_download_that_was_read_is_not_narrowed(self) -> None:
        download = self.download()
        first = self.now(download.read())
        self.assertRaises(ValueError, download.narrow, 0, 10)
        self.assertEqual(first + self.now(download.rest()), DATA)
        self.assert_closed(download)
        self.assertEqual(self.now(download.read()), b"")

    def test_it_is_narrowed_to_bytes_that_are_to_come(self) -> None:
        for data in (b"a few bytes", DATA):
            cap = self.now(self.client.upload(data))
            download = self.now(self.client.download(cap, 3, 6))
            for wrong in ((-1, 3), (0, 7), (4, 3)):
                self.assertRaises(ValueError, download.narrow, *wrong)
            download.narrow(0, 6)
            download.narrow(2, 5)
            self.assertEqual(self.now(download.rest()), data[5:8])
            download = self.now(self.client.download(cap))
            download.narrow(len(data), len(data))
            self.assertEqual(self.now(download.rest()), b"")

    def test_a_literal_file_needs_no_request(self) -> None:
        cap = self.now(self.client.upload(b"a few bytes"))
        self.fake.requests.clear()
        self.assertEqual(self.now(self.client.read(cap, 2, 3)), b"few")
        self.assertEqual(self.fake.requests, [])

    def test_a_file_that_fails_ends_the_request(self) -> None:
        class Full(io.BytesIO):
            def write(self, data: Any) -> int:
                raise OSError("no space left")

        download = self.download()
        self.failureResultOf(start(download.save(Full())), OSError)
        self.assert_closed(download)

    def test_a_file_that_does_not_say_how_much_it_took_has_taken_all(self) -> None:
        got = []
        self.now(self.download().save(SimpleNamespace(write=got.append)))
        self.assertEqual(b"".join(got), DATA)

    def test_a_pipe_that_is_full_and_does_not_block_is_an_error(self) -> None:
        for number in (pipe := os.pipe()):
            self.addCleanup(os.close, number)
        os.set_blocking(pipe[1], False)
        with open(pipe[1], "wb", buffering=0, closefd=False) as file:
            self.failureResultOf(start(self.download().save(file)), BlockingIOError)

    def test_a_block_that_is_left_ends_the_request(self) -> None:
        async def first(download: Download) -> bytes:
            async with download:
                async for chunk in download:
                    return chunk
            raise AssertionError

        download = self.download()
        self.assertEqual(self.now(first(download)), DATA[: len(self.now(first(self.download())))])
        self.assert_closed(download)

    def test_a_walk_that_is_left_ends_the_request(self) -> None:
        async def first() -> Any:
            async with await self.client.manifest(self.root) as walk:
                await anext(walk)
            return walk

        self.assertIsNotNone(self.now(first())._incoming._end)

    def test_a_walk_with_a_line_that_is_no_json_ends_the_request(self) -> None:
        class Garbage:
            def happen(self, exchange: Any) -> None:
                exchange.begin(Answer(200, b"", chunked=True), b"{garbage\n")

        self.fake.fail_next("*?t=stream-manifest", Garbage())
        walk = self.now(self.client.manifest(self.root))
        self.failureResultOf(start(anext(walk)), NotAGateway)
        self.assertIsNotNone(walk._incoming._end)

    def test_a_client_that_is_left_is_closed(self) -> None:
        closed: list[bool] = []

        class Noting(Client):
            async def close(self) -> None:
                closed.append(True)

        async def use() -> None:
            async with Noting(self.client._transport) as client:
                await client.status()

        self.now(use())
        self.assertEqual(closed, [True])


class Consumers(ClockTestCase):
    """`write_to` a request of twisted.web that ends before the download."""

    def setUp(self) -> None:
        super().setUp()
        self.cap = self.now(self.client.upload(DATA))
        self.requests: list[WebRequest] = []
        resource = Resource()
        resource.isLeaf = True
        resource.render_GET = lambda request: self.requests.append(request) or NOT_DONE_YET  # type: ignore[attr-defined]
        self.transport = StringTransport()
        self.channel = Site(resource, reactor=self.clock).buildProtocol(None)
        self.channel.makeConnection(self.transport)
        self.channel.dataReceived(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")

    def write(self) -> Any:
        return start(self.now(self.client.download(self.cap)).write_to(self.requests[0]))

    def lose(self) -> None:
        if self.transport.producer is not None:
            self.transport.producer.stopProducing()
        self.channel.connectionLost(Failure(ConnectionDone()))

    def test_nothing_is_written_to_a_consumer_that_pauses_at_once(self) -> None:
        got: list[bytes] = []
        registered: list[Any] = []

        def register(*how: Any) -> None:
            registered.extend(how)
            how[0].pauseProducing()

        consumer = SimpleNamespace(
            registerProducer=register, unregisterProducer=registered.clear, write=got.append
        )
        writing = start(self.now(self.client.download(self.cap)).write_to(consumer))
        self.assertEqual(got, [])
        producer, is_streaming = registered
        self.assertTrue(is_streaming)
        producer.resumeProducing()
        self.successResultOf(writing)
        self.assertEqual((b"".join(got), registered), (DATA, []))

    def test_a_browser_that_leaves_a_silent_gateway_cancels_the_write(self) -> None:
        self.fake.fail_next(GET, Silence())
        writing = self.write()
        self.lose()
        writing.cancel()
        self.failureResultOf(writing, CancelledError)

    def test_a_browser_that_has_gone_before_is_a_cancelled_write(self) -> None:
        self.lose()
        self.failureResultOf(self.write(), CancelledError)

    def test_a_browser_that_leaves_after_the_first_read_ends_the_request(self) -> None:
        download = self.now(self.client.download(self.cap))
        self.now(download.read())
        self.lose()
        self.failureResultOf(start(download.write_to(self.requests[0])), CancelledError)
        self.assertIsNone(download._answer)

    def test_a_browser_that_goes_away_in_the_middle_ends_the_write(self) -> None:
        self.fake.fail_next(GET, Before(self.lose))
        self.failureResultOf(self.write(), CancelledError)

    def test_an_error_of_the_download_is_not_replaced(self) -> None:
        self.fake.fail_next(GET, CutBody(0), times=9)
        writing = self.write()
        self.requests[0].finish()
        self.clock.pump([1] * 5)
        self.failureResultOf(writing, AnswerLost)
        self.flushLoggedErrors(RuntimeError)  # Twisted's: the producer was not unregistered
