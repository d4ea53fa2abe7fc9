"""Gateways behind TLS, certificates and tokens, on IPv6 alone, and at a Unix socket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path
from socket import AF_INET6, AF_UNIX, create_server, socket
from tempfile import TemporaryDirectory
from typing import Any

from django.core.files.base import ContentFile
from django.core.management import call_command
from django.test import override_settings
from django.views.debug import ExceptionReporter
from twisted.trial.unittest import SkipTest

from tahoestorage import conf
from tahoestorage.care.wholetree import ask_gateway
from tahoestorage.storage import TahoeStorage
from tests.grid.certificates import Authority
from tests.grid.strangers import answers, stranger
from tests.manual.pages import Page
from tests.needs import GRID, NGINX, TIME, needs
from tests.tahoestorage.checks.test_deployment import DeploymentTestCase
from tests.tahoestorage.proxies.servers import Nginx
from tests.waiting import wait_until
from txtahoe import Security
from txtahoe.errors import GatewayUnreachable
from txtahoe.testing.node import Gateway, free_port

MANUAL = Path(conf.__file__).parents[1] / "docs"
TOKEN = "s3cr3t-t0ken"


class NetworkTestCase(DeploymentTestCase):
    def file(self, content: str = "") -> Path:
        file = Path(self.mktemp()).absolute()
        file.touch(0o600)
        file.write_text(content)
        return file

    def assert_works(self, **settings: Any) -> None:
        """Files are saved and read, and the checks find nothing."""
        content = os.urandom(10_000)
        with override_settings(**settings):
            storage = TahoeStorage()
            name = storage.save("a/b/c/f", ContentFile(content))
            with storage.open(name) as file:
                self.assertEqual(file.read(), content)
        self.assertEqual(self.ids(**settings), [])

    def assert_named(self, id: str, reason: str, **settings: Any) -> None:
        """The checks find one mistake, and its message has this reason."""
        found = self.messages(**settings)
        self.assertEqual(list(found), [id])
        self.assertIn(reason, found[id].msg)
        self.assertNotIn(TOKEN, str(found))


class BehindNginx(NetworkTestCase):
    """TLS by an authority of one's own, client certificates and a token."""

    def setUp(self) -> None:
        super().setUp()
        self.authority, self.clients = Authority(self.file()), Authority(self.file())
        self.port = free_port()
        certificate = self.clients.issue(self.file())
        self.given = {
            "TAHOE_STORAGE_BASE_URL": f"https://127.0.0.1:{self.port}/",
            "TAHOE_STORAGE_CA_FILE": str(self.authority.file),
            "TAHOE_STORAGE_CLIENT_CERTIFICATE": str(certificate),
            "TAHOE_STORAGE_AUTHORIZATION": f"file:{self.file(TOKEN)}",
        }

    @contextmanager
    def nginx(self, host: str = "127.0.0.1") -> Iterator[None]:
        """Run the manual's nginx before the gateway, with a certificate for `host`."""
        certificate = self.authority.issue(self.file(), host)
        [block] = Page(MANUAL / "09-several-hosts.md").blocks_of("nginx")
        site = block.code
        for written, here in (
            ("listen 3457", f"listen 127.0.0.1:{self.port}"),
            ("/etc/nginx/gateway.pem", str(certificate)),
            ("/etc/nginx/hosts-authority.pem", str(self.clients.file)),
            ("LONG-RANDOM-TOKEN", TOKEN),
            ("http://127.0.0.1:3456", self.gateway.rstrip("/")),
        ):
            self.assertIn(written, site)
            site = site.replace(written, here)
        with Nginx(Path(self.mktemp()).absolute()).running(site):
            yield


@needs(NGINX)
class Commands(BehindNginx):
    def test_commands_reach_such_a_gateway(self) -> None:
        cap = self.file()
        cap.unlink()
        no_cap = {"TAHOE_STORAGE_BASE_CAP": None}
        with self.nginx(), override_settings(**self.given):
            told = self.said("status")
            self.assertIn("The root directory is healthy", told)
            self.assertIn("server", told)
            with override_settings(**no_cap):
                self.said("init", "--file", str(cap))
            with override_settings(**no_cap, TAHOE_STORAGE_BASE_URL=None):
                given = "--gateway", self.given["TAHOE_STORAGE_BASE_URL"]
                self.assertIn("URI:DIR2:", self.said("init", *given))
        self.assertTrue(cap.read_text().startswith("URI:DIR2:"))

    def said(self, *command: str) -> str:
        output = StringIO()
        call_command("tahoe", *command, stdout=output, stderr=output)
        return output.getvalue()


