"""`manage.py tahoe`, and the configurations that it prints."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

from django.core.management import CommandError, call_command
from django.test import override_settings
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.management.verbs import VERBS
from tahoestorage.proxies import SERVERS

DIRECTORY = "URI:DIR2:aaaqeayeaudaocajbifqydiob4:" + "a" * 52
SETTINGS = {
    "TAHOE_STORAGE_BASE_URL": "http://127.0.0.1:3456/",
    "TAHOE_STORAGE_BASE_CAP": DIRECTORY,
    "TAHOE_PUBLIC_BASE_URL": "https://media.example.org/",
}
BACKEND = "tahoestorage.storage.TahoeStorage"


def run(*arguments: str, settings: dict[str, Any] = SETTINGS, **options: Any) -> str:
    printed = StringIO()
    with override_settings(**settings):
        call_command("tahoe", *arguments, stdout=printed, **options)
    return printed.getvalue()


class Command(SynchronousTestCase):
    def test_without_a_verb_it_lists_the_verbs(self) -> None:
        printed = run(settings={})
        for name, verb in VERBS.items():
            self.assertIn(f"  {name} ", printed)
            self.assertIn(verb.help.split()[0], printed)

    def test_an_unknown_verb_or_server_is_an_error_that_lists_the_known_ones(self) -> None:
        for arguments, known in ((("proxi",), "proxy"), (("proxy", "iis"), "lighttpd")):
            problem = self.assertRaises(CommandError, run, *arguments)
            self.assertIn("invalid choice", str(problem))
            self.assertIn(known, str(problem))
        problem = self.assertRaises(CommandError, run, "proxy")
        self.assertIn("required: server", str(problem))


class Proxy(SynchronousTestCase):
    def test_the_settings_fill_the_configuration(self) -> None:
        for server in SERVERS:
            printed = run("proxy", server)
            self.assertIn("media.example.org", printed)
            self.assertIn("3456", printed)
            self.assertNotIn("%%", printed)
            self.assertNotIn("aaaqeay", printed)

    def test_options_win_over_settings(self) -> None:
        options = {"gateway": "http://[::1]:99", "server_name": "Other.example"}
        for server, address in (
            ("nginx", "server [::1]:99;"),
            ("apache", '"http://[::1]:99%1"'),
            ("lighttpd", '"host" => "::1", "port" => 99'),
        ):
            printed = run("proxy", server, **options)
            self.assertIn(address, printed)
            self.assertIn("other.example", printed)
            self.assertNotIn("media.example.org", printed)

    def test_listen_sets_address_and_port(self) -> None:
        self.assertIn("listen 80;\n    listen [::]:80;", run("proxy", "nginx"))
        self.assertIn("listen 8080;\n    listen [::]:8080;", run("proxy", "nginx", listen="8080"))
        printed = run("proxy", "nginx", listen="127.0.0.1:8080")
        self.assertEqual(re.findall("listen (.*);", printed), ["127.0.0.1:8080"])
        self.assertIn("<VirtualHost *:80>", run("proxy", "apache"))
        self.assertIn("<VirtualHost [::1]:81>", run("proxy", "apache", listen="[::1]:81"))
        problem = self.assertRaises(CommandError, run, "proxy", "lighttpd", listen="8080")
        self.assertIn("server.port", str(problem))

    def test_the_port_of_the_public_address_is_the_default(self) -> None:
        settings = {**SETTINGS, "TAHOE_PUBLIC_BASE_URL": "https://media.example.org:8443/"}
        self.assertIn("listen 8443;\n    listen [::]:", run("proxy", "nginx", settings=settings))
        self.assertIn("<VirtualHost *:8443>", run("proxy", "apache", settings=settings))
        self.assertIn("listen 81;", run("proxy", "nginx", settings=settings, listen="81"))
        settings["TAHOE_PUBLIC_BASE_URL"] = "https://media.example.org:99999/"
        problem = self.assertRaises(CommandError, run, "proxy", "nginx", settings=settings)
        self.assertIn("99999", str(problem))

    def test_the_host_of_a_gateway_may_have_an_underscore(self) -> None:
        printed = run("proxy", "nginx", gateway="http://tahoe_gateway:3456/")
        self.assertIn("server tahoe_gateway:3456;", printed)

    def test_storage_chooses_the_storage(self) -> None:
        options = {
            "tahoe_base_url": ["http://gateway-1:1111/", "http://gateway-2:2222/"],
            "tahoe_base_cap": DIRECTORY,
            "base_url": "https://other.example.org/with/a.path/",
        }
        storages = {
            "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
            "grid": {"BACKEND": BACKEND, "OPTIONS": options},
            "staticfiles": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        }
        settings = {**SETTINGS, "STORAGES": storages}
        self.assertIn("127.0.0.1:3456", run("proxy", "nginx", settings=settings))
        printed = run("proxy", "nginx", settings=settings, storage="grid")
        self.assertIn("server gateway-1:1111;", printed)
        self.assertIn("server_name other.example.org;", printed)
        self.assertIn(" /with/a[.]path(/named/URI", printed)
        for alias, reason in (
            ("staticfiles", "not a TahoeStorage but a InMemory"),
            ("default", "not a TahoeStorage. Give the alias of one"),
            ("typo", "'typo'"),
        ):
            problem = self.assertRaises(
                CommandError, run, "proxy", "nginx", settings=settings, storage=alias
            )
            self.assertIn(reason, str(problem))

    def test_the_host_is_an_example_if_there_is_no_public_address(self) -> None:
        for public in (None, "", "/files/"):
            settings = {**SETTINGS, "TAHOE_PUBLIC_BASE_URL": public}
            self.assertIn(
                "server_name files.example.com;", run("proxy", "nginx", settings=settings)
            )

    def test_a_missing_gateway_is_an_error_that_names_the_setting(self) -> None:
        problem = self.assertRaises(CommandError, run, "proxy", "nginx", settings={})
        self.assertIn("TAHOE_STORAGE_BASE_URL", str(problem))

    def test_no_value_adds_a_line_to_the_configuration(self) -> None:
        for piece in ("\n", " ", ";", '"', "'", "}", "$", "\\", "%", "#", ">", "é", "\x00", ","):
            for settings, options in (
                ({}, {"gateway": f"http://127.0.0.1{piece}x:3456/"}),
                ({}, {"gateway": f"http://127.0.0.1:3456/{piece}"}),
                ({}, {"server_name": f"a{piece}b"}),
                ({}, {"server_name": f"a{piece}"}),
                ({}, {"listen": f"80{piece}"}),
                ({"TAHOE_PUBLIC_BASE_URL": f"https://host/a{piece}b/"}, {}),
                ({"TAHOE_PUBLIC_BASE_URL": f"https://h{piece}st/"}, {}),
            ):
                self.assert_refused_or_left_out(piece, settings, options)

    def assert_refused_or_left_out(
        self, piece: str, settings: dict[str, str], options: dict[str, str]
    ) -> None:
        try:
            printed = run("proxy", "nginx", settings={**SETTINGS, **settings}, **options)
        except CommandError:
            return
        # A "#" ends the path of a URL, and a URL has no line breaks.
        self.assertIn(piece, "#\n")
        plain = run("proxy", "nginx", settings=SETTINGS, server_name="host")
        self.assertEqual(len(printed.splitlines()), len(plain.splitlines()))

    def test_errors_show_no_cap(self) -> None:
        for settings, options in (
            ({}, {"listen": "65536"}),
            ({}, {"gateway": f"http://127.0.0.1:3456/uri/{DIRECTORY}"}),
            ({}, {"server_name": DIRECTORY}),
            ({"TAHOE_PUBLIC_BASE_URL": f"https://host/uri/{DIRECTORY}/"}, {}),
            ({}, {"gateway": "http://127.0.0.1:99999/"}),
            ({}, {"gateway": "https://127.0.0.1:3456/"}),
            ({}, {"gateway": "http://127.0.0.1:3456/?t=json"}),
            ({"TAHOE_PUBLIC_BASE_URL": "https://[::1/"}, {}),
        ):
            problem = self.assertRaises(
                CommandError, run, "proxy", "nginx", settings={**SETTINGS, **settings}, **options
            )
            self.assertNotIn("aaaqeay", str(problem))
            self.assertNotIn("Traceback", str(problem))
