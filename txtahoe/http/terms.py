"""The terms of a caller: how long it waits, how old an answer may be, and headers of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from attrs import field, frozen
from attrs.validators import ge, gt, optional

# RFC 9110, 5.1 and 5.5.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[^\0\r\n\ud800-\udfff]*")


def _require_headers(terms: object, attribute: object, given: Mapping[str, str]) -> None:
    for name, value in given.items():
        is_text = isinstance(name, str) and isinstance(value, str)
        if not (is_text and _NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            # Neither is shown: a value can be a secret.
            raise ValueError(
                "headers must be names of letters, digits and hyphens, and values of one line, "
                "all of them str"
            )


@frozen
class Terms:
    """
    The terms of some calls, for `asking`.

    `timeout`: seconds that a request may go on without progress.
    `max_age`: seconds for which a Tree uses the node of a path without asking again. It still uses
    the answer to a request that is under way, which can have begun before the call.
    `headers`: added to each request, such as an id that a proxy logs. They are not shown.

    None stands for the value with which the Transport, or the Tree, was made. Callers that share a
    request share its terms: those of the caller that asked first, and for a commit of a Tree those
    of the one that waits longest.

    Raises: ValueError for headers that HTTP cannot send, a `timeout` that is not above 0, or a
    `max_age` below 0.
    """

    timeout: float | None = field(default=None, validator=optional(gt(0)))
    max_age: float | None = field(default=None, validator=optional(ge(0)))
    headers: Mapping[str, str] = field(factory=dict, repr=False, validator=_require_headers)


_terms: ContextVar[Terms] = ContextVar("terms", default=Terms())  # noqa: B039 - Terms is frozen


def timeout(usual: float) -> float:
    """The caller's time-out, or else the usual one."""
    wished = _terms.get().timeout
    return usual if wished is None else wished


def headers(own: Mapping[str, str]) -> dict[str, list[str]]:
    """The headers of a request: the caller's and its own, which win."""
    return {name: [value] for name, value in {**_terms.get().headers, **own}.items()}


def max_age(usual: float) -> float:
    """The caller's greatest age of an answer, or else the usual one."""
    wished = _terms.get().max_age
    return usual if wished is None else wished


@contextmanager
def asking(on: Terms) -> Iterator[None]:
    """
    In this block, and in the coroutines that begin in it, ask on these terms.

    They take the place of the terms of a block around it.
    """
    token = _terms.set(on)
    try:
        yield
    finally:
        _terms.reset(token)
