"""`manage.py tahoe check --database`: files that rows name, and files that no row names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError

from tahoestorage.care.inventory import Comparison, Inventory
from tahoestorage.management.arguments import argument, flag, number
from tahoestorage.management.printing import Line, bar, counted, table
from tahoestorage.management.quoting import quoted
from tahoestorage.management.verb import LOST, NOT_HEALTHY, RESTORE, Verb, picked

_HOUR = 3600
_YEAR = 365 * 24 * _HOUR
ARGUMENTS = (
    flag(
        "--database",
        help="compare the files with the FileFields of all models instead; ends with status 4 if "
        "the file of a row is missing, with 3 if no row names a file",
    ),
    flag(
        "--remove-unnamed",
        help="with --database: delete the files that no row names; but not thumbnails and others "
        "that are named after another file, nor files where no FileField puts any",
    ),
    argument(
        "--older-than",
        type=number(float, 0, _YEAR),
        metavar="SECONDS",
        help="with --database: keep files that are newer, since their rows may follow; default: "
        "3600, an hour",
    ),
    argument(
        *("--noinput", "--no-input"),
        dest="interactive",
        action="store_false",
        help="with --database: delete without asking",
    ),
)
_SUMMARY = """\
Rows that name a file: {found.references:,}. Files: {found.files:,}.
  {missing:>9,}  files are missing, though rows name them
  {found.named:>9,}  files are named by rows
  {unnamed:>9,}  files are named by no row
  {found.recent:>9,}  files have no row yet, but are so new that one may follow
  {others:>9,}  files have no row and are not judged: they lie where no field puts files, or are
             named after another file, as thumbnails are; -v 2 lists them"""


def is_asked_for(options: dict[str, Any]) -> bool:
    """
    Whether the user wants the check of the database.

    Raises: CommandError for an option that needs --database, or that excludes it.
    """
    rows = {
        "--remove-unnamed": options["remove_unnamed"],
        "--older-than": options["older_than"] is not None,
        "--no-input": not options["interactive"],
    }
    shares = {
        "A name": options["name"] is not None,
        "--verify": options["verify"],
        "--repair": options["repair"],
    }
    is_asked = bool(options["database"])
    for name, is_given in (shares if is_asked else rows).items():
        if is_given:
            problem = "can't be used with" if is_asked else "needs"
            raise CommandError(f"{name} {problem} --database.", returncode=2)
    return is_asked


def run(verb: Verb) -> None:
    """
    Compare files and rows, print what was found, and remove files if the user wants that.

    Raises: CommandError, with status 3 or 4; the errors of the grid and of django.db.
    """
    options = verb.options
    asks = options["remove_unnamed"] and options["interactive"]
    if asks and (options["json"] or not sys.stdin.isatty()):
        raise CommandError("There is nobody to ask: --no-input deletes without asking.")
    inventory = Inventory(verb.storage)
    seconds = _HOUR if options["older_than"] is None else options["older_than"]
    with bar("reading names", "directories") as progress:
        found = inventory.compare(seconds, progress)
    unseen = [str(column) for column in inventory.unseen]
    if not options["json"]:
        verb.print(*_lines(found, unseen, verb))
    removed: list[str] = []
    if options["remove_unnamed"] and found.unnamed:
        if unseen:
            verb.warn("Nothing is deleted: not all fields could be looked at.")
        else:
            removed = _remove(inventory, found.unnamed, asks, verb)
    done = [Line(f"{counted(len(removed), 'file')} removed.", "SUCCESS")] if removed else []
    verb.tell_done({**_told(found), "not_looked_at": unseen, "removed": removed}, done)
    if found.missing or found.unread:
        raise CommandError(
            f"Files that rows name and are not there: {len(found.missing):,}. "
            f"Directories that can't be read: {len(found.unread):,}. {RESTORE}",
            returncode=LOST,
        )
    if left := len(found.unnamed) - len(removed):
        raise CommandError(
            f"No row names {left:,} of the files. --remove-unnamed deletes them.",
            returncode=NOT_HEALTHY,
        )


def not_looked_at(column: str) -> Line:
    """Tell of a database column whose rows could not be read."""
    return Line(f"not looked at: {column}, because no database has its table", "WARNING")


def _remove(inventory: Inventory, names: list[str], asks: bool, verb: Verb) -> list[str]:
    """Remove files; return the names of those that are gone."""
    question = f"No row names {counted(len(names), 'file')}. Delete? [y/N] "
    if asks and input(question).lower() not in ("y", "yes"):
        return []
    with bar("removing"):
        removed, failed = inventory.remove(names)
    for name, problem in failed.items():
        verb.warn(f"{quoted(name)}: {problem}")
    return removed


def _lines(found: Comparison, unseen: list[str], verb: Verb) -> Iterator[Line]:
    shown, verbosity = verb.shown, verb.options["verbosity"]
    if found.missing:
        rows = [
            [one.reference.column, one.reference.pk, shown(one.reference.name), one.problem]
            for one in found.missing
        ]
        yield from table(["field", "row", "name", "problem"], rows, ["ERROR"] * len(rows))
    for name, problem in found.unread.items():
        yield Line(f"can't be read: {shown(name)}/: {problem}", "ERROR")
    for name in found.unnamed:
        yield Line(f"no row names: {shown(name)}", "WARNING")
    for name in found.others if verbosity > 1 else ():
        yield Line(f"not judged: {shown(name)}")
    yield from map(not_looked_at, unseen)
    if verbosity:
        counts = {name: len(getattr(found, name)) for name in ("missing", "unnamed", "others")}
        yield Line(_SUMMARY.format(found=found, **counts))


def _told(found: Comparison) -> dict[str, Any]:
    missing = [
        {
            "model": one.reference.column.model._meta.label,
            "field": one.reference.column.field.name,
            "pk": str(one.reference.pk),
            **picked(one.reference, "database name"),
            "problem": one.problem,
        }
        for one in found.missing
    ]
    told = picked(found, "references files unread unnamed recent others")
    return {**told, "missing": missing}
