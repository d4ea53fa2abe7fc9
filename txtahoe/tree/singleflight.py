"""One request for all callers that ask the same at the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred

from txtahoe.errors import TahoeError, another

K = TypeVar("K")
T = TypeVar("T")


@define(eq=False)
class Flight(Generic[T]):
    """
    A request that is under way.

    `is_outdated`: its object has changed since the request began. `waiting`: one Deferred for each
    caller.
    """

    is_outdated: bool = False
    asking: Deferred[None] | None = None
    waiting: list[Deferred[T]] = field(factory=list)


# Makes the request.
How = Callable[[Flight[T]], Awaitable[T]]


class SingleFlight(Generic[K, T]):
    """Requests under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[K, Flight[T]] = {}

    async def ask(self, key: K, how: How[T], *, anew: bool = False) -> tuple[T, bool]:
        """
        The answer of the request under way, or of a new one, made by `how`; and whether the request
        began after this call. An older answer does not prove that something is missing.

        `anew`: the request must begin after this call, perhaps for another caller.

        Raises: the errors of `how`.
        """
        flight = self._flights.get(key)
        if anew and flight is not None:
            with suppress(TahoeError):  # an older request failed: the new one can succeed
                await self._answer_for(key, flight)
        is_new = key not in self._flights
        flight = self._flights.setdefault(key, Flight())
        answer = self._answer_for(key, flight)
        if is_new:
            # No caller owns it: the first one can be cancelled while the others wait.
            flight.asking = Deferred.fromCoroutine(self._answer(key, flight, how))
        return await answer, is_new or anew

    def outdate(self, has_changed: Callable[[K], bool]) -> None:
        """Note that objects of keys have changed: later callers do not share the older answers."""
        for key in list(filter(has_changed, self._flights)):
            self._flights.pop(key).is_outdated = True

    def _answer_for(self, key: K, flight: Flight[T]) -> Deferred[T]:
        def leave(answer: Deferred[T]) -> None:
            flight.waiting.remove(answer)
            if not flight.waiting and flight.asking is not None:
                self._end(key, flight)
                flight.asking.cancel()

        answer: Deferred[T] = Deferred(leave)
        flight.waiting.append(answer)
        return answer

    async def _answer(self, key: K, flight: Flight[T], how: How[T]) -> None:
        try:
            result = await how(flight)
        except GeneratorExit:  # the reactor has ended: no caller waits
            raise
        except BaseException as error:
            self._end(key, flight)
            for answer in flight.waiting:
                answer.errback(another(error))
            return
        self._end(key, flight)
        for answer in flight.waiting:
            answer.callback(result)

    def _end(self, key: K, flight: Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
