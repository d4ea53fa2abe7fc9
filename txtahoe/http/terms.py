"""The terms of a caller: how long it waits, how old an answer may be, and headers of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from attrs import field, frozen


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
    """

    timeout: float | None = None
    max_age: float | None = None
    headers: Mapping[str, str] = field(factory=dict, repr=False)


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
