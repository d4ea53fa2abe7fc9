"""An observer gets an event for each request and look-up."""

from __future__ import annotations

import gc
from contextvars import ContextVar, copy_context
from typing import Any
from weakref import ref

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.txtahoe.case import start
from txtahoe import Cap, Client, Event, Gateways, Transport, Tree
from txtahoe.errors import (
    AnswerLost,
    BadRequest,
    ClientClosed,
    GatewayError,
    NoSuchChild,
    RequestTimeout,
)
from txtahoe.http.request import Request
from txtahoe.testing.fake import (
    CutBody,
    Delay,
    EndMarker,
    FakeGateway,
    LostAnswer,
    Silence,
    Status,
)

DATA = bytes(range(256)) * 4
page: ContextVar[str] = ContextVar("page", default="none")


class ObservedTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.fake = FakeGateway(clock=self.clock)
        self.events: list[Event] = []
        self.transport = self.new_transport("one")
        self.client = Client(self.transport)

    def new_transport(self, host: str, **options: Any) -> Transport:
        options = {"agent": self.fake.agent, "observer": self.events.append, **options}
        return Transport(self.clock, f"http://{host}/", **options)

    def now(self, coroutine: Any) -> Any:
        return self.successResultOf(start(coroutine))

    def told(self) -> list[tuple[Any, ...]]:
        """The events since the last call, in short."""
        told = [
            (event.operation, event.method, event.status, event.error, event.repeats)
            for event in self.events
        ]
        self.events.clear()
        return told


class Requests(ObservedTestCase):
    def test_each_operation_has_its_word(self) -> None:
        client, now = self.client, self.now
        cap = now(client.upload(DATA))
        mutable = now(client.create_mutable(DATA))
        directory = now(client.mkdir())
        now(client.mkdir({"f": cap}))
        now(client.mkdir_immutable({"f": cap}))
        now(client.link(directory, "f", cap))
        now(client.list(directory))
        now(client.child(directory, "f"))
        now(client.info(cap))
        now(client.read(cap))
        now(client.size(mutable))
        now(client.overwrite(mutable, b"new"))
        now(client.check(cap))
        now(client.delete(directory, "f"))
        now(client.status())
        now(client.time())
        now(client.statistics())
        now(client.transfers())
        self.assertEqual(
            " ".join(event.operation for event in self.events),
            "upload upload mkdir mkdir mkdir link list info info download size write check unlink "
            "status time statistics transfers",
        )
        self.assertEqual({event.error for event in self.events}, {None})
        self.assertEqual({event.gateway for event in self.events}, {"http://one"})
        self.assertEqual({event.repeats for event in self.events}, {0})
        self.assertEqual({event.cache for event in self.events}, {None})

    def test_no_event_holds_a_cap_or_a_name(self) -> None:
        directory = self.now(self.client.mkdir())
        self.now(self.client.link(directory, "secret name", self.now(self.client.upload(DATA))))
        self.failureResultOf(start(self.client.child(directory, "other name")), NoSuchChild)
        self.assertEqual(len(self.events), 4)
        text = repr(self.events)
        for secret in ("URI", "name", str(directory)[9:35]):
            self.assertNotIn(secret, text)

    def test_bytes_are_those_of_the_bodies(self) -> None:
        cap = self.now(self.client.upload(DATA))
        self.assertEqual(self.now(self.client.read(cap)), DATA)
        up, down = self.events
        self.assertEqual((up.sent, up.received), (len(DATA), len(str(cap))))
        self.assertEqual((down.sent, down.received), (0, len(DATA)))

    def test_seconds_are_those_of_the_clock(self) -> None:
        self.fake.fail_next("PUT /uri", Delay(2.5))
        uploading = start(self.client.upload(DATA))
        self.clock.advance(2.5)
        self.successResultOf(uploading)
        self.assertEqual([event.seconds for event in self.events], [2.5])

    def test_a_download_is_told_once_when_all_bytes_have_come(self) -> None:
        cap = self.now(self.client.upload(DATA))
        self.events.clear()
        download = self.now(self.client.download(cap))
        self.assertEqual(self.events, [])
        self.assertEqual(self.now(download.read()), DATA)
        self.assertEqual(self.told(), [("download", "GET", 200, None, 0)])
        download.close()
        self.assertEqual(self.told(), [])

    def test_a_download_that_nobody_wants_any_more_is_told_at_that_moment(self) -> None:
        cap = self.now(self.client.upload(DATA * 8000))
        self.events.clear()
        download = self.now(self.client.download(cap))
        got = self.now(download.read())
        self.assertEqual(self.events, [])
        self.clock.advance(3)
        download.close()
        (event,) = self.events
        self.assertEqual((event.error, event.seconds), (None, 3))
        self.assertLess(event.received, len(DATA) * 8000)
        self.assertGreaterEqual(event.received, len(got))

    def test_a_walk_is_told_at_its_end(self) -> None:
        directory = self.now(self.client.mkdir())
        self.events.clear()

        async def walk() -> None:
            async with await self.client.manifest(directory) as entries:
                async for _ in entries:
                    pass

        self.now(walk())
        self.assertEqual(self.told(), [("manifest", "POST", 200, None, 0)])


