"""A table of steps: what was done, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define

ROW = "{:<26}{:<46}{:>8}"


class StepFailed(Exception):
    """A step of a report failed; the text says which and why."""


@define
class Step:
    """What a step says of itself when it has ended."""

    about: str = ""


class Report:
    """A table on standard output, which grows by a row whenever a step ends."""

    def __init__(self) -> None:
        print(ROW.format("step", "what", "seconds"))
        self._began = time.monotonic()

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step. Raises: StepFailed, from what the step raises."""
        step, began = Step(), time.monotonic()
        try:
            yield step
        except (Exception, KeyboardInterrupt) as problem:
            step.about = "FAILED"
            raise StepFailed(f"{name}: {str(problem) or type(problem).__name__}") from problem
        finally:
            seconds = f"{time.monotonic() - began:.2f}"
            print(ROW.format(name, step.about, seconds), flush=True)

    @property
    def seconds(self) -> float:
        """Seconds since the report began."""
        return time.monotonic() - self._began
