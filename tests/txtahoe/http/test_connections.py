"""Connections: hosts, protocols, TLS, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from traceback import TracebackException
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SkipTest, SynchronousTestCase
from twisted.web.server import Site
from zope.interface import implementer

from tests.grid.case import StrangerTestCase
from tests.grid.certificates import trusting, write_certificate
from tests.grid.strangers import answers, hang_up, stalls
from tests.txtahoe.case import start
from txtahoe import Cap, Client, Transport
from txtahoe.errors import (
    AnswerLost,
    BadRequest,
    GatewayUnreachable,
    NotAGateway,
    NotSecure,
)
from txtahoe.http import connections
from txtahoe.http.transport import gateway_url
from txtahoe.testing.fake import FakeGateway

FILE = Cap.parse("URI:LIT:nbswy3dp")
NAMES_OF_COMPOSE = ("tahoe_gateway", "-tahoe", "tahoe-", "a_b.c-")


@implementer(IHostnameResolver)
class Resolver:
    """Knows some hosts, all of them this one, as /etc/hosts does; of `slow` it never tells."""

    def __init__(self, *known: str, slow: str = "") -> None:
        self._known = known
        self._slow = slow

    def resolveHostName(
        self, resolutionReceiver: Any, hostName: str, portNumber: int = 0, *args: Any, **kwargs: Any
    ) -> Any:
        resolutionReceiver.resolutionBegan(None)
        if hostName in self._known:
            resolutionReceiver.addressResolved(IPv4Address("TCP", "127.0.0.1", portNumber))
        if hostName != self._slow:
            resolutionReceiver.resolutionComplete()
        return None


class ConnectionsTestCase(StrangerTestCase):
    """A test with clients of servers on loopback."""

    def serve(self, listen: Callable[[Site], Any]) -> int:
        port = listen(Site(FakeGateway(clock=reactor).resource))
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def certificate(self) -> Path:
        file = Path(self.mktemp()).absolute()
        write_certificate(file)
        return file

    def serve_securely(self, certificate: Path) -> int:
        options = PrivateCertificate.loadPEM(certificate.read_bytes()).options()
        return self.serve(lambda site: reactor.listenSSL(0, site, options, interface="127.0.0.1"))

    def serve_plainly(self) -> int:
        return self.serve(lambda site: reactor.listenTCP(0, site, interface="127.0.0.1"))

    async def failure(self, attempt: Any, expected: type[Exception]) -> Any:
        return await self.assertFailure(start(attempt), expected)


class Hosts(ConnectionsTestCase):
    def know(self, *names: str) -> None:
        before = reactor.installNameResolver(Resolver(*names))
        self.addCleanup(reactor.installNameResolver, before)

    async def test_names_of_docker_compose_are_reached_over_http(self) -> None:
        port = self.serve_plainly()
        self.know(*NAMES_OF_COMPOSE)
        for name in NAMES_OF_COMPOSE:
            client = self.connect(f"http://{name}:{port}/")
            self.assertEqual((await client.status()).connected, 3)
            self.assertEqual(await client.read(await client.upload(b"x" * 100)), b"x" * 100)

    async def test_a_host_that_is_not_known_is_named(self) -> None:
        self.know()
        for name in (*NAMES_OF_COMPOSE, "gateway.example"):
            error = await self.failure(self.connect(f"http://{name}/").status(), GatewayUnreachable)
            self.assertIn(f"the host {name!r} is not known here", str(error))

    async def test_addresses_of_ipv6_are_reached(self) -> None:
        try:
            port = self.serve(lambda site: reactor.listenTCP(0, site, interface="::1"))
        except CannotListenError as error:
            raise SkipTest(f"this machine has no IPv6: {error}") from None
        client = self.connect(f"http://[::1]:{port}/")
        self.assertEqual((await client.status()).connected, 3)

    async def test_the_host_is_told_to_the_gateway(self) -> None:
        told: list[bytes] = []

        def behave(connection: Any) -> None:
            told.append(connection.recv(2**16))
            connection.close()

        port = self.meet(behave).rstrip("/").rpartition(":")[2]
        self.know("tahoe_gateway")
        for host in ("tahoe_gateway", "127.0.0.1"):
            await self.failure(self.connect(f"http://{host}:{port}/a/b").status(), AnswerLost)
            head = told.pop()
            self.assertTrue(head.startswith(b"GET /a/b/?t=json HTTP/1.1\r\n"), head)
            self.assertIn(f"Host: {host}:{port}\r\n".encode(), head)

    def test_client_url_takes_any_host(self) -> None:
        cap = str(FILE).replace(":", "%3A")
        for base in ("http://tahoe_gateway:1", "http://[::1]:1", "http://xn--bcher-kva:1"):
            client = Client(Transport(reactor, base))
            self.assertEqual(client.url(FILE, "ä b"), f"{base}/named/{cap}/%C3%A4%20b")

    def test_an_error_of_client_url_has_no_cap_in_its_traceback(self) -> None:
        client = Client(Transport(reactor, "http://h:1"))
        error = self.assertRaises(UnicodeEncodeError, client.url, FILE, "\udcff")
        told = TracebackException.from_exception(error, capture_locals=True)
        self.assertNotIn(str(FILE).split(":")[2], "".join(told.format()))


class Addresses(SynchronousTestCase):
    def test_every_spelling_of_a_url_is_one_url(self) -> None:
        class Lazy:
            """As Django's lazy strings."""

            def __str__(self) -> str:
                return "http://h:1/"

        for spelling in ("http://h:1", "HTTP://H:1/", " http://h:1/\n", "\thttp://h:1//", Lazy()):
            url = gateway_url(spelling)  # type: ignore[arg-type]
            self.assertEqual(url.to_text(), "http://h:1", spelling)
        self.assertEqual(
            gateway_url("https://Bücher.example").to_text(), "https://xn--bcher-kva.example"
        )
        self.assertEqual(gateway_url("http://[::1]").to_text(), "http://[::1]")

    def test_an_impossible_port_is_refused_with_its_number(self) -> None:
        for port in (0, -1, 65536, 99999):
            with self.assertRaisesRegex(ValueError, f"from 1 to 65535, not {port}$"):
                gateway_url(f"http://127.0.0.1:{port}/")
        for port in (1, 65535):
            self.assertEqual(gateway_url(f"http://h:{port}").port, port)

    def test_https_refuses_a_name_that_no_certificate_can_have(self) -> None:
        for name in NAMES_OF_COMPOSE:
            with self.assertRaisesRegex(ValueError, f"{name}.*certificate.*use http"):
                gateway_url(f"https://{name}/")

    def test_a_malformed_host_is_refused(self) -> None:
        for name in ("a b", "a..b", "h%41", "x" * 64, "a\nb", "ä_b"):
            with self.assertRaisesRegex(ValueError, "is not the name of a host"):
                gateway_url(f"http://{name}/")


