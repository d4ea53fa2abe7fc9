"""Events for an observer: each request to a gateway, and each look-up of a name."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from logging import getLogger
from typing import Literal

from attrs import evolve, frozen

from txtahoe.http.streams import Incoming

logger = getLogger("txtahoe")

Cache = Literal["memory", "shared"]


@frozen
class Event:
    """
    A request to a gateway that has ended, or the look-up of a name. It holds no cap and no name.

    `operation`: a word such as "upload", "list" or "link"; "lookup" for a look-up.
    `method`: the method of HTTP. `gateway`: its URL. A look-up has neither.
    `status`: of the answer; None if no answer came.
    `error`: the class of the error, such as "RequestTimeout"; None if there was none.
    `seconds`: from the beginning of the request to the last byte of the answer, by the reactor's
    clock. For a download they depend on its reader too.
    `sent`, `received`: the bytes of the two bodies.
    `repeats`: how many attempts of the same request, at any gateway, came before this one.
    `cache`: what answered a look-up: "memory"; or "shared", for a cache that processes share. If it
    is None, gateways were asked.
    """

    operation: str
    method: str | None = None
    gateway: str | None = None
    status: int | None = None
    error: str | None = None
    seconds: float = 0.0
    sent: int = 0
    received: int = 0
    repeats: int = 0
    cache: Cache | None = None


Observer = Callable[[Event], object]


def tell_lookup(observer: Observer | None, cache: Cache | None) -> None:
    """Tell an observer, if there is one, that a name was looked up."""
    if observer is not None:
        _tell(observer, Event("lookup", cache=cache))


def _tell(observer: Observer, event: Event) -> None:
    try:
        observer(event)
    except Exception:
        _log_failure()


def _tell_request(observer: Observer, event: Event) -> None:
    # In the reactor thread, where an exception of any kind would keep the answer from its reader.
    try:
        observer(event)
    except BaseException:
        _log_failure()


def _log_failure() -> None:
    logger.exception("the observer of requests failed")


class Exchange:
    """
    A request and its answer. `end` tells the observer of them, in the context in which the request
    began.

    `sent`: the bytes of the request's body so far. `answer`: once its head is here.
    """

    def __init__(
        self, observer: Observer | None, seconds: Callable[[], float], begun: Event
    ) -> None:
        self.sent = 0
        self.answer: Incoming | None = None
        self._seconds = seconds
        self._begun = begun
        self._start = seconds()
        # Dropped at the end: an answer that somebody keeps does not keep the context.
        self._tell: Callable[[Event], None] | None = None
        if observer is not None:
            run = copy_context().run
            self._tell = lambda event: run(_tell_request, observer, event)

    def end(self, error: Exception | None = None) -> None:
        """The exchange has ended. Only the first call counts."""
        tell, self._tell = self._tell, None
        if tell is None:
            return
        event = evolve(
            self._begun,
            status=self.answer.status if self.answer else None,
            error=type(error).__name__ if error else None,
            seconds=self._seconds() - self._start,
            sent=self.sent,
            received=self.answer.received if self.answer else 0,
        )
        tell(event)
