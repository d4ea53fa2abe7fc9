"""`manage.py tahoe status`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.care.wholetree import ask_gateway
from tahoestorage.health import StorageHealth, health
from tahoestorage.management.arguments import number
from tahoestorage.management.exits import LOST, NOT_HEALTHY
from tahoestorage.management.printing import (
    add_json_argument,
    print_json,
    print_table,
    size,
    time,
)
from tahoestorage.management.quoting import shown
from tahoestorage.management.storages import add_storage_argument, storage_of
from txtahoe.errors import TahoeError
from txtahoe.nodes import Server

help = (
    "Tell what the gateways and storage servers can do now, and how long a read and a write take. "
    "Ends with 0 where all is well, with 3 where something is missing, and with 4 where files "
    "can't be read or saved."
)


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument(
        "--timeout",
        type=number(float, 0.1, 3600.0),
        default=10.0,
        metavar="SECONDS",
        help="default: 10",
    )
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    storage = storage_of(options["storage"])
    found = health(storage, timeout=options["timeout"])
    servers = _servers(found, options["timeout"])
    if options["json"]:
        print_json(command, _told(found, servers))
    else:
        _print(command, found, servers)
    if not found.is_ok:
        raise CommandError("Files can't be read or saved now.", returncode=LOST)
    if found.problems:
        raise CommandError("Something is missing; see above.", returncode=NOT_HEALTHY)


def _servers(found: StorageHealth, timeout: float) -> dict[str, Server]:
    """The storage servers that the gateways know, by nickname, as one that is connected sees it."""
    servers: dict[str, Server] = {}
    for gateway in found.gateways:
        if gateway.is_reachable:
            try:
                status = ask_gateway(gateway.url, lambda client: client.status(), timeout)
            except TahoeError:
                continue  # it was there a moment ago; what it said then is told
            for server in status.servers:
                if server.connected or server.nickname not in servers:
                    servers[server.nickname] = server
    return servers


def _print(command: BaseCommand, found: StorageHealth, servers: dict[str, Server]) -> None:
    print_table(
        command,
        ["gateway", "servers", "answered in", "read in", "wrote in"],
        [
            [
                gateway.url,
                f"{gateway.connected} of {gateway.known}" if gateway.is_reachable else "",
                _seconds(gateway.seconds) or "no answer",
                _seconds(gateway.read_seconds),
                _seconds(gateway.write_seconds),
            ]
            for gateway in found.gateways
        ],
    )
    command.stdout.write("")
    print_table(
        command,
        ["server", "connected", "free", "version", "last seen"],
        [
            [
                shown(command, server.nickname),
                "yes" if server.connected else "no",
                size(server.available_space),
                server.version or "",
                time(server.last_seen),
            ]
            for server in sorted(servers.values(), key=lambda server: server.nickname)
        ],
    )
    command.stdout.write("")
    for problem in found.problems:
        command.stdout.write(str(problem))
    if not found.is_writable:
        command.stdout.write("The cap of this storage gives no right to write: nothing was saved.")
    if found.is_ok and not found.problems:
        command.stdout.write("The root directory is healthy; files can be read and saved.")


def _told(found: StorageHealth, servers: dict[str, Server]) -> dict[str, Any]:
    return {
        "is_ok": found.is_ok,
        "is_writable": found.is_writable,
        "gateways": [
            {
                "url": gateway.url,
                "connected": gateway.connected,
                "known": gateway.known,
                "seconds": gateway.seconds,
                "read_seconds": gateway.read_seconds,
                "write_seconds": gateway.write_seconds,
            }
            for gateway in found.gateways
        ],
        "servers": [
            {
                "name": server.nickname,
                "connected": server.connected,
                "free": server.available_space,
                "version": server.version,
                "last_seen": server.last_seen,
            }
            for server in servers.values()
        ],
        "problems": [str(problem) for problem in found.problems],
    }


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:,.0f} ms"
