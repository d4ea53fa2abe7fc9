"""The results of a check, for people and for programs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.exits import LOST, NOT_HEALTHY
from tahoestorage.management.printing import Line, table
from tahoestorage.management.verb import Verb
from txtahoe.maintenance import Health, Problem, State

_STYLES = {
    State.REPAIRED: "SUCCESS",
    State.UNHEALTHY: "WARNING",
}


def health_lines(health: Health, verb: Verb) -> list[Line]:
    """A table of the problems by name, and a line with the numbers."""
    rows = [(problem, name) for problem in health.problems for name in _names(problem, verb.whole)]
    cells = [
        [
            problem.state.value,
            _shares(problem),
            verb.shown(name),
            problem.reason if problem.is_closed else "",
        ]
        for problem, name in rows
    ]
    styles = [_STYLES.get(problem.state, "ERROR") for problem, _ in rows]
    lines = table(["state", "shares", "name", ""], cells, styles) if rows else []
    return [*lines, Line(_summary(health), "SUCCESS" if health.is_healthy else "ERROR")]


def _summary(health: Health) -> str:
    counts = [
        f"{number:,} {state.value}" for state in State if (number := health.counts.get(state, 0))
    ]
    found = ", ".join(counts) or "nothing"
    unseen = "" if health.is_complete else "; some objects could not be checked"
    return f"{health.objects:,} objects in {health.seconds:.1f} s: {found}{unseen}"


def health_told(health: Health, whole: WholeTree) -> dict[str, Any]:
    """The results for programs."""
    return {
        "is_healthy": health.is_healthy,
        "is_recoverable": health.is_recoverable,
        "is_complete": health.is_complete,
        "objects": health.objects,
        "counts": {state.value: health.counts.get(state, 0) for state in State},
        "taken": [whole.name_of(path) for path in health.taken],
        "problems": [
            {
                "names": _names(problem, whole),
                "state": problem.state.value,
                "shares": problem.good,
                "needed": problem.needed,
                "expected": problem.expected,
                "reason": problem.reason,
            }
            for problem in health.problems
        ],
        "began": health.began,
        "seconds": health.seconds,
    }


def raise_unhealthy(health: Health, whole: WholeTree) -> None:
    """Raises: CommandError with a status of `exits`, unless all is healthy."""
    if not health.is_recoverable:
        raise CommandError(
            "Something can't be read now. If all storage servers are connected (`manage.py tahoe "
            "status`), restore it from a snapshot (`manage.py tahoe restore`) or a backup.",
            returncode=LOST,
        )
    if not health.is_healthy:
        raise CommandError(
            "Shares are missing. If all storage servers are connected (`manage.py tahoe status`), "
            "`manage.py tahoe check --repair` makes them again.",
            returncode=NOT_HEALTHY,
        )
    if health.taken:
        names = ", ".join(repr(whole.name_of(path)) for path in health.taken)
        raise CommandError(
            f"The storage keeps these names for itself, so it cannot read the files that have "
            f"them: {names}. Rename the files with another Tahoe client, for example `tahoe mv`.",
            returncode=NOT_HEALTHY,
        )


def _names(problem: Problem, whole: WholeTree) -> list[str]:
    return [whole.name_of(path) or "/" for path in problem.paths]


def _shares(problem: Problem) -> str:
    if problem.good is None:
        return "?"
    return f"{problem.good} of {'?' if problem.expected is None else problem.expected}"
