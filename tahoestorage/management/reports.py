"""The results of a check, for people and for programs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.exits import LOST, NOT_HEALTHY
from tahoestorage.management.printing import Line, table
from tahoestorage.management.verb import Verb, picked
from txtahoe.maintenance import Health, Problem, State

_STYLES = {State.REPAIRED: "SUCCESS", State.UNHEALTHY: "WARNING"}


def health_lines(health: Health, verb: Verb) -> list[Line]:
    """A table of the problems by name, and a line with the numbers."""
    rows, styles = [], []
    for problem in health.problems:
        expected = "?" if problem.expected is None else problem.expected
        shares = "?" if problem.good is None else f"{problem.good} of {expected}"
        reason = problem.reason if problem.is_closed else ""
        for name in _names(problem, verb.whole):
            rows.append([problem.state.value, shares, verb.shown(name), reason])
            styles.append(_STYLES.get(problem.state, "ERROR"))
    counts = [f"{n:,} {state.value}" for state in State if (n := health.counts[state])]
    summary = f"{health.objects:,} objects in {health.seconds:.1f} s: "
    summary += ", ".join(counts) or "nothing"
    if not health.is_complete:
        summary += "; some objects could not be checked"
    return [
        *(table(["state", "shares", "name", ""], rows, styles) if rows else []),
        Line(summary, "SUCCESS" if health.is_healthy else "ERROR"),
    ]


def health_told(health: Health, whole: WholeTree) -> dict[str, Any]:
    """The results for programs."""
    return {
        **picked(health, "is_healthy is_recoverable is_complete objects began seconds"),
        "counts": {state.value: health.counts[state] for state in State},
        "taken": [whole.name_of(path) for path in health.taken],
        "problems": [
            {
                "names": _names(problem, whole),
                "state": problem.state.value,
                "shares": problem.good,
                **picked(problem, "needed expected reason"),
            }
            for problem in health.problems
        ],
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


def not_looked_at(column: str) -> Line:
    """Tell of a database column whose rows could not be read."""
    return Line(f"not looked at: {column}, because no database has its table", "WARNING")


def _names(problem: Problem, whole: WholeTree) -> list[str]:
    return [whole.name_of(path) or "/" for path in problem.paths]
