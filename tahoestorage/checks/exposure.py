"""Find out whether the public can read files at a base URL, and can do nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from itertools import product
from typing import Any

from django.core.checks import CheckMessage

from tahoestorage.checks.messages import message
from txtahoe.caps import BadCap, Cap, redact
from txtahoe.concurrency import all_of
from txtahoe.errors import GatewayRefused, GatewayUnreachable, NotSecure, TahoeError
from txtahoe.http.request import Request
from txtahoe.http.sources import BytesSource
from txtahoe.http.transport import Transport

_PROXY = (
    "Put a web server before the gateway that passes on GET /named/… and nothing else: "
    "`manage.py tahoe proxy nginx` prints its configuration."
)
_ANSWER_LIMIT = 2**16  # bytes
_ANY_STATUS = range(100, 600)


def _attempt(method: str, path: str, *caps: Cap, body: bytes | None = None) -> Request:
    door, _, kind = path.partition("?t=")
    return Request(
        "probe",
        method,
        [door, *caps],
        {"t": kind} if kind else {},
        doing=f"{method} {door}{'/<cap>' if caps else ''}{f'?t={kind}' if kind else ''}",
        body=None if body is None else BytesSource(body),
        expected=_ANY_STATUS,
    )


# A gateway has two doors to its directories. The files and directories of these requests are so
# small that their caps hold them: an open gateway asks no storage server, and keeps nothing.
_DOORS = ("uri", "cap")
_WRITES = [
    *(_attempt("PUT", door, body=b"Nobody should be able to do this") for door in _DOORS),
    *(_attempt("POST", f"{door}?t=mkdir-immutable", body=b"{}") for door in _DOORS),
]
_READS = [_attempt("GET", f"{door}?t=json", Cap.parse("URI:DIR2-LIT:")) for door in _DOORS]


async def examine_public(
    reactor: Any, timeout: float, base_url: str, file: Cap, content: bytes
) -> AsyncIterator[CheckMessage]:
    """
    Say what is wrong with a base URL. It must run in the reactor thread.

    `timeout`: seconds for each request. `file`, `content`: a file on the grid that everyone can
    read. The check sends no other cap of the grid there, and leaves nothing behind.

    Raises: ValueError if `base_url` is not a URL of http or https, but a path of this site, say.
    """
    public = Transport(reactor, base_url, timeout=timeout, pauses=())
    # A server can guard this path, and leave the gateway open beside it.
    root = public.gateway.replace(path=()).to_text()
    beside = Transport(reactor, root, timeout=timeout, pauses=())
    addresses = [public] if root == public.gateway.to_text() else [public, beside]
    shown = _shown(public)
    try:
        # For such a name a gateway says that the bytes are compressed.
        path: list[str | Cap] = ["named", file, "check.bz2"]
        request = Request("probe", "GET", path, doing="reading", expected=_ANY_STATUS)
        status, body, encoding = await _ask(public, request)
        if status != 200 or body != content:
            given = "something else" if status == 200 else f"HTTP {status}"
            yield message(
                "E111",
                f"the public cannot read a file of the grid at {shown}named/…: the answer is "
                f"{given}",
                "Give the address at which a gateway of this grid answers. " + _PROXY,
            )
        elif encoding:
            yield message(
                "W116",
                f"browsers unpack files called .gz or .bz2 that they read at {shown}: the answer "
                f"says 'Content-Encoding: {encoding}', as a gateway's does",
                "Let the web server before the gateway remove this header, as the configurations "
                "of `manage.py tahoe proxy` do.",
            )
        if writes := await _let_through(addresses, _WRITES, _is_cap):
            yield message(
                "E112",
                "the public can put files and directories on the grid, and change those whose "
                f"write-caps it knows: the server accepts {', '.join(writes)}",
                _PROXY,
            )
        if reads := await _let_through(addresses, _READS, _is_directory):
            accepts = f"the server accepts {', '.join(reads)}"
            yield message("E113", f"the public can look into directories: {accepts}", _PROXY)
    except NotSecure as error:
        yield message(
            "E114",
            f"browsers refuse to read from {shown}: {error}",
            "Give the web server a certificate for this host that has not expired, from an "
            "authority that browsers know.",
        )
    except TahoeError as error:
        yield message(
            "W115",
            f"{shown} {_failure(error)}: this check cannot tell whether the public can read "
            "there, and cannot write",
            "Start the web server at this address. If only other machines can reach it, run the "
            "check there, or silence this with SILENCED_SYSTEM_CHECKS.",
        )
    finally:
        await public.close()
        await beside.close()


async def _let_through(
    addresses: Sequence[Transport],
    requests: Sequence[Request],
    is_through: Callable[[bytes], bool],
) -> list[str]:
    """The requests that the server has done, of those that it should refuse in any way."""

    async def attempt(pair: tuple[Transport, Request]) -> str:
        address, request = pair
        try:
            status, body, _ = await _ask(address, request)
        except TahoeError:
            return ""
        method, path = request.doing.split(" ", 1)
        return f"{method} {_shown(address)}{path}" if status < 300 and is_through(body) else ""

    attempts = list(product(addresses, requests))
    return list(filter(None, await all_of(attempts, attempt, len(attempts))))


def _is_cap(body: bytes) -> bool:
    try:
        return Cap.parse(body).is_known
    except BadCap:
        return False


def _is_directory(body: bytes) -> bool:
    return body.lstrip()[:1] == b"[" and b'"dirnode"' in body


async def _ask(address: Transport, request: Request) -> tuple[int, bytes, str]:
    """The status, the body and the Content-Encoding of an answer."""
    incoming = await address.open(request)
    encoding = incoming.header("Content-Encoding")
    return incoming.status, await incoming.rest(_ANSWER_LIMIT), encoding


def _failure(error: TahoeError) -> str:
    """An error of a public address, in words for a proxy instead of a gateway."""
    if isinstance(error, GatewayRefused):
        return "refuses connections"
    if isinstance(error, GatewayUnreachable):
        return "cannot be reached from here"
    return "does not answer as a web server does"


def _shown(address: Transport) -> str:
    return redact(f"{address.gateway.to_text().rstrip('/')}/")
