"""Authorities, certificates and credentials: right, wrong, and sent to nobody else."""

from __future__ import annotations

import os
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from traceback import TracebackException
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import X509
from service_identity import CertificateError
from twisted.internet import reactor
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    KeyPair,
    PrivateCertificate,
    trustRootFromCertificates,
)
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource
from twisted.web.server import Site
from zope.interface import implementer

from tests.grid.certificates import Authority
from tests.grid.strangers import answers
from tests.txtahoe.case import start
from tests.txtahoe.http.test_connections import ConnectionsTestCase
from txtahoe import Client, Gateways, Security, Transport
from txtahoe.errors import (
    NotAGateway,
    NotAuthorized,
    NotSecure,
    Prohibited,
    error_for,
)
from txtahoe.testing.fake import FakeGateway

HOST = "127.0.0.1"
PRIVATE = b"-----BEGIN PRIVATE"
SECRET = "s3cr3t-t0ken"


class SecurityTestCase(ConnectionsTestCase):
    def file(self, content: str | None = None) -> Path:
        """A new file; without `content`, there is none yet."""
        file = Path(self.mktemp()).absolute()
        if content is not None:
            file.write_text(content)
        return file

    def authority(self, parent: Authority | None = None) -> Authority:
        return Authority(self.file(), parent)

    def serve_with(self, certificate: Path, clients: Authority | None = None) -> str:
        """A gateway with TLS; with `clients`, for those that this authority has signed."""
        data = certificate.read_bytes()
        first, *chain = map(X509.from_cryptography, load_pem_x509_certificates(data))
        own = PrivateCertificate.loadPEM(data)
        options = CertificateOptions(
            privateKey=own.privateKey.original,
            certificate=first,
            extraCertChain=chain,
            trustRoot=clients
            and trustRootFromCertificates([Certificate.loadPEM(clients.file.read_bytes())]),
        )
        port = self.serve(lambda site: reactor.listenSSL(0, site, options, interface="127.0.0.1"))
        return f"https://127.0.0.1:{port}/"

    async def assert_works(self, url: str, **security: Any) -> None:
        client = self.connect(url, security=Security(**security))
        data = os.urandom(1000)
        self.assertEqual(await client.read(await client.upload(data)), data)

    async def refusal(self, kind: type[Exception], url: str, **security: Any) -> str:
        """The words of the error."""
        client = self.connect(url, security=Security(**security))
        return str(await self.failure(client.status(), kind))


class Authorities(SecurityTestCase):
    async def test_only_the_given_authority_is_trusted(self) -> None:
        authority, other = self.authority(), self.authority()
        url = self.serve_with(authority.issue(self.file(), HOST))
        await self.assert_works(url, ca_file=authority.file)
        for wrong in ({}, {"ca_file": other.file}):
            told = await self.refusal(NotSecure, url, **wrong)
            self.assertIn("no authority that is trusted here has signed it", told)
            self.assertNotIn("http://", told)

    async def test_an_authority_below_the_given_one_is_trusted(self) -> None:
        authority = self.authority()
        url = self.serve_with(self.authority(authority).issue(self.file(), HOST))
        await self.assert_works(url, ca_file=authority.file)

    async def test_several_authorities_in_one_file_are_trusted(self) -> None:
        first, second = self.authority(), self.authority()
        both = self.file(first.file.read_text() + second.file.read_text())
        for authority in (first, second):
            await self.assert_works(
                self.serve_with(authority.issue(self.file(), HOST)), ca_file=both
            )

    async def test_all_authorities_of_a_long_file_are_trusted(self) -> None:
        first, last = self.authority(), self.authority()
        names = "# the name of an authority\n" * 2**14  # that of Debian has 220 kB
        file = self.file(first.file.read_text() + names + last.file.read_text())
        await self.assert_works(self.serve_with(last.issue(self.file(), HOST)), ca_file=file)

    async def test_each_fault_of_a_certificate_is_named(self) -> None:
        authority = self.authority()
        await self.expect(authority, "127.0.0.2", "its certificate is for another host")
        authority.now -= timedelta(days=3)
        await self.expect(authority, "127.0.0.1", "it has expired")
        authority.now += timedelta(days=6)
        await self.expect(authority, "127.0.0.1", "it is not valid yet")

    async def expect(self, authority: Authority, address: str, reason: str) -> None:
        url = self.serve_with(authority.issue(self.file(), address))
        self.assertIn(reason, await self.refusal(NotSecure, url, ca_file=authority.file))

    async def test_a_certificate_for_no_host_is_refused(self) -> None:
        authority = self.authority()
        url = self.serve_with(authority.issue(self.file()))
        told = await self.refusal(NotSecure, url, ca_file=authority.file)
        self.assertIn("its certificate is for another host", told)
        self.flushLoggedErrors(CertificateError)  # of some releases of Twisted

    async def test_files_are_read_again_for_each_connection(self) -> None:
        authority, file = self.authority(), self.file()
        url = self.serve_with(authority.issue(self.file(), HOST))
        client = self.connect(url, security=Security(ca_file=file))
        await self.failure(client.status(), NotSecure)
        file.write_bytes(authority.file.read_bytes())
        await client.status()


