"""`manage.py tahoe check [NAME]`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management import database_check
from tahoestorage.management.printing import add_json_argument, bar, print_json
from tahoestorage.management.reports import health_told, print_health, raise_unhealthy
from tahoestorage.management.storages import add_storage_argument, storage_of
from txtahoe.maintenance import Health, Progress, check, keep_check
from txtahoe.tree.tree import Tree

help = (
    "Check whether the shares of everything under the root are there. Ends with 0 where all is "
    "healthy, with 3 where something misses shares, and with 4 where something can't be read."
)


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument(
        "name", nargs="?", help="a file, or a directory with all that is below it; default: all"
    )
    parser.add_argument(
        "--verify", action="store_true", help="read all shares and compare their hashes"
    )
    parser.add_argument("--repair", action="store_true", help="make shares anew that are missing")
    database_check.add_arguments(parser)
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    is_of_rows = database_check.is_asked_for(options)
    storage = storage_of(options["storage"])
    if is_of_rows:
        database_check.handle(command, options, storage)
        return
    whole = WholeTree.of(storage)
    name = options["name"]
    path = () if name is None else whole.path_of(name)

    unkept: list[OSError] = []

    async def work(tree: Tree, progress: Progress) -> Health:
        health = await check(
            tree,
            path,
            verify=options["verify"],
            repair=options["repair"],
            progress=progress,
        )
        if not path and tree.root.is_writable:
            try:
                await keep_check(tree, health)
            except OSError as error:  # what was found is told nevertheless
                unkept.append(error)
        return health

    with bar("checking", "objects") as progress:
        health = whole.run(work, progress)
    if options["json"]:
        print_json(command, health_told(health, whole))
    elif options["verbosity"] or not health.is_healthy:
        print_health(command, health, whole)
    for error in unkept:
        command.stderr.write(f"The admin's page will not show this check: {error}")
    raise_unhealthy(health, whole)
