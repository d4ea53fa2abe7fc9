"""The proxy that stands in for a long line delays what it passes on, and bounds its rate."""

from __future__ import annotations

import asyncio
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine
from math import inf
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.grid import delay
from tests.grid.delay import Direction
from txtahoe.testing.node import free_port


class Simulated(selectors.SelectSelector):
    """A selector that does not wait: its clock goes on instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.now += timeout or 0.0
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = Simulated()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


class Sink:
    """In place of a StreamWriter. `arrivals`: the milliseconds and the numbers of bytes."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[int, int]] = []

    def write(self, data: bytes) -> None:
        self.arrivals.append((round(1000 * asyncio.get_running_loop().time()), len(data)))

    async def drain(self) -> None:
        pass

    def write_eof(self) -> None:
        pass


async def carried(direction: Direction, *sizes: int) -> list[tuple[int, int]]:
    """The arrivals of bytes that one connection sends every 10 milliseconds."""
    reader, sink = asyncio.StreamReader(), Sink()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(direction.carry(reader, sink))  # type: ignore[arg-type]
        for size in sizes:
            reader.feed_data(bytes(size))
            await asyncio.sleep(0.01)
        reader.feed_eof()
    return sink.arrivals


class Directions(SynchronousTestCase):
    """One direction of the line, with a clock of its own."""

    def run_on_clock(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            return runner.run(coroutine)

    def test_bytes_are_on_the_line_together(self) -> None:
        arrivals = self.run_on_clock(carried(Direction(0.1, inf), 1000, 2000, 3000))
        self.assertEqual(arrivals, [(100, 1000), (110, 2000), (120, 3000)])

    def test_a_rate_bounds_what_passes(self) -> None:
        arrivals = self.run_on_clock(carried(Direction(0.1, 1e6), 500_000))
        self.assertEqual(arrivals[-1][0], 100 + 500)
        self.assertEqual(sum(size for _, size in arrivals), 500_000)

    def test_connections_share_the_rate(self) -> None:
        async def both() -> list[list[tuple[int, int]]]:
            direction = Direction(0.1, 1e6)
            return await asyncio.gather(*(carried(direction, 250_000) for _ in range(2)))

        ends = [arrivals[-1][0] for arrivals in self.run_on_clock(both())]
        self.assertEqual(max(ends), 100 + 500)


class Proxies(SynchronousTestCase):
    def connect(self, rtt: float) -> socket.socket:
        """A connection through the proxy to a server that sends back what it gets."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        threading.Thread(target=self.echo, args=(server,), daemon=True).start()
        numbers = free_port(), server.getsockname()[1], rtt, inf
        proxy = subprocess.Popen(
            [sys.executable, delay.__file__, *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(proxy.communicate)
        assert proxy.stdout is not None
        proxy.stdout.readline()
        self.began = time.monotonic()
        connection = socket.create_connection(("127.0.0.1", numbers[0]), timeout=60)
        self.addCleanup(connection.close)
        return connection

    def echo(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(2**16):
                connection.sendall(data)

    def test_the_handshake_and_an_answer_wait_for_the_line(self) -> None:
        connection = self.connect(0.2)
        connection.sendall(b"there and back")
        self.assertEqual(connection.recv(100), b"there and back")
        # The proxy sleeps so long on any machine: this can only be longer.
        self.assertGreater(time.monotonic() - self.began, 0.2 + 0.2)

    def test_the_end_arrives_too(self) -> None:
        connection = self.connect(0.01)
        connection.sendall(b"last")
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(connection.recv(10), b"last")
        self.assertEqual(connection.recv(10), b"")
