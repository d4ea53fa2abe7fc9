"""The end of a client: nothing of it is left, and nothing begins again."""

from __future__ import annotations

import io
import threading
from collections.abc import AsyncIterator
from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.task import deferLater
from twisted.internet.tcp import BaseClient
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.grid.strangers import Behaviour, hang_up, stranger
from tests.txtahoe.case import ClockTestCase, start
from tests.waiting import until
from txtahoe import Cap, Client, Gateways, Link, Transport, Tree
from txtahoe.errors import AnswerLost, ClientClosed, TahoeError, UnknownOutcome
from txtahoe.testing.fake import FakeGateway, LostAnswer, Silence

DATA = bytes(range(256)) * 40
DIRECTORY = Cap.parse("URI:DIR2:aaaqeayeaudaocajbifqydiob4:" + "a" * 52)
FILE = Cap.parse("URI:CHK:aaaqeayeaudaocajbifqydiob4:" + "a" * 52 + f":2:3:{2**30}")


def in_reactor() -> set[Any]:
    """The client sockets of the reactor, and its delayed calls but those of trial."""
    sockets = {*reactor.getReaders(), *reactor.getWriters()}
    return {
        *(each for each in sockets if isinstance(each, BaseClient)),
        *(call for call in reactor.getDelayedCalls() if "onTimeout" not in str(call)),
    }