class Failures(ObservedTestCase):
    def fails(self, coroutine: Any, kind: type[Exception], seconds: float = 0) -> None:
        failing = start(coroutine)
        self.clock.pump([0.25] * int(seconds * 4))
        self.failureResultOf(failing, kind)

    def test_an_answer_that_is_an_error_has_its_status_and_the_error(self) -> None:
        self.fake.fail_next("PUT /uri", Status(500, "no room"))
        self.fails(self.client.upload(DATA), GatewayError)
        (event,) = self.events
        self.assertEqual((event.status, event.error), (500, "GatewayError"))
        self.assertEqual((event.sent, event.received), (len(DATA), len("no room")))

    def test_silence_and_a_lost_answer_have_no_status(self) -> None:
        self.fake.fail_next("GET /?t=json", Silence())
        self.fails(self.client.status(), RequestTimeout, seconds=60)
        self.assertEqual(self.events[0].seconds, 60)
        self.assertEqual(self.told(), [("status", "GET", None, "RequestTimeout", 0)])
        self.fake.fail_next("*", LostAnswer())
        self.fails(self.client.time(), AnswerLost)
        self.assertEqual(self.told(), [("time", "GET", None, "AnswerLost", 0)])

    def test_a_request_that_its_caller_cancels_has_an_error(self) -> None:
        self.fake.fail_next("GET /?t=json", Silence())
        asking = start(self.client.status())
        asking.cancel()
        self.failureResultOf(asking)
        self.assertEqual(self.told(), [("status", "GET", None, "CancelledError", 0)])

    def test_a_request_that_its_caller_cancels_in_its_answer_has_an_error(self) -> None:
        directory = self.now(self.client.mkdir())
        self.events.clear()
        self.fake.fail_next("GET /uri/CAP?t=json", EndMarker(0))
        asking = start(self.client.list(directory))
        asking.cancel()
        self.failureResultOf(asking)
        self.assertEqual(self.told(), [("list", "GET", 200, "CancelledError", 0)])

    def test_a_download_that_the_closing_of_the_client_ends_has_an_error(self) -> None:
        cap = self.now(self.client.upload(DATA * 8000))
        self.events.clear()
        download = self.now(self.client.download(cap))
        self.now(download.read())
        self.now(self.client.close())
        self.assertEqual(self.told(), [("download", "GET", 200, "AnswerLost", 0)])
        download.close()
        self.assertEqual(self.told(), [])

    def test_a_closed_client_makes_no_requests_and_tells_none(self) -> None:
        self.now(self.client.close())
        self.fails(self.client.status(), ClientClosed)
        self.assertEqual(self.events, [])

    def test_repeats_count_the_attempts_before(self) -> None:
        self.fake.fail_next("PUT /uri", Status(503), times=2)
        uploading = start(self.client.upload(DATA))
        self.clock.pump([0.25] * 5)
        self.successResultOf(uploading)
        self.assertEqual(
            self.told(),
            [
                ("upload", "PUT", 503, "GatewayBusy", 0),
                ("upload", "PUT", 503, "GatewayBusy", 1),
                ("upload", "PUT", 200, None, 2),
            ],
        )

    def test_a_download_that_breaks_off_and_goes_on_is_two_requests(self) -> None:
        cap = self.now(self.client.upload(DATA))
        self.events.clear()
        self.fake.fail_next("GET /uri/CAP", CutBody(100))
        reading = start(self.client.read(cap))
        self.clock.pump([0.5] * 4)
        self.assertEqual(self.successResultOf(reading), DATA)
        self.assertEqual([event.received for event in self.events], [100, len(DATA) - 100])
        self.assertEqual(
            self.told(),
            [("download", "GET", 200, "AnswerLost", 0), ("download", "GET", 206, None, 1)],
        )

    def test_a_body_that_stops_has_the_error_of_its_reader(self) -> None:
        directory = self.now(self.client.mkdir())
        self.events.clear()
        self.fake.fail_next("POST /uri/CAP?t=stream-manifest", EndMarker(0))
        walking = start(self.first_of(directory))
        self.clock.pump([1] * 61)
        self.failureResultOf(walking, RequestTimeout)
        self.assertEqual(self.told(), [("manifest", "POST", 200, "RequestTimeout", 0)])

    async def first_of(self, directory: Cap) -> object:
        return await anext(await self.client.manifest(directory))

    def test_the_next_gateway_is_a_repeat(self) -> None:
        other = self.new_transport("two")
        both = Client(Gateways([self.transport, other]))
        self.fake.fail_next("PUT /uri", Status(502))
        with self.assertLogs("txtahoe", "INFO") as logs:
            self.now(both.upload(DATA))
        self.assertEqual([event.gateway for event in self.events], ["http://one", "http://two"])
        self.assertEqual([event.repeats for event in self.events], [0, 1])
        self.assertEqual([record.levelname for record in logs.records], ["WARNING", "INFO"])
        self.assertIn("pass over http://one for 30 seconds", logs.output[0])
        self.assertIn("asking the next gateway", logs.output[1])


