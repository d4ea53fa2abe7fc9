"""What the public can do at the base URL of a storage: read its files, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from attrs import frozen
from django.core.checks import CheckMessage, Error, Warning

from txtahoe.bodies import BytesSource
from txtahoe.caps import BadCap, Cap, redact
from txtahoe.errors import NotSecure, TahoeError
from txtahoe.many import all_done, each
from txtahoe.requests import Request
from txtahoe.transport import Transport

_PROXY = (
    "Put a web server before the gateway that lets GET /named/… pass, and nothing else: "
    "`manage.py tahoe proxy nginx` prints its configuration."
)
_ANSWER_LIMIT = 2**16  # bytes
_ANY_STATUS = range(100, 600)


def _attempt(
    method: str, door: str, *below: Cap, body: bytes | None = None, **query: str
) -> Request:
    words = "&".join(f"{name}={value}" for name, value in query.items())
    return Request(
        method,
        [door, *below],
        query,
        doing=f"{method} {door}{'/<cap>' if below else ''}{f'?{words}' if words else ''}",
        body=None if body is None else BytesSource(body),
        expected=_ANY_STATUS,
    )


# A gateway has two doors to its directories. What is tried there stands in its own cap, so that a
# gateway which is open need not ask the grid, and has nothing to keep.
_DOORS = ("uri", "cap")
_WRITES = [
    *(_attempt("PUT", door, body=b"Nobody should be able to do this") for door in _DOORS),
    *(_attempt("POST", door, body=b"{}", t="mkdir-immutable") for door in _DOORS),
]
_READS = [_attempt("GET", door, Cap.parse("URI:DIR2-LIT:"), t="json") for door in _DOORS]


async def examine_public(
    reactor: Any, timeout: float, base_url: str, file: Cap, content: bytes
) -> list[CheckMessage]:
    """
    What is wrong with a base URL, which is asked in the reactor thread.

    `timeout`: seconds for each request. `file`: one on the grid that may be read by everybody, and
    what it holds. No other cap of the grid is told there, and nothing that is tried leaves a trace.

    Raises: ValueError for what is no URL of http or https, such as a path of this site.
    """
    public = Transport(reactor, base_url, timeout=timeout, pauses=())
    # The path may be for files alone, and all of the gateway be open beside it.
    beside = Transport(
        reactor, public.gateway.replace(path=()).to_text(), timeout=timeout, pauses=()
    )
    addresses = [public] if public.gateway == beside.gateway else [public, beside]
    try:
        return [
            *await _examine_reading(public, file, content),
            *await _examine_doors(addresses),
        ]
    except NotSecure as error:
        return [
            Error(
                f"Browsers will not read from {_shown(public)}: {error}",
                hint="Give the server a certificate that is for this host, has not expired, and "
                "is of an authority that browsers know.",
                id="tahoestorage.E114",
            )
        ]
    except TahoeError as error:
        return [
            Warning(
                f"Whether the public can read from {_shown(public)}, and not write there, could "
                f"not be tried: {error}",
                hint="Run the check where this address can be reached, or silence this with "
                "SILENCED_SYSTEM_CHECKS.",
                id="tahoestorage.W115",
            )
        ]
    finally:
        await public.close()
        await beside.close()


async def _examine_reading(public: Transport, file: Cap, content: bytes) -> list[CheckMessage]:
    # A gateway says of such a name that its bytes are compressed.
    request = Request("GET", ["named", file, "check.bz2"], doing="reading", expected=_ANY_STATUS)
    answer = await _ask(public, request)
    if answer.status != 200 or answer.body != content:
        given = "something else" if answer.status == 200 else f"HTTP {answer.status}"
        return [
            Error(
                f"A file on the grid can't be read at {_shown(public)}named/…: the answer is "
                f"{given}",
                hint="Give the address at which a gateway to this grid answers. " + _PROXY,
                id="tahoestorage.E111",
            )
        ]
    if answer.encoding:
        return [
            Warning(
                f"Browsers unpack files called .gz or .bz2 that they read at {_shown(public)}: the "
                f"answer says 'Content-Encoding: {answer.encoding}', as a gateway's does",
                hint="Let the web server before the gateway take this header away, as the "
                "configurations do that `manage.py tahoe proxy` prints.",
                id="tahoestorage.W116",
            )
        ]
    return []


async def _examine_doors(addresses: Sequence[Transport]) -> list[CheckMessage]:
    writes = await _let_through(addresses, _WRITES, lambda answer: answer.is_cap)
    reads = await _let_through(addresses, _READS, lambda answer: answer.is_directory)
    messages: list[CheckMessage] = []
    if writes:
        messages.append(
            Error(
                "The public can put files and directories on the grid, and change those whose "
                f"caps it knows: not refused are {', '.join(writes)}",
                hint=_PROXY,
                id="tahoestorage.E112",
            )
        )
    if reads:
        messages.append(
            Error(
                f"The public can look into directories: not refused are {', '.join(reads)}",
                hint=_PROXY,
                id="tahoestorage.E113",
            )
        )
    return messages


async def _let_through(
    addresses: Sequence[Transport],
    requests: Sequence[Request],
    is_through: Callable[[_Answer], bool],
) -> list[str]:
    """Which requests were done, of those that should be refused, in whatever way."""

    async def attempt(address: Transport, request: Request) -> str | None:
        try:
            answer = await _ask(address, request)
        except TahoeError:
            return None
        method, path = request.doing.split(" ", 1)
        return f"{method} {_shown(address)}{path}" if is_through(answer) else None

    attempts = list(product(addresses, requests))
    done = await each(attempts, lambda pair: attempt(*pair), len(attempts))
    return [text for text in all_done(done, "trying what should be refused") if text]


@frozen
class _Answer:
    status: int
    body: bytes
    encoding: str

    @property
    def is_cap(self) -> bool:
        try:
            return self.status < 300 and Cap.parse(self.body).is_known
        except BadCap:
            return False

    @property
    def is_directory(self) -> bool:
        return self.status < 300 and self.body.lstrip()[:1] == b"[" and b'"dirnode"' in self.body


async def _ask(address: Transport, request: Request) -> _Answer:
    incoming = await address.open(request)
    encoding = incoming.header("Content-Encoding")
    return _Answer(incoming.status, await incoming.rest(_ANSWER_LIMIT), encoding)


def _shown(address: Transport) -> str:
    return redact(f"{address.gateway.to_text().rstrip('/')}/")
