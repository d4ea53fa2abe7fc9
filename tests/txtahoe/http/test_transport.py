"""Requests that go wrong: each ends, in time, with one error that says what is the matter."""

from __future__ import annotations

import pickle
from math import nan

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from tests.grid.case import GatewayTestCase, StrangerTestCase
from tests.grid.strangers import answers, banner, hang_up, silent, stalls
from tests.needs import GRID, TIME, needs
from tests.waiting import until
from txtahoe import Cap, Client, Transport, redact
from txtahoe import errors as every_error
from txtahoe.errors import (
    AnswerLost,
    BadRequest,
    ExistingChild,
    FileTooLarge,
    GatewayBusy,
    GatewayError,
    GatewayRefused,
    GatewayUnreachable,
    NoSuchChild,
    NotAGateway,
    NotEnoughServers,
    NotWriteable,
    Prohibited,
    RequestTimeout,
    TahoeError,
    UncoordinatedWrite,
    Unrecoverable,
    error_for,
)
from txtahoe.http.transport import gateway_url

DIRECTORY = Cap.parse("URI:DIR2:aaaqeayeaudaocajbifqydiob4:" + "a" * 52)
FILE = Cap.parse("URI:CHK:aaaqeayeaudaocajbifqydiob4:" + "a" * 52 + ":2:3:1000")


