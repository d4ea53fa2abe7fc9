"""The fake gateway for its users: clients, faults, the list of requests, and settings."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Awaitable
from typing import Any
from urllib.request import urlopen

from django.test import override_settings
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import readBody

from tahoestorage.storage import TahoeStorage
from tests.contract.case import Body
from txtahoe import Cap, Client, IteratorSource, Transport
from txtahoe.errors import (
    AnswerLost,
    ExistingChild,
    GatewayBusy,
    IncompleteDownload,
    NotEnoughServers,
    RequestTimeout,
    UncoordinatedWrite,
    Unrecoverable,
)
from txtahoe.testing.fake import (
    CutBody,
    Delay,
    EndMarker,
    ExceptionPage,
    FakeGateway,
    LostAnswer,
    Silence,
    Status,
    start_fake_gateway,
)

DATA = bytes(range(256)) * 40
READ_BACK = "GET /uri/CAP?t=json"


class FakeTestCase(SynchronousTestCase):
    """A client over the fake, without a socket, with a clock that the test advances."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.fake = FakeGateway(clock=self.clock)
        transport = Transport(self.clock, "http://fake/", agent=self.fake.agent, pauses=())
        self.client = Client(transport)

    def start(self, work: Awaitable[Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(work)

    def get(self, work: Awaitable[Any]) -> Any:
        return self.successResultOf(self.start(work))

    def fails(self, work: Awaitable[Any], error: type[Exception]) -> Any:
        return self.failureResultOf(self.start(work), error).value


class WithoutSocket(FakeTestCase):
    def test_a_client_saves_and_reads(self) -> None:
        cap, directory = self.get(self.client.upload(DATA)), self.get(self.client.mkdir())
        self.get(self.client.link(directory, "a", cap))
        self.assertEqual(self.get(self.client.child(directory, "a")).cap, cap)
        self.assertEqual(self.get(self.client.read(cap)), DATA)
        self.assertEqual(self.get(self.client.read(cap, 100, 50)), DATA[100:150])
        self.fails(self.client.link(directory, "a", cap), ExistingChild)

    def test_a_request_body_may_come_in_pieces(self) -> None:
        pieces: list[Deferred[bytes]] = [Deferred(), Deferred(), Deferred()]

        async def chunks():
            for piece in pieces:
                yield await piece

        uploading = self.start(self.client.upload(IteratorSource(chunks())))
        for piece in pieces:
            self.assertNoResult(uploading)
            self.assertEqual(self.fake.requests, [])
            piece.callback(DATA)
        cap = self.successResultOf(uploading)
        self.assertEqual(self.get(self.client.read(cap)), DATA * 3)

    def test_a_request_body_may_come_from_a_download(self) -> None:
        data = DATA * 1000
        cap = self.get(self.client.upload(data))
        copy = self.get(self.client.upload(self.get(self.client.download(cap))))
        self.assertEqual(self.get(self.client.read(copy)), data)

    def test_a_body_is_received_as_fast_as_it_is_read(self) -> None:
        data = DATA * 1000
        cap = self.get(self.client.upload(data))

        async def read() -> tuple[int, bytes]:
            download = await self.client.download(cap)
            first = await download.read()
            return len(first), first + await download.rest()

        first, everything = self.get(read())
        self.assertLess(first, 2**21)
        self.assertEqual(everything, data)

    def test_a_download_can_be_closed_early(self) -> None:
        cap = self.get(self.client.upload(DATA * 1000))

        async def read() -> None:
            download = await self.client.download(cap)
            await download.read()
            download.close()

        self.get(read())
        self.assertEqual(self.get(self.client.read(cap, 0, 10)), DATA[:10])

    def test_a_request_can_be_cancelled(self) -> None:
        self.fake.fail_next("PUT /uri", Silence())
        uploading = self.start(self.client.upload(DATA))
        self.assertNoResult(uploading)
        uploading.cancel()
        self.failureResultOf(uploading, CancelledError)
        self.get(self.client.upload(DATA))

    def test_requests_lists_every_request_without_caps_and_names(self) -> None:
        cap, directory = self.get(self.client.upload(DATA)), self.fake.make_directory()
        self.get(self.client.link(directory, "secret name", cap))
        self.get(self.client.child(directory, "secret name"))
        self.get(self.client.read(cap))
        self.get(self.client.status())
        self.assertEqual(
            self.fake.requests,
            [
                "PUT /uri",
                "POST /uri/CAP?t=set_children",
                "GET /uri/CAP/NAME?t=json",
                "GET /uri/CAP",
                "GET /?t=json",
            ],
        )

    def test_lost_shares_and_servers_raise(self) -> None:
        cap = self.get(self.client.upload(DATA))
        self.fake.lose(cap)
        reading = self.start(self.client.read(cap))
        self.clock.pump([5] * 5)
        self.failureResultOf(reading, Unrecoverable)
        self.fake.servers = 1
        self.fails(self.client.upload(DATA), NotEnoughServers)
        self.assertEqual(self.get(self.client.status()).connected, 1)
        self.assertRaises(KeyError, self.fake.lose, "URI:LIT:me")

    def test_a_check_of_another_grids_directory_reports_no_shares(self) -> None:
        cap = Cap.parse(f"URI:DIR2:{'a' * 26}:{'a' * 52}")
        report = self.get(self.client.check(cap))
        self.assertFalse(report.is_recoverable)
        self.assertEqual(report.summary, "Unhealthy: no versions are recoverable")


class Faults(FakeTestCase):
    def test_status_answers_with_that_status(self) -> None:
        self.fake.fail_next("PUT /uri", Status(503, "busy"))
        self.assertIn("busy", str(self.fails(self.client.upload(DATA), GatewayBusy)))
        self.get(self.client.upload(DATA))

    def test_exception_page_raises_that_exception(self) -> None:
        directory, cap = self.fake.make_directory(), self.get(self.client.upload(DATA))
        name = "allmydata.mutable.common.UncoordinatedWriteError"
        self.fake.fail_next("POST *t=set_children", ExceptionPage(name, "somebody else"))
        error = self.fails(self.client.link(directory, "a", cap), UncoordinatedWrite)
        self.assertIn("somebody else", str(error))
        self.assertEqual(self.get(self.client.list(directory)), {})

    def test_silence_ends_in_a_timeout(self) -> None:
        self.fake.fail_next("POST /uri?t=mkdir", Silence())
        making = self.start(self.client.mkdir())
        self.clock.advance(59)
        self.assertNoResult(making)
        self.clock.advance(2)
        self.failureResultOf(making, RequestTimeout)

    def test_lost_answer_does_the_work(self) -> None:
        directory, cap = self.fake.make_directory(), self.get(self.client.upload(DATA))
        self.fake.fail_next("*set_children", LostAnswer())
        self.get(self.client.link(directory, "a", cap))
        self.assertEqual(self.fake.requests[-2:], ["POST /uri/CAP?t=set_children", READ_BACK])
        self.assertEqual(set(self.get(self.client.list(directory))), {"a"})

    def test_silence_can_do_the_work(self) -> None:
        directory, cap = self.fake.make_directory(), self.get(self.client.upload(DATA))
        self.fake.fail_next("*set_children", Silence(done=True))
        linking = self.start(self.client.link(directory, "a", cap))
        self.clock.advance(61)
        self.successResultOf(linking)

    def test_cut_body_breaks_off_an_answer(self) -> None:
        cap = self.get(self.client.upload(DATA))
        self.fake.fail_next("GET /uri/CAP", CutBody(1000))
        reading = self.start(self.client.read(cap))
        self.clock.pump([1] * 3)
        self.assertEqual(self.successResultOf(reading), DATA)
        self.assertEqual(self.fake.requests.count("GET /uri/CAP"), 2)
        self.fake.fail_next("GET /?t=json", CutBody(10))
        self.fails(self.client.status(), AnswerLost)

    def test_end_marker_breaks_off_a_download_as_tahoe_does(self) -> None:
        cap = self.get(self.client.upload(DATA))
        # In place of the last bytes; then in the middle, followed by silence.
        for after in (len(DATA) - 10, 1000):
            self.fake.fail_next("GET /uri/CAP", EndMarker(after))
            reading = self.start(self.client.read(cap))
            self.clock.pump([1] * 10)
            self.assertEqual(self.successResultOf(reading), DATA)
        self.assertEqual(self.fake.requests.count("GET /uri/CAP"), 4)
        asked = self.fake.agent.request(b"PUT", b"http://fake/uri?format=SDMF", None, Body(DATA))
        mutable = Cap.parse(self.successResultOf(readBody(self.successResultOf(asked))))
        self.fake.fail_next("GET /uri/CAP", EndMarker(10))
        reading = self.start(self.client.read(mutable))
        self.clock.pump([1] * 10)
        self.failureResultOf(reading, IncompleteDownload)

    def test_delay_answers_late(self) -> None:
        self.fake.fail_next("PUT /uri", Delay(30))
        uploading = self.start(self.client.upload(DATA))
        self.clock.advance(29)
        self.assertNoResult(uploading)
        self.clock.advance(2)
        self.successResultOf(uploading)
        without_clock = FakeGateway()
        without_clock.fail_next("*", Delay(1))
        with without_clock.listening() as url:
            began = time.monotonic()
            urlopen(url, timeout=10).close()
            self.assertGreaterEqual(time.monotonic() - began, 1)

    def test_skip_and_times_choose_the_requests(self) -> None:
        self.fake.fail_next("PUT /uri", Status(503), skip=1, times=2)
        self.get(self.client.mkdir())
        for error in (None, GatewayBusy, GatewayBusy, None):
            if error:
                self.fails(self.client.upload(DATA), error)
            else:
                self.get(self.client.upload(DATA))
        self.fake.fail_next("*", Status(503), times=1000)
        self.fails(self.client.upload(DATA), GatewayBusy)
        self.fake.forget_faults()
        self.get(self.client.upload(DATA))


def run(*arguments: str) -> tuple[str, str]:
    """The output of a Python, standard output and standard error."""
    result = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120
    )
    return result.stdout, result.stderr


class Listening(SynchronousTestCase):
    def test_a_blocking_client_uses_it(self) -> None:
        fake = FakeGateway()
        with fake.listening() as url:
            options = {"tahoe_base_url": url, "tahoe_base_cap": str(fake.make_directory())}
            storage = TahoeStorage(base_url=url, **options)
            name = storage.save("a/b.txt", io.BytesIO(DATA))
            with storage.open(name) as file:
                self.assertEqual(file.read(), DATA)
            self.assertEqual(storage.listdir("a"), ([], ["b.txt"]))
            self.assertEqual(fake.requests.count("PUT /uri"), 1)
            with urlopen(storage.url(name), timeout=10) as answer:
                self.assertEqual(answer.read(), DATA)

    def test_one_line_of_settings_starts_one_gateway(self) -> None:
        url, cap = start_fake_gateway()
        self.assertEqual((url, cap), start_fake_gateway())
        with override_settings(TAHOE_STORAGE_BASE_URL=url, TAHOE_STORAGE_BASE_CAP=cap):
            storage = TahoeStorage()
            name = storage.save("settings.txt", io.BytesIO(DATA))
            self.assertTrue(storage.exists(name))

    def test_its_thread_never_counts_as_the_thread_of_the_applications_reactor(self) -> None:
        registered: list[None] = []
        self.patch(threadable, "registerAsIOThread", lambda: registered.append(None))
        with FakeGateway().listening() as url:
            urlopen(url, timeout=10).close()
        self.assertEqual(registered, [])

    def test_the_interpreter_exits_and_has_no_global_reactor(self) -> None:
        code = (
            "import sys; from urllib.request import urlopen\n"
            "from txtahoe.testing.fake import start_fake_gateway\n"
            "url, cap = start_fake_gateway()\n"
            "urlopen(url + '?t=json').read()\n"
            "assert 'twisted.internet.reactor' not in sys.modules\n"
            "assert not any(name.startswith(('django', 'tahoestorage')) for name in sys.modules)\n"
            "print('done')\n"
        )
        self.assertEqual(run("-c", code), ("done\n", ""))

    def test_importing_it_warns_of_nothing(self) -> None:
        code = "import txtahoe.testing.fake"
        self.assertEqual(run("-W", "error", "-c", code), ("", ""))
