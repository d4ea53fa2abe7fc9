"""`manage.py tahoe anchor`: links to the files of names that carry caps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import FileField

from tahoestorage.anchored import Count, anchor
from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.filefields import fields_of

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


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    fields: dict[Any, list[FileField]] = {}
    try:
        for field in fields_of(TahoeCapStorage):
            storage: Any = field.storage
            fields.setdefault(storage.place, []).append(field)
        for some in fields.values():
            _anchor(command, some, options["anew"])
    except (ImproperlyConfigured, OSError) as error:
        raise CommandError(str(error)) from None
    if not fields:
        command.stdout.write("No file field has a TahoeCapStorage.")


def _anchor(command: BaseCommand, fields: Sequence[FileField], anew: bool) -> None:
    """Link the files of fields whose storages have the same place."""

    def progress(count: Count) -> None:
        command.stdout.write(f"  {count.names} names read, {count.linked} linked")
        command.stdout.flush()

    command.stdout.write(", ".join(str(field) for field in fields))
    names = chain.from_iterable(map(_names, fields))
    storage: Any = fields[0].storage
    count = anchor(storage.operations.tree, names, anew=anew, progress=progress)
    others = f"; {count.others} carry no cap" if count.others else ""
    command.stdout.write(f"{count.names} names, {count.linked} newly linked{others}.")


def _names(field: FileField) -> Iterator[str]:
    """The names in a field's column, as they are read."""
    rows = field.model._base_manager.order_by().values_list(field.name, flat=True)
    return filter(None, rows.iterator(_ROWS))
