"""The proxy that stands in for a long line delays what it passes on, and bounds its rate."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.grid import delay
from txtahoe.testing.node import free_port


class Delaying(SynchronousTestCase):
    def connect(self, rtt: float, mbit: float) -> socket.socket:
        """A connection through the proxy to a server that sends back what it gets."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        threading.Thread(target=self.echo, args=(server,), daemon=True).start()
        numbers = free_port(), server.getsockname()[1], rtt, mbit
        proxy = subprocess.Popen(
            [sys.executable, delay.__file__, *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(proxy.communicate)
        assert proxy.stdout is not None
        proxy.stdout.readline()
        connection = socket.create_connection(("127.0.0.1", numbers[0]), timeout=60)
        self.addCleanup(connection.close)
        return connection

    def echo(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(2**16):
                connection.sendall(data)

    def seconds(self, connection: socket.socket, size: int) -> float:
        """How long it takes until that many bytes are back."""
        began = time.monotonic()
        for _ in range(size // 1000):
            connection.sendall(b"x" * 1000)
        while size:
            size -= len(connection.recv(2**16))
        return time.monotonic() - began

    def test_bytes_are_on_the_line_together(self) -> None:
        connection = self.connect(0.2, float("inf"))
        self.assertGreater(self.seconds(connection, 1000), 0.2 + 0.2)  # with the handshake
        self.assertGreater(self.seconds(connection, 1000), 0.2)
        # One after another, the 200 pieces would take 40 seconds.
        self.assertLess(self.seconds(connection, 200_000), 20)

    def test_a_rate_bounds_what_passes(self) -> None:
        self.assertGreater(self.seconds(self.connect(0, 8), 500_000), 0.5)

    def test_the_end_arrives_too(self) -> None:
        connection = self.connect(0.01, float("inf"))
        connection.sendall(b"last")
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(connection.recv(10), b"last")
        self.assertEqual(connection.recv(10), b"")
