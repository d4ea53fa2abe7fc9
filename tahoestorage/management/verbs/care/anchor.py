"""`manage.py tahoe anchor`: links to the files of names that carry caps."""

from __future__ import annotations

from typing import Any

from attrs import asdict
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.care.anchoring import Count, anchor
from tahoestorage.care.references import References, columns
from tahoestorage.management.printing import add_json_argument, bar, print_json

help = (
    "Link the files of every TahoeCapStorage that the databases name and that are not linked yet, "
    "so that leases, checks and snapshots find them."
)


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument(
        "--anew",
        action="store_true",
        help="read all links that there are, instead of the ledger of them",
    )
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    places: dict[Any, References] = {}
    for column in columns(lambda column: column.is_of_caps):
        places.setdefault(column.storage.place, References([])).columns.append(column)
    if not places:
        raise CommandError("No file field has a TahoeCapStorage.")
    done = [(references, _anchor(references, options["anew"])) for references in places.values()]
    if options["json"]:
        print_json(command, dict(_told(*each) for each in done))
    elif options["verbosity"]:
        for each in done:
            _print(command, *each)


def _anchor(references: References, anew: bool) -> Count:
    """Link the files of columns whose storages have the same place."""
    storage: Any = references.columns[0].storage
    with bar("linking", "names") as progress:
        return anchor(
            storage.operations.tree,
            (reference.name for reference in references),
            anew=anew,
            progress=lambda count: progress(count.linked, count.names),
        )


def _told(references: References, count: Count) -> tuple[str, dict[str, Any]]:
    unseen = [str(column) for column in references.unseen]
    return _shown(references), {**asdict(count), "not_looked_at": unseen}


def _print(command: BaseCommand, references: References, count: Count) -> None:
    others = f"; {count.others:,} carry no cap" if count.others else ""
    command.stdout.write(
        f"{_shown(references)}: {count.names:,} names, {count.linked:,} newly linked{others}."
    )
    for column in references.unseen:
        command.stdout.write(f"not looked at: {column}, whose table is in no database")


def _shown(references: References) -> str:
    return ", ".join(map(str, references.columns))
