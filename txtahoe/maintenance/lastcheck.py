"""The result of the last check, kept in the tree for those who look later."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from operator import attrgetter
from typing import Any

from attrs import asdict, evolve
from attrs.filters import exclude

from txtahoe.maintenance import records
from txtahoe.maintenance.health import Health, Problem, State
from txtahoe.tree.paths import split
from txtahoe.tree.tree import Tree

_CHECKED = "checked"
# More problems are counted, but not kept by name. The same goes for more names of one object.
_MOST = 1000
_MOST_NAMES = 10
# The errors of reading JSON of any other form.
_STRANGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


async def keep_check(tree: Tree, health: Health) -> None:
    """
    Keep the result of a check of the whole tree, in the place of the one before: its numbers, and
    1,000 problems without their caps, first those that hide others.

    Raises: NotADirectory; NotWriteable; the errors of `Client`.
    """
    kept = sorted(health.problems, key=lambda problem: not problem.is_closed)[:_MOST]
    told = {
        "counts": {state.value: number for state, number in health.counts.items()},
        "objects": health.objects,
        "problems": [
            asdict(evolve(problem, paths=problem.paths[:_MOST_NAMES]), filter=exclude("cap"))
            for problem in kept
        ],
        "began": health.began,
        "seconds": health.seconds,
    }
    data = json.dumps(told, default=attrgetter("value"))  # of a State
    await records.write(tree, _CHECKED, data.encode())


async def last_check(tree: Tree) -> Health | None:
    """The result that was kept last. Raises: NotADirectory; the errors of `Client`."""
    data = await records.read(tree, _CHECKED)
    with suppress(*_STRANGE):
        return None if data is None else _read(json.loads(data))
    return None


def _read(told: Any) -> Health:
    counts = {State(value): int(number) for value, number in told["counts"].items()}
    problems = [_problem(each) for each in told["problems"][:_MOST]]
    began, seconds = float(told["began"]), float(told["seconds"])
    is_past = records.is_past(began) and records.is_past(began + seconds)
    if not is_past or min(counts.values(), default=0) < 0:
        raise ValueError("these are no numbers of a check")
    return Health(Counter(counts), int(told["objects"]), problems, began, seconds)


def _problem(told: Any) -> Problem:
    def number(name: str) -> int | None:
        return None if told[name] is None else int(told[name])

    return Problem(
        paths=[split([str(name) for name in path]) for path in told["paths"]],
        state=State(told["state"]),
        cap=None,
        good=number("good"),
        needed=number("needed"),
        expected=number("expected"),
        is_closed=bool(told["is_closed"]),
        reason=str(told["reason"]),
    )
