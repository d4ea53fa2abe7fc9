"""Long loops in short turns: between two of them the reactor does what others wait for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Any, TypeVar

from twisted.internet.task import deferLater

T = TypeVar("T")

# What is done for one thing takes some ten microseconds.
TOGETHER = 500


async def in_turns(reactor: Any, things: Iterable[T]) -> AsyncIterator[list[T]]:
    """Give things in lists of 500 at the most, each in a turn of the reactor of its own."""
    left = iter(things)
    some = list(islice(left, TOGETHER))
    while some:
        yield some
        ahead = list(islice(left, 1))
        if ahead:
            await deferLater(reactor, 0)
        some = ahead + list(islice(left, TOGETHER - 1))
