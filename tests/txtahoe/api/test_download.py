"""No wrong byte: downloads on a real grid whose shares are damaged and whose nodes go away."""

from __future__ import annotations

import io
import random
import threading

from hypothesis import settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from tests.grid.case import GatewayTestCase
from tests.grid.shares import damage
from tests.needs import GRID, TIME, needs
from tests.seeds import given
from tests.waiting import until
from txtahoe.api.download import _END_MARKER, _marker_length
from txtahoe.errors import IncompleteDownload, TahoeError, Unrecoverable

# Of immutable files, by default.
SEGMENT = 2**20
MARKER = b"problem during download\n"


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


class Ranges(GatewayTestCase):
    async def test_every_range_of_every_size_gives_that_slice(self) -> None:
        choose = random.Random(1)
        around = [size + more for size in (2**17, SEGMENT) for more in (-1, 0, 1)]
        for size in (0, 1, 55, 56, *around, 3 * SEGMENT + 10):
            data = noise(size, seed=size)
            cap = await self.client.upload(data)
            edges = [0, 1, 54, 55, *around, size - 1, size, size + 1]
            edges = [edge for edge in edges if 0 <= edge <= size + 1]
            pairs = {(choose.choice(edges), choose.choice([None, *edges])) for _ in range(12)}
            for offset, length in pairs:
                end = None if length is None else offset + length
                self.assertEqual(
                    await self.client.read(cap, offset, length), data[offset:end], (size, offset)
                )


class Markers(SynchronousTestCase):
    @given(st.binary(max_size=40), st.integers(0, len(MARKER)))
    def test_the_beginning_of_a_marker_is_seen_at_the_end_of_any_bytes(
        self, data: bytes, length: int
    ) -> None:
        self.assertGreaterEqual(_marker_length(data + MARKER[:length]), length)

    @given(st.binary(max_size=40), st.integers(0, len(MARKER)))
    @settings(max_examples=200)
    def test_nothing_else_is_held_back(self, data: bytes, length: int) -> None:
        text = data + MARKER[:length]
        held = _marker_length(text)
        self.assertEqual(text[len(text) - held :], MARKER[:held])

    def test_the_marker_is_tahoes(self) -> None:
        self.assertEqual(_END_MARKER, MARKER)


class Files(GatewayTestCase):
    async def test_a_file_may_end_like_a_marker(self) -> None:
        for length in range(1, len(MARKER) + 1):
            data = noise(200) + MARKER[:length]
            cap = await self.client.upload(data)
            self.assertEqual(await self.client.read(cap), data, length)
            self.assertEqual(await self.client.read(cap, 200), data[200:], length)

    async def test_a_file_may_hold_markers_anywhere(self) -> None:
        for at in (0, 1, SEGMENT - 24, SEGMENT - 10, SEGMENT, 2**16 - 24):
            data = noise(2 * SEGMENT)
            data = data[:at] + MARKER + data[at + 24 :]
            cap = await self.client.upload(data)
            self.assertEqual(await self.client.read(cap), data, at)

    async def test_markers_alone_are_a_file(self) -> None:
        data = MARKER * 9
        cap = await self.client.upload(data)
        self.assertEqual(await self.client.read(cap), data)

    async def test_a_doubted_tail_costs_one_small_request_more(self) -> None:
        client, proxy = self.connect_through_proxy()
        cap = await client.upload(noise(5000) + b"stop")
        proxy.requests.clear()
        self.assertEqual((await client.read(cap))[-4:], b"stop")
        self.assertEqual(proxy.requests, ["GET /uri"] * 2)

    async def test_connections_are_used_again(self) -> None:
        cap = await self.client.upload(noise(5000))
        before = self.client._transport._pool._connections  # type: ignore[attr-defined]
        for _ in range(5):
            await self.client.read(cap)
        self.assertEqual([len(kept) for kept in before.values()], [1])


class Targets(GatewayTestCase):
    """Downloads into files and consumers."""

    async def test_save_writes_to_a_file_in_threads(self) -> None:
        data = noise(3 * SEGMENT, seed=8)
        cap = await self.client.upload(data)
        threads = set()

        class File(io.BytesIO):
            def write(self, chunk) -> int:
                threads.add(threading.get_ident())
                return super().write(chunk)

        file = File()
        download = await self.client.download(cap, 10)
        await download.save(file)
        self.assertEqual(file.getvalue(), data[10:])
        self.assertFalse(file.closed)
        self.assertNotIn(threading.get_ident(), threads)

    async def test_save_writes_all_to_a_file_that_takes_a_part_at_a_time(self) -> None:
        data = noise(2 * SEGMENT, seed=10)

        got = bytearray()

        class Raw(io.RawIOBase):
            def write(self, chunk) -> int:
                got.extend(chunk[:1000])
                return len(chunk[:1000])

        await (await self.client.download(await self.client.upload(data))).save(Raw())
        self.assertEqual(got, data)

    async def test_write_to_pauses_with_its_consumer(self) -> None:
        data = noise(12 * SEGMENT, seed=9)
        cap = await self.client.upload(data)
        consumer = Consumer(at_first="pauseProducing")
        writing = Deferred.fromCoroutine((await self.client.download(cap)).write_to(consumer))
        await consumer.first
        await deferLater(reactor, 0.5)
        self.assertEqual(len(consumer.got), 1)
        consumer.producer.resumeProducing()
        await writing
        self.assertEqual(b"".join(consumer.got), data)
        self.assertIsNone(consumer.producer)

    async def test_a_consumer_that_goes_away_ends_the_request(self) -> None:
        client, proxy = self.connect_through_proxy()
        cap = await client.upload(noise(20 * SEGMENT, seed=9))
        consumer = Consumer(at_first="stopProducing")
        writing = Deferred.fromCoroutine((await client.download(cap)).write_to(consumer))
        await self.assertFailure(writing, CancelledError)
        await until(lambda: not proxy.connections)