class OtherProtocols(ConnectionsTestCase):
    async def test_https_to_a_port_that_speaks_http_names_http(self) -> None:
        self.patch(connections, "_FIRST_TLS_SECONDS", 0.2)
        # One says nothing to what it can't read, one answers in plain HTTP.
        silent_one = f"127.0.0.1:{self.serve_plainly()}"
        other = self.meet(answers("400 Bad Request", "")).removeprefix("http://")
        for address in (silent_one, other):
            client = self.connect(f"https://{address}")
            error = await self.failure(client.status(), NotSecure)
            self.assertIn("if it speaks http, say http://", str(error))

    async def test_http_to_a_port_that_speaks_https_names_https(self) -> None:
        port = self.serve_securely(self.certificate())
        client = self.connect(f"http://127.0.0.1:{port}/")
        error = await self.failure(client.status(), AnswerLost)
        self.assertIn("If it speaks https, say https://", str(error))

    async def test_a_gateway_that_has_answered_is_not_suspected(self) -> None:
        met = []

        def behave(connection: Any) -> None:
            met.append(connection)
            connection.recv(2**16)
            if len(met) == 1:
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"servers": []}')
            connection.close()

        client = self.connect(self.meet(behave))
        self.assertEqual((await client.status()).connected, 0)
        error = await self.failure(client.status(), AnswerLost)
        self.assertNotIn("https", str(error))

    async def test_the_words_of_a_proxy_about_the_wrong_protocol_are_in_the_error(self) -> None:
        said = "The plain HTTP request was sent to HTTPS port"
        page = f"<html><head><title>400 {said}</title></head><center>{said}</center></html>"
        client = self.connect(self.meet(answers("400 Bad Request", page)))
        self.assertIn(said, str(await self.failure(client.status(), BadRequest)))

    async def test_a_gateway_with_tls_is_used_when_its_certificate_is_trusted(self) -> None:
        certificate = self.certificate()
        url = f"https://127.0.0.1:{self.serve_securely(certificate)}/"
        error = await self.failure(self.connect(url).status(), NotSecure)
        self.assertIn("certificate", str(error))
        self.assertNotIn("http://", str(error))
        with trusting(certificate):
            client = self.connect(url)
            self.assertEqual(await client.read(await client.upload(b"x" * 10**6)), b"x" * 10**6)

    async def test_one_that_hangs_up_before_it_is_secure_was_not_reached(self) -> None:
        client = self.connect(self.meet(hang_up).replace("http:", "https:"))
        await self.failure(client.status(), GatewayUnreachable)


