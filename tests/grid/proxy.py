"""A TCP proxy before a gateway that counts what passes, and can lose an answer."""

from __future__ import annotations

import re
import socket
import threading
from typing import Self
from urllib.parse import urlsplit

from tests.grid.sockets import end, stop_listening

_REQUEST = re.compile(rb"^(GET|HEAD|PUT|POST|DELETE) (/\w*)\S*? HTTP/1\.1\r\n")


class Proxy:
    """
    A gateway's other address, for as long as the `with` block lasts.

    `requests`: method and first segment of each request, such as "PUT /uri".
    `received`: bytes that the gateway has sent through it.
    """

    def __init__(self, gateway: str) -> None:
        parts = urlsplit(gateway)
        self._gateway = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lost: str | None = None
        self._cut: int | None = None
        self._address = self._listener.getsockname()
        self.url = f"http://127.0.0.1:{self._address[1]}/"
        self.requests: list[str] = []
        self.received = 0

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._open) // 2

    def lose_answer(self, request: str) -> None:
        """Close the connection instead of passing on the answer to the next such request."""
        self._lost = request

    def cut_after(self, received: int) -> None:
        """Close the connection, once, when the gateway has sent so many more bytes."""
        self._cut = self.received + received

    def close_connections(self) -> None:
        """Close all open connections."""
        self._end(*self._open)

    def refuse(self, refusing: bool = True) -> None:
        """Refuse new connections; open ones stay."""
        if refusing:
            stop_listening(self._listener, self._accepting)
        else:
            self._listener = socket.create_server(self._address)
            self._listen()

    def sent(self, client: socket.socket, data: bytes) -> None:
        """Called with the bytes that pass to the gateway; subclasses may look at them."""

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *raised: object) -> None:
        stop_listening(self._listener, self._accepting)
        self.close_connections()

    def _listen(self) -> None:
        self._accepting = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._accepting.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                gateway = socket.create_connection(self._gateway)
            except OSError:
                client.close()
                continue
            for connection in (client, gateway):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open |= {client, gateway}
            threading.Thread(target=self._pass_on, args=(client, gateway), daemon=True).start()

    def _pass_on(self, client: socket.socket, gateway: socket.socket) -> None:
        losing = threading.Event()
        answering = threading.Thread(
            target=self._answer, args=(client, gateway, losing), daemon=True
        )
        with client, gateway:
            answering.start()
            self._ask(client, gateway, losing)
            answering.join()

    def _ask(self, client: socket.socket, gateway: socket.socket, losing: threading.Event) -> None:
        try:
            while data := client.recv(2**16):
                self.sent(client, data)
                if match := _REQUEST.match(data):
                    request = f"{match[1].decode()} {match[2].decode()}"
                    self.requests.append(request)
                    if request == self._lost:
                        self._lost = None
                        losing.set()
                gateway.sendall(data)
        except OSError:
            pass
        finally:
            self._end(client, gateway)

    def _answer(
        self, client: socket.socket, gateway: socket.socket, losing: threading.Event
    ) -> None:
        try:
            while data := gateway.recv(2**16):
                if losing.is_set():
                    return
                if self._cut is not None and self.received + len(data) >= self._cut:
                    client.sendall(data[: self._cut - self.received])
                    self._cut = None
                    return
                self.received += len(data)
                client.sendall(data)
        except OSError:
            pass
        finally:
            self._end(client, gateway)

    def _end(self, *connections: socket.socket) -> None:
        end(*connections)
        self._open.difference_update(connections)
