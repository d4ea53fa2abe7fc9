"""Check shares, and renew leases."""

from __future__ import annotations

from time import time as now
from typing import Any

from django.core.management.base import CommandError

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.arguments import argument, flag
from tahoestorage.management.printing import Line, table, time
from tahoestorage.management.verb import ALL_BELOW, LOST, NOT_HEALTHY, RESTORE, Verb, picked
from tahoestorage.management.verbs import database
from txtahoe.maintenance import (
    LEASE_SECONDS,
    Health,
    Problem,
    Renewal,
    State,
    check,
    keep_check,
    renew,
)

_STYLES = {State.REPAIRED: "SUCCESS", State.UNHEALTHY: "WARNING"}


class Check(Verb):
    help = """
    Check the shares of all files, or compare files and database.

    Ends with status 0 if everything is healthy, with 3 if shares are missing, and with 4 if
    something cannot be read.

    Examples, for cron every week, and for files that no row names:
      manage.py tahoe check --repair -v 0
      manage.py tahoe check --database
    """
    arguments = (
        argument("name", nargs="?", help=f"a file, or {ALL_BELOW}"),
        flag("--verify", help="read all shares, and compare their hashes"),
        flag("--repair", help="make missing shares again"),
        *database.ARGUMENTS,
    )

    def run(self) -> None:
        if database.is_asked_for(self.options):
            database.run(self)
            return
        path, verify, repair = self.path, self.options["verify"], self.options["repair"]
        health = self.work("checking", "objects", check, path, verify=verify, repair=repair)
        if not path and self.whole.connection.base_cap.is_writable:
            try:
                self.work("keeping the result", "", keep_check, health)
            except OSError as error:
                self.warn(f"The admin's page will not show this check: {error}")
        if self.options["json"] or self.options["verbosity"] or not health.is_healthy:
            self.tell(_told(health, self.whole), _lines(health, self))
        _raise_unhealthy(health, self.whole)


class Renew(Verb):
    help = """
    Renew the leases of all files and snapshots for 31 days.

    Run it from cron every week; with --verbosity 0 it prints only problems. It ends with the
    statuses of `check`.

    Example:
      manage.py tahoe renew -v 0
    """

    def run(self) -> None:
        renewal = self.work("renewing", "objects", renew)
        health = renewal.health
        if self.options["json"] or self.options["verbosity"] or not health.is_healthy:
            told = picked(renewal, "previous oldest_until is_complete is_recorded")
            told["health"] = _told(health, self.whole)
            self.tell(told, [*_lines(health, self), _line(renewal)])
        if renewal.problem:
            self.warn(f"The next renewal will not know of this one: {renewal.problem}")
        _raise_unhealthy(health, self.whole)


def _line(renewal: Renewal) -> Line:
    until = renewal.oldest_until
    if until is None:
        before = "The leases of the whole tree have never been renewed before."
    elif until < now():
        before = f"The oldest lease expired on {time(until)}."
    else:
        before = f"The oldest lease would have expired on {time(until)}."
    if not renewal.is_complete:
        missing = "Some leases are not renewed: run `manage.py tahoe renew` again."
        return Line(f"{before} {missing}", "WARNING")
    last = time(renewal.health.began + LEASE_SECONDS)
    return Line(f"{before} All leases last until {last}.", "SUCCESS")


def _lines(health: Health, verb: Verb) -> list[Line]:
    """A table of the problems by name, and a line with the numbers."""
    rows, styles = [], []
    for problem in health.problems:
        expected = "?" if problem.expected is None else problem.expected
        shares = "?" if problem.good is None else f"{problem.good} of {expected}"
        reason = problem.reason if problem.is_closed else ""
        for name in _names(problem, verb.whole):
            rows.append([problem.state.value, shares, verb.shown(name), reason])
            styles.append(_STYLES.get(problem.state, "ERROR"))
    lines = table(["state", "shares", "name", ""], rows, styles) if rows else []
    counts = [f"{n:,} {state.value}" for state in State if (n := health.counts[state])]
    found = ", ".join(counts) or "nothing"
    unseen = "" if health.is_complete else "; some objects could not be checked"
    summary = f"{health.objects:,} objects in {health.seconds:.1f} s: {found}{unseen}"
    return [*lines, Line(summary, "SUCCESS" if health.is_healthy else "ERROR")]


def _told(health: Health, whole: WholeTree) -> dict[str, Any]:
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


def _raise_unhealthy(health: Health, whole: WholeTree) -> None:
    """Raises: CommandError with status 3 or 4 unless all is healthy."""
    if not health.is_recoverable:
        raise CommandError(f"Something can't be read now. {RESTORE}", returncode=LOST)
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