@needs(NGINX)
class Mistakes(BehindNginx):
    def assert_each(self, id: str, reason: str, **changed: Any) -> None:
        changed = {f"TAHOE_STORAGE_{name}": value for name, value in changed.items()}
        self.assert_named(id, reason, **{**self.given, **changed})

    def test_each_mistake_of_the_site_is_named(self) -> None:
        other = Authority(self.file())
        with self.nginx():
            self.assert_works(**self.given)
            url = self.given["TAHOE_STORAGE_BASE_URL"]
            unknown = "no authority that is trusted here has signed it"
            self.assert_each("E106", unknown, CA_FILE=None)
            self.assert_each("E106", unknown, CA_FILE=str(other.file))
            missing = "No required SSL certificate was sent"
            self.assert_each("E107", missing, CLIENT_CERTIFICATE=None)
            wrong = str(other.issue(self.file()))
            self.assert_each("E107", "The SSL certificate error", CLIENT_CERTIFICATE=wrong)
            refused = "a server before the gateway refuses this client: HTTP 401"
            self.assert_each("E107", refused, AUTHORIZATION=None)
            self.assert_each("E107", refused, AUTHORIZATION=f"file:{self.file('other')}")
            plain = "The plain HTTP request was sent to HTTPS port"
            self.assert_each("E101", plain, BASE_URL=url.replace("https:", "http:"))
            self.assert_each("W107", refused, BASE_URL=[self.gateway, url], AUTHORIZATION=None)
        speaks = "if it speaks http, say http://"
        self.assert_each("E106", speaks, BASE_URL=self.gateway.replace("http:", "https:"))

    def test_each_mistake_of_the_server_is_named(self) -> None:
        with self.nginx("127.0.0.2"):
            self.assert_each("E106", "its certificate is for another host")
        self.authority.now -= timedelta(days=3)
        with self.nginx():
            self.assert_each("E106", "it has expired")

    def test_a_file_that_is_missing_is_named_before_and_when_it_is_used(self) -> None:
        with self.nginx():
            found = self.messages(**{**self.given, "TAHOE_STORAGE_CA_FILE": "/nowhere.pem"})
        self.assertEqual(list(found), ["E026", "E106"])
        for message in found.values():
            self.assertIn("'/nowhere.pem' cannot be read: No such file", message.msg)


@needs(GRID, NGINX)
class GridBehindNginx(BehindNginx):
    def test_a_grid_behind_tls_certificates_and_a_token_is_used(self) -> None:
        with self.nginx():
            self.assert_works(**self.given)


class ErrorPages(NetworkTestCase):
    """Django shows the variables of all frames."""

    def test_credentials_are_not_in_them(self) -> None:
        for place in (f"file:{self.file(TOKEN)}", "env:TAHOE_TEST_PLACE"):
            self.patch(os, "environ", {**os.environ, "TAHOE_TEST_PLACE": TOKEN})
            with stranger(answers("401 Unauthorized", "")) as refusing:
                for url in (refusing, "http://127.0.0.1:1/"):
                    storage = self.new_storage(tahoe_base_url=url, authorization=place)
                    error = self.assertRaises(OSError, storage.exists, "f")
                    given: Any = type(error), error, error.__traceback__
                    page = ExceptionReporter(None, *given).get_traceback_html()
                    self.assertIn(url, page)
                    self.assertNotIn(TOKEN, page)
                    self.assertNotIn(TOKEN, repr(storage.options))


class Elsewhere(Gateway):
    """A gateway of the shared grid that listens at `web_port`, an endpoint of Twisted."""

    web_port = ""

    def settings(self) -> dict[str, dict[str, str]]:
        settings = super().settings()
        settings["node"]["web.port"] = self.web_port
        shares = {"shares.needed": "2", "shares.happy": "2", "shares.total": "3"}
        return {**settings, "client": shares}


@needs(TIME)
@needs(GRID)
class OtherAddresses(NetworkTestCase):
    """Gateways of the real grid that nobody can reach by IPv4."""

    @contextmanager
    def gateway_at(self, url: str, web_port: str) -> Iterator[None]:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        lock = os.open(folder, os.O_RDONLY)
        gateway = Elsewhere("elsewhere", folder, lock)
        gateway.web_port = web_port
        gateway.configure()
        gateway.introduce(self.grid.introducer.furl)
        gateway.launch()
        try:
            wait_until(lambda: self.is_ready(url))
            yield
        finally:
            gateway.stop()
            os.close(lock)

    def is_ready(self, url: str) -> bool:
        try:
            status = ask_gateway(url, Security(), lambda client: client.status())
        except GatewayUnreachable:
            return False
        return status.connected == len(self.grid.servers)

    def test_a_gateway_on_ipv6_alone_is_used(self) -> None:
        if not has_ipv6():
            raise SkipTest("this machine has no IPv6")
        port = free_port()
        url = f"http://[::1]:{port}/"
        with self.gateway_at(url, rf"tcp:{port}:interface=\:\:1"):
            self.assert_works(TAHOE_STORAGE_BASE_URL=url)
            wrong = f"http://127.0.0.1:{port}/"
            self.assert_named("E101", "Connection refused", TAHOE_STORAGE_BASE_URL=wrong)

    def test_a_gateway_at_a_unix_socket_is_used(self) -> None:
        with TemporaryDirectory() as folder:
            url = f"unix:{folder}/gateway.sock"
            with self.gateway_at(url, f"{url}:mode=600"):
                self.assert_works(TAHOE_STORAGE_BASE_URL=url)


class Sockets(NetworkTestCase):
    """Sockets that cannot be used."""

    def test_each_mistake_is_named(self) -> None:
        with TemporaryDirectory() as folder:
            url = f"unix:{folder}/gateway.sock"
            self.assert_named("E101", "there is no such socket", TAHOE_STORAGE_BASE_URL=url)
            with socket(AF_UNIX) as abandoned:
                abandoned.bind(url.removeprefix("unix:"))
            self.assert_named("E101", "nothing listens at this socket", TAHOE_STORAGE_BASE_URL=url)
            wrong = "unix:gateway.sock"
            self.assert_named("E002", "by its whole path", TAHOE_STORAGE_BASE_URL=wrong)

    def test_a_socket_of_another_user_is_named(self) -> None:
        if os.geteuid() == 0:
            raise SkipTest("root may use all sockets")
        with TemporaryDirectory() as folder, socket(AF_UNIX) as listener:
            path = f"{folder}/gateway.sock"
            listener.bind(path)
            listener.listen()
            os.chmod(path, 0)
            reason = "this process may not use this socket"
            self.assert_named("E101", reason, TAHOE_STORAGE_BASE_URL=f"unix:{path}")


def has_ipv6() -> bool:
    try:
        create_server(("::1", 0), family=AF_INET6).close()
    except OSError:
        return False
    return True
