"""Set a storage up: its directory on the grid, and a web server for the public."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_bytes
from typing import IO
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from tahoestorage import conf
from tahoestorage.care.wholetree import ask_gateway
from tahoestorage.management.arguments import argument, flag, gateway, number
from tahoestorage.management.printing import Line, bar
from tahoestorage.management.verb import Verb
from tahoestorage.proxies import SERVERS, configuration
from txtahoe.api.client import Client
from txtahoe.caps import Cap, redact

# Bytes of a file that tests the servers. The gateway keeps up to 55 bytes in the cap itself.
_PROBE = 100

_IN_A_FILE = """\
Its cap is in {file}, which only you can read.

Write in the settings:

    TAHOE_STORAGE_BASE_URL = {url!r}
    TAHOE_STORAGE_BASE_CAP_FILE = {file!r}
"""
_PRINTED = """\
Write in the settings:

    TAHOE_STORAGE_BASE_URL = {url!r}
    TAHOE_STORAGE_BASE_CAP = {cap!r}
"""
_KEEP = """
KEEP A COPY OF THE CAP, apart from this machine: in a password manager, or on paper in a safe.
If you lose it, you lose all files, and nobody can make it again. Anyone who has it can read, change
and delete all files. The files also need leases: run `manage.py tahoe renew` from cron every week.
"""
_GATEWAY = argument(
    "--gateway",
    metavar="URL",
    type=gateway,
    help="the gateway; default: the first one of the storage",
)


class Init(Verb):
    help = """
    Make the directory on the grid in which a storage keeps its files.

    Example, with the cap in a file that only you can read:
      manage.py tahoe init --gateway http://127.0.0.1:3456/ --file /etc/mysite/root.cap
    """
    arguments = (
        _GATEWAY,
        argument(
            "--servers",
            metavar="N",
            type=number(int, 1, 1000),
            help="how many storage servers must be connected; default: all that the gateway knows",
        ),
        argument(
            "--file",
            metavar="PATH",
            type=Path,
            help="write the cap to this file; default: TAHOE_STORAGE_BASE_CAP_FILE; if that is not "
            "set, print the cap",
        ),
        flag("--force", help="make another directory, though the storage has one"),
    )

    def run(self) -> None:
        storage = self.storage.options
        if not self.options["force"]:
            with suppress(ImproperlyConfigured):
                raise CommandError(
                    f"This storage has a directory already, {conf.base_cap(storage)!r}. --force "
                    "makes another one; the files of the first one stay where they are."
                )
        url = self.options["gateway"] or conf.gateways(storage)[0]
        security = conf.security({**storage, "tahoe_base_url": url})
        ask = partial(ask_gateway, url, security, self._make)
        given = self.options["file"] or conf.cap_file(storage)
        told: dict[str, str | None] = {"url": url, "file": None}
        with bar(f"making the directory through {url}"):
            if given is None:
                told["cap"] = str(ask())
            else:
                file = Path(given).resolve()
                told["file"] = str(file)
                with _secret_file(file) as opened:
                    opened.write(str(ask()))
        text = (_PRINTED if given is None else _IN_A_FILE).format(**told)
        self.tell(told, [Line("The directory is made.", "SUCCESS"), text, Line(_KEEP, "WARNING")])

    async def _make(self, client: Client) -> Cap:
        """Make a directory on enough servers. Raises: CommandError."""
        status = await client.status()
        wanted = self.options["servers"] or max(1, len(status.servers))
        if status.connected < wanted:
            raise CommandError(
                f"The gateway is connected to {status.connected} storage servers of the "
                f"{wanted} that are wanted, so the directory would be on too few. Wait until the "
                "others are back (`manage.py tahoe status` shows them), or say with --servers how "
                "many are enough."
            )
        # The gateway makes a directory on too few servers without an error, but not a file.
        await client.upload(token_bytes(_PROBE))
        cap = await client.mkdir()
        report = await client.check(cap)
        if not report.is_healthy:
            raise CommandError(
                f"The directory that was made is on too few storage servers ({report.summary}), "
                "and is not used. Run `manage.py tahoe init` again when all servers are there."
            )
        return cap


@contextmanager
def _secret_file(path: Path) -> Iterator[IO[str]]:
    """A new file that only its owner can read; it is removed if anything fails."""
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise CommandError(
            f"There is a file {str(path)!r} already, perhaps with the cap of other files. It is "
            "not overwritten: give another path with --file."
        ) from None
    try:
        with open(number, "w") as file:
            yield file
            file.flush()
            os.fsync(number)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


class Proxy(Verb):
    help = """
    Print the configuration of a web server that makes a gateway public.

    The public can then read files by their URLs, and do nothing else with the gateway.

    Example:
      manage.py tahoe proxy nginx > /etc/nginx/sites-available/files.example.com.conf
    """
    arguments = (
        argument("server", choices=SERVERS, help="the web server"),
        _GATEWAY,
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
            text = configuration(
                options["server"],
                options["server_name"] or public.hostname or "files.example.com",
                options["gateway"] or conf.gateways(storage)[0],
                public.path or "/",
                options["listen"] or str(port or 80),
            )
        except ValueError as error:
            raise CommandError(str(error)) from None
        self.print(text)
