"""`manage.py tahoe renew`."""

from __future__ import annotations

from collections.abc import Iterator
from time import time as now
from typing import Any

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.printing import Line, time
from tahoestorage.management.reports import health_lines, health_told, raise_unhealthy
from tahoestorage.management.verb import Verb
from txtahoe.maintenance import LEASE_SECONDS, Renewal, renew


class Renew(Verb):
    help = """
    Renew the leases of all files and snapshots for 31 days.

    Run it from cron every week; with --verbosity 0 it prints only problems. It ends with the
    statuses of `check`.

    Example:
      manage.py tahoe renew -v 0
    """

    def run(self) -> None:
        renewal = self.work("renewing", "objects", lambda tree, told: renew(tree, progress=told))
        if self.options["json"] or self.options["verbosity"] or not renewal.health.is_healthy:
            self.tell(_told(renewal, self.whole), self._lines(renewal))
        if renewal.problem:
            self.warn(f"The next renewal will not know of this one: {renewal.problem}")
        raise_unhealthy(renewal.health, self.whole)

    def _lines(self, renewal: Renewal) -> Iterator[Line]:
        yield from health_lines(renewal.health, self)
        until = renewal.oldest_until
        if until is None:
            before = "The leases of the whole tree have never been renewed before."
        elif until < now():
            before = f"The oldest lease expired on {time(until)}."
        else:
            before = f"The oldest lease would have expired on {time(until)}."
        if renewal.is_complete:
            last = time(renewal.health.began + LEASE_SECONDS)
            yield Line(f"{before} All leases last until {last}.", "SUCCESS")
        else:
            yield Line(
                f"{before} Some leases are not renewed: run `manage.py tahoe renew` again.",
                "WARNING",
            )


def _told(renewal: Renewal, whole: WholeTree) -> dict[str, Any]:
    return {
        "previous": renewal.previous,
        "oldest_until": renewal.oldest_until,
        "is_complete": renewal.is_complete,
        "is_recorded": renewal.is_recorded,
        "health": health_told(renewal.health, whole),
    }