class Observers(ObservedTestCase):
    def test_no_exception_of_an_observer_keeps_an_answer_from_its_reader(self) -> None:
        for error in (ValueError("no"), SystemExit("no")):

            def observe(event: Event, error: BaseException = error) -> None:
                raise error

            client = Client(self.new_transport("one", observer=observe))
            with self.assertLogs("txtahoe", "ERROR") as logs:
                cap = self.now(client.upload(DATA))
                self.assertEqual(self.now(client.read(cap)), DATA)
                self.fake.fail_next("GET /?t=json", Status(400))
                self.failureResultOf(start(client.status()), BadRequest)
            self.assertEqual(len(logs.records), 3)
            self.assertIn(f"{type(error).__name__}: no", logs.output[0])

    def test_an_exception_that_ends_a_thread_leaves_a_look_up_in_memory(self) -> None:
        def observe(event: Event) -> None:
            if event.cache == "memory":
                raise KeyboardInterrupt

        tree = Tree(Client(self.new_transport("one", observer=observe)), self.fake.make_directory())
        self.failureResultOf(start(tree.resolve("")), KeyboardInterrupt)

    def test_an_answer_does_not_keep_the_context_of_its_request(self) -> None:
        class Page:
            pass

        pages: ContextVar[Page] = ContextVar("pages")

        def begin(transport: Transport) -> Any:
            page = Page()
            pages.set(page)
            return self.now(transport.open(request)), ref(page)

        cap = self.now(self.client.upload(DATA))
        request = Request("download", "GET", ["uri", cap], doing="downloading")
        for options in ({}, {"observer": None}):
            transport = self.new_transport("one", **options)
            answer, page = copy_context().run(begin, transport)
            gc.collect()
            self.assertIsNone(page(), options)
            self.assertEqual(self.now(answer.read()), DATA)

    def test_an_observer_is_called_in_the_context_of_the_request(self) -> None:
        pages: list[str] = []
        client = Client(self.new_transport("one", observer=lambda event: pages.append(page.get())))
        cap = self.now(client.upload(DATA * 8000))

        def begin(name: str) -> Any:
            page.set(name)
            return self.now(client.download(cap)), start(client.status())

        download, _ = copy_context().run(begin, "first")
        copy_context().run(page.set, "second")
        self.now(download.read())
        download.close()
        self.assertEqual(pages, ["none", "first", "none"])

    def test_the_write_of_a_commit_is_in_the_context_of_a_caller(self) -> None:
        pages: dict[str, list[str]] = {}

        def observe(event: Event) -> None:
            pages.setdefault(event.operation, []).append(page.get())

        client = Client(self.new_transport("one", observer=observe))
        tree = Tree(client, self.fake.make_directory())

        def save(name: str) -> Any:
            page.set(name)
            return start(tree.save(name, DATA))

        self.fake.fail_next("*set_children", Delay(1))
        saving = [copy_context().run(save, name) for name in ("a", "b", "c")]
        self.clock.pump([1] * 3)
        for each in saving:
            self.successResultOf(each)
        self.assertEqual(pages["upload"], ["a", "b", "c"])
        self.assertEqual(pages["link"], ["a", "b"])


class LookUps(ObservedTestCase):
    def test_a_look_up_tells_whether_memory_answered(self) -> None:
        tree = Tree(self.client, self.fake.make_directory())
        self.now(tree.save("f", DATA))
        self.events.clear()
        self.now(tree.resolve("f"))
        self.assertEqual(self.events, [Event("lookup", cache="memory")])
        self.clock.advance(11)
        self.events.clear()
        self.now(tree.resolve("f"))
        self.assertEqual([event.operation for event in self.events], ["lookup", "list"])
        self.assertEqual(self.events[0], Event("lookup"))
        self.events.clear()
        self.now(tree.resolve("f", fresh=True))
        self.now(tree.prefetch(["f", "g"]))
        self.assertEqual(
            [(event.operation, event.cache) for event in self.events],
            [("list", None), ("lookup", "memory"), ("lookup", None), ("list", None)],
        )
