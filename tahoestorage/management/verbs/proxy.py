"""`manage.py tahoe proxy nginx|apache|lighttpd`: the configuration of a public gateway."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage import conf
from tahoestorage.management.storages import add_storage_argument, options_of
from tahoestorage.proxies import SERVERS, PublicGateway

help = (
    "Print a configuration with which a web server lets the public read files by their URLs, and "
    "nothing else."
)


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument("server", choices=SERVERS, help="the web server")
    add_storage_argument(parser)
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
        help="where nginx or apache listens; default: 80. lighttpd listens at its server.port",
    )


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    if options["server"] == "lighttpd" and options["listen"]:
        raise CommandError("--listen: lighttpd listens at its server.port for all its hosts.")
    storage = options_of(options["storage"])
    try:
        public = urlsplit(str(conf.value(storage, "base_url") or ""))
        configuration = PublicGateway(
            server_name=options["server_name"] or public.hostname or "files.example.com",
            gateway=options["gateway"] or conf.gateways(storage)[0],
            prefix=public.path or "/",
            listen=options["listen"] or "80",
        ).configuration(options["server"])
    except (ValueError, ImproperlyConfigured) as error:
        raise CommandError(str(error)) from None
    command.stdout.write(configuration)