class ClientCertificates(SecurityTestCase):
    async def test_a_server_that_asks_for_a_certificate_gets_it(self) -> None:
        authority, clients = self.authority(), self.authority()
        url = self.serve_with(authority.issue(self.file(), HOST), clients)
        for issuer in (clients, self.authority(clients)):
            own = issuer.issue(self.file())
            await self.assert_works(url, ca_file=authority.file, client_certificate=own)

    async def test_a_missing_or_wrong_certificate_is_named(self) -> None:
        authority, clients = self.authority(), self.authority()
        url = self.serve_with(authority.issue(self.file(), HOST), clients)
        wrong = authority.issue(self.file())
        for given, reason in (({}, "certificate required"), ({"client_certificate": wrong}, "ca")):
            told = await self.refusal(NotSecure, url, ca_file=authority.file, **given)
            self.assertIn(f"alert {reason}", told.replace("unknown ca", "ca"))
            self.assertNotIn("if it speaks http", told)

    async def test_the_words_of_nginx_about_a_certificate_are_a_permission_error(self) -> None:
        said = "No required SSL certificate was sent"
        page = f"<html><head><title>400 {said}</title></head><center>{said}</center></html>"
        url = self.meet(answers("400 Bad Request", page))
        self.assertIn(said, await self.refusal(NotAuthorized, url))


@implementer(IResource)
class Guard:
    """Asks for credentials before each request to a gateway."""

    isLeaf = True  # noqa: N815

    def __init__(self, allowed: str) -> None:
        self.allowed = allowed
        self.told: list[str | None] = []
        self._gateway = FakeGateway(clock=reactor).resource

    def render(self, request: Any) -> Any:
        told = request.getHeader("Authorization")
        self.told.append(told)
        if told == self.allowed:
            return self._gateway.render(request)
        request.setResponseCode(401)
        return b"<html><h1>401 Authorization Required</h1>"


