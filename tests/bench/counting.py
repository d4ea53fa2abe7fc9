"""A proxy before a gateway that counts requests."""

from __future__ import annotations

import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from attrs import frozen

_BLOCK = 2**16
_OF_A_CONNECTION = ("connection", "keep-alive", "transfer-encoding")
_CHANGES = {"set_children", "unlink", "delete", "rename", "relink", "uri", "upload"}


class Kind(Enum):
    """The kinds of requests, by their effect on the grid."""

    UPLOAD = "upload"
    FILE_READ = "file read"
    DIRECTORY_READ = "directory read"
    DIRECTORY_WRITE = "directory write"
    OTHER = "other"


def kind_of(method: str, target: str) -> Kind:
    """The kind of a request, from its method and from its path and query as they are sent."""
    parts = urlsplit(target)
    segments = [unquote(segment) for segment in parts.path.split("/")[1:]]
    cap = segments[1] if len(segments) > 1 else ""
    operation = parse_qs(parts.query).get("t", [""])[0]
    is_directory = "URI:DIR2" in cap
    if method in ("GET", "HEAD"):
        if is_directory:
            return Kind.DIRECTORY_READ
        return Kind.FILE_READ if cap else Kind.OTHER
    if method == "PUT" and not cap:
        return Kind.UPLOAD
    if operation.startswith("mkdir"):
        return Kind.DIRECTORY_WRITE
    if is_directory and (method in ("PUT", "DELETE") or operation in _CHANGES):
        return Kind.DIRECTORY_WRITE
    return Kind.OTHER


@frozen
class Counts:
    """
    The number of requests, and the highest number under way at the same time.

    `rounds`: the longest chain of requests of which each began after the one before it had ended.
    """

    requests: int
    uploads: int
    file_reads: int
    directory_reads: int
    directory_writes: int
    most_at_once: int
    rounds: int


class CountingProxy:
    """
    Pass requests on to a gateway while the `with` block lasts, and count them.

    Each connection has one of its own to the gateway. The proxy parses requests, so it
    counts any number of them on a connection exactly, with bodies of any form.
    """

    def __init__(self, gateway: str) -> None:
        self._server = _Server(gateway)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    @property
    def counts(self) -> Counts:
        """The counts since the last `reset`."""
        return self._server.tally.counts

    def reset(self) -> None:
        """Count from zero."""
        self._server.tally = Tally()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()


class Tally:
    """Counts requests as they begin and end, in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: Counter[Kind] = Counter()
        self._now = 0
        self._most_at_once = 0
        self._rounds = 0

    def begin(self, kind: Kind) -> int:
        """Count a request. Returns its place in the longest chain that ends with it."""
        with self._lock:
            self._kinds[kind] += 1
            self._now += 1
            self._most_at_once = max(self._most_at_once, self._now)
            return self._rounds + 1

    def end(self, place: int) -> None:
        with self._lock:
            self._now -= 1
            self._rounds = max(self._rounds, place)

    @property
    def counts(self) -> Counts:
        with self._lock:
            return Counts(
                requests=self._kinds.total(),
                uploads=self._kinds[Kind.UPLOAD],
                file_reads=self._kinds[Kind.FILE_READ],
                directory_reads=self._kinds[Kind.DIRECTORY_READ],
                directory_writes=self._kinds[Kind.DIRECTORY_WRITE],
                most_at_once=self._most_at_once,
                rounds=self._rounds,
            )


class _Server(ThreadingHTTPServer):
    # Many threads connect at the same moment.
    request_queue_size = 128

    def __init__(self, gateway: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        parts = urlsplit(gateway)
        self.gateway = parts.hostname or "", parts.port
        self.tally = Tally()
        self.connections: set[socket.socket] = set()

    def close_connections(self) -> None:
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def handle_error(self, request: Any, client_address: Any) -> None:
        # If one side goes away, the connection ends. No more is needed.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # The end of an answer is sent after its request was counted as done, because the next one may
    # follow at once: the buffer holds more than a block, and is flushed when the method returns.
    wbufsize = 2 * _BLOCK

    def setup(self) -> None:
        super().setup()
        self._upstream = HTTPConnection(*self.server.gateway)
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        self._upstream.close()
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: paths hold caps."""

    def _pass_on(self) -> None:
        tally = self.server.tally
        place = tally.begin(kind_of(self.command, self.path))
        try:
            self._ask()
            self._answer(self._upstream.getresponse())
        finally:
            tally.end(place)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def _ask(self) -> None:
        self._upstream.putrequest(
            self.command, self.path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in self.headers.items():
            # The body keeps its form: in chunks, or with its length.
            if name.lower() not in ("connection", "keep-alive"):
                self._upstream.putheader(name, value)
        is_chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
        body = self._chunks() if is_chunked else self._blocks()
        self._upstream.endheaders(body, encode_chunked=is_chunked)

    def _blocks(self) -> Iterator[bytes]:
        left = int(self.headers.get("Content-Length", 0))
        while left:
            block = self.rfile.read(min(left, _BLOCK))
            if not block:
                raise ConnectionResetError
            left -= len(block)
            yield block

    def _chunks(self) -> Iterator[bytes]:
        while length := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(length)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers

    def _answer(self, answer: HTTPResponse) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_A_CONNECTION:
                self.send_header(name, value)
        is_chunked = answer.length is None and not self._has_no_body(answer)
        if is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with answer:  # else the connection would not know that the answer was read
            while block := answer.read1(_BLOCK):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if is_chunked else block)
        if is_chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _has_no_body(self, answer: HTTPResponse) -> bool:
        return self.command == "HEAD" or answer.status in (204, 304)
