"""Servers that are no gateway, or behave like one in trouble."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.grid.sockets import end, stop_listening

Behaviour = Callable[[socket.socket], None]


@contextmanager
def stranger(behave: Behaviour) -> Iterator[str]:
    """A server on loopback that lets `behave` do each connection; gives its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []
    ended = threading.Event()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=meet, args=(connection,), daemon=True).start()

    def meet(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            behave(connection)
            ended.wait()

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        ended.set()
        stop_listening(listener, serving)
        end(*connections)


def silent(connection: socket.socket) -> None:
    """Take everything and say nothing."""
    while connection.recv(2**16):
        pass


def banner(connection: socket.socket) -> None:
    """Speak another protocol."""
    connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    silent(connection)


def hang_up(connection: socket.socket) -> None:
    """Take a request and close."""
    connection.recv(2**16)
    connection.close()


def answers(status: str, body: str, kind: str = "text/html") -> Behaviour:
    """Answer every request in the same way."""

    def behave(connection: socket.socket) -> None:
        while connection.recv(2**16):
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body.encode())

    return behave


def stalls(head: bytes) -> Behaviour:
    """Begin an answer, and say no more."""

    def behave(connection: socket.socket) -> None:
        connection.recv(2**16)
        connection.sendall(head)
        silent(connection)

    return behave
