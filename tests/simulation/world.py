"""The time, the choices and the trace of a run. The same seed makes the same run in any process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cache
from json import dumps
from logging import getLogger
from random import Random
from types import SimpleNamespace
from unittest.mock import patch

from twisted.internet.task import Clock

from txtahoe import caps

# The wall clock, in seconds since 1970, at the beginning.
_BEGINNING = 1_700_000_000.0

ahead: ContextVar[float] = ContextVar("ahead", default=0.0)
"""Seconds by which the wall clock of the process that runs now is ahead of the gateway's."""


class World:
    """
    One run.

    `clock`: the true time. `entropy`: makes random bytes. `faults`: the number of each kind.
    `trace`: events, each with its time and its place.
    """

    def __init__(self, seed: str) -> None:
        self.random = Random(f"choices {seed}")
        self.clock = Clock()
        self.faults: Counter[str] = Counter()
        self.trace: list[tuple[float, str, str]] = []
        self.entropy = Random(f"entropy {seed}").randbytes
        self._moment = 0

    def moment(self) -> int:
        """The number of a moment that comes after all earlier ones, also within one instant."""
        self._moment += 1
        return self._moment

    def wall_clock(self) -> float:
        """Seconds since 1970."""
        return _BEGINNING + self.clock.seconds()

    def tell(self, where: str, what: str) -> None:
        """Add a line to the trace."""
        self.trace.append((self.clock.seconds(), where, what))

    def happens(self, probability: float) -> bool:
        return self.random.random() < probability

    def go_on(self, seconds: float) -> None:
        """Let the time go on, and all happen that is due."""
        end = self.clock.seconds() + seconds
        while self.clock.calls and self.clock.calls[0].getTime() <= end:
            self.clock.advance(max(0.0, self.clock.calls[0].getTime() - self.clock.seconds()))
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Give the code in this block no other chance and no other time than that of the run."""
        with ExitStack() as patches:
            patches.enter_context(patch.object(getLogger("txtahoe"), "disabled", True))
            # Work on the same few caps all the time is slow, and so is JSON with indentation.
            for name in ("_read", "_base32_decode", "_tagged_hash", "base32"):
                patches.enter_context(patch.object(caps, name, cache(getattr(caps, name))))
            patches.enter_context(patch.object(caps.Cap, "_weaken", cache(caps.Cap._weaken)))
            patches.enter_context(patch("txtahoe.testing.fake.api.directories.as_json", dumps))
            # `secrets` takes its bytes from here.
            patches.enter_context(patch("random._urandom", self.entropy))
            patches.enter_context(
                patch("txtahoe.api.directories.time", lambda: self.wall_clock() + ahead.get())
            )
            patches.enter_context(
                patch(
                    "txtahoe.testing.fake.objects.links.time", SimpleNamespace(time=self.wall_clock)
                )
            )
            yield
