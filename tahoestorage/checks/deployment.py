"""
System checks that ask the network: of `manage.py check --deploy`, and of `check --tag tahoe`.

Other commands, such as `runserver` and `migrate`, leave them out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any

from attrs import frozen
from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from tahoestorage import conf
from tahoestorage.checks.exposure import examine_public
from tahoestorage.checks.storages import TAG, every_options
from tahoestorage.health import PROBE, Kind, examine_storage
from tahoestorage.reactor import threads
from tahoestorage.reactor.loop import Caller
from tahoestorage.reactor.waiting import Blocking, done
from txtahoe.api.client import Client
from txtahoe.caps import Cap, redact
from txtahoe.concurrency import all_done, each
from txtahoe.errors import TahoeError
from txtahoe.http.failover import Gateways
from txtahoe.http.transport import Transport, gateway_url

_SECONDS = 10.0  # that a gateway, or a public address, may take for an answer
# It holds "hello", and any gateway can read it.
_FILE_WITHOUT_GRID = Cap.parse("URI:LIT:nbswy3dp")


@frozen
class _Finding:
    """`is_serious`: it keeps the storage from working, at the gateway that makes all changes."""

    number: int
    is_serious: bool
    hint: str


_FINDINGS: dict[Kind, _Finding] = {
    "gateway": _Finding(
        101, True, "Start the node, and give its web address: web.port in its tahoe.cfg."
    ),
    "servers": _Finding(
        102,
        False,
        "Start the others. Until then uploads work while shares.happy servers are connected, as "
        "the gateway's tahoe.cfg has it.",
    ),
    "reading": _Finding(
        103,
        True,
        "Start the storage servers that have its shares. Where it never was on this grid, the cap "
        "is one of another grid.",
    ),
    "saving": _Finding(
        104,
        True,
        "Let more storage servers be there, with room: uploads need shares.happy of them, as the "
        "gateway's tahoe.cfg has it.",
    ),
    "shares": _Finding(
        105, False, "`manage.py tahoe check --repair` makes new ones of those that are left."
    ),
}


@register(TAG, deploy=True)
def check_deployment(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """
    Ask the gateways and the public address of every storage, all at the same time.

    What stays behind is the small file that `health` uploads too, one for each gateway. That the
    root directory can be changed is told by its cap; it is not tried, because whoever writes a
    directory through one gateway can undo what is written through another at that moment.
    """
    deployments = list(dict.fromkeys(_deployments()))
    if not deployments or threads.problem() is not None:
        return []

    async def examine(caller: Caller) -> list[list[CheckMessage]]:
        examining = partial(_examine, caller.loop.reactor)
        found = await each(deployments, examining, len(deployments))
        return all_done(found, "checking the deployment")

    messages = chain.from_iterable(done(Blocking().run(examine)))
    # Two storages of one gateway have the same problem once.
    return list({(message.id, message.msg): message for message in messages}.values())


@register(TAG)
def check_deployment_by_tag(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """As `check_deployment`, where the tag is asked for without `--deploy`."""
    # Django has no checks that run by their tag alone, and does not tell a check how it was chosen:
    # it is seen from the arguments of its CheckRegistry.run_checks().
    asked = sys._getframe(1).f_locals
    is_by_tag = TAG in (asked.get("tags") or ())
    return check_deployment() if is_by_tag and not asked.get("include_deployment_checks") else []


@frozen
class _Deployment:
    gateways: tuple[str, ...]
    writer: str
    cap: Cap
    base_url: str | None


def _deployments() -> Iterator[_Deployment]:
    for options in every_options():
        with suppress(ImproperlyConfigured):  # said by the checks that ask no network
            gateways = conf.gateways(options)
            writer = conf.writer(options) or gateways[0]
            yield _Deployment(gateways, writer, conf.base_cap(options), _public_url(options))


def _public_url(options: conf.Options) -> str | None:
    """The base URL where it can be asked: a path of this site can't, and no cap is sent there."""
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
    """A file that a gateway to this grid can read, and what it holds."""
    client = Client(
        Gateways([Transport(reactor, url, timeout=_SECONDS, pauses=()) for url in gateways])
    )
    try:
        return await client.upload(PROBE), PROBE
    except TahoeError:
        return _FILE_WITHOUT_GRID, b"hello"
    finally:
        await client.close()
