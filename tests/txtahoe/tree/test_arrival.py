"""Uploads of bytes that arrive at their own pace, to a gateway in memory and to a real one."""

from __future__ import annotations

import gc
from threading import Event
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred

from tests.grid.case import GatewayTestCase
from tests.grid.strangers import stranger
from tests.txtahoe.case import ClockTestCase, start
from tests.waiting import until
from txtahoe import Client, Gateways, Transport
from txtahoe.errors import AnswerLost, GatewayUnreachable, NotEnoughServers, RequestTimeout
from txtahoe.http import transport
from txtahoe.testing.fake import ExceptionPage, Silence
from txtahoe.tree.arrival import Arrival

_UNHAPPY = ExceptionPage("allmydata.interfaces.UploadUnhappinessError", "too few")


class Busy:
    """An agent whose gateway takes the first bytes of a body, and more when the body resumes."""

    def __init__(self) -> None:
        self.taken = b""

    def request(self, *args: Any) -> Deferred[Any]:
        self.body = args[-1]
        self.body.startProducing(self)
        return Deferred(lambda _: self.body.stopProducing())

    def write(self, data: bytes) -> None:
        self.taken += data
        self.body.pauseProducing()


class InTime(ClockTestCase):
    """On a clock: slow origins, errors, and closing."""

    def arrival(self) -> Arrival:
        return Arrival(self.client, silence=20.0)

    def test_an_origin_may_be_slow_for_an_hour_but_not_for_ever(self) -> None:
        arrival = self.arrival()
        self.now(arrival.put(b"x" * 1000))
        for _ in range(60):
            self.clock.advance(59)
        self.now(arrival.put(b"y"))
        for _ in range(10):
            self.clock.advance(20)
        cap = self.now(arrival.finish(b"z"))
        self.assertEqual(self.now(self.client.read(cap)), b"x" * 1000 + b"yz")

        arrival = self.arrival()
        self.now(arrival.put(b"x" * 1000))
        for _ in range(62 * 3 * 2):
            self.clock.advance(10)
        self.failureResultOf(start(arrival.put(b"y")), RequestTimeout)
        arrival.close()

    def test_put_and_finish_raise_the_error_of_the_upload(self) -> None:
        self.fake.fail_next("PUT /uri", _UNHAPPY)
        arrival = self.arrival()
        self.now(arrival.put(b"x" * 100))
        self.failureResultOf(start(arrival.finish()), NotEnoughServers)
        self.failureResultOf(start(arrival.put(b"y")), NotEnoughServers)
        arrival.close()

    def test_a_put_that_is_cancelled_lets_no_other_one_go_on(self) -> None:
        arrival = Arrival(Client(Transport(self.clock, "http://fake/", agent=Busy())))
        _, waiting, cancelled = [start(arrival.put(b"x" * 2**20)) for _ in range(3)]
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.assertNoResult(waiting)
        later = start(arrival.put(b"x"))
        self.assertNoResult(later)
        arrival.close()
        for putting in waiting, later:
            self.failureResultOf(putting, CancelledError)

    def test_a_buffer_can_be_filled_again_before_its_bytes_are_sent(self) -> None:
        agent = Busy()
        arrival = Arrival(Client(Transport(self.clock, "http://fake/", agent=agent)))
        buffer = bytearray(1000)
        for letter in b"abc":
            buffer[:] = bytes([letter]) * 1000
            self.now(arrival.put(buffer))
        finishing = start(arrival.finish())
        for _ in range(5):
            agent.body.resumeProducing()
        self.assertEqual(agent.taken, b"a" * 1000 + b"b" * 1000 + b"c" * 1000)
        arrival.close()
        self.failureResultOf(finishing, CancelledError)

    def test_a_silence_that_is_not_above_0_is_refused(self) -> None:
        for wrong in (0, -1):
            self.assertRaises(ValueError, Arrival, self.client, wrong)

    def test_no_bytes_come_after_the_last_ones(self) -> None:
        self.fake.fail_next("PUT /uri", Silence())
        arrival = self.arrival()
        finishing = start(arrival.finish(b"x" * 100))
        for late in arrival.put(b"y"), arrival.finish():
            self.failureResultOf(start(late), ValueError)
        arrival.close()
        self.failureResultOf(finishing, CancelledError)

    def test_a_block_that_fails_ends_the_request(self) -> None:
        async def upload() -> None:
            async with self.arrival() as arrival:
                await arrival.put(b"x" * 100)
                raise LookupError

        self.failureResultOf(start(upload()), LookupError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_closed_upload_logs_no_error(self) -> None:
        arrival = self.arrival()
        self.now(arrival.put(b"x" * 100))
        arrival.close()
        arrival.close()
        finished = self.arrival()
        self.assertEqual(self.now(finished.finish(b"y" * 100)).size, 100)
        finished.close()
        del arrival, finished
        gc.collect()  # where nobody asked for it, an error of a Deferred is logged now
        self.assertEqual(self.fake.requests, ["PUT /uri"])


class OnAGrid(GatewayTestCase):
    async def test_bytes_of_every_size_come_back(self) -> None:
        for size in (0, 1, 55, 56, 179, 180, 181, 10_000, 2_000_001):
            arrival = Arrival(self.client, silence=20.0)
            data = bytes(range(256)) * (size // 256 + 1)
            for begin in range(0, size, 300_000):
                await arrival.put(data[begin : min(size, begin + 300_000)])
            cap = await arrival.finish()
            self.assertEqual(cap.size, size)
            self.assertEqual(await self.client.read(cap), data[:size])

    async def test_closing_closes_the_connection(self) -> None:
        client, proxy = self.connect_through_proxy()
        arrival = Arrival(client, silence=20.0)
        await arrival.put(b"x" * 2_000_000)
        await until(lambda: proxy.requests)
        self.assertEqual(proxy.connections, 1)
        arrival.close()
        await until(lambda: not proxy.connections)

    async def test_a_gateway_that_takes_nothing_makes_the_origin_wait_and_then_fail(self) -> None:
        # The deadline of what was sent is longer by the time that its encoding may take.
        self.patch(transport, "_PUSH_RATE", 2**30)
        over = Event()
        with stranger(lambda connection: over.wait()) as url:
            arrival = Arrival(self.connect(url, timeout=0.5), silence=0.1)
            handed_over = 0
            with self.assertRaises(RequestTimeout):
                while True:
                    handed_over += 2**18
                    await arrival.put(b"x" * 2**18)
            arrival.close()
            over.set()
        # The kernel takes bytes for the gateway, and Arrival a few more.
        self.assertLess(handed_over, 2**25)

    async def test_a_lost_connection_ends_the_waiting(self) -> None:
        client, proxy = self.connect_through_proxy()
        arrival = Arrival(client, silence=20.0)
        await arrival.put(b"x" * 2_000_000)
        await until(lambda: proxy.requests)
        proxy.close_connections()
        with self.assertRaises(AnswerLost):
            await arrival.finish()
        arrival.close()

    async def test_if_a_gateway_is_away_the_next_one_takes_the_upload(self) -> None:
        transports = [Transport(reactor, url) for url in ("http://127.0.0.1:1/", self.gateway)]
        client = Client(Gateways(transports))
        self.addCleanup(lambda: start(client.close()))
        self.assertEqual((await Arrival(client, silence=20.0).finish(b"x" * 100)).size, 100)
        nowhere = Arrival(self.connect("http://127.0.0.1:1/"), silence=20.0)
        with self.assertRaises(GatewayUnreachable):
            await nowhere.finish(b"x" * 100)
        nowhere.close()
