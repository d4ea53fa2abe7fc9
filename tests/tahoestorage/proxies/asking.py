"""Requests to a server on loopback."""

from __future__ import annotations

import re
import socket
from http.client import HTTPConnection, HTTPMessage

from attrs import frozen


@frozen
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes


def ask(port: int, path: str, *, host: str, method: str = "GET", **headers: str) -> Answer:
    """A request in good order; underscores in the names of headers stand for hyphens."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": host, **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def ask_raw(port: int, request: bytes) -> tuple[int | None, bytes]:
    """The status, or None, and all bytes until the server closes the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        try:
            while data := connection.recv(2**16):
                received += data
        except ConnectionError:
            pass
    line = re.match(rb"HTTP/1\.[01] (\d{3}) ", received)
    return (int(line[1]) if line else None), received
