"""`serve`: files as answers to requests of twisted.web and of Klein."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from attrs import frozen
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, readBody
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from twisted.web.server import Request as WebRequest

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Cap, Download, serve
from txtahoe.errors import IsADirectory, NoSuchChild, TahoeError, Unrecoverable
from txtahoe.testing.fake import CutBody, EndMarker, ExceptionPage, Silence
from txtahoe.testing.fake.wire import WireAgent

DATA = bytes(range(256)) * 2**12
GET = "GET /uri/CAP"
OCTETS = "application/octet-stream"
_LOST = ExceptionPage("allmydata.interfaces.NotEnoughSharesError", "gone")


@frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Body(Protocol):
    """Keeps what comes, and why it ended."""

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


class ServingTestCase(ClockTestCase):
    """A site of twisted.web that serves each file of the tree by its path."""

    def setUp(self) -> None:
        super().setUp()
        self.answering: Deferred[None] | None = None
        self.errors: list[Failure] = []
        self.requests: list[WebRequest] = []
        self.cap = self.save("file.bin", DATA)

    def save(self, name: str, data: bytes) -> Cap:
        return self.now(self.tree.save(name, data))

    @property
    def site(self) -> Any:
        site = Resource()
        site.isLeaf = True

        async def answer(request: WebRequest) -> None:
            name = b"/".join(request.postpath).decode()
            node = await self.tree.resolve(name)
            await serve(request, await self.client.download(node.cap), name)

        def render(request: WebRequest) -> int:
            self.requests.append(request)
            self.answering = start(answer(request))
            self.answering.addErrback(self.errors.append)
            return NOT_DONE_YET

        site.render_GET = render  # type: ignore[attr-defined]
        return site

    def ask(self, name: str, method: str = "GET", **headers: str) -> Deferred[Any]:
        """An answer that may still be coming."""
        given = Headers({key.replace("_", "-"): [value] for key, value in headers.items()})
        url = f"http://site/{quote(name)}".encode()
        agent = WireAgent(self.site, self.clock)
        return agent.request(method.encode(), url, given)

    def get(self, name: str, method: str = "GET", **headers: str) -> Answer:
        answer = self.successResultOf(self.ask(name, method, **headers))
        self.clock.pump([0.1] * 30)
        told = {
            key.decode().lower(): values[0].decode()
            for key, values in answer.headers.getAllRawHeaders()
            if key not in (b"Server", b"Date", b"Connection")
        }
        if "content-length" not in told and answer.length and method != "HEAD":
            told["content-length"] = str(answer.length)
        return Answer(answer.code, told, self.successResultOf(readBody(answer)))


class Whole(ServingTestCase):
    def test_a_file_comes_with_its_head(self) -> None:
        answer = self.get("file.bin")
        self.assertEqual((answer.status, answer.body), (200, DATA))
        self.assertEqual(
            answer.headers,
            {
                "accept-ranges": "bytes",
                "content-disposition": "attachment; filename*=UTF-8''file.bin",
                "content-length": str(len(DATA)),
                "content-type": OCTETS,
                "etag": f'"{self.cap.fingerprint}"',
                "x-content-type-options": "nosniff",
            },
        )

    def test_its_head_alone_costs_no_byte(self) -> None:
        expected = self.get("file.bin").headers
        self.fake.requests.clear()
        answer = self.get("file.bin", "HEAD", Range="bytes=0-1")
        self.assertEqual((answer.status, answer.body, answer.headers), (200, b"", expected))
        self.assertEqual(self.fake.requests, [])

    def test_small_empty_and_mutable_files(self) -> None:
        self.save("empty", b"")
        self.save("literal", b"in the cap")
        mutable = self.now(self.client.create_mutable(DATA))
        self.now(self.tree.link("mutable", mutable))
        for name, data in (("empty", b""), ("literal", b"in the cap"), ("mutable", DATA)):
            answer = self.get(name)
            self.assertEqual((answer.status, answer.body), (200, data))
            self.assertEqual("etag" in answer.headers, name != "mutable")

    def test_no_cap_is_in_the_answer(self) -> None:
        self.assertNotIn("URI:", str(self.get("file.bin").headers))


class Parts(ServingTestCase):
    def test_a_range_is_the_slice(self) -> None:
        size = len(DATA)
        for asked, first, last in (
            ("0-0", 0, 0),
            ("5-9", 5, 9),
            ("1000000-", 1_000_000, size - 1),
            ("-7", size - 7, size - 1),
            (f"{size - 1}-{10**30}", size - 1, size - 1),
            (f"-{10**30}", 0, size - 1),
        ):
            answer = self.get("file.bin", Range=f"bytes={asked}")
            self.assertEqual((answer.status, answer.body), (206, DATA[first : last + 1]), asked)
            self.assertEqual(answer.headers["content-range"], f"bytes {first}-{last}/{size}")
            self.assertEqual(answer.headers["content-length"], str(last + 1 - first))

    def test_what_is_no_single_range_is_the_whole_file(self) -> None:
        for asked in (
            "bytes=0-1,4-5",
            "bytes=5-4",
            "bytes=-",
            "lines=0-1",
            "bytes=a-b",
            "bytes=+1-2",
        ):
            answer = self.get("file.bin", Range=asked)
            self.assertEqual((answer.status, len(answer.body)), (200, len(DATA)), asked)

    def test_a_range_past_the_end_is_refused(self) -> None:
        self.save("empty", b"")
        for name, size in (("file.bin", len(DATA)), ("empty", 0)):
            for asked in (f"bytes={size}-", "bytes=-0", f"bytes={10**30}-"):
                answer = self.get(name, Range=asked)
                self.assertEqual((answer.status, answer.body), (416, b""))
                self.assertEqual(answer.headers["content-range"], f"bytes */{size}")

    def test_the_rest_of_another_version_is_not_given(self) -> None:
        etag = f'"{self.cap.fingerprint}"'
        for given, status in ((etag, 206), ('"other"', 200), (f"W/{etag}", 200), ("Fri, 1", 200)):
            answer = self.get("file.bin", Range="bytes=0-9", If_Range=given)
            self.assertEqual(answer.status, status, given)

    def test_a_file_that_the_client_has_is_not_sent(self) -> None:
        etag = f'"{self.cap.fingerprint}"'
        self.fake.requests.clear()
        for given in (etag, f"W/{etag}", f'"other", {etag}', f'"a" , W/"b",{etag},"c"'):
            answer = self.get("file.bin", If_None_Match=given)
            self.assertEqual((answer.status, answer.body), (304, b""), given)
            self.assertEqual(answer.headers["etag"], etag)
        self.assertEqual(self.fake.requests, [])
        for given in ('"other"', self.cap.fingerprint):
            self.assertEqual(self.get("file.bin", If_None_Match=given).status, 200)


class Types(ServingTestCase):
    def test_what_a_browser_shows_and_cannot_run_is_served_as_what_it_is(self) -> None:
        for name, kind in (
            ("a/b.PNG", "image/png"),
            ("a.mp3", "audio/mpeg"),
            ("a.mp4", "video/mp4"),
            ("a.txt", "text/plain"),
            ("a.pdf", "application/pdf"),
        ):
            self.save(name, b"some")
            headers = self.get(name).headers
            self.assertEqual(headers["content-type"], kind)
            self.assertTrue(headers["content-disposition"].startswith("inline; "), name)

    def test_whatever_else_is_an_attachment_without_a_type(self) -> None:
        for name in (
            *("a.html", "a.xhtml", "a.svg", "a.xml", "a.js", "a.mjs", "a.css", "a.mht", "a.swf"),
            *("a.json", "a.tar.gz", "a.svgz", "a", "a.unknown", "a.txt.gz", ".png"),
            *("data:image/png,a.html", "data:text/plain,a", "a.png ", "a.txt/a.html"),
        ):
            self.save(name, b"<script>alert(1)</script>")
            headers = self.get(name).headers
            self.assertEqual(headers["content-type"], OCTETS, name)
            self.assertTrue(headers["content-disposition"].startswith("attachment; "), name)
            self.assertEqual(headers["x-content-type-options"], "nosniff")
            self.now(self.tree.unlink(name))
            if "/" in name:
                self.tree = type(self.tree)(self.client, self.fake.make_directory())

    def test_any_name_is_quoted(self) -> None:
        for name in ('a "b".txt', "a;b.txt", "ä €.txt", "a\r\nSet-Cookie: b.txt", "a\\b"):
            self.save(name, b"some")
            disposition = self.get(name).headers["content-disposition"]
            self.assertEqual(disposition.partition("''")[2], quote(name, safe=""))


class Failing(ServingTestCase):
    """What a client sees of a file that cannot be read to its end."""

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

    def test_a_download_that_was_read_is_not_an_empty_file(self) -> None:
        download = self.now(self.client.download(self.cap))
        self.now(download.rest())

        async def again(cap: Cap) -> Download:
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

    def test_who_cancels_it_ends_the_connection(self) -> None:
        self.fake.fail_next(GET, EndMarker(2**19))
        asking = self.ask("file.bin")
        self.clock.callLater(1, self.answering.cancel)
        self.assert_cut_off(asking)
        self.fake.fail_next(GET, Silence())
        self.ask("file.bin").addErrback(lambda _: None)
        self.answering.cancel()
        self.assertTrue(self.errors.pop().check(CancelledError))


class WithKlein(Failing):
    """The same, with Klein, which writes an error page for what a route raises."""

    @property
    def site(self) -> Any:
        app = Klein()

        @app.route("/<path:name>", methods=["GET"])
        async def get(request: WebRequest, name: str) -> None:
            self.requests.append(request)
            node = await self.tree.resolve(name)
            self.answering = start(serve(request, await self.client.download(node.cap), name))
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
