"""
The seed of all random tests of a run, which prints it. TAHOE_TESTS_SEED repeats it.

A seed repeats the choices of a test, not the moments at which other processes do something.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from typing import Any

import hypothesis

VARIABLE = "TAHOE_TESTS_SEED"


def _seed() -> int:
    # The second name is the one that the commands of the faults have always had.
    given = os.environ.get(VARIABLE) or os.environ.get("TXTAHOE_FAULT_SEED")
    if given is None:
        given = str(random.SystemRandom().randrange(10**6))
        print(f"The seed of the random tests: {VARIABLE}={given}", file=sys.stderr)
    os.environ[VARIABLE] = given  # for the processes that tests start
    return int(given)


SEED = _seed()


def random_for(*what: object) -> random.Random:
    """The choices of one test, or of one part of it, which `what` names."""
    return random.Random(repr((SEED, *what)))


def given(*arguments: Any, **named: Any) -> Callable[[Any], Any]:
    """As `hypothesis.given`, with the seed of this run."""

    def decorate(test: Any) -> Any:
        return hypothesis.seed(SEED)(hypothesis.given(*arguments, **named)(test))

    return decorate
