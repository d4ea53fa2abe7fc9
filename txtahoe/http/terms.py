"""The terms of a caller: how long it waits, and how old an answer may be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from attrs import frozen


@frozen
class Terms:
    """
    `timeout`: seconds that a request may go on without progress.
    `max_age`: seconds for which a Tree uses the node of a path without asking again.

    None stands for the value with which the Transport, or the Tree, was made.
    """

    timeout: float | None = None
    max_age: float | None = None


_terms: ContextVar[Terms] = ContextVar("terms", default=Terms())  # noqa: B039 - Terms is frozen


def current_terms() -> Terms:
    """The terms of the caller for whom this is done."""
    return _terms.get()


def timeout(usual: float) -> float:
    """The caller's time-out, or else the usual one."""
    wished = _terms.get().timeout
    return usual if wished is None else wished


def max_age(usual: float) -> float:
    """The caller's greatest age of an answer, or else the usual one."""
    wished = _terms.get().max_age
    return usual if wished is None else wished


@contextmanager
def asking(on: Terms) -> Iterator[None]:
    """In this block, and in the coroutines that begin in it, ask on these terms."""
    token = _terms.set(on)
    try:
        yield
    finally:
        _terms.reset(token)
