"""Another address of a gateway. It keeps all requests."""

from __future__ import annotations

import socket
import socketserver
import threading
from typing import Self
from urllib.parse import urlsplit


class Recorder:
    """
    `asked`: every byte that reached the gateway through `url`.

    `path`: where it listens, if not at a port.
    """

    def __init__(self, gateway: str, path: str | None = None) -> None:
        parts = urlsplit(gateway)
        self.asked = b""
        recorder = self

        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection((parts.hostname, parts.port)) as gateway:
                    answers = threading.Thread(
                        target=_copy, args=(gateway, self.request), daemon=True
                    )
                    answers.start()
                    while data := _receive(self.request):
                        recorder.asked += data
                        gateway.sendall(data)

        if path is None:
            server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
            self.url = f"http://127.0.0.1:{server.server_address[1]}/"
        else:
            server = socketserver.ThreadingUnixStreamServer(path, Connection)
            self.url = f"unix:{path}"
        self._server = server
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    while data := _receive(source):
        try:
            target.sendall(data)
        except OSError:
            return
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(2**16)
    except OSError:
        return b""
