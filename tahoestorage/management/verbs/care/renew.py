"""
Renew the leases of all files and snapshots for 31 days.

Run it from cron every week; with --verbosity 0 it prints only problems. It ends with the statuses
of `check`.

Example:
  manage.py tahoe renew -v 0
"""

from __future__ import annotations

from time import time as now

from tahoestorage.management.printing import Line, time
from tahoestorage.management.reports import health_lines, health_told, raise_unhealthy
from tahoestorage.management.verb import Verb, picked
from txtahoe.maintenance import LEASE_SECONDS, Renewal, renew


class Renew(Verb):
    help = __doc__

    def run(self) -> None:
        renewal = self.work("renewing", "objects", lambda tree, told: renew(tree, progress=told))
        health = renewal.health
        if self.options["json"] or self.options["verbosity"] or not health.is_healthy:
            told = picked(renewal, "previous oldest_until is_complete is_recorded")
            told["health"] = health_told(health, self.whole)
            self.tell(told, [*health_lines(health, self), _line(renewal)])
        if renewal.problem:
            self.warn(f"The next renewal will not know of this one: {renewal.problem}")
        raise_unhealthy(health, self.whole)


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
