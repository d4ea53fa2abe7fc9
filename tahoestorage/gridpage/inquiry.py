"""Questions for one page, which all end in time; what could not be found out has its reason."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, TimeoutError

from txtahoe.errors import TahoeError

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds after which a page comes, with what was found out until then."""


@frozen
class Part(Generic[T]):
    """An answer, or else None and the `problem` that there was."""

    value: T | None = None
    problem: str = ""


class Inquiry:
    """
    Questions to a grid, asked side by side, which are over in `seconds` from now.

    To be used in the thread of `reactor`.
    """

    def __init__(self, reactor: Any, seconds: float) -> None:
        self.reactor = reactor
        self._seconds = seconds
        self._until = reactor.seconds() + seconds

    def ask(self, work: Coroutine[Any, Any, T]) -> Deferred[Part[T]]:
        """Begin now. An error of the grid's is an answer too."""
        return Deferred.fromCoroutine(self._part(work))

    async def _part(self, work: Coroutine[Any, Any, T]) -> Part[T]:
        late: Part[T] = Part(problem=f"not found out in {self._seconds:g} seconds")
        left = self._until - self.reactor.seconds()
        if left <= 0:
            work.close()
            return late
        try:
            return Part(await Deferred.fromCoroutine(work).addTimeout(left, self.reactor))
        except TimeoutError:
            return late
        except TahoeError as error:
            return Part(problem=str(error))
