"""
A limit of requests under way, which finds its own level, and the queue before it.

Alone, a request takes `least` seconds. If N are under way, and each takes t seconds, then N * least
/ t of them keep the gateway and the line to its servers busy (Little's law), and all others wait
there. The limit is a little more than that number:

    limit → TOLERANCE * N * least / t + WAITING, and at least FIRST

Without TOLERANCE this is the window of FAST TCP (Jin, Wei, Low, INFOCOM 2004), which comes to rest
where TCP Vegas does (Brakmo, Peterson 1995). Netflix's concurrency-limits has the tolerance, for
requests. While nothing waits, the limit grows by half in the time of an answer.

`least` can be wrong: too high in a process that never makes a request alone, so the limit is half
as high again as it need be; or too low, if the line has become longer, so the limit is FIRST until
a request is made alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred

from txtahoe.errors import NotEnoughServers, RequestTimeout

T = TypeVar("T")

# Where a limit begins, and the lowest level. The gateway keeps ten connections to each server
# (gateway.md 1), so fewer uploads at a time are never faster.
FIRST = 8
# Requests that may wait at the gateway: so it always has work, and shows if it could do more.
WAITING = 2
# Answer times vary, also of a gateway with little to do.
TOLERANCE = 1.5
# The part of the way to its new level that a limit goes after each answer.
_STEP = 0.2
# Seconds for which `least` holds. Then the next request that is made alone sets it anew.
_HOLDS = 60.0
# Errors that are a sign of too much: the gateway waits 15 seconds for the answer of a server
# (allmydata.immutable.upload), also if it has no time to read it.
_TOO_MUCH = RequestTimeout, NotEnoughServers


@define
class Limit:
    """
    A number of requests, found from how long they take. It has no clock: `now` is in seconds.

    `most`: the limit is never greater.
    """

    most: int
    _level: float = FIRST
    _under_way: int = 0
    # The sum of `_under_way` over time: its difference by time is how many were under way.
    _area: float = 0.0
    _counted: float = 0.0
    # `least`, and when it was measured, of requests about as large: by the bits of their size.
    _least: dict[int, tuple[float, float]] = field(factory=dict)

    @property
    def number(self) -> int:
        """How many requests may be under way now."""
        return min(self.most, int(self._level))

    @property
    def has_room(self) -> bool:
        """Whether one more request may begin now."""
        return self._under_way < self.number

    def begin(self, now: float) -> tuple[float, float]:
        """Count a request as under way. Returns what `end` takes."""
        self._count(1, now)
        return now, self._area

    def end(
        self, begun: tuple[float, float], now: float, size: int | None, was_too_much: bool = False
    ) -> None:
        """
        Count a request as over.

        `size`: bytes that it handled; None if its time tells nothing, as if it failed.
        `was_too_much`: it failed as requests do if the gateway has too many.
        """
        self._count(-1, now)
        began, area = begun
        if was_too_much:
            self._level = FIRST
        elif size is not None and now > began:
            self._learn((self._area - area) / (now - began), now - began, size, now)

    def _learn(self, together: float, seconds: float, size: int, now: float) -> None:
        is_in_use = together > self.number / 2  # else the limit can't be judged
        least, measured = self._least.get(size.bit_length(), (inf, 0.0))
        if seconds < least or (now - measured > _HOLDS and not is_in_use):
            least = seconds
            self._least[size.bit_length()] = least, now
        if is_in_use:
            level = TOLERANCE * together * least / seconds + WAITING
            self._level = max(FIRST, self._level + _STEP * (level - self._level))

    def _count(self, more: int, now: float) -> None:
        self._area += self._under_way * (now - self._counted)
        self._counted = now
        self._under_way += more


class Room:
    """Requests begin in the order in which they come, as many at a time as the limit lets."""

    def __init__(self, seconds: Callable[[], float], limit: Limit) -> None:
        self._seconds = seconds
        self._limit = limit
        self._waiting: deque[Deferred[None]] = deque()

    async def make(
        self, request: Callable[[], Awaitable[T]], size_of: Callable[[T], int | None]
    ) -> T:
        """
        The result of a request, made as soon as there is room.

        `size_of`: tells from the result how many bytes the request handled; None if its time tells
        nothing.
        """
        if not self._limit.has_room:
            turn: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(turn)
            await turn
        begun = self._limit.begin(self._seconds())
        try:
            result = await request()
        except GeneratorExit:  # the reactor has ended: nobody waits
            raise
        except BaseException as error:
            self._end(begun, None, isinstance(error, _TOO_MUCH))
            raise
        self._end(begun, size_of(result))
        return result

    def _end(
        self, begun: tuple[float, float], size: int | None, was_too_much: bool = False
    ) -> None:
        self._limit.end(begun, self._seconds(), size, was_too_much)
        while self._waiting and self._limit.has_room:
            self._waiting.popleft().callback(None)
