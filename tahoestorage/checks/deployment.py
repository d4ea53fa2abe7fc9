"""
System checks that ask the network: `manage.py check --deploy`, alone or with `--tag tahoe`.

All other commands, such as `runserver` and `migrate`, leave them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import frozen
from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from tahoestorage import conf
from tahoestorage.checks.exposure import examine_public
from tahoestorage.checks.found import TAG, User, every_storage, told_once
from tahoestorage.health import PROBE, Kind, examine_storage
from tahoestorage.reactor import threads
from tahoestorage.reactor.waiting import Caller, done, in_reactor
from txtahoe.api.client import Client
from txtahoe.caps import Cap, redact
from txtahoe.concurrency import all_done, each
from txtahoe.errors import TahoeError
from txtahoe.http.failover import Gateways
from txtahoe.http.transport import Transport, gateway_url

_SECONDS = 10.0  # in which a gateway, or a public address, must answer
# It holds "hello". Any gateway can read it, without a storage server.
_FILE_WITHOUT_GRID = Cap.parse("URI:LIT:nbswy3dp")


@frozen
class _Finding:
    """`is_serious`: the storage does not work if the writer has this problem."""

    number: int
    is_serious: bool
    hint: str


_FINDINGS: dict[Kind, _Finding] = {
    "gateway": _Finding(
        101,
        True,
        "Start the node, and give its address with the port that its tahoe.cfg has as web.port.",
    ),
    "servers": _Finding(
        102,
        False,
        "Start the others. Uploads work as long as shares.happy servers are connected; the "
        "gateway's tahoe.cfg has that number.",
    ),
    "reading": _Finding(
        103,
        True,
        "Start the storage servers that have its shares. If they all run, check the cap: it can "
        "be one of another grid.",
    ),
    "saving": _Finding(
        104,
        True,
        "Start more storage servers, or give them more room: uploads need shares.happy of them; "
        "the gateway's tahoe.cfg has that number.",
    ),
    "shares": _Finding(
        105, False, "Run `manage.py tahoe check --repair`: it makes new shares of those left."
    ),
}


@register(TAG, deploy=True)
def check_deployment(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """
    Ask the gateways and the public address of every storage, all at the same time.

    Each gateway keeps the small file that `health` uploads too. The check does not change the root
    directory, because a write through one gateway can undo another one's at that moment: the cap
    tells that it can be changed.
    """
    deployments = _deployments()
    if not deployments or threads.problem() is not None:
        return []

    async def examine(caller: Caller) -> list[list[CheckMessage]]:
        examining = partial(_examine, caller.loop.reactor)
        found = await each([*deployments], examining, len(deployments))
        return all_done(found, "checking the deployment")

    found = zip(deployments.values(), done(in_reactor(examine)), strict=True)
    return told_once(
        (user, message) for users, messages in found for message in messages for user in users
    )


@frozen
class _Deployment:
    gateways: tuple[str, ...]
    writer: str
    cap: Cap
    base_url: str | None


def _deployments() -> dict[_Deployment, list[User]]:
    """The deployments that the checks ask, each with the storages that use it."""
    users: dict[_Deployment, list[User]] = {}
    for found in every_storage():
        options = found.options
        with suppress(ImproperlyConfigured):  # the checks that ask no network report it
            gateways = conf.gateways(options)
            writer = conf.writer(options) or gateways[0]
            url = _public_url(options)
            deployment = _Deployment(gateways, writer, conf.base_cap(options), url)
            users.setdefault(deployment, []).append(found.user)
    return users


def _public_url(options: conf.Options) -> str | None:
    """The base URL if it can be asked: it is not a path of this site, and has no cap in it."""
    url = conf.base_url(options)
    try:
        gateway_url(url or "")
    except ValueError:
        return None
    return url if url and redact(url) == url else None


async def _examine(reactor: Any, deployment: _Deployment) -> list[CheckMessage]:
    gateways, writer, cap = deployment.gateways, deployment.writer, deployment.cap
    found = await examine_storage(reactor, _SECONDS, gateways, writer, cap)
    messages = [
        _message(problem.kind, str(problem), is_vital=gateway.is_writer)
        for gateway in found.gateways
        for problem in gateway.problems
    ]
    if deployment.base_url is not None:
        file, content = _FILE_WITHOUT_GRID, b"hello"
        if any(gateway.write_seconds is not None for gateway in found.gateways):
            file, content = await _file_on(reactor, gateways)
        messages += await examine_public(reactor, _SECONDS, deployment.base_url, file, content)
    return messages


def _message(kind: Kind, text: str, *, is_vital: bool) -> CheckMessage:
    finding = _FINDINGS[kind]
    if finding.is_serious and is_vital:
        return Error(text, hint=finding.hint, id=f"tahoestorage.E{finding.number}")
    return Warning(text, hint=finding.hint, id=f"tahoestorage.W{finding.number}")


async def _file_on(reactor: Any, gateways: Sequence[str]) -> tuple[Cap, bytes]:
    """A file that every gateway of this grid can read, and its content."""
    client = Client(
        Gateways([Transport(reactor, url, timeout=_SECONDS, pauses=()) for url in gateways])
    )
    try:
        return await client.upload(PROBE), PROBE
    except TahoeError:
        return _FILE_WITHOUT_GRID, b"hello"
    finally:
        await client.close()
