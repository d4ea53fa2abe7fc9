"""The benchmark counts the requests that reach the gateway."""

from __future__ import annotations

import os
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

from twisted.trial.unittest import SynchronousTestCase

from tests.bench.bare import Bare, RefusedRequest
from tests.bench.counting import CountingProxy, Counts, Kind, Tally, kind_of
from tests.grid.shared import gateways_for

FILE = "URI%3ACHK%3Aa%3Ab%3A2%3A3%3A10000"
DIRECTORY = "URI%3ADIR2%3Aa%3Ab"


class KindTests(SynchronousTestCase):
    """Tests of the kind of a request."""

    def assert_kind(self, kind: Kind, *requests: str) -> None:
        for request in requests:
            self.assertEqual(kind_of(*request.split()), kind, request)

    def test_the_kind_of_uploads(self) -> None:
        self.assert_kind(Kind.UPLOAD, "PUT /uri", "PUT /uri?format=SDMF")

    def test_the_kind_of_reads_of_files(self) -> None:
        self.assert_kind(
            Kind.FILE_READ,
            f"GET /uri/{FILE}",
            f"HEAD /uri/{FILE}",
            f"GET /named/{FILE}/DIR2.bin",
            "GET /uri/URI:LIT:a",
        )

    def test_the_kind_of_reads_of_directories(self) -> None:
        self.assert_kind(
            Kind.DIRECTORY_READ,
            f"GET /uri/{DIRECTORY}?t=json",
            f"GET /uri/{DIRECTORY}/name?t=uri",
            "GET /uri/URI%3ADIR2-RO%3Aa%3Ab?t=json",
            "GET /uri/URI:DIR2-CHK:a:b:2:3:4",
        )

    def test_the_kind_of_writes_of_directories(self) -> None:
        self.assert_kind(
            Kind.DIRECTORY_WRITE,
            f"POST /uri/{DIRECTORY}?t=set_children&replace=false",
            "POST /uri?t=mkdir",
            "POST /uri?t=mkdir-with-children",
            "POST /uri?t=mkdir-immutable",
            f"POST /uri/{DIRECTORY}?t=mkdir&name=a",
            f"POST /uri/{DIRECTORY}?t=unlink&name=a",
            f"DELETE /uri/{DIRECTORY}/name",
            f"PUT /uri/{DIRECTORY}/name?t=uri",
        )

    def test_the_kind_of_other_requests(self) -> None:
        self.assert_kind(
            Kind.OTHER, "GET /?t=json", f"POST /uri/{DIRECTORY}?t=check", "GET /statistics"
        )


class CountingProxyTests(SynchronousTestCase):
    """Tests of the proxy before a gateway."""

    def setUp(self) -> None:
        self.proxy = CountingProxy(gateways_for(self)[0]).__enter__()
        self.addCleanup(self.proxy.__exit__)
        self.bare = Bare(self.proxy.url)
        self.addCleanup(self.bare.close)

    def test_every_request_on_one_connection_counts(self) -> None:
        content = os.urandom(300_000)
        cap = self.bare.upload(content)
        directory = self.bare.make_directory({"a": cap})
        self.bare.link(directory, {"b": cap})
        self.assertEqual(self.bare.children(directory), {"a": cap, "b": cap})
        self.assertEqual(self.bare.look_up(directory, "b"), cap)
        self.assertEqual(self.bare.read(cap), content)
        self.assertEqual(self.bare.read(directory, "b"), content)
        self.assertEqual(self.proxy.counts, Counts(7, 1, 1, 3, 2, 1, 7))

    def test_a_body_of_unknown_length_arrives(self) -> None:
        content = os.urandom(300_000)
        path = Path(self.mktemp())
        path.write_bytes(content)
        with path.open("rb") as file:  # http.client sends it in chunks
            cap = self.bare.upload(file)
        self.assertEqual(self.bare.read(cap), content)
        self.assertEqual(self.proxy.counts, Counts(2, 1, 1, 0, 0, 1, 2))

    def test_an_answer_without_a_body_arrives(self) -> None:
        cap = self.bare.upload(os.urandom(1000))
        connection = HTTPConnection(urlsplit(self.proxy.url).netloc)
        self.addCleanup(connection.close)
        for _ in range(2):
            connection.request("HEAD", f"/uri/{quote(cap)}")
            answer = connection.getresponse()
            self.assertEqual((answer.status, answer.read()), (200, b""))
            self.assertEqual(answer.getheader("Content-Length"), "1000")
        self.assertEqual(self.proxy.counts, Counts(3, 1, 2, 0, 0, 1, 3))

    def test_refused_requests_count_and_the_connection_goes_on(self) -> None:
        directory = self.bare.make_directory()
        self.assertRaises(RefusedRequest, self.bare.read, directory, "missing")
        self.assertEqual(self.bare.children(directory), {})
        self.assertEqual(self.proxy.counts, Counts(3, 0, 0, 2, 1, 1, 3))

    def test_the_most_requests_at_the_same_time_are_counted(self) -> None:
        contents = [os.urandom(1000) for _ in range(20)]
        caps = self.bare.together(self.bare.upload, contents, 10)
        self.assertEqual(self.bare.together(self.bare.read, caps, 10), contents)
        counts = self.proxy.counts
        self.assertEqual((counts.requests, counts.uploads, counts.file_reads), (40, 20, 20))
        self.assertTrue(2 <= counts.most_at_once <= 10, counts)

    def test_requests_side_by_side_are_one_round(self) -> None:
        tally = Tally()
        first, second = tally.begin(Kind.UPLOAD), tally.begin(Kind.DIRECTORY_READ)
        tally.end(first)
        third = tally.begin(Kind.DIRECTORY_WRITE)
        tally.end(second)
        self.assertEqual(tally.counts.rounds, 1)
        tally.end(third)
        self.assertEqual(tally.counts.rounds, 2)

    def test_reset_counts_from_zero(self) -> None:
        self.bare.upload(os.urandom(1000))
        self.proxy.reset()
        self.assertEqual(self.proxy.counts, Counts(0, 0, 0, 0, 0, 0, 0))