class Consumer:
    """Keeps what is written to it, and calls a method of its producer at the first write."""

    def __init__(self, at_first: str) -> None:
        self.got: list[bytes] = []
        self.first: Deferred[None] = Deferred()
        self.producer = None
        self._at_first = at_first

    def registerProducer(self, producer, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.got.append(data)
        if len(self.got) == 1:
            getattr(self.producer, self._at_first)()
            self.first.callback(None)


@needs(GRID, TIME)
class DamagedShares(GatewayTestCase):
    async def read_all(self, cap, data: bytes, offset: int = 0) -> TahoeError:
        """Read until it fails; what came before the failure must be right."""
        download = await self.client.download(cap, offset)
        got = b""
        try:
            while True:
                chunk = await download.read()
                if not chunk:
                    self.fail("a damaged file was read to its end")
                got += chunk
        except TahoeError as error:
            self.assertEqual(got, data[offset : offset + len(got)])
            return error

    async def test_a_damaged_tail_is_an_error_and_not_a_wrong_file(self) -> None:
        # The gateway answers 200 with the right length, and "problem du" at the end.
        data = noise(2 * SEGMENT + 10, seed=2)
        cap = await self.client.upload(data)
        damage(self.grid, cap, -1)
        self.assertIsInstance(await self.read_all(cap, data), Unrecoverable)
        self.assertIsInstance(await self.read_all(cap, data, 2 * SEGMENT - 5), Unrecoverable)
        self.assertEqual(await self.client.read(cap, 0, 2 * SEGMENT), data[: 2 * SEGMENT])

    async def test_a_damaged_middle_is_an_error_and_not_an_endless_wait(self) -> None:
        # The gateway writes the marker and is silent from then on.
        data = noise(4 * SEGMENT, seed=3)
        cap = await self.client.upload(data)
        damage(self.grid, cap, 2)
        started = self.client.reactor.seconds()
        self.assertIsInstance(await self.read_all(cap, data), Unrecoverable)
        self.assertLess(self.client.reactor.seconds() - started, 30)
        self.assertEqual(await self.client.read(cap, 3 * SEGMENT), data[3 * SEGMENT :])

    async def test_a_damaged_beginning_is_an_error(self) -> None:
        data = noise(SEGMENT, seed=4)
        cap = await self.client.upload(data)
        damage(self.grid, cap, 0)
        self.assertIsInstance(await self.read_all(cap, data), Unrecoverable)


@needs(GRID, TIME)
class Interruptions(GatewayTestCase):
    async def test_a_connection_that_breaks_is_followed_by_another_range(self) -> None:
        data = noise(3 * 2**20, seed=5)
        client, proxy = self.connect_through_proxy()
        cap = await client.upload(data)
        for cut in (1, 300, 2**20, 3 * 2**20 + 100):
            proxy.cut_after(cut)
            self.assertEqual(await client.read(cap), data, cut)

    async def test_a_gateway_killed_in_the_middle_gives_right_bytes_or_an_error(self) -> None:
        data = noise(30 * 2**20, seed=6)
        cap = await self.client.upload(data)
        download = await self.client.download(cap)
        got = await download.read()
        gateway = self.grid.node("gateway-1")
        await deferToThread(gateway.kill)
        restarted = deferToThread(gateway.start)
        try:
            while chunk := await download.read():
                got += chunk
            self.assertEqual(len(got), len(data))
        except OSError as error:
            self.assertIsInstance(error, TahoeError)
        self.assertEqual(got, data[: len(got)])
        await restarted
        await deferToThread(self.grid.wait_ready)
        while chunk := await download.read():  # and it goes on where it was
            got += chunk
        self.assertEqual(got, data)

    async def test_a_mutable_file_is_not_pieced_together(self) -> None:
        client, proxy = self.connect_through_proxy()
        data = noise(2**20)
        cap = await client.create_mutable(data, format="MDMF")
        self.assertEqual(await client.read(cap), data)
        proxy.cut_after(2**19)
        await self.assertFailure(Deferred.fromCoroutine(client.read(cap)), IncompleteDownload)

    async def test_a_reader_that_pauses_makes_the_gateway_pause(self) -> None:
        data = noise(40 * 2**20, seed=7)
        client, proxy = self.connect_through_proxy()
        cap = await client.upload(data)
        download = await client.download(cap)
        first = await download.read()
        await deferLater(reactor, 1.0)
        # Bytes in flight are in our buffer and in those of four sockets.
        self.assertLess(proxy.received, 24 * 2**20)
        self.assertEqual(first + await download.rest(), data)

    async def test_a_download_that_is_cancelled_ends_its_request(self) -> None:
        client, proxy = self.connect_through_proxy()
        cap = await client.upload(noise(40 * 2**20, seed=7))
        before = proxy.received
        reading = Deferred.fromCoroutine(client.read(cap))
        await until(lambda: proxy.received > before + SEGMENT)
        reading.cancel()
        await self.assertFailure(reading, CancelledError)
        await until(lambda: not proxy.connections)
