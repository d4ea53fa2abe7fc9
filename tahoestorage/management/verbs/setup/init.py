"""`manage.py tahoe init`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_bytes
from typing import IO, Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage import conf
from tahoestorage.care.wholetree import ask_gateway
from tahoestorage.management.arguments import number
from tahoestorage.management.printing import add_json_argument, print_json
from tahoestorage.management.storages import add_storage_argument, options_of
from txtahoe.api.client import Client
from txtahoe.caps import Cap

help = "Make the directory on the grid under which a storage keeps its files."

# Longer than what would be kept in the cap itself, and asks nothing of the servers.
_PROBE = 100

_IN_A_FILE = """\
The directory is made; its cap is in {file}, which only you can read.

In the settings:

    TAHOE_STORAGE_BASE_URL = {url!r}
    TAHOE_STORAGE_BASE_CAP_FILE = {file!r}
"""
_PRINTED = """\
The directory is made. In the settings:

    TAHOE_STORAGE_BASE_URL = {url!r}
    TAHOE_STORAGE_BASE_CAP = {cap!r}
"""
_KEEP = """
KEEP A COPY OF THE CAP, apart from this machine: in a password manager, or on paper in a safe.
Whoever loses it loses all files, and nobody can make it again; whoever has it can read, change and
delete them all. The files also need leases: run `manage.py tahoe renew` from cron, every week.
"""


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument(
        "--gateway", metavar="URL", help="the gateway; default: the first one of the storage"
    )
    parser.add_argument(
        "--servers",
        metavar="N",
        type=number(int, 1, 1000),
        help="the storage servers that must be connected, at least; default: all that the gateway "
        "knows",
    )
    parser.add_argument(
        "--file",
        metavar="PATH",
        type=Path,
        help="where the cap is written to; default: TAHOE_STORAGE_BASE_CAP_FILE, and without "
        "that it is printed",
    )
    parser.add_argument(
        "--another", action="store_true", help="though the storage has a directory already"
    )
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    storage = options_of(options["storage"])
    if not options["another"]:
        _require_none(storage)
    url = options["gateway"] or conf.gateways(storage)[0]
    file = options["file"] or conf.cap_file(storage)
    if file is None:
        cap = _made(url, options["servers"])
    else:
        file = Path(file).resolve()
        with _secret_file(file) as opened:
            cap = _made(url, options["servers"])
            opened.write(str(cap))
    told = {"url": url, "file": None if file is None else str(file), "cap": str(cap)}
    if options["json"]:
        print_json(command, {name: told[name] for name in told if name != "cap" or file is None})
    else:
        command.stdout.write((_PRINTED if file is None else _IN_A_FILE).format(**told))
        command.stdout.write(_KEEP)


def _require_none(storage: conf.Options) -> None:
    """Raises: CommandError where there is a directory already."""
    try:
        cap = conf.base_cap(storage)
    except ImproperlyConfigured:
        return
    raise CommandError(
        f"This storage has a directory already, {cap!r}. --another makes one more; the files of "
        "the first one stay where they are."
    )


def _made(url: str, servers: int | None) -> Cap:
    """A new directory on servers of which enough are there. Raises: CommandError."""

    async def make(client: Client) -> Cap:
        status = await client.status()
        wanted = max(1, len(status.servers)) if servers is None else servers
        if status.connected < wanted:
            raise CommandError(
                f"The gateway is connected to {status.connected} storage servers of the "
                f"{wanted} that are wanted, so the directory would be on too few. Wait until the "
                "others are back, or say with --servers how many are enough."
            )
        # A directory is also made on too few servers, without an error; a file is not.
        await client.upload(token_bytes(_PROBE))
        cap = await client.mkdir()
        report = await client.check(cap)
        if not report.is_healthy:
            raise CommandError(
                f"The directory that was made is not on as many servers as it should be "
                f"({report.summary}), and is not used. Try again when all servers are there."
            )
        return cap

    try:
        return ask_gateway(url, make)
    except ValueError as error:
        raise CommandError(str(error)) from None


@contextmanager
def _secret_file(path: Path) -> Iterator[IO[str]]:
    """A new file that only its owner can read; it is there only if all goes well."""
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, stat.S_IRUSR | stat.S_IWUSR)
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