class Strangers(StrangerTestCase):
    """Another server than a gateway, or none, at the address."""

    async def error_of(self, client: Client) -> TahoeError:
        """The error that every operation of the main job has in common."""
        errors = []
        for attempt in (
            client.upload(b"data"),
            client.read(FILE),
            client.list(DIRECTORY),
            client.child(DIRECTORY, "name"),
            client.mkdir(),
            client.status(),
        ):
            error = await self.assertFailure(Deferred.fromCoroutine(attempt), TahoeError)
            self.assertNotIn("URI:", str(error))
            errors.append(error)
        self.assertEqual(len({type(error) for error in errors}), 1, errors)
        return errors[0]

    async def test_nothing_listens(self) -> None:
        error = await self.error_of(self.connect("http://127.0.0.1:1/"))
        self.assertIsInstance(error, GatewayRefused)
        self.assertIsInstance(error, ConnectionError)
        self.assertIn("http://127.0.0.1:1", str(error))

    async def test_the_host_is_unknown(self) -> None:
        error = await self.error_of(self.connect("http://no-such-host.invalid/"))
        self.assertIs(type(error), GatewayUnreachable)

    async def test_it_says_nothing(self) -> None:
        error = await self.error_of(self.connect(self.meet(silent), timeout=0.5))
        self.assertIsInstance(error, RequestTimeout)
        self.assertIsInstance(error, TimeoutError)
        self.assertIn("0.5 seconds", str(error))

    async def test_it_speaks_another_protocol(self) -> None:
        error = await self.error_of(self.connect(self.meet(banner)))
        self.assertIsInstance(error, NotAGateway)

    async def test_it_hangs_up(self) -> None:
        error = await self.error_of(self.connect(self.meet(hang_up)))
        self.assertIsInstance(error, AnswerLost)

    async def test_a_404_of_another_server_is_not_a_missing_file(self) -> None:
        page = "<html><h1>Not Found</h1><p>The page was not found.</p></html>"
        for body in (page, "", "404"):
            url = self.meet(answers("404 Not Found", body))
            error = await self.error_of(self.connect(url))
            self.assertIsInstance(error, NotAGateway)
            self.assertNotIsInstance(error, FileNotFoundError)

    async def test_it_answers_200_to_everything(self) -> None:
        url = self.meet(answers("200 OK", "<html>Welcome to nginx!</html>"))
        self.assertIsInstance(await self.error_of(self.connect(url)), NotAGateway)

    async def test_it_redirects(self) -> None:
        url = self.meet(answers("302 Found", ""))
        self.assertIsInstance(await self.error_of(self.connect(url)), NotAGateway)

    async def test_a_proxy_before_it_is_busy(self) -> None:
        url = self.meet(answers("503 Service Unavailable", "<h1>503</h1>"))
        self.assertIsInstance(await self.error_of(self.connect(url)), GatewayBusy)

    async def test_an_answer_that_stalls_is_a_timeout(self) -> None:
        url = self.meet(stalls(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome"))
        self.assertIsInstance(await self.error_of(self.connect(url, timeout=0.5)), RequestTimeout)

    async def test_a_body_shorter_than_its_length_is_lost(self) -> None:
        def behave(connection):
            connection.recv(2**16)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome")
            connection.close()

        client = self.connect(self.meet(behave))
        await self.assertFailure(Deferred.fromCoroutine(client.list(DIRECTORY)), AnswerLost)

    async def test_transient_errors_are_repeated_up_to_a_bound(self) -> None:
        requests = []

        def behave(connection):
            requests.append(connection.recv(2**16))
            connection.close()

        client = self.connect(self.meet(behave), pauses=(0.01, 0.01))
        await self.assertFailure(Deferred.fromCoroutine(client.mkdir()), AnswerLost)
        self.assertEqual(len(requests), 3)

    async def test_the_deadline_is_renewed_by_progress(self) -> None:
        async def slowly():
            for _ in range(5):
                yield b"x" * 100
                await deferLater(reactor, 0.4)

        def behave(connection):
            received = b""
            while not received.endswith(b"0\r\n\r\n"):
                received += connection.recv(2**16)
            body = str(FILE).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

        client = self.connect(self.meet(behave), timeout=1.5)
        self.assertEqual(await client.upload(slowly()), FILE)

    async def test_a_source_that_stalls_raises_timeout_error(self) -> None:
        async def stalling():
            yield b"x"
            await Deferred()

        client = self.connect(self.meet(silent), timeout=0.5)
        await self.assertFailure(Deferred.fromCoroutine(client.upload(stalling())), RequestTimeout)

    async def test_a_cancelled_request_is_cancelled_and_its_connection_closed(self) -> None:
        asked, closed = [], []

        def behave(connection):
            asked.append(connection.recv(2**16))
            try:
                silent(connection)
            finally:
                closed.append(True)

        client = self.connect(self.meet(behave))
        asking = Deferred.fromCoroutine(client.mkdir())
        await until(lambda: asked)
        asking.cancel()
        await self.assertFailure(asking, CancelledError)
        await until(lambda: closed)


@needs(GRID)
class RequestsOfTheGateway(GatewayTestCase):
    async def test_an_idle_connection_that_was_closed_costs_nothing(self) -> None:
        client, proxy = self.connect_through_proxy()
        directory = await client.mkdir()
        proxy.close_connections()
        await client.link(directory, "f", await client.upload(b"x" * 100))
        self.assertEqual(set(await client.list(directory)), {"f"})

    async def test_a_file_that_the_operator_prohibits_is_no_refusal_of_the_client(self) -> None:
        cap = await self.client.upload(b"some data of more than 55 bytes" * 3)
        listed = self.grid.gateways[0].folder / "access.blacklist"
        self.addCleanup(listed.unlink)
        listed.write_text(f"{cap.storage_index} a reason of the operator\n")
        reading = Deferred.fromCoroutine(self.client.read(cap))
        error = await self.assertFailure(reading, Prohibited)
        self.assertIn("a reason of the operator", str(error))

    @needs(TIME)
    async def test_too_few_servers_raise_not_enough_servers_until_they_return(self) -> None:
        client = self.connect(self.gateway, pauses=())
        cap = await client.upload(b"some data of more than 55 bytes" * 3)
        for name in ("server-1", "server-2"):
            self.grid.node(name).stop()
        try:
            error = await self.assertFailure(
                Deferred.fromCoroutine(client.upload(b"x" * 1000)), NotEnoughServers
            )
            self.assertIn("UploadUnhappinessError", str(error))
            await self.assertFailure(Deferred.fromCoroutine(client.read(cap, 1)), Unrecoverable)
        finally:
            for name in ("server-1", "server-2"):
                self.grid.node(name).start()
            self.grid.wait_ready()
        self.assertEqual(len(await client.read(cap)), 93)

    async def test_a_frozen_server_does_not_freeze_the_caller(self) -> None:
        client = self.connect(self.gateway, timeout=3, pauses=())
        self.grid.node("server-3").freeze()
        try:
            await self.assertFailure(
                Deferred.fromCoroutine(client.upload(b"y" * 5000)), RequestTimeout
            )
        finally:
            self.grid.node("server-3").thaw()
            self.grid.wait_ready()


class Messages(SynchronousTestCase):
    """The error of each answer, and its message."""

    def test_every_status_has_its_error(self) -> None:
        traceback = "Traceback (most recent call last):\n  File …\nFailure: allmydata.{}: {}\n"
        for status, body, expected in (
            (400, "MustBeReadonlyError: a cap passed to this operation …", BadRequest),
            (400, "The webapi does not allow empty pathname components", BadRequest),
            (403, "Access Prohibited: by the operator", Prohibited),
            (404, "No such child: x", NoSuchChild),
            (404, "<html><body><h1>Error</h1><p>No such child: x</p></body></html>", NoSuchChild),
            (409, "There was already a child by that name, and …", ExistingChild),
            (410, "NotEnoughSharesError: This indicates …", Unrecoverable),
            (410, "NoSharesError: no shares could be found.", Unrecoverable),
            (410, "UnrecoverableFileError: the directory (or mutable file) …", Unrecoverable),
            (413, "FileTooLargeError: …", FileTooLarge),
            (500, traceback.format("interfaces.UploadUnhappinessError", "2"), NotEnoughServers),
            (500, traceback.format("interfaces.NoServersError", ""), NotEnoughServers),
            (500, traceback.format("mutable.common.NotEnoughServersError", ""), NotEnoughServers),
            (
                500,
                traceback.format("mutable.common.UncoordinatedWriteError", ""),
                UncoordinatedWrite,
            ),
            (500, traceback.format("interfaces.NotWriteableError", ""), NotWriteable),
            (500, "Failure: builtins.ValueError: offset", GatewayError),
            (502, "", GatewayBusy),
            (418, "a teapot", NotAGateway),
        ):
            error = error_for(status, body, "testing")
            self.assertIs(type(error), expected, body)
            self.assertIn("testing", str(error))

    def test_the_reason_is_in_the_message(self) -> None:
        body = "Traceback\nFailure: allmydata.interfaces.UploadUnhappinessError: only 2 server(s)"
        self.assertIn("only 2 server(s)", str(error_for(500, body, "uploading")))

    def test_a_missing_name_is_no_such_file_or_directory(self) -> None:
        error = error_for(404, "No such child: none.txt", "looking")
        self.assertEqual(str(error), "looking: no such file or directory: 'none.txt'")

    def test_caps_are_not_in_the_message(self) -> None:
        for spelling in (str(DIRECTORY), str(DIRECTORY).replace(":", "%3A"), str(DIRECTORY)[:-20]):
            error = error_for(500, f"no such node {spelling} here", "testing")
            self.assertNotIn("aaaqeay", str(error))
        self.assertIn(DIRECTORY.fingerprint, str(error_for(500, str(DIRECTORY), "testing")))
        self.assertEqual(redact("nothing here"), "nothing here")

    def test_every_error_is_an_oserror_that_can_be_pickled(self) -> None:
        for error in vars(every_error).values():
            if isinstance(error, type) and issubclass(error, TahoeError):
                again = pickle.loads(pickle.dumps(error("what went wrong")))
                self.assertIs(type(again), error)
                self.assertIsInstance(again, OSError)
                self.assertEqual((str(again), again.errno), ("what went wrong", error.code))

    def test_a_gateways_url_is_checked(self) -> None:
        self.assertEqual(gateway_url("http://localhost:3456").to_text(), "http://localhost:3456")
        self.assertEqual(gateway_url("https://h/tahoe/").to_text(), "https://h/tahoe")
        for wrong in ("", "localhost:3456", "ftp://h/", "http://", "http://h:port/", 5, None):
            self.assertRaises(ValueError, gateway_url, wrong)

    def test_a_timeout_is_above_0(self) -> None:
        for wrong in (0, -1, nan):
            with self.assertRaisesRegex(ValueError, f"timeout is {wrong}: give"):
                Transport(Clock(), "http://h/", timeout=wrong)
