"""`manage.py tahoe renew`."""

from __future__ import annotations

from time import time as now
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.printing import add_json_argument, bar, print_json, time
from tahoestorage.management.reports import health_told, print_health, raise_unhealthy
from tahoestorage.management.storages import add_storage_argument, storage_of
from txtahoe.maintenance import LEASE_SECONDS, Renewal, renew

help = (
    "Renew the leases of everything under the root, snapshots included, for 31 days. Made for "
    "cron, once a week: with --verbosity 0 only what is wrong is said. Ends as `check` does."
)


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    whole = WholeTree.of(storage_of(options["storage"]))
    with bar("renewing", "objects") as progress:
        renewal = whole.run(lambda tree, told: renew(tree, progress=told), progress)
    if options["json"]:
        print_json(command, _told(renewal, whole))
    elif options["verbosity"] or not renewal.health.is_healthy:
        print_health(command, renewal.health, whole)
        command.stdout.write(_dates(renewal))
    if renewal.problem:
        command.stderr.write(f"The next renewal will not know of this one: {renewal.problem}")
    raise_unhealthy(renewal.health, whole)


def _dates(renewal: Renewal) -> str:
    until = renewal.oldest_until
    if until is None:
        before = "No renewal of everything is known before this one."
    elif until < now():
        before = f"The oldest of the leases has run out on {time(until)}."
    else:
        before = f"The oldest of the leases would have run out on {time(until)}."
    if not renewal.is_complete:
        return f"{before} Not all could be renewed: run it again."
    return f"{before} All last until {time(renewal.health.began + LEASE_SECONDS)}."


def _told(renewal: Renewal, whole: WholeTree) -> dict[str, Any]:
    return {
        "previous": renewal.previous,
        "oldest_until": renewal.oldest_until,
        "is_complete": renewal.is_complete,
        "is_recorded": renewal.is_recorded,
        "health": health_told(renewal.health, whole),
    }
