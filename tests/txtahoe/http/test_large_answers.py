"""Answers that would fill the memory: long ones, and short ones that are unpacked."""

from __future__ import annotations

import gzip
import socket
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.grid.strangers import Behaviour, stranger
from txtahoe import Cap, Client, Transport
from txtahoe.errors import NotAGateway, TahoeError

DIRECTORY = Cap.parse("URI:DIR2:aaaqeayeaudaocajbifqydiob4:" + "a" * 52)
FILE = Cap.parse("URI:CHK:aaaqeayeaudaocajbifqydiob4:" + "a" * 52 + ":2:3:1000")


def answers(body: bytes, *headers: bytes) -> Behaviour:
    """Answer a request, and hang up."""
    fixed = b"Content-Length: %d" % len(body), b"Connection: close"
    head = b"\r\n".join([b"HTTP/1.1 200 OK", *fixed, *headers, b"", b""])

    def behave(connection: socket.socket) -> None:
        connection.recv(2**16)
        connection.sendall(head + body)
        connection.close()

    return behave


class LargeAnswers(TestCase):
    timeout = 60

    def connect(self, behave: Behaviour) -> Client:
        server = stranger(behave)
        client = Client(Transport(reactor, server.__enter__(), pauses=()))
        self.addCleanup(server.__exit__, None, None, None)
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        return client

    async def test_a_listing_that_is_too_long_is_told(self) -> None:
        for behave in (
            answers(b" " * 2**20),
            answers(gzip.compress(b" " * 2**26), b"Content-Encoding: gzip"),
        ):
            with mock.patch("txtahoe.http.requests._ANSWER_LIMIT", 2**19):
                error = await self.assertFailure(
                    Deferred.fromCoroutine(self.connect(behave).list(DIRECTORY)), TahoeError
                )
            self.assertIn("the answer has more than 524,288 bytes", str(error))

    async def test_a_file_is_not_unpacked(self) -> None:
        bomb = answers(gzip.compress(b" " * 2**26), b"Content-Encoding: gzip")
        reading = Deferred.fromCoroutine(self.connect(bomb).read(FILE))
        await self.assertFailure(reading, NotAGateway)