class Credentials(SecurityTestCase):
    def guard(self, allowed: str) -> tuple[Guard, str]:
        guard = Guard(allowed)
        port = reactor.listenTCP(0, Site(guard), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return guard, f"http://127.0.0.1:{port.getHost().port}/"

    async def test_each_form_of_credentials_is_sent_as_its_header(self) -> None:
        login = b64encode("jo:pä ss:word".encode()).decode()
        for content, header in (
            (f"{SECRET}\n", f"Bearer {SECRET}"),
            (" jo:pä ss:word \r\n", f"Basic {login}"),
            (f"Token {SECRET}", f"Token {SECRET}"),
        ):
            _, url = self.guard(header)
            await self.assert_works(url, authorization=f"file:{self.file(content)}")
            self.patch(os, "environ", {**os.environ, "GATEWAY_TOKEN": content})
            await self.assert_works(url, authorization="env:GATEWAY_TOKEN")

    async def test_a_new_token_is_sent_with_the_next_request(self) -> None:
        guard, url = self.guard(f"Bearer {SECRET}")
        file = self.file("old")
        client = self.connect(url, security=Security(authorization=f"file:{file}"))
        await self.failure(client.status(), NotAuthorized)
        file.write_text(SECRET)
        await client.status()
        self.assertEqual(guard.told, ["Bearer old", f"Bearer {SECRET}"])

    async def test_wrong_credentials_are_a_permission_error_that_does_not_show_them(self) -> None:
        _, url = self.guard("Bearer other")
        security = Security(authorization=f"file:{self.file(SECRET)}")
        client = self.connect(url, security=security)
        error = await self.failure(client.status(), NotAuthorized)
        self.assertIsInstance(error, PermissionError)
        self.assertIn("a server before the gateway refuses this client: HTTP 401", str(error))
        told = "".join(TracebackException.from_exception(error, capture_locals=True).format())
        for text in (told, repr(security), repr(client), str(error)):
            self.assertNotIn(SECRET, text)

    async def test_credentials_that_are_not_there_are_named_and_nothing_is_sent(self) -> None:
        guard, url = self.guard(f"Bearer {SECRET}")
        two_lines, empty = self.file(f"{SECRET}\nmore"), self.file("")
        for place, reason in (
            (f"file:{self.file()}", "cannot be read: No such file"),
            (f"file:{empty}", "must hold one line"),
            (f"file:{two_lines}", "must hold one line"),
            (f"file:{self.file('tökén')}", "characters that no token has"),
            ("env:NOT_SET_ANYWHERE", "the environment variable 'NOT_SET_ANYWHERE' must hold"),
        ):
            told = await self.refusal(NotSecure, url, authorization=place)
            self.assertIn(reason, told)
            self.assertNotIn(SECRET, told)
        self.assertEqual(guard.told, [])

    async def test_credentials_go_to_the_gateways_that_are_named_and_to_no_other(self) -> None:
        own, url = self.guard(f"Bearer {SECRET}")
        other, elsewhere = self.guard(f"Bearer {SECRET}")
        token = {"authorization": f"file:{self.file(SECRET)}", "gateways": [url.rstrip("/")]}
        await self.assert_works(url, **token)
        await self.refusal(NotAuthorized, elsewhere, **token)
        self.assertEqual(set(other.told), {None})

    async def test_another_gateway_is_asked_if_one_refuses(self) -> None:
        _, first = self.guard("Bearer other")
        own, second = self.guard(f"Bearer {SECRET}")
        security = Security(authorization=f"file:{self.file(SECRET)}")
        both = [Transport(reactor, url, security=security, pauses=()) for url in (first, second)]
        client = Client(Gateways(both))
        self.addCleanup(lambda: start(client.close()))
        self.assertEqual((await client.status()).connected, 3)
        self.assertEqual(len(own.told), 1)

    def test_the_gateways_can_have_any_address(self) -> None:
        for host in ("[::1]", "tahoe_gateway", "xn--bcher-kva", "h"):
            Transport(reactor, f"http://{host}:1/", security=Security(gateways=["http://[::1]:1"]))

    async def test_a_redirect_takes_them_nowhere(self) -> None:
        other, elsewhere = self.guard(f"Bearer {SECRET}")
        url = self.meet(answers(f"302 Found\r\nLocation: {elsewhere}", ""))
        await self.refusal(NotAGateway, url, authorization=f"file:{self.file(SECRET)}")
        self.assertEqual(other.told, [])


class Files(SynchronousTestCase):
    def bad(self, **security: Any) -> str:
        return str(self.assertRaises(ValueError, lambda: Security(**security).check()))

    def file(self, content: bytes) -> Path:
        file = Path(self.mktemp()).absolute()
        file.write_bytes(content)
        return file

    def test_a_pipe_into_which_nobody_writes_is_an_empty_file(self) -> None:
        pipe = str(Path(self.mktemp()).absolute())
        os.mkfifo(pipe)
        self.assertIn("holds no certificate", self.bad(ca_file=pipe))
        self.assertIn("must hold one line", self.bad(authorization=f"file:{pipe}"))

    def test_a_file_of_no_use_is_named(self) -> None:
        authority = Authority(self.file(b""))
        good, other = (authority.issue(self.file(b"")).read_bytes() for _ in range(2))
        (certificate, key), (another, _) = (pem.split(PRIVATE) for pem in (good, other))
        for option, content, reason in (
            ("ca_file", b"", "holds no certificate"),
            ("ca_file", b"x" * 100, "holds no certificate"),
            ("client_certificate", certificate, "holds no unencrypted private key"),
            ("client_certificate", PRIVATE + key, "holds no certificate"),
            ("client_certificate", another + PRIVATE + key, "is not that of its first"),
        ):
            file = self.file(content)
            told = self.bad(**{option: file})
            self.assertIn(reason, told)
            self.assertIn(str(file), told)
        for option in ("ca_file", "client_certificate"):
            self.assertIn("'/nowhere' cannot be read: No such", self.bad(**{option: "/nowhere"}))
        Security(ca_file=authority.file, client_certificate=self.file(good)).check()

    def test_a_key_of_an_unknown_kind_is_of_no_use(self) -> None:
        self.assertIn("holds no unencrypted private key", self.bad(client_certificate=self.odd()))

    def odd(self) -> Path:
        """A good certificate, and a key of a curve that no library here knows."""
        certificate = Authority(self.file(b"")).file.read_text()
        key = (  # of secp112r1
            "-----BEGIN EC PRIVATE KEY-----\n"
            "MD4CAQEEDrWgaxdep/IsT3wRLJYEoAcGBSuBBAAGoSADHgAEahCEhcPJoibZZ0Br\n"
            "8CtF9ttGP6+uj/Ap8ABErw==\n"
            "-----END EC PRIVATE KEY-----\n"
        )
        return self.file(f"{certificate}{key}".encode())

    def test_a_file_that_is_too_long_is_refused_and_not_read_in_part(self) -> None:
        authority = Authority(self.file(b"")).file.read_bytes()
        told = self.bad(ca_file=self.file(authority + b"\n" * 2**22))
        self.assertIn("has more than 4,194,304 bytes", told)

    def test_an_error_does_not_show_a_private_key(self) -> None:
        own = Authority(self.file(b"")).issue(self.file(b"")).read_bytes()
        certificate, key = own.split(PRIVATE)
        other = Authority(self.file(b"")).file.read_bytes()
        secret = key.split(b"\n")[1].decode()
        for option, content in (
            ("client_certificate", other + PRIVATE + key),
            ("client_certificate", PRIVATE + key),
            ("ca_file", PRIVATE + key),
        ):
            given = Security(**{option: self.file(content)})
            error = self.assertRaises(ValueError, given.check)
            told = TracebackException.from_exception(error, capture_locals=True)
            self.assertNotIn(secret, "".join(told.format()))

    def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(self) -> None:
        key = KeyPair.generate(size=1024).original.to_cryptography_key()
        pem = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password")
        )
        certificate = Authority(self.file(b"")).file.read_bytes()
        told = self.bad(client_certificate=self.file(certificate + pem))
        self.assertIn("holds no unencrypted private key", told)

    def test_a_place_can_be_any_object_with_a_text_and_one_gateway_a_str(self) -> None:
        token = self.file(SECRET.encode())
        given = Security(authorization=Path(f"file:{token}"), gateways="http://h/")
        self.assertEqual(given.headers(), {"Authorization": f"Bearer {SECRET}"})
        self.assertEqual(given.gateways, ("http://h/",))

    def test_a_secret_in_place_of_its_place_is_refused_and_not_shown(self) -> None:
        for given in (SECRET, f"Bearer {SECRET}", f"/run/{SECRET}", "env:", ""):
            told = self.bad(authorization=given)
            self.assertIn("file:/run/secrets/token", told)
            self.assertNotIn(SECRET, told)


class OtherAgents(SynchronousTestCase):
    def test_files_for_tls_beside_an_agent_are_refused(self) -> None:
        agent = FakeGateway(clock=reactor).agent
        for option in ("ca_file", "client_certificate"):
            security = Security(**{option: "/f"})
            with self.assertRaisesRegex(ValueError, "an agent makes its own TLS"):
                Transport(reactor, "https://h/", agent=agent, security=security)

    def test_a_socket_beside_an_agent_is_refused(self) -> None:
        agent = FakeGateway(clock=reactor).agent
        with self.assertRaisesRegex(ValueError, "an agent reaches no Unix socket"):
            Transport(reactor, "unix:/run/gateway.sock", agent=agent)


class Refusals(SynchronousTestCase):
    def test_403_of_the_gateway_is_not_403_of_a_server_before_it(self) -> None:
        error = error_for(403, "Access Prohibited: a reason of the operator", "reading")
        self.assertIsInstance(error, Prohibited)
        for status in (401, 403, 407):
            error = error_for(status, "<html><h1>403 Forbidden</h1>", "reading")
            self.assertIsInstance(error, NotAuthorized)
            self.assertIsInstance(error, PermissionError)
