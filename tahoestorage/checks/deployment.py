"""
System checks that ask the network: `manage.py check --deploy`, alone or with `--tag tahoe`.

All other commands, such as `runserver` and `migrate`, leave them out.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from attrs import frozen
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from tahoestorage import conf
from tahoestorage.checks.exposure import examine_public
from tahoestorage.checks.found import User, every_storage, told_once
from tahoestorage.checks.messages import message, system_check
from tahoestorage.health import PROBE, Kind, client_of, examine_storage
from tahoestorage.reactor import threads
from tahoestorage.reactor.waiting import Caller, done, in_reactor
from txtahoe.caps import Cap, redact
from txtahoe.concurrency import all_of
from txtahoe.errors import TahoeError
from txtahoe.http.transport import gateway_url

_SECONDS = 10.0  # in which a gateway, or a public address, must answer
# It holds "hello". Any gateway can read it, without a storage server.
_FILE_WITHOUT_GRID = Cap.parse("URI:LIT:nbswy3dp")


# The id and the hint if the writer has a problem. Those of other gateways are warnings, with W in
# place of E.
_FINDINGS: dict[Kind, tuple[str, str]] = {
    "gateway": (
        "E101",
        "Start the node, and give its address, with the port or the socket that its tahoe.cfg has "
        "as web.port.",
    ),
    "security": (
        "E106",
        "Give 'ca_file' if an authority of your own has signed its certificate, "
        "'client_certificate' if it asks for one, and http:// if it has none. Renew a certificate "
        "that is not good.",
    ),
    "authorization": (
        "E107",
        "Give the credentials that it asks for, by 'authorization' or 'client_certificate'. They "
        "go to the gateways of the settings alone.",
    ),
    "release": (
        "W108",
        "Install a newer tahoe-lafs for the gateway. If you have tried all that the site does, "
        "silence this with SILENCED_SYSTEM_CHECKS.",
    ),
    "servers": (
        "W102",
        "Start the others. Uploads work as long as shares.happy servers are connected; the "
        "gateway's tahoe.cfg has that number.",
    ),
    "reading": (
        "E103",
        "Start the storage servers that have its shares. If they all run, check the cap: it can "
        "be one of another grid.",
    ),
    "saving": (
        "E104",
        "Start more storage servers, or give them more room: uploads need shares.happy of them; "
        "the gateway's tahoe.cfg has that number.",
    ),
    "shares": (
        "W105",
        "Run `manage.py tahoe check --repair`: it makes new shares of those left.",
    ),
}


@system_check(deploy=True)
def check_deployment() -> list[CheckMessage]:
    """
    Ask the gateways and the public address of every storage, all at the same time.

    Each gateway keeps the small file that `health` uploads too. The check does not write the root
    directory, because a write through one gateway can undo one through another at that moment.
    """
    deployments = _deployments()
    if not deployments or threads.problem() is not None:
        return []

    async def examine(caller: Caller) -> list[list[CheckMessage]]:
        examining = partial(_examine, caller.loop.reactor)
        return await all_of(deployments, examining, len(deployments))

    found = zip(deployments.values(), done(in_reactor(examine)), strict=True)
    return told_once(
        (user, message) for users, messages in found for message in messages for user in users
    )


@frozen
class _Deployment:
    connection: conf.Connection
    base_url: str | None


def _deployments() -> dict[_Deployment, list[User]]:
    """The deployments that the checks ask, each with the storages that use it."""
    users: dict[_Deployment, list[User]] = {}
    for found in every_storage():
        options = found.options
        with suppress(ImproperlyConfigured):  # the checks that ask no network report it
            deployment = _Deployment(conf.connection(options), _public_url(options))
            users.setdefault(deployment, []).append(found.user)
    return users


def _public_url(options: conf.Options) -> str | None:
    """The base URL if it can be asked: it is not a path of this site, and has no cap in it."""
    url = conf.base_url(options)
    try:
        is_web = gateway_url(url or "").scheme != "unix"
    except ValueError:
        return None
    return url if url and is_web and redact(url) == url else None


async def _examine(reactor: Any, deployment: _Deployment) -> list[CheckMessage]:
    connection = deployment.connection
    found = await examine_storage(reactor, _SECONDS, connection, connection.writer)
    messages = []
    for gateway in found.gateways:
        for problem in gateway.problems:
            id, hint = _FINDINGS[problem.kind]
            id = id if gateway.is_writer else id.replace("E", "W")
            messages.append(message(id, str(problem), hint))
    if deployment.base_url is not None:
        file, content = _FILE_WITHOUT_GRID, b"hello"
        if any(gateway.write_seconds is not None for gateway in found.gateways):
            file, content = await _file_on(reactor, connection)
        public = examine_public(reactor, _SECONDS, deployment.base_url, file, content)
        messages += [each async for each in public]
    return messages


async def _file_on(reactor: Any, connection: conf.Connection) -> tuple[Cap, bytes]:
    """A file that every gateway of this grid can read, and its content."""
    client = client_of(reactor, _SECONDS, connection)
    try:
        return await client.upload(PROBE), PROBE
    except TahoeError:
        return _FILE_WITHOUT_GRID, b"hello"
    finally:
        await client.close()
