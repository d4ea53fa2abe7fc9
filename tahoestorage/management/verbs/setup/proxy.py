"""`manage.py tahoe proxy nginx|apache|lighttpd`: the configuration of a public gateway."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser

from tahoestorage import conf
from tahoestorage.management.verb import Verb
from tahoestorage.proxies import SERVERS, PublicGateway
from txtahoe.caps import redact


class Proxy(Verb):
    help = """
    Print the configuration of a web server that makes a gateway public.

    The public can then read files by their URLs, and do nothing else with the gateway.

    Example:
      manage.py tahoe proxy nginx > /etc/nginx/sites-available/files.example.com.conf
    """
    has_json = False

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("server", choices=SERVERS, help="the web server")
        parser.add_argument(
            "--gateway", metavar="URL", help="the gateway; default: the first one of the storage"
        )
        parser.add_argument(
            "--server-name",
            metavar="HOST",
            help="the public host; default: that of the storage's base_url, or files.example.com",
        )
        parser.add_argument(
            "--listen",
            metavar="[ADDRESS:]PORT",
            help="where nginx or apache listens; default: the port of the storage's base_url, or "
            "80. lighttpd listens at its server.port",
        )

    def run(self) -> None:
        options = self.options
        if options["server"] == "lighttpd" and options["listen"]:
            raise CommandError(
                "--listen: lighttpd listens at its server.port for all hosts; set that instead."
            )
        storage = self.storage.options
        public, port = _public_address(storage)
        try:
            configuration = PublicGateway(
                server_name=options["server_name"] or public.hostname or "files.example.com",
                gateway=options["gateway"] or conf.gateways(storage)[0],
                prefix=public.path or "/",
                listen=options["listen"] or str(port or 80),
            ).configuration(options["server"])
        except (ValueError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from None
        self.print(configuration)


def _public_address(storage: conf.Options) -> tuple[SplitResult, int | None]:
    """The parts of the storage's base_url, and its port. Raises: CommandError."""
    url = str(conf.value(storage, "base_url") or "")
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError as error:
        raise CommandError(f"The base_url {redact(url)!r} is no URL: {error}") from None
