"""`manage.py tahoe spread`."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage import conf
from tahoestorage.management.storages import add_storage_argument, options_of
from tahoestorage.storage import TahoeStorage
from tahoestorage.waiting import done
from txtahoe.maintenance import spread

help = (
    "Spread the directories that are larger than the option 'fanout' allows, while the site goes "
    "on. It may be interrupted at any time, and begun again."
)


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument(
        "directory", nargs="?", default="", help="this one and what is below it; default: all"
    )
    add_storage_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    chosen = options_of(options["storage"])
    try:
        if conf.fanout(chosen) is None:
            raise CommandError("The storage has no option 'fanout', which allows this.")
        operations = TahoeStorage(**chosen).operations
        path = operations.location.path_of(options["directory"])
        result = done(operations.tree.run(lambda tree, caller: spread(tree, path)))
    except (OSError, ImproperlyConfigured) as error:
        raise CommandError(str(error)) from None
    command.stdout.write(
        f"{result.directories} directories were spread, with {result.names} names; "
        f"{result.swept} links that were left behind are gone, and {result.unswept} still there."
    )
