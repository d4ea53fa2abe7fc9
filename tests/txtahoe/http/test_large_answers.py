"""Answers that would fill the memory: long ones, and short ones that are unpacked."""

from __future__ import annotations

import errno
import gzip
import socket
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.grid.strangers import Behaviour, stalls, stranger
from txtahoe import Cap, Client, Transport
from txtahoe.errors import NotAGateway, TahoeError
from txtahoe.http import request
from txtahoe.http.request import Request
from txtahoe.http.streams import Incoming

DIRECTORY = Cap.parse("URI:DIR2:aaaqeayeaudaocajbifqydiob4:" + "a" * 52)
FILE = Cap.parse("URI:CHK:aaaqeayeaudaocajbifqydiob4:" + "a" * 52 + ":2:3:1000")


def answers(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> Behaviour:
    """Answer a request, and hang up."""
    fixed = b"Content-Length: %d" % len(body), b"Connection: close"
    head = b"\r\n".join([b"HTTP/1.1 " + status, *fixed, *headers, b"", b""])

    def behave(connection: socket.socket) -> None:
        connection.recv(2**16)
        connection.sendall(head + body)
        connection.close()

    return behave


def begins(header: bytes, body: bytes = b"") -> Behaviour:
    """Begin an answer, and say no more."""
    return stalls(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n%s" % (header, body))


class LargeAnswers(TestCase):
    timeout = 60

    def connect(self, behave: Behaviour) -> Client:
        server = stranger(behave)
        client = Client(Transport(reactor, server.__enter__(), pauses=()))
        self.addCleanup(server.__exit__, None, None, None)
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        return client

    async def error_of(self, coroutine: Any, kind: type[TahoeError]) -> str:
        return str(await self.assertFailure(Deferred.fromCoroutine(coroutine), kind))

    async def test_a_listing_that_is_too_long_raises_tahoe_error(self) -> None:
        self.patch(request, "_ANSWER_LIMIT", 2**19)
        chunked = b"80000\r\n%s\r\n" % (b" " * 2**19) * 3
        for behave in (
            answers(b" " * 2**20),
            begins(b"Content-Length: 600000000"),
            begins(b"Transfer-Encoding: chunked", chunked),
        ):
            told = await self.error_of(self.connect(behave).list(DIRECTORY), TahoeError)
            self.assertIn("the answer has more than 524,288 bytes", told)

    async def test_no_answer_is_unpacked(self) -> None:
        seen: list[int] = []
        received = Incoming.dataReceived

        def receive(incoming: Incoming, data: bytes) -> None:
            seen.append(len(data))
            received(incoming, data)

        self.patch(Incoming, "dataReceived", receive)
        once = gzip.compress(b" " * 2**24)
        for name, body in (
            (b"gzip", once),
            (b"GZIP", once),
            (b"gzip, gzip", gzip.compress(once)),
            (b"x, gzip", once),
        ):
            for status in (b"200 OK", b"500 Internal Server Error"):
                client = self.connect(answers(body, b"Content-Encoding: " + name, status=status))
                await self.error_of(client.list(DIRECTORY), TahoeError)
                await self.error_of(client.upload(b"data"), TahoeError)
                await self.error_of(self.walk(client), TahoeError)
        self.assertLessEqual(max(seen), len(once))

    async def walk(self, client: Client) -> None:
        async with await client.manifest(DIRECTORY) as walk:
            async for _ in walk:
                pass

    async def test_a_compressed_file_of_the_right_length_is_refused(self) -> None:
        behave = answers(b"x" * 1000, b"Content-Encoding: gzip")
        await self.error_of(self.connect(behave).read(FILE), NotAGateway)

    async def test_no_request_accepts_compression(self) -> None:
        asked: list[bytes] = []

        def behave(connection: socket.socket) -> None:
            asked.append(connection.recv(2**16).lower())
            connection.close()

        await self.error_of(self.connect(behave).list(DIRECTORY), TahoeError)
        self.assertIn(b"\r\naccept-encoding: identity\r\n", asked[0])
        self.assertNotIn(b"gzip", asked[0])

    async def test_an_answer_whose_connection_is_gone_can_be_abandoned(self) -> None:
        incoming = await self.connect(begins(b"Content-Length: 9"))._transport.open(
            Request("read", "GET", ["uri", FILE], doing="reading")
        )
        producer = mock.Mock()
        for error in (ValueError(), OSError(errno.EBADF, "Bad file descriptor")):
            producer.stopProducing.side_effect = error
            with mock.patch.object(incoming, "transport", producer):
                incoming.abandon()
        self.assertEqual(producer.stopProducing.call_count, 2)
        incoming.abandon()
