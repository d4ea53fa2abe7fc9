"""Long loops in short turns, so that the reactor can serve others between two of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Any, TypeVar

from twisted.internet.task import deferLater

T = TypeVar("T")

# One thing takes some ten microseconds.
TOGETHER = 500


async def in_turns(reactor: Any, things: Iterable[T]) -> AsyncIterator[list[T]]:
    """Yield things in lists of 500 at most, each in its own turn of the reactor."""
    left = iter(things)
    some = list(islice(left, TOGETHER))
    while some:
        yield some
        ahead = list(islice(left, 1))
        if ahead:
            await deferLater(reactor, 0)
        some = ahead + list(islice(left, TOGETHER - 1))
