"""`manage.py tahoe spread [NAME]`."""

from __future__ import annotations

from typing import Any

from attrs import asdict
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.printing import add_json_argument, bar, print_json
from tahoestorage.management.storages import add_storage_argument, storage_of
from txtahoe.maintenance import spread

help = (
    "Spread the directories that are larger than the option 'fanout' allows, while the site goes "
    "on. It may be interrupted at any time, and begun again."
)


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument(
        "name", nargs="?", default="", help="a directory and what is below it; default: all"
    )
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    whole = WholeTree.of(storage_of(options["storage"]))
    if whole.connection.fanout is None:
        raise CommandError("The storage has no option 'fanout', which allows this.")
    path = whole.path_of(options["name"])
    with bar("spreading", "directories") as progress:
        result = whole.run(lambda tree, told: spread(tree, path, progress=told), progress)
    if options["json"]:
        print_json(command, asdict(result))
    elif options["verbosity"]:
        command.stdout.write(
            f"Directories spread: {result.directories:,}, with {result.names:,} names. Links that "
            f"were left behind: {result.swept:,} are gone, {result.unswept:,} still there."
        )
