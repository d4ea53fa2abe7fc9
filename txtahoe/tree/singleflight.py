"""One request for all who ask the same thing at the same time."""

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
    A flight that is under way.

    `is_outdated`: what it is about has changed since it was asked.
    """

    is_outdated: bool = False
    asking: Deferred[None] | None = None
    waiting: list[Deferred[T]] = field(factory=list)


How = Callable[[Flight[T]], Awaitable[T]]


class SingleFlight(Generic[K, T]):
    """SingleFlight under way, by what they are about."""

    def __init__(self) -> None:
        self._flights: dict[K, Flight[T]] = {}

    async def ask(self, key: K, how: How[T]) -> tuple[T, bool]:
        """
        The answer to a flight that is under way, else `how` asks it; and whether it was asked
        after this call. An older answer proves nothing of what is not in it.
        """
        is_new = key not in self._flights
        flight = self._flights.setdefault(key, Flight())
        answer = self._answer_for(key, flight)
        if is_new:
            # It is nobody's own: who asked first may be cancelled, and the others go on waiting.
            flight.asking = Deferred.fromCoroutine(self._answer(key, flight, how))
        return await answer, is_new

    async def ask_anew(self, key: K, how: How[T]) -> T:
        """The answer to a flight that is asked after this call, be it by another caller."""
        flight = self._flights.get(key)
        if flight is not None:
            with suppress(TahoeError):  # the failure of an older flight
                await self._answer_for(key, flight)
        return (await self.ask(key, how))[0]

    def outdate(self, key: K) -> None:
        """It has changed: who asks from now on does not get the answer that is on its way."""
        flight = self._flights.pop(key, None)
        if flight is not None:
            flight.is_outdated = True

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
        except GeneratorExit:  # the reactor has ended, and nobody waits any more
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