@implementer(IHostnameResolver)
class Slow:
    """Never tells where a host is."""

    def __init__(self) -> None:
        self.asked = 0

    def resolveHostName(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1


class Sockets(TestCase):
    """On a real reactor: trial reports what a test leaves in it, too."""

    timeout = 30

    def setUp(self) -> None:
        self.met: list[bytes] = []

    def meet(self, answer: bytes = b"", scheme: str = "http") -> str:
        """The URL of a server that begins an answer, and says no more."""

        def behave(connection: Any) -> None:
            self.met.append(connection.recv(2**16))
            connection.sendall(answer)
            while connection.recv(2**16):
                pass

        return self.enter(behave).replace("http", scheme)

    def enter(self, behave: Behaviour) -> str:
        context = stranger(behave)
        self.addCleanup(context.__exit__, None, None, None)
        return context.__enter__()

    def connect(self, url: str, **options: Any) -> Client:
        return Client(Transport(reactor, url, **{"pauses": (), **options}))

    async def closed(self, client: Client, work: Any, *expected: type[Exception]) -> None:
        """Close a client while there is work, which fails so."""
        work = self.assertFailure(work, *expected)
        await client.close()
        self.assertEqual(in_reactor(), set())
        await work
        await self.assertFailure(start(client.status()), ClientClosed)
        await client.close()
        self.assertEqual(in_reactor(), set())

    async def test_idle_connections_are_gone(self) -> None:
        with FakeGateway().listening() as url:
            client = self.connect(url)
            cap = await client.upload(DATA)
            await client.close()
            self.assertEqual(in_reactor(), set())
            for attempt in (client.read(cap), client.upload(DATA), client.wait_ready(1, 5)):
                await self.assertFailure(start(attempt), ClientClosed)

    async def test_a_request_without_an_answer_is_lost(self) -> None:
        client = self.connect(self.meet())
        asking = start(client.mkdir())
        await until(lambda: bool(self.met))
        await self.closed(client, asking, AnswerLost)

    async def test_an_upload_under_way_is_lost(self) -> None:
        ended = []

        async def chunks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 1000
                    await deferLater(reactor, 0.01)
            finally:
                ended.append(True)

        client = self.connect(self.meet())
        uploading = start(client.upload(chunks()))
        await until(lambda: bool(self.met))
        await self.closed(client, uploading, AnswerLost)
        self.assertEqual(ended, [True])

    async def test_a_download_that_nobody_reads_on_is_over(self) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 2**30
        client = self.connect(self.meet(answer + b"x" * 3_000_000), pauses=(0.01,))
        download = await client.download(FILE)
        await download.read()
        await client.close()
        self.assertEqual(in_reactor(), set())
        await self.assertFailure(start(download.read()), ClientClosed)

    async def test_a_download_that_waits_for_more_is_over(self) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 2**30
        client = self.connect(self.meet(answer + b"x" * 3))
        download = await client.download(FILE)
        await download.read()
        await self.closed(client, start(download.read()), ClientClosed)

    async def test_a_walk_under_way_is_lost(self) -> None:
        line = b'{"type": "file", "path": ["f"], "cap": "URI:LIT:nbswy3dp"}\n'
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + line
        client = self.connect(self.meet(answer))
        walk = await client.manifest(DIRECTORY)
        self.assertEqual((await anext(walk)).path, ("f",))
        await self.closed(client, start(anext(walk)), AnswerLost)

    async def test_a_pause_before_a_repeat_is_over(self) -> None:
        client = self.connect(self.enter(hang_up), pauses=(1000,))
        asking = start(client.status())
        await until(
            lambda: any(
                call.getTime() > reactor.seconds() + 500 for call in reactor.getDelayedCalls()
            )
        )
        await self.closed(client, asking, ClientClosed)

    async def test_a_look_up_of_a_host_is_over(self) -> None:
        resolver = Slow()
        self.addCleanup(reactor.installNameResolver, reactor.installNameResolver(resolver))
        client = self.connect("http://gateway.example/")
        asking = start(client.status())
        self.assertEqual(resolver.asked, 1)
        await self.closed(client, asking, ClientClosed)

    async def test_a_connection_that_is_not_secure_yet_is_gone(self) -> None:
        client = self.connect(self.meet(scheme="https"))
        asking = start(client.status())
        await until(lambda: bool(self.met))
        await self.closed(client, asking, ClientClosed)

    async def test_a_save_under_way_ends_with_its_tree(self) -> None:
        client = self.connect(self.meet())
        saving = start(Tree(client, DIRECTORY).save("a/b", DATA))
        await until(lambda: len(self.met) == 2)  # the bytes, and a look at the directory
        await self.closed(client, saving, AnswerLost, ClientClosed)

    async def test_close_waits_for_a_thread_that_reads(self) -> None:
        reading, go_on = threading.Event(), threading.Event()

        class File(io.RawIOBase):
            def read(self, size: int = -1) -> bytes:
                reading.set()
                go_on.wait(20)
                return b"x" * 2**18

        self.addCleanup(go_on.set)
        client = self.connect(self.meet())
        uploading = self.assertFailure(start(client.upload(File())), TahoeError)
        await until(reading.is_set)
        closing = start(client.close())
        await deferLater(reactor, 0.05)
        self.assertNoResult(closing)
        go_on.set()
        await closing
        await uploading


class WithoutSockets(ClockTestCase):
    """A client with an agent of somebody else, and without a reactor."""

    def test_requests_under_way_end_and_leave_no_delayed_call(self) -> None:
        cap = self.now(self.client.upload(DATA))
        for pattern, work, expected in (
            ("PUT /uri", lambda: self.client.upload(DATA + b"more"), AnswerLost),
            ("GET /uri/CAP*", lambda: self.client.read(cap), ClientClosed),
            ("POST /uri/CAP*", lambda: self.client.link(self.root, "f", cap), UnknownOutcome),
            ("POST /uri/CAP*", lambda: self.tree.link("f", cap), UnknownOutcome),
            ("*", lambda: self.client.wait_ready(3, 60), ClientClosed),
        ):
            self.fake.fail_next(pattern, Silence())
            working = start(work())
            self.assertNoResult(working)
            self.now(self.client.close())
            self.failureResultOf(working, expected)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.new_client()

    def test_a_change_that_is_to_be_repeated_may_come_later(self) -> None:
        self.fake.fail_next("POST /uri/CAP*", LostAnswer(done=False))
        linking = start(self.client.link(self.root, "f", FILE))
        self.assertNoResult(linking)  # it has read back, and pauses
        self.now(self.client.close())
        self.failureResultOf(linking, UnknownOutcome)

    def new_client(self) -> None:
        self.client = Client(Transport(self.clock, "http://fake/", agent=self.fake.agent))
        self.tree = Tree(self.client, self.root)

    def test_later_calls_say_that_the_client_is_closed(self) -> None:
        cap = self.now(self.client.upload(DATA))
        walk_of = self.client.manifest(self.root)
        self.now(self.client.close())
        before = list(self.fake.requests)
        for work in (
            self.client.upload(DATA),
            self.client.read(cap),
            self.client.mkdir(),
            self.client.list(self.root),
            self.client.link(self.root, "f", cap),
            self.client.set_children(self.root, {"f": Link(cap)}),
            self.client.check(cap),
            self.client.status(),
            self.tree.save("f", DATA),
            walk_of,
        ):
            error = self.failureResultOf(start(work), ClientClosed).value
            self.assertIsInstance(error, ConnectionAbortedError)
            self.assertIn("make another one", str(error))
        self.assertEqual(self.fake.requests, before)

    def test_all_of_several_gateways_are_closed_and_the_writer_too(self) -> None:
        def transport(name: str) -> Transport:
            return Transport(self.clock, f"http://{name}/", agent=self.fake.agent)

        several, writer = [transport("a"), transport("b")], transport("c")

        async def writes() -> Transport:
            return writer

        client = Client(Gateways(several, writer=writes))
        directory = self.now(client.mkdir())
        self.fake.fail_next("POST /uri/CAP*", Silence())
        linking = start(client.link(directory, "f", FILE))
        self.now(client.close())
        self.failureResultOf(linking, UnknownOutcome)
        for each in (*several, writer):
            self.assertTrue(each.is_closed)
        for work in (client.status(), client.mkdir()):
            self.failureResultOf(start(work), ClientClosed)
        self.assertEqual(self.clock.getDelayedCalls(), [])
