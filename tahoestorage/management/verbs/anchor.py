"""Link the files of names that carry caps."""

from __future__ import annotations

from typing import Any

from attrs import asdict
from django.core.management.base import CommandError

from tahoestorage.care.anchoring import Count, anchor
from tahoestorage.care.references import Column, columns
from tahoestorage.management.arguments import flag
from tahoestorage.management.printing import Line, bar, counted
from tahoestorage.management.verb import Verb
from tahoestorage.management.verbs.database import not_looked_at


class Anchor(Verb):
    help = """
    Link the files that the database names by their caps.

    It links every file of a TahoeCapStorage that has no link yet, so that `renew`, `check` and
    `snapshot` find it. Run it from cron every day.

    Example:
      manage.py tahoe anchor -v 0
    """
    arguments = (flag("--rebuild", help="read all links from the grid, instead of their ledger"),)
    has_storage = False

    def run(self) -> None:
        places: dict[Any, list[Column]] = {}
        for column in columns(lambda column: column.is_of_caps):
            places.setdefault(column.storage.place, []).append(column)
        if not places:
            raise CommandError(
                "No FileField has a TahoeCapStorage, so there is nothing to anchor. Only names "
                "that carry caps need this verb."
            )
        told, lines = {}, []
        for found in places.values():
            fields = ", ".join(map(str, found))
            count = self._anchor(found)
            unseen = [str(column) for column in found if not column.databases]
            told[fields] = {**asdict(count), "not_looked_at": unseen}
            others = f"; {count.others:,} carry no cap" if count.others else ""
            done = f"{counted(count.names, 'name')}, {count.linked:,} newly linked{others}."
            lines += [Line(f"{fields}: {done}", "SUCCESS"), *map(not_looked_at, unseen)]
        self.tell_done(told, lines)

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
