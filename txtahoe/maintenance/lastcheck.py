"""What the last check of a tree has found, kept in the tree for those who look later."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import Any

from txtahoe.maintenance.health import Health, Problem, State
from txtahoe.maintenance.records import contents_of, is_past, record
from txtahoe.nodes import Link
from txtahoe.tree.paths import split
from txtahoe.tree.tree import Tree

_CHECKED = "checked"
# Problems beyond these are counted, and not kept by name; nor are so many names of one object.
_MOST = 1000
_MOST_NAMES = 10
# What comes of reading JSON of any other form.
_NO_CHECK = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


async def keep_check(tree: Tree, health: Health) -> None:
    """
    Keep what a check of the whole tree has found, in the place of what the last one has.

    Of the problems 1,000 are kept, first those that hide others, and none with its cap.

    Raises: NotADirectory; NotWriteable; the errors of `Client`.
    """
    cap = await tree.client.upload(json.dumps(_written(health)).encode())
    await record(tree, _CHECKED, Link(cap), replace=True)


async def last_check(tree: Tree) -> Health | None:
    """What was kept last, if anything. Raises: NotADirectory; the errors of `Client`."""
    data = await contents_of(tree, _CHECKED)
    if data is not None:
        with suppress(*_NO_CHECK):
            return _read(json.loads(data))
    return None


def _written(health: Health) -> dict[str, Any]:
    kept = sorted(health.problems, key=lambda problem: not problem.is_closed)[:_MOST]
    return {
        "counts": {state.value: number for state, number in health.counts.items()},
        "objects": health.objects,
        "problems": [_told(problem) for problem in kept],
        "began": health.began,
        "seconds": health.seconds,
    }


def _told(problem: Problem) -> dict[str, Any]:
    return {
        "paths": problem.paths[:_MOST_NAMES],
        "state": problem.state.value,
        "good": problem.good,
        "needed": problem.needed,
        "expected": problem.expected,
        "is_closed": problem.is_closed,
        "reason": problem.reason,
    }


def _read(told: Any) -> Health:
    counts = {State(value): int(number) for value, number in told["counts"].items()}
    problems = [_problem(each) for each in told["problems"][:_MOST]]
    began, seconds = float(told["began"]), float(told["seconds"])
    if not is_past(began) or not is_past(began + seconds) or min(counts.values(), default=0) < 0:
        raise ValueError("these are no numbers of a check")
    return Health(Counter(counts), int(told["objects"]), problems, began, seconds)


def _problem(told: Any) -> Problem:
    numbers = {name: told[name] for name in ("good", "needed", "expected")}
    return Problem(
        [split([str(name) for name in path]) for path in told["paths"]],
        State(told["state"]),
        None,
        **{name: None if number is None else int(number) for name, number in numbers.items()},
        is_closed=bool(told["is_closed"]),
        reason=str(told["reason"]),
    )
