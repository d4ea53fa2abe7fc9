"""`manage.py tahoe anchor`: links to the files of names that carry caps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from attrs import asdict
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import FileField

from tahoestorage.anchored import Count, anchor
from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.filefields import fields_of
from tahoestorage.management.printing import add_json_argument, bar, print_json

help = (
    "Link the files of every TahoeCapStorage that the database names and that are not linked yet, "
    "so that leases, checks and snapshots find them."
)
_ROWS = 2000


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
    fields: dict[Any, list[FileField]] = {}
    for field in fields_of(TahoeCapStorage):
        storage: Any = field.storage
        fields.setdefault(storage.place, []).append(field)
    if not fields:
        raise CommandError("No file field has a TahoeCapStorage.")
    done = {", ".join(map(str, some)): _anchor(some, options["anew"]) for some in fields.values()}
    if options["json"]:
        print_json(command, {name: asdict(count) for name, count in done.items()})
    elif options["verbosity"]:
        for name, count in done.items():
            others = f"; {count.others:,} carry no cap" if count.others else ""
            command.stdout.write(
                f"{name}: {count.names:,} names, {count.linked:,} newly linked{others}."
            )


def _anchor(fields: Sequence[FileField], anew: bool) -> Count:
    """Link the files of fields whose storages have the same place."""
    names = chain.from_iterable(map(_names, fields))
    storage: Any = fields[0].storage
    with bar("linking", "names") as progress:
        return anchor(
            storage.operations.tree,
            names,
            anew=anew,
            progress=lambda count: progress(count.linked, count.names),
        )


def _names(field: FileField) -> Iterator[str]:
    """The names in a field's column, as they are read."""
    rows = field.model._base_manager.order_by().values_list(field.name, flat=True)
    return filter(None, rows.iterator(_ROWS))
