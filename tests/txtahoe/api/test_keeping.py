"""A client with a content cache: which requests it makes, and which bytes it keeps."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Cap, Client, Transport, Tree
from txtahoe.api.keeping import KeptSource, _pools, disk_threads
from txtahoe.contentcache import BLOCK, ContentCache
from txtahoe.errors import TahoeError
from txtahoe.http import sources
from txtahoe.http.sources import BlockingSource, in_threads
from txtahoe.testing.fake import CutBody, EndMarker, FakeGateway, LostAnswer

DATA = bytes(range(256)) * 2**11 + b"the end"  # four blocks and a little more


class InPieces:
    """A fault: a body that comes by so many bytes a second."""

    def __init__(self, size: int) -> None:
        self._size = size

    def happen(self, exchange: Any) -> None:
        answer = exchange.work()
        exchange.begin(answer, b"")
        for number, start_ in enumerate(range(0, len(answer.body), self._size)):
            piece = answer.body[start_ : start_ + self._size]
            exchange.later(number, partial(exchange._request.write, piece))
        exchange.later(number + 1, exchange._request.finish)


def new_cache(test: SynchronousTestCase) -> ContentCache:
    folder = TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    return ContentCache(Path(folder.name) / "cache")


class KeepingTestCase(ClockTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cache = new_cache(self)
        self.client = self.new_client(self.cache)

    def new_client(self, cache: ContentCache | None) -> Client:
        transport = Transport(self.clock, "http://fake/", agent=self.fake.agent)
        return Client(transport, content_cache=cache)

    def on_grid(self, data: bytes = DATA) -> Cap:
        """The cap of a file that another client has uploaded."""
        cap: Cap = self.now(self.new_client(None).upload(data))
        self.fake.requests.clear()
        return cap

    def read(self, cap: Cap, *part: int, **options: Any) -> bytes:
        async def read() -> bytes:
            return await (await self.client.download(cap, *part, **options)).rest()

        data: bytes = self.now(read())
        return data

    def kept(self, cap: Cap, offset: int = 0) -> bytes:
        return self.cache.read(cap, offset, len(DATA))


class Downloads(KeepingTestCase):
    def test_the_second_one_asks_nothing(self) -> None:
        cap = self.on_grid()
        for _ in range(2):
            self.assertEqual(self.read(cap), DATA)
        self.assertEqual(self.read(cap, 1000, 200_000), DATA[1000:201_000])
        self.assertEqual(self.read(cap, len(DATA), 5), b"")
        self.assertEqual(self.fake.requests, ["GET /uri/CAP"])
        self.assertEqual(self.cache.usage().misses, 1)

    def test_a_range_keeps_its_whole_blocks(self) -> None:
        cap = self.on_grid()
        self.assertEqual(self.read(cap, BLOCK, 2 * BLOCK), DATA[BLOCK : 3 * BLOCK])
        self.assertEqual(self.kept(cap), b"")
        self.assertEqual(self.kept(cap, BLOCK), DATA[BLOCK : 3 * BLOCK])

    def test_a_download_asks_only_for_missing_bytes(self) -> None:
        cap = self.on_grid()
        self.read(cap, 0, 2 * BLOCK)
        self.assertEqual(self.read(cap), DATA)
        self.assertEqual(self.kept(cap), DATA)
        self.assertEqual(self.fake.requests, ["GET /uri/CAP"] * 2)

    def test_a_fresh_one_asks_for_all(self) -> None:
        cap = self.on_grid()
        self.read(cap)
        self.fake.lose(cap)
        self.assertEqual(self.read(cap), DATA)
        download = self.now(self.client.download(cap, fresh=True))
        reading = start(download.rest())
        self.clock.pump([3] * 9)
        self.failureResultOf(reading, TahoeError)

    def test_bytes_that_the_gateway_did_not_vouch_for_are_not_kept(self) -> None:
        for fault in (CutBody(3 * BLOCK + 100), EndMarker(3 * BLOCK + 100)):
            data = str(fault).encode() + DATA
            cap = self.on_grid(data)
            self.fake.fail_next("GET *", fault)
            self.fake.fail_next("GET *", CutBody(0), times=9)
            reading = start(self.client.read(cap))
            self.clock.pump([3] * 9)
            self.failureResultOf(reading, TahoeError)
            self.assertEqual(self.kept(cap), data[: 3 * BLOCK])
            self.fake.forget_faults()
            self.assertEqual(self.read(cap), data)
            self.assertEqual(self.cache.read(cap, 0, len(data)), data)

    def test_pieces_that_end_within_blocks_are_kept(self) -> None:
        cap = self.on_grid()
        self.fake.fail_next("GET *", InPieces(50_000))
        reading = start(self.client.read(cap))
        self.clock.pump([1] * 20)
        self.assertEqual(self.successResultOf(reading), DATA)
        self.assertEqual(self.kept(cap), DATA)

    def test_a_download_that_jumps_over_kept_bytes_keeps_each_where_it_belongs(self) -> None:
        # It is read on after an error: by then the cache has the next bytes.
        for cut in (BLOCK + 100, 2 * BLOCK + 100, 3 * BLOCK + 100):
            data = b"%d" % cut + DATA
            cap = self.on_grid(data)
            self.read(cap, cut // BLOCK * BLOCK, BLOCK)
            self.fake.fail_next("GET *", CutBody(cut))
            self.fake.fail_next("GET *", CutBody(0), times=9)
            download = self.now(self.client.download(cap))
            reading = start(download.rest())
            self.clock.pump([3] * 9)
            self.failureResultOf(reading, TahoeError)
            self.fake.forget_faults()
            self.assertEqual(download.position, cut)
            self.assertEqual(self.now(download.rest()), data[cut:])
            for block in range(0, len(data), BLOCK):
                found = self.cache.read(cap, block, BLOCK)
                self.assertEqual(found, data[block : block + len(found)])
            self.assertEqual(self.read(cap), data)

    def test_mutable_files_are_always_read_anew(self) -> None:
        cap = self.now(self.client.create_mutable(DATA))
        self.assertEqual(self.read(cap), DATA)
        self.now(self.client.overwrite(cap, b"other"))
        self.assertEqual(self.read(cap), b"other")


class Uploads(KeepingTestCase):
    def test_the_bytes_of_every_source_are_kept(self) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for start_ in range(0, len(DATA), 50_000):
                yield DATA[start_ : start_ + 50_000]

        for source in (DATA, bytearray(DATA), io.BytesIO(DATA), pieces()):
            cap = self.now(self.client.upload(source))
            self.assertEqual(self.kept(cap), DATA)
            self.cache.forget(cap)
        small = self.now(self.client.upload(b"s" * 100))
        self.fake.requests.clear()
        self.assertEqual(self.read(small), b"s" * 100)
        self.assertEqual(self.fake.requests, [])

    def test_an_upload_that_is_sent_twice_is_kept_once(self) -> None:
        self.fake.fail_next("PUT /uri", LostAnswer())
        uploading = start(self.client.upload(io.BytesIO(DATA)))
        self.clock.pump([1] * 5)
        cap = self.successResultOf(uploading)
        self.assertEqual(self.fake.requests, ["PUT /uri"] * 2)
        self.assertEqual(self.kept(cap), DATA)
        self.assertLess(self.cache.usage().bytes, 2 * len(DATA))

    def test_a_source_that_changes_before_it_is_sent_again_is_kept_as_the_grid_has_it(self) -> None:
        for size in (10_000, len(DATA)):
            passes = iter([b"old" + DATA[:size], b"new" + DATA[:size]])
            source = BlockingSource(lambda: [next(passes)], maybeDeferred, repeatable=True)
            self.fake.fail_next("PUT /uri", LostAnswer())
            uploading = start(self.client.upload(source))
            self.clock.pump([1] * 5)
            cap = self.successResultOf(uploading)
            self.assertEqual(self.now(self.new_client(None).read(cap)), b"new" + DATA[:size])
            self.assertEqual(self.kept(cap)[:1000], (b"new" + DATA)[:1000])
            self.assertEqual(len(list(self.cache.path.glob("*/*"))), 1)
            self.cache.forget(cap)

    def test_a_source_that_fails_keeps_nothing_and_its_error_is_raised(self) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield DATA
            raise RuntimeError("the disk is away")

        self.failureResultOf(start(self.client.upload(pieces())), RuntimeError)
        self.assertLess(self.cache.usage().bytes, BLOCK)

    def test_a_file_that_is_unlinked_is_forgotten(self) -> None:
        tree = Tree(self.client, self.root)
        cap = self.now(tree.save("a/b.txt", DATA))
        self.assertEqual(self.kept(cap), DATA)
        self.now(tree.unlink("a/b.txt"))
        self.assertEqual(self.kept(cap), b"")


class Sources(KeepingTestCase):
    """The bytes of an upload, on their way into the cache."""

    def setUp(self) -> None:
        super().setUp()
        self.is_closed = False
        pieces = self.pieces()  # the garbage collector must not close it
        source = SimpleNamespace(length=None, repeatable=False, chunks=lambda: pieces)
        self.kept_source = KeptSource(source, self.cache, self.clock)  # type: ignore[arg-type]
        self.chunks = self.kept_source.chunks()

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            for _ in range(100):
                yield bytes(BLOCK)
        finally:
            self.is_closed = True

    def test_few_bytes_wait_in_memory(self) -> None:
        async def most() -> int:
            return max([len(self.kept_source._held) async for _ in self.chunks])

        self.assertLessEqual(self.now(most()), 3 * BLOCK)

    def test_one_block_is_written_after_the_other(self) -> None:
        writing = self.writing()
        waiting = start(anext(self.chunks))
        self.assertNoResult(waiting)
        self.assertEqual(len(writing), 1)
        writing[0].callback(None)
        self.successResultOf(waiting)
        finished = start(self.kept_source.finish(None))
        self.assertEqual(len(writing), 2)
        writing[1].callback(None)
        self.assertEqual(len(writing), 3)
        writing[2].callback(None)
        self.successResultOf(finished)
        self.assertEqual(list(self.cache.path.glob("*/*")), [])

    def test_an_upload_that_ends_amid_a_write_waits_for_it_and_tells_its_own_error(self) -> None:
        writing = self.writing()
        waiting = start(anext(self.chunks))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        finished = start(self.kept_source.finish(None))
        self.assertEqual(len(writing), 1)
        for number in range(2):
            self.assertNoResult(finished)
            writing[number].callback(None)
        self.successResultOf(finished)
        self.assertEqual(list(self.cache.path.glob("*/*")), [])

    def writing(self) -> list[Deferred[None]]:
        """The writes that have begun; each ends when its Deferred fires. The first one goes on."""
        writing: list[Deferred[None]] = []

        def in_thread(function: Any) -> Deferred[None]:
            writing.append(Deferred())
            return writing[-1].addCallback(lambda _: function())

        self.kept_source._in_thread = in_thread
        for _ in range(3):
            self.now(anext(self.chunks))
        self.assertEqual(len(writing), 1)
        return writing

    def test_an_upload_that_ends_early_closes_its_source(self) -> None:
        self.now(anext(self.chunks))
        self.now(self.chunks.aclose())  # type: ignore[attr-defined]
        self.assertTrue(self.is_closed)

    def test_a_source_that_was_never_asked_keeps_nothing(self) -> None:
        self.now(self.kept_source.finish(self.on_grid()))
        self.assertFalse(self.cache.path.exists())


class Threads(SynchronousTestCase):
    def test_the_threads_of_a_reactor_end_with_it(self) -> None:
        triggers: list[Any] = []

        class Reactor:
            getThreadPool = None

            def addSystemEventTrigger(self, *args: Any) -> None:  # noqa: N802
                triggers.append(args)

        reactor = Reactor()
        disk_threads(reactor)
        disk_threads(reactor)
        pool = _pools[reactor]
        for phase, event, function, *args in triggers:
            self.assertEqual((phase, event), ("during", "shutdown"))
            function(*args)
        self.assertTrue(pool.joined)
        self.assertNotIn(reactor, _pools)


class InTheReactor(TestCase):
    """With a running reactor, the disk is used in its threads."""

    def setUp(self) -> None:
        self.fake = FakeGateway()
        self.cache = new_cache(self)
        transport = Transport(reactor, "http://fake/", agent=self.fake.agent)
        self.client = Client(transport, content_cache=self.cache)
        self.addCleanup(lambda: start(self.client.close()))

    async def test_a_file_comes_back(self) -> None:
        cap = await self.client.upload(DATA)
        self.assertEqual(await self.client.read(cap), DATA)
        self.assertEqual(self.fake.requests, ["PUT /uri"])
        self.cache.clear()
        for _ in range(2):
            self.assertEqual(await self.client.read(cap), DATA)
        self.assertEqual(self.fake.requests, ["PUT /uri", "GET /uri/CAP"])

    async def test_it_needs_none_of_the_threads_of_callers_that_wait(self) -> None:
        # As in an application of Twisted, which calls a storage with `deferToThread`.
        over = Event()
        self.addCleanup(over.set)
        waiting = [
            deferToThread(over.wait)
            for _ in range(reactor.getThreadPool().max)  # type: ignore[attr-defined]
        ]
        cap = await self.client.upload(DATA)
        await self.client.forget(cap)
        self.assertEqual(await self.client.read(cap), DATA)
        over.set()
        await gatherResults(waiting)

    def test_a_process_that_ends_starts_no_thread(self) -> None:
        class Ended:
            def is_alive(self) -> bool:
                return False

        self.patch(sources, "main_thread", Ended)
        done = start(in_threads(reactor)(lambda: 5))
        self.assertEqual(self.successResultOf(done), 5)
