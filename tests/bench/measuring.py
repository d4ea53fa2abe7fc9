"""Time both sides of a case in turn, and count its requests in a run of their own."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from attrs import field, frozen
from django.core.files.base import ContentFile

from tests.bench.calibration import calibrated
from tests.bench.case import Case, Side, Skipped
from tests.bench.counting import CountingProxy, Counts
from tests.bench.memory import MemoryGrowth
from tests.bench.place import Place, random_content


@frozen
class Result:
    """
    `ours`, `bare`, `local`: seconds of an operation in each round.
    `counts`: of one run of ours. `memory`: bytes by which the process grew at most in ours.
    `problem`: why something is missing. `is_failure`: whether the reason is an error.
    """

    case: Case
    ours: list[float]
    bare: list[float]
    counts: Counts | None = None
    memory: int | None = None
    problem: str = ""
    is_failure: bool = False
    local: list[float] = field(factory=list, kw_only=True)

    @property
    def ours_median(self) -> float | None:
        return median(self.ours) if self.ours else None

    @property
    def bare_median(self) -> float | None:
        return median(self.bare) if self.bare else None

    @property
    def local_median(self) -> float | None:
        return median(self.local) if self.local else None

    @property
    def ratio(self) -> float | None:
        """Ours to bare: of the times, or of the throughputs if the target is one."""
        if self.ours_median is None or self.bare_median is None:
            return None
        return self._ratio_of(self.ours_median, self.bare_median)

    @property
    def ratios(self) -> list[float]:
        """The ratio of each round. Their spread shows how reliable `ratio` is."""
        return [self._ratio_of(*pair) for pair in zip(self.ours, self.bare, strict=False)]

    @property
    def missed(self) -> list[str]:
        """The missed targets, in words."""
        missed = self.case.limits.broken_by(self.counts) if self.counts else []
        if self.ours_median is not None:
            missed += self.case.speed.missed_by(self.ours_median, self.bare_median)
        return missed

    def _ratio_of(self, ours: float, bare: float) -> float:
        return ours / bare if self.case.speed.throughput is None else bare / ours


class Bench:
    """
    Run cases at one gateway. Nobody else may use it meanwhile.

    `folder`: for the files to upload. `rounds`: how often each side is timed.
    """

    def __init__(self, gateway: str, folder: Path, rounds: int) -> None:
        self._gateway = gateway
        self._folder = folder
        self._rounds = rounds
        place = Place(gateway, folder)
        _use_once(place)
        self.concurrency = calibrated(place)
        place.close()

    def steps(self, case: Case) -> int:
        """The number of calls of `step` for a case without errors."""
        return (self._rounds_of(case) + 1) * len(case.sides) + 1

    def measure(self, case: Case, step: Callable[[], object] = lambda: None) -> Result:
        """Measure a case; errors are in the result."""
        place = Place(self._gateway, self._folder, self.concurrency)
        timing = _Timing(place, step)
        counts, problem, is_failure = None, "", False
        try:
            timing.run(case, self._rounds_of(case))
            counts = count(case.ours, place)
            step()
        except Skipped as reason:
            problem = f"skipped: {reason}"
        except Exception as error:
            problem, is_failure = f"failed: {type(error).__name__}: {error}", True
        finally:
            place.close()
        return Result(
            case,
            timing.seconds["ours"],
            timing.seconds["bare"],
            counts,
            timing.memory,
            problem or timing.problem,
            is_failure,
            local=timing.seconds["local"],
        )

    def _rounds_of(self, case: Case) -> int:
        return min(self._rounds, case.most_rounds)


def count(side: Side, place: Place) -> Counts:
    """Count the requests of one run at the gateway of `place`, after its preparation."""
    with CountingProxy(place.gateway) as proxy:
        counted = Place(proxy.url, place.folder, place.concurrency, **place.others)
        try:
            action = side(counted)
            proxy.reset()
            action()
            return proxy.counts
        finally:
            counted.close()


def _use_once(place: Place) -> None:
    """Import everything and start the reactor, so that no case pays for it."""
    storage = place.storage(place.bare.make_directory())
    with storage.open(storage.save("first.bin", ContentFile(random_content()))) as file:
        file.read()


class _Timing:
    def __init__(self, place: Place, step: Callable[[], object]) -> None:
        self._place = place
        self._step = step
        self.seconds: dict[str, list[float]] = {"ours": [], "bare": [], "local": []}
        self.memory: int | None = None
        self.problem = ""

    def run(self, case: Case, rounds: int) -> None:
        # The first round warms the sides up. They begin in turn: the machine's speed varies.
        for number in range(rounds + 1):
            sides = list(case.sides.items())
            for name, side in sides if number % 2 else reversed(sides):
                if name == "ours" or not self.problem:
                    seconds = self.seconds[name] if number else []
                    try:
                        self._run(side, case.operations, seconds, is_ours=name == "ours")
                    except Skipped as reason:
                        if name == "ours":
                            raise
                        self.problem = f"nothing to compare with: {reason}"

    def _run(self, side: Side, operations: int, seconds: list[float], *, is_ours: bool) -> None:
        action = side(self._place)
        gc.collect()
        with MemoryGrowth() as growth:
            began = time.perf_counter()
            action()
            seconds.append((time.perf_counter() - began) / operations)
        if is_ours and growth.size is not None:
            self.memory = max(self.memory or 0, growth.size)
        self._step()
