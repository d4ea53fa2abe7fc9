"""`manage.py tahoe anchor`: links to the files of names that carry caps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import asdict
from django.core.management.base import CommandError, CommandParser

from tahoestorage.care.anchoring import Count, anchor
from tahoestorage.care.references import References, columns
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
        places: dict[Any, References] = {}
        for column in columns(lambda column: column.is_of_caps):
            places.setdefault(column.storage.place, References([])).columns.append(column)
        if not places:
            raise CommandError(
                "No FileField has a TahoeCapStorage, so there is nothing to anchor. Only names "
                "that carry caps need this verb."
            )
        done = [(references, self._anchor(references)) for references in places.values()]
        self.tell_done(dict(_told(*each) for each in done), _lines(done))

    def _anchor(self, references: References) -> Count:
        """Link the files of columns whose storages have the same place."""
        storage: Any = references.columns[0].storage
        with bar("linking", "names") as progress:
            return anchor(
                storage.operations.tree,
                (reference.name for reference in references),
                rebuild=self.options["rebuild"],
                progress=lambda count: progress(count.linked, count.names),
            )


def _told(references: References, count: Count) -> tuple[str, dict[str, Any]]:
    unseen = [str(column) for column in references.unseen]
    return _shown(references), {**asdict(count), "not_looked_at": unseen}


def _lines(done: list[tuple[References, Count]]) -> Iterator[Line]:
    for references, count in done:
        others = f"; {count.others:,} carry no cap" if count.others else ""
        yield Line(
            f"{_shown(references)}: {count.names:,} names, {count.linked:,} newly linked{others}.",
            "SUCCESS",
        )
        for column in references.unseen:
            yield Line(f"not looked at: {column}, because no database has its table", "WARNING")


def _shown(references: References) -> str:
    return ", ".join(map(str, references.columns))
