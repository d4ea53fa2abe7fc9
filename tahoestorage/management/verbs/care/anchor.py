"""`manage.py tahoe anchor`: links to the files of names that carry caps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import asdict
from django.core.management.base import CommandError, CommandParser

from tahoestorage.care.anchoring import Count, anchor
from tahoestorage.care.references import Column, columns
from tahoestorage.management.printing import Line, bar
from tahoestorage.management.verb import Verb


class Anchor(Verb):
    help = """
    Link the files that the database names by their caps.

    It links every file of a TahoeCapStorage that has no link yet, so that `renew`, `check` and
    `snapshot` find it. Run it from cron every day.

    Example:
      manage.py tahoe anchor -v 0
    """
    has_storage = False

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "--rebuild",
            action="store_true",
            help="read all links from the grid, instead of the ledger of them",
        )

    def run(self) -> None:
        places: dict[Any, list[Column]] = {}
        for column in columns(lambda column: column.is_of_caps):
            places.setdefault(column.storage.place, []).append(column)
        if not places:
            raise CommandError(
                "No FileField has a TahoeCapStorage, so there is nothing to anchor. Only names "
                "that carry caps need this verb."
            )
        done = [(columns, self._anchor(columns)) for columns in places.values()]
        self.tell_done(dict(_told(*each) for each in done), _lines(done))

    def _anchor(self, columns: list[Column]) -> Count:
        """Link the files of columns whose storages have the same place."""
        storage: Any = columns[0].storage
        with bar("linking", "names") as progress:
            return anchor(
                storage.operations.tree,
                (reference.name for column in columns for reference in column.references()),
                rebuild=self.options["rebuild"],
                progress=lambda count: progress(count.linked, count.names),
            )


def _told(columns: list[Column], count: Count) -> tuple[str, dict[str, Any]]:
    return _shown(columns), {**asdict(count), "not_looked_at": _unseen(columns)}


def _lines(done: list[tuple[list[Column], Count]]) -> Iterator[Line]:
    for found, count in done:
        others = f"; {count.others:,} carry no cap" if count.others else ""
        yield Line(
            f"{_shown(found)}: {count.names:,} names, {count.linked:,} newly linked{others}.",
            "SUCCESS",
        )
        for column in _unseen(found):
            yield Line(f"not looked at: {column}, because no database has its table", "WARNING")


def _unseen(columns: list[Column]) -> list[str]:
    return [str(column) for column in columns if not column.databases]


def _shown(columns: list[Column]) -> str:
    return ", ".join(map(str, columns))
