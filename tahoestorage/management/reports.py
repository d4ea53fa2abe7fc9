"""What a check has found, for people and for programs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.exits import LOST, NOT_HEALTHY
from tahoestorage.management.printing import print_table
from tahoestorage.management.quoting import shown
from txtahoe.maintenance import Health, Problem, State


def print_health(command: BaseCommand, health: Health, whole: WholeTree) -> None:
    """The problems by name, and the sum."""
    rows = [
        [
            problem.state.value,
            _shares(problem),
            shown(command, name),
            problem.reason if problem.is_closed else "",
        ]
        for problem in health.problems
        for name in _names(problem, whole)
    ]
    if rows:
        print_table(command, ["state", "shares", "name", ""], rows)
    command.stdout.write(summary(health))


def summary(health: Health) -> str:
    """One line."""
    counts = [
        f"{number:,} {state.value}" for state in State if (number := health.counts.get(state, 0))
    ]
    told = ", ".join(counts) or "nothing"
    unseen = "" if health.is_complete else "; not everything could be looked at"
    return f"{health.objects:,} objects in {health.seconds:.1f} s: {told}{unseen}"


def health_told(health: Health, whole: WholeTree) -> dict[str, Any]:
    """The same for programs."""
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
    """Raises: CommandError, which ends the command with a status of `exits`."""
    if not health.is_recoverable:
        raise CommandError(
            "Something can't be read now. If no server is away, restore it from a snapshot or a "
            "backup.",
            returncode=LOST,
        )
    if not health.is_healthy:
        raise CommandError(
            "Shares are missing. If no server is away, `manage.py tahoe check --repair` makes "
            "them anew.",
            returncode=NOT_HEALTHY,
        )
    if health.taken:
        names = ", ".join(repr(whole.name_of(path)) for path in health.taken)
        raise CommandError(
            "Files have names that belong to the storage itself, and can't be read by them: "
            f"{names}. Give them other names with another Tahoe client, such as `tahoe mv`.",
            returncode=NOT_HEALTHY,
        )


def _names(problem: Problem, whole: WholeTree) -> list[str]:
    return [whole.name_of(path) or "/" for path in problem.paths]


def _shares(problem: Problem) -> str:
    if problem.good is None:
        return "?"
    return f"{problem.good} of {'?' if problem.expected is None else problem.expected}"
