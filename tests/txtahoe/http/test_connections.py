"""Connections: hosts, protocols, TLS, and their errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from socket import AF_UNIX, socket
from tempfile import TemporaryDirectory
from threading import Event
from traceback import TracebackException
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError, ConnectError
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from tests.grid.case import StrangerTestCase
from tests.grid.certificates import Authority, trusting, write_certificate
from tests.grid.proxy import Proxy
from tests.grid.strangers import answers, hang_up, silent, stalls
from tests.txtahoe.case import start
from tests.waiting import until
from txtahoe import Cap, Client, Security, Transport
from txtahoe.errors import (
    AnswerLost,
    BadRequest,
    ClientClosed,
    GatewayRefused,
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
    """
    Knows some hosts, all of them this one, as /etc/hosts does; of `slow` it never tells.

    `addresses`: those of this one.
    """

    def __init__(
        self, *known: str, slow: str = "", addresses: Sequence[str] = ("127.0.0.1",)
    ) -> None:
        self._known = known
        self._slow = slow
        self._addresses = addresses

    def resolveHostName(
        self, resolutionReceiver: Any, hostName: str, portNumber: int = 0, *args: Any, **kwargs: Any
    ) -> Any:
        resolutionReceiver.resolutionBegan(None)
        if hostName in self._known:
            for address in self._addresses:
                kind = IPv6Address if ":" in address else IPv4Address
                resolutionReceiver.addressResolved(kind("TCP", address, portNumber))
        if hostName != self._slow:
            resolutionReceiver.resolutionComplete()
        return None


class ConnectionsTestCase(StrangerTestCase):
    """A test with clients of servers on loopback."""

    def serve(self, listen: Callable[[Site], Any]) -> int:
        port = listen(Site(FakeGateway(clock=reactor).resource))
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def new_file(self) -> Path:
        return Path(self.mktemp()).absolute()

    def certificate(self) -> Path:
        file = self.new_file()
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

    def serve_on_ipv6(self) -> int:
        try:
            return self.serve(lambda site: reactor.listenTCP(0, site, interface="::1"))
        except CannotListenError as error:
            raise SkipTest(f"this machine has no IPv6: {error}") from None

    async def test_addresses_of_ipv6_are_reached(self) -> None:
        client = self.connect(f"http://[::1]:{self.serve_on_ipv6()}/")
        self.assertEqual((await client.status()).connected, 3)

    async def test_certificates_for_addresses_of_ipv6_are_good(self) -> None:
        self.serve_on_ipv6()  # skips
        authority = Authority(self.new_file())
        own = PrivateCertificate.loadPEM(authority.issue(self.new_file(), "::1").read_bytes())
        port = self.serve(lambda site: reactor.listenSSL(0, site, own.options(), interface="::1"))
        security = Security(ca_file=authority.file)
        client = self.connect(f"https://[::1]:{port}/", security=security)
        self.assertEqual((await client.status()).connected, 3)

    async def test_a_name_leads_to_the_address_that_answers(self) -> None:
        for port in (self.serve_on_ipv6(), self.serve_plainly()):
            for addresses in (("::1", "127.0.0.1"), ("127.0.0.1", "::1")):
                before = reactor.installNameResolver(Resolver("both", addresses=addresses))
                self.addCleanup(reactor.installNameResolver, before)
                client = self.connect(f"http://both:{port}/")
                self.assertEqual((await client.status()).connected, 3)

    async def test_proxies_of_the_environment_are_not_used(self) -> None:
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:1/")
        self.patch(os, "environ", {**os.environ, **proxies})
        client = self.connect(f"http://127.0.0.1:{self.serve_plainly()}/")
        self.assertEqual((await client.status()).connected, 3)

    async def test_names_of_this_machine_are_looked_up_by_its_own_resolver(self) -> None:
        client = self.connect(f"http://localhost:{self.serve_plainly()}/")  # from /etc/hosts
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


class Sockets(ConnectionsTestCase):
    """Gateways at a Unix socket."""

    def socket(self) -> str:
        """A path that is short enough, as one from `mktemp` may not be."""
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return f"{folder.name}/gateway.sock"

    def listen(self, path: str) -> Any:
        port = reactor.listenUNIX(path, Site(FakeGateway(clock=reactor).resource))
        self.addCleanup(port.stopListening)
        return port

    async def test_files_are_saved_and_read_by_a_socket(self) -> None:
        path = self.socket()
        self.listen(path)
        for url in (f"unix:{path}", f"unix://{path}"):
            client = self.connect(url)
            self.assertEqual((await client.status()).connected, 3)
            self.assertEqual(await client.read(await client.upload(b"x" * 10**5)), b"x" * 10**5)

    async def test_a_socket_that_cannot_be_used_is_named_with_the_reason(self) -> None:
        path = self.socket()
        await self.expect(path, GatewayUnreachable, "there is no such socket")
        with socket(AF_UNIX) as abandoned:
            abandoned.bind(path)
        await self.expect(path, GatewayRefused, "nothing listens at this socket")
        await self.expect(f"{path}/below", GatewayUnreachable, "Not a directory")

    async def expect(self, path: str, kind: type[Exception], reason: str) -> None:
        error = await self.failure(self.connect(f"unix:{path}").status(), kind)
        self.assertIs(type(error), kind)
        self.assertIn(f"at unix:{path} (", str(error))
        self.assertIn(reason, str(error))

    def test_a_socket_that_this_process_may_not_use_is_named(self) -> None:
        memory = MemoryReactorClock()
        client = Client(Transport(memory, "unix:/run/gateway.sock", pauses=()))
        asking = start(client.status())
        [(path, factory, *_)] = memory.unixClients
        self.assertEqual(path, "/run/gateway.sock")
        factory.clientConnectionFailed(None, Failure(ConnectError(errno.EACCES, "denied")))
        error = self.failureResultOf(asking, GatewayUnreachable).value
        self.assertIn("this process may not use this socket", str(error))

    async def test_the_gateway_is_told_that_its_host_is_localhost(self) -> None:
        path, told = self.socket(), []

        class Told(Resource):
            isLeaf = True  # noqa: N815

            def render(self, request: Any) -> bytes:
                told.append((request.getHeader("Host"), request.uri))
                return b'{"servers": []}'

        port = reactor.listenUNIX(path, Site(Told()))
        self.addCleanup(port.stopListening)
        await self.connect(f"unix:{path}").status()
        self.assertEqual(told, [("localhost", b"/?t=json")])

    def test_the_path_of_a_socket_is_checked(self) -> None:
        for spelling in ("unix:/run/g.sock", "UNIX:///run/g.sock", " unix:/run/g.sock/ "):
            self.assertEqual(gateway_url(spelling).to_text(), "unix:/run/g.sock")
        for wrong in ("unix:", "unix:/", "unix:g.sock", "unix://run/g.sock"):
            with self.assertRaisesRegex(ValueError, "whole path, such as unix:/run"):
                gateway_url(wrong)
        gateway_url(f"unix:/{'x' * 106}")
        with self.assertRaisesRegex(ValueError, "107 bytes at most"):
            gateway_url(f"unix:/{'x' * 107}")

    def test_a_socket_gives_no_urls_to_others(self) -> None:
        client = Client(Transport(reactor, "unix:/run/gateway.sock"))
        with self.assertRaisesRegex(ValueError, "no URL for others"):
            client.url(FILE)


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
        self.patch(connections, "_SILENT_SECONDS", 0.05)
        # One says nothing to what it can't read, one answers in plain HTTP.
        silent_one = f"127.0.0.1:{self.serve_plainly()}"
        other = self.meet(answers("400 Bad Request", "")).removeprefix("http://")
        for address in (silent_one, other):
            client = self.connect(f"https://{address}")
            error = await self.failure(client.status(), NotSecure)
            self.assertIn("if it speaks http, say http://", str(error))

    async def test_a_server_that_is_slow_to_answer_in_tls_is_not_suspected(self) -> None:
        self.patch(connections, "_SILENT_SECONDS", 0.01)
        certificate, asked = self.certificate(), Event()

        class Slow(Proxy):
            """Passes nothing on before it was asked in HTTP, and answers that as nginx does."""

            def sent(self, client: Any, data: bytes) -> None:
                if data.startswith(b"HEAD / "):
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    asked.set()
                asked.wait(60)

        with (
            Slow(f"http://127.0.0.1:{self.serve_securely(certificate)}/") as proxy,
            trusting(certificate),
        ):
            client = self.connect(proxy.url.replace("http:", "https:"))
            self.assertEqual((await client.status()).connected, 3)
        self.assertTrue(asked.is_set())

    async def test_an_error_of_tls_after_a_request_is_a_lost_answer(self) -> None:
        certificate = self.certificate()
        garbage, alert = b"\x17\x03\x03\x00\x20" + b"x" * 32, b"\x15\x03\x03\x00\x02\x02\x50"

        class Disturbed(Proxy):
            """Answers in place of the server, from its n-th chunk on."""

            left = 0
            disturbance = b""

            def sent(self, client: Any, data: bytes) -> None:
                self.left -= 1
                if self.left == 0:
                    client.sendall(self.disturbance)
                    raise OSError

        with (
            Disturbed(f"http://127.0.0.1:{self.serve_securely(certificate)}/") as proxy,
            trusting(certificate),
        ):
            for disturbance in (garbage, alert):
                proxy.disturbance = disturbance
                client = self.connect(proxy.url.replace("http:", "https:"))
                await client.status()
                proxy.left = 1
                await self.failure(client.status(), AnswerLost)

    async def test_a_silent_server_is_unreachable_and_closing_leaves_nothing_behind(self) -> None:
        self.patch(connections, "_SILENT_SECONDS", 0.01)
        self.patch(connections, "_CONNECT_SECONDS", 0.2)
        met: list[Any] = []

        def behave(connection: Any) -> None:
            met.append(connection)
            silent(connection)

        url = self.meet(behave).replace("http:", "https:")
        error = await self.failure(self.connect(url).status(), GatewayUnreachable)
        self.assertNotIsInstance(error, NotSecure)
        self.patch(connections, "_CONNECT_SECONDS", 60)
        client = self.connect(url)
        met.clear()
        asking = start(client.status())
        await until(lambda: len(met) == 2)
        await client.close()
        await self.assertFailure(asking, ClientClosed)

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

    def test_the_second_address_is_tried_a_moment_after_the_first_and_the_first_to_answer_wins(
        self,
    ) -> None:
        self.reactor.installNameResolver(Resolver("h", addresses=("2001:db8::1", "10.0.0.1")))
        self.ask("http://h:3456/", 60)
        self.reactor.advance(0)
        self.assertEqual([host for host, *_ in self.reactor.tcpClients], ["2001:db8::1"])
        self.reactor.advance(0.3)  # RFC 8305, 5: 250 ms; Twisted waits 300
        first, second = self.reactor.tcpClients
        self.assertEqual(second[0], "10.0.0.1")
        transport = StringTransport()
        second[2].buildProtocol(None).makeConnection(transport)
        self.assertIn(b"Host: h:3456", transport.value())

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
