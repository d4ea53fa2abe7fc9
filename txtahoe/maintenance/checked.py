"""What the last check of a tree has found, kept in the tree for those who look later."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import Any

from txtahoe.maintenance.health import Health, Problem, State
from txtahoe.maintenance.records import record, records
from txtahoe.nodes import Link
from txtahoe.tree import Tree

_CHECKED = "checked"
# Problems beyond these are counted, and not kept by name.
_MOST = 1000


async def keep_check(tree: Tree, health: Health) -> None:
    """
    Keep what a check of the whole tree has found, in the place of what the last one has.

    Of the problems 1,000 are kept, first those that hide others, and none with its cap.

    Raises: NotWriteable; the errors of `Client`.
    """
    cap = await tree.client.upload(json.dumps(_written(health)).encode())
    await record(tree, _CHECKED, Link(cap), replace="only-files")


async def last_check(tree: Tree) -> Health | None:
    """What was kept last, if anything. Raises: the errors of `Client`."""
    node = (await records(tree)).get(_CHECKED)
    if node is None:
        return None
    data = await tree.client.read(node.cap)
    # Whoever writes the directory may put anything there.
    with suppress(ValueError, TypeError, KeyError, AttributeError):
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
        "paths": problem.paths,
        "state": problem.state.value,
        "good": problem.good,
        "needed": problem.needed,
        "expected": problem.expected,
        "is_closed": problem.is_closed,
        "reason": problem.reason,
    }


def _read(told: Any) -> Health:
    counts = {State(value): int(number) for value, number in told["counts"].items()}
    problems = [_problem(each) for each in told["problems"]]
    return Health(
        Counter(counts),
        int(told["objects"]),
        problems,
        float(told["began"]),
        float(told["seconds"]),
    )


def _problem(told: Any) -> Problem:
    numbers = {name: told[name] for name in ("good", "needed", "expected")}
    return Problem(
        [tuple(map(str, path)) for path in told["paths"]],
        State(told["state"]),
        None,
        **{name: None if number is None else int(number) for name, number in numbers.items()},
        is_closed=bool(told["is_closed"]),
        reason=str(told["reason"]),
    )
