"""System checks that ask the network, of gateways and public addresses right and wrong."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from tests.grid.certificates import trusting, write_certificate
from tests.grid.proxy import Proxy
from tests.grid.strangers import answers, stranger
from tests.needs import NGINX, needs
from tests.tahoestorage.case import StorageTestCase
from tests.tahoestorage.proxies.servers import Nginx
from txtahoe import Cap
from txtahoe.testing.node import free_port

NOBODY = "http://127.0.0.1:1/"
BACKEND = "tahoestorage.storage.TahoeStorage"
# Other tests may have loaded the app whose check asks for it.
STATIC = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}


class DeploymentTestCase(StorageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.override(
            TAHOE_STORAGE_BASE_URL=self.gateway,
            TAHOE_STORAGE_BASE_CAP=self.cap,
            TAHOE_PUBLIC_BASE_URL="/path/of/this/site/",
            STORAGES={"default": {"BACKEND": BACKEND}, **STATIC},
            # Everything is on this machine here.
            SILENCED_SYSTEM_CHECKS=["tahoestorage.W003", "tahoestorage.W005"],
        )

    def messages(self, **settings: Any) -> dict[str, CheckMessage]:
        with override_settings(**settings):
            every = run_checks(tags=["tahoe"], include_deployment_checks=True)
            found = [message for message in every if not message.is_silenced()]
        for message in found:
            self.assertTrue(message.hint)
            self.assertEqual(message.obj, "STORAGES['default']")
            self.assertNotIn(self.cap.split(":")[2], str(message))
        return {str(message.id).removeprefix("tahoestorage."): message for message in found}

    def ids(self, **settings: Any) -> list[str]:
        return list(self.messages(**settings))


class Commands(DeploymentTestCase):
    def asked(self, *command: str) -> list[str]:
        """The requests of a command to the gateway."""
        with Proxy(self.gateway) as proxy, override_settings(TAHOE_STORAGE_BASE_URL=proxy.url):
            call_command(*command, stdout=StringIO(), stderr=StringIO())
            return proxy.requests

    def test_only_deploy_asks_the_network_and_asks_once(self) -> None:
        for command in (("check",), ("check", "--tag", "tahoe"), ("migrate", "--plan")):
            self.assertEqual(self.asked(*command), [], command)
        for command in (("check", "--deploy"), ("check", "--tag", "tahoe", "--deploy")):
            self.assertEqual(
                sorted(self.asked(*command)),
                ["GET /", "GET /", "GET /uri", "POST /uri", "PUT /uri"],
            )

    def test_an_error_fails_the_command(self) -> None:
        with override_settings(TAHOE_STORAGE_BASE_URL=NOBODY):
            command = "check", "--deploy", "--tag", "tahoe"
            problem = self.assertRaises(SystemCheckError, call_command, *command)
        self.assertIn("tahoestorage.E101", str(problem))

    def test_two_storages_of_one_gateway_are_one_question(self) -> None:
        places = {
            alias: {"BACKEND": BACKEND, "OPTIONS": {"location": alias}}
            for alias in ("default", "other")
        }
        with override_settings(STORAGES={**places, **STATIC}):
            self.assertEqual(self.asked("check", "--deploy").count("PUT /uri"), 1)


class Gateways(DeploymentTestCase):
    def test_a_good_gateway(self) -> None:
        self.assertEqual(self.ids(), [])
        self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL=self.gateways), [])

    def test_a_missing_gateway_and_another_server(self) -> None:
        with stranger(answers("200 OK", "welcome")) as other:
            for url in (NOBODY, other):
                self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL=url), ["E101"])
            self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL=[self.gateway, other]), ["W101"])
            self.assertEqual(self.ids(TAHOE_STORAGE_WRITER_URL=other), ["E101"])

    def test_an_old_gateway_is_named_with_its_version(self) -> None:
        with self.gateway_of("tahoe-lafs: 1.15.1, foolscap: 20.4.0") as (url, cap):
            found = self.messages(TAHOE_STORAGE_BASE_URL=url, TAHOE_STORAGE_BASE_CAP=cap)
        self.assertEqual(list(found), ["W108"])
        self.assertIn(f"{url}: it runs tahoe-lafs 1.15.1;", found["W108"].msg)

    def test_a_root_of_another_grid(self) -> None:
        self.assertEqual(self.ids(TAHOE_STORAGE_BASE_CAP=self.cap[:-52] + "a" * 52), ["E103"])

    def test_a_root_that_has_lost_a_share(self) -> None:
        self.lose(self.cap, 1)
        self.assertEqual(self.ids(), ["W105"])

    def test_wrong_settings_are_not_tried(self) -> None:
        self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL="gateway"), ["E002"])
        for url in ("https://host:port/", "unix:/run/gateway.sock"):
            self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=url), ["E012"])
        with Proxy(self.gateway) as proxy:
            address = f"{proxy.url}uri/{self.cap}/"
            self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=address), ["E006"])
            self.assertEqual(proxy.requests, [])


class PublicAddresses(DeploymentTestCase):
    def found_at(self, url: str, **settings: Any) -> list[str]:
        return self.ids(TAHOE_PUBLIC_BASE_URL=url, **settings)

    def test_the_gateway_as_the_public_address(self) -> None:
        found = self.messages(TAHOE_PUBLIC_BASE_URL=self.gateway)
        self.assertEqual(list(found), ["W116", "E112", "E113"])
        for request in ("PUT {}uri", "PUT {}cap", "POST {}uri?t=mkdir-immutable"):
            self.assertIn(request.format(self.gateway), found["E112"].msg)
        self.assertIn("manage.py tahoe proxy", str(found["E112"].hint))
        self.assertIn("Content-Encoding: bzip2", found["W116"].msg)

    def test_an_open_gateway_beside_a_guarded_path(self) -> None:
        self.assertEqual(self.found_at(f"{self.gateway}files/"), ["E111", "E112", "E113"])

    def test_an_open_gateway_is_found_without_the_grid(self) -> None:
        away = {"TAHOE_STORAGE_BASE_URL": NOBODY}
        self.assertEqual(self.found_at(self.gateway, **away), ["E101", "W116", "E112", "E113"])

    def test_the_check_leaves_nothing_behind_and_sends_no_cap_of_a_directory(self) -> None:
        sent: list[bytes] = []
        with Proxy(self.gateway) as proxy:
            proxy.sent = lambda client, data: sent.append(data)  # type: ignore[method-assign]
            self.assertEqual(self.found_at(proxy.url), ["W116", "E112", "E113"])
        told = re.findall(r"URI:[^/? ]*", unquote_to_bytes(b"".join(sent)).decode())
        kinds = sorted(Cap.parse(cap).kind for cap in told)
        self.assertEqual(kinds, ["CHK", "DIR2-LIT", "DIR2-LIT"])
        self.assertEqual(self.storage.listdir(""), ([], []))

    def test_an_unreachable_address(self) -> None:
        found = self.messages(TAHOE_PUBLIC_BASE_URL=NOBODY)
        self.assertIn(f"{NOBODY} refuses connections", found["W115"].msg)
        self.assertNotIn("ateway", f"{found['W115'].msg} {found['W115'].hint}")
        self.assertEqual(self.found_at("http://127.0.0.1:99999/"), ["E012"])

    def test_an_address_of_ipv6(self) -> None:
        self.assertEqual(self.found_at("http://[::1]:1/"), ["W115"])

    def test_another_web_server(self) -> None:
        for status, body in (("404 Not Found", ""), ("200 OK", "hello"), ("302 Found", "")):
            with stranger(answers(status, body)) as url:
                self.assertEqual(self.found_at(url), ["E111"])


@needs(NGINX)
class WebServers(DeploymentTestCase):
    """With nginx between the public and the gateway."""

    def setUp(self) -> None:
        super().setUp()
        self.nginx = Nginx(Path(self.mktemp()).absolute())
        self.listen = self.nginx.options["listen"]
        self.public = f"http://{self.listen}/"

    def printed(self, listen: str) -> str:
        """The configuration that the command prints."""
        output = StringIO()
        with override_settings(TAHOE_PUBLIC_BASE_URL=self.public):
            call_command("tahoe", "proxy", "nginx", stdout=output, listen=listen)
        return output.getvalue()

    def found_with(self, site: str) -> list[str]:
        with self.nginx.running(site):
            return self.ids(TAHOE_PUBLIC_BASE_URL=self.public)

    def test_the_printed_configuration_is_good(self) -> None:
        self.assertEqual(self.found_with(self.printed(self.listen)), [])

    def test_a_configuration_that_refuses_only_changes(self) -> None:
        found = self.found_with(
            f"""server {{
                listen {self.listen};
                server_name 127.0.0.1;
                location / {{ limit_except GET {{ deny all; }} proxy_pass {self.gateway}; }}
            }}"""
        )
        self.assertEqual(found, ["W116", "E113"])

    def test_a_configuration_that_forgets_the_other_door(self) -> None:
        found = self.found_with(
            f"""server {{
                listen {self.listen};
                server_name 127.0.0.1;
                location /uri {{ return 403; }}
                location / {{ proxy_pass {self.gateway}; }}
            }}"""
        )
        self.assertEqual(found, ["W116", "E112", "E113"])

    def test_https(self) -> None:
        key, listen = Path(self.mktemp()).absolute(), f"127.0.0.1:{free_port()}"
        write_certificate(key)
        secure = f"https://{listen}/"
        files = f"ssl_certificate {key}; ssl_certificate_key {key};"
        sites = self.printed(listen).replace(f"listen {listen};", f"listen {listen} ssl; {files}")
        with self.nginx.running(sites):
            found = self.messages(TAHOE_PUBLIC_BASE_URL=secure)
            self.assertEqual(list(found), ["E114"])
            self.assertIn("certificate verify failed", found["E114"].msg)
            with trusting(key):
                self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=secure), [])
                other = secure.replace("127.0.0.1", "localhost")
                found = self.messages(TAHOE_PUBLIC_BASE_URL=other)
            self.assertIn("its certificate is for another host", found["E114"].msg)
            plain = self.public.replace("http:", "https:")
            self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=plain), ["E114"])
