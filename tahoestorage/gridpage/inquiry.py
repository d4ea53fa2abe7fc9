"""The questions of one page: all end in time, and an unanswered one gives its reason."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeVar, cast

from attrs import frozen
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy
from twisted.internet.defer import Deferred, TimeoutError

from txtahoe.errors import TahoeError

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds until a page is shown with the answers that have come."""


@frozen
class Part(Generic[T]):
    """An answer; or None and the `problem`, perhaps a lazy translation."""

    value: T | None = None
    problem: str = ""


class Inquiry:
    """
    Ask a grid questions side by side; all of them end `seconds` from now.

    Use it in the thread of `reactor`.
    """

    def __init__(self, reactor: Any, seconds: float) -> None:
        self.reactor = reactor
        self._until = reactor.seconds() + seconds
        # Lazy: the reactor's thread does not know the language of the page.
        text = gettext_lazy("no answer within {seconds} seconds")
        self._late = cast(str, format_lazy(text, seconds=f"{seconds:g}"))

    def ask(self, work: Coroutine[Any, Any, T]) -> Deferred[Part[T]]:
        """Start now. An error of the grid becomes the problem of the answer."""
        return Deferred.fromCoroutine(self._part(work))

    async def _part(self, work: Coroutine[Any, Any, T]) -> Part[T]:
        left = self._until - self.reactor.seconds()
        if left <= 0:
            work.close()
            return Part(problem=self._late)
        try:
            return Part(await Deferred.fromCoroutine(work).addTimeout(left, self.reactor))
        except TimeoutError:
            return Part(problem=self._late)
        except TahoeError as error:
            return Part(problem=str(error))
