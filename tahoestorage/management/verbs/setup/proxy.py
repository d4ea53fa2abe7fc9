"""
Print the configuration of a web server that makes a gateway public.

The public can then read files by their URLs, and do nothing else with the gateway.

Example:
  manage.py tahoe proxy nginx > /etc/nginx/sites-available/files.example.com.conf
"""

from __future__ import annotations

from urllib.parse import urlsplit

from django.core.management.base import CommandError

from tahoestorage import conf
from tahoestorage.management.arguments import argument
from tahoestorage.management.verb import Verb
from tahoestorage.proxies import SERVERS, PublicGateway
from txtahoe.caps import redact


class Proxy(Verb):
    help = __doc__
    arguments = (
        argument("server", choices=SERVERS, help="the web server"),
        argument(
            "--gateway", metavar="URL", help="the gateway; default: the first one of the storage"
        ),
        argument(
            "--server-name",
            metavar="HOST",
            help="the public host; default: that of the storage's base_url, or files.example.com",
        ),
        argument(
            "--listen",
            metavar="[ADDRESS:]PORT",
            help="where nginx or apache listens; default: the port of the storage's base_url, or "
            "80. lighttpd listens at its server.port",
        ),
    )
    has_json = False

    def run(self) -> None:
        options = self.options
        if options["server"] == "lighttpd" and options["listen"]:
            raise CommandError(
                "--listen: lighttpd listens at its server.port for all hosts; set that instead."
            )
        storage = self.storage.options
        url = str(conf.value(storage, "base_url") or "")
        try:
            public, port = urlsplit(url), urlsplit(url).port
        except ValueError as error:
            raise CommandError(f"The base_url {redact(url)!r} is no URL: {error}") from None
        try:
            gateway = PublicGateway(
                server_name=options["server_name"] or public.hostname or "files.example.com",
                gateway=options["gateway"] or conf.gateways(storage)[0],
                prefix=public.path or "/",
                listen=options["listen"] or str(port or 80),
            )
        except ValueError as error:
            raise CommandError(str(error)) from None
        self.print(gateway.configuration(options["server"]))