class Heads(ConnectionsTestCase):
    async def test_a_head_without_end_is_refused(self) -> None:
        sent = 0

        def behave(connection: Any) -> None:
            nonlocal sent
            connection.recv(2**16)
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            line = b"X-Line: " + b"x" * 990 + b"\r\n"
            while sent < 2**26:
                connection.sendall(line)
                sent += len(line)

        client = self.connect(self.meet(behave))
        error = await self.failure(client.status(), NotAGateway)
        self.assertIn("not a Tahoe-LAFS gateway", str(error))
        # The kernel buffers some megabytes on both sides.
        self.assertLess(sent, 2**26)

    async def test_every_head_of_a_connection_may_be_long(self) -> None:
        head = "200 OK\r\n" + "".join(f"X-{number}: {'x' * 990}\r\n" for number in range(40))
        client = self.connect(self.meet(answers(f"{head}X-End: ", '{"servers": []}')))
        for _ in range(5):
            await client.status()

    async def test_a_garbled_head_raises_not_a_gateway(self) -> None:
        for head in (
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: strange\r\n\r\n",
            b"HTTP/x 200 OK\r\n\r\n",
            b"220 smtp.example ESMTP\r\n",
        ):
            await self.failure(self.connect(self.meet(stalls(head))).status(), NotAGateway)


class Unreached(SynchronousTestCase):
    """Hosts that say nothing at all."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()

    def ask(self, url: str, timeout: float) -> Deferred[Any]:
        return start(Client(Transport(self.reactor, url, timeout=timeout, pauses=())).status())

    def test_a_host_that_drops_packets_is_unreachable_whatever_the_timeout(self) -> None:
        for url in (
            "http://10.0.0.1:3456/",
            "http://[::2]:3456/",
            "https://10.0.0.1/",
            "http://h/",
        ):
            for timeout, seconds in ((0.5, 0.5), (9, 9), (10, 10), (60, 10)):
                asking = self.ask(url, timeout)
                self.reactor.advance(seconds - 0.01)
                self.assertNoResult(asking)
                self.reactor.advance(0.02)
                error = self.failureResultOf(asking, GatewayUnreachable).value
                self.assertNotIsInstance(error, NotSecure)
                self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_host_whose_name_is_looked_up_for_ever_is_unreachable(self) -> None:
        self.reactor.installNameResolver(Resolver(slow="h"))
        for timeout in (5, 60):
            asking = self.ask("http://h/", timeout)
            self.reactor.advance(11)
            self.failureResultOf(asking, GatewayUnreachable)

    def test_cancelling_a_look_up_does_not_blame_the_host(self) -> None:
        self.reactor.installNameResolver(Resolver(slow="h"))
        asking = self.ask("http://h/", 60)
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
