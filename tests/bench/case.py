"""A case: work that the storage and bare requests both do, and the targets for it."""

from __future__ import annotations

from collections.abc import Callable

from attrs import asdict, field, frozen

from tests.bench.counting import Counts
from tests.bench.place import Place

Action = Callable[[], object]
Side = Callable[[Place], Action]
"""Prepares one run at a place, and returns it. Only the run is timed and counted."""


class Skipped(Exception):
    """A case, or a side of it, cannot run here; the text says why."""


@frozen
class Limits:
    """The highest numbers of requests in one run of ours; None: any number."""

    requests: int | None = None
    uploads: int | None = None
    file_reads: int | None = None
    directory_reads: int | None = None
    directory_writes: int | None = None

    def __str__(self) -> str:
        return ", ".join(f"<= {most} {what}" for what, most in self._given.items())

    def broken_by(self, counts: Counts) -> list[str]:
        """Each limit that is exceeded, in words."""
        counted = asdict(counts)
        return [
            f"{counted[name]} {name.replace('_', ' ')}, not {most}"
            for name, most in asdict(self).items()
            if most is not None and counted[name] > most
        ]

    @property
    def _given(self) -> dict[str, int]:
        limits = asdict(self).items()
        return {name.replace("_", " "): most for name, most in limits if most is not None}


@frozen
class Speed:
    """
    The target for our speed; None: no target.

    `time`: its time, at most, as a multiple of bare's.
    `throughput`: its throughput, at least, as a fraction of bare's.
    `seconds`: of one operation, at most, whatever bare takes.
    """

    time: float | None = None
    throughput: float | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        if self.time is not None:
            return f"time <= {self.time} x"
        if self.throughput is not None:
            return f"throughput >= {self.throughput} x"
        return "" if self.seconds is None else f"<= {self.seconds * 1e6:.0f} µs"

    def missed_by(self, ours: float, bare: float | None) -> list[str]:
        """The missed target in words, from the seconds of an operation."""
        is_missed = (
            (self.seconds is not None and ours > self.seconds)
            or (self.time is not None and bare is not None and ours > self.time * bare)
            or (self.throughput is not None and bare is not None and bare < self.throughput * ours)
        )
        return [f"not {self}"] if is_missed else []


@frozen
class Case:
    """
    `operations`: their number in one run; times are of one operation.
    `bare`: None if there is nothing to compare with. `local`: the same with FileSystemStorage; None
    if that can't do it.
    `most_rounds`: for a case that takes long.
    """

    name: str
    operations: int
    ours: Side
    bare: Side | None
    speed: Speed = Speed()
    limits: Limits = Limits()
    most_rounds: int = 1000
    local: Side | None = field(default=None, kw_only=True)

    @property
    def sides(self) -> dict[str, Side]:
        """The sides that there are, by name: "ours", "bare" and "local"."""
        sides = {"ours": self.ours, "bare": self.bare, "local": self.local}
        return {name: side for name, side in sides.items() if side is not None}

    @property
    def target(self) -> str:
        return "; ".join(text for text in (str(self.speed), str(self.limits)) if text)
