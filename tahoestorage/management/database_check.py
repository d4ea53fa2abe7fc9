"""`manage.py tahoe check --database`: the files that rows name, and those that none does."""

from __future__ import annotations

import sys
from typing import Any

from attrs import frozen
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.care.inventory import Comparison, Inventory
from tahoestorage.management.arguments import number
from tahoestorage.management.exits import LOST, NOT_HEALTHY
from tahoestorage.management.printing import bar, print_json, print_table
from tahoestorage.management.quoting import quoted, shown
from tahoestorage.storage import TahoeStorage

_HOUR = 3600
_YEAR = 365 * 24 * _HOUR
# What needs --database, and what --database excludes.
_OF_ROWS = {
    "remove_unnamed": "--remove-unnamed",
    "older_than": "--older-than",
    "no_input": "--no-input",
}
_OF_SHARES = {"name": "A name", "verify": "--verify", "repair": "--repair"}
_SUMMARY = """\
Rows that name a file: {found.references:,}. Files: {found.files:,}.
  {missing:>9,}  files are missing, though rows name them
  {found.named:>9,}  files are named by rows
  {unnamed:>9,}  files are named by no row
  {found.recent:>9,}  files have no row yet, but are so new that one may follow
  {others:>9,}  files have no row and are not judged: they lie where no field puts files, or are
             named after another file, as thumbnails are; -v 2 lists them"""


def add_arguments(parser: CommandParser) -> None:
    """`--database`, and what can be said with it."""
    group = parser.add_argument_group("the database")
    group.add_argument(
        "--database",
        action="store_true",
        help="instead, compare the files with the FileFields of all models: ends with 4 where the "
        "file of a row is missing, with 3 where there are files that no row names",
    )
    group.add_argument(
        "--remove-unnamed",
        action="store_true",
        help="delete the files that no row names, and that are where a FileField puts its files, "
        "but for those named after another one, as thumbnails are",
    )
    group.add_argument(
        "--older-than",
        type=number(float, 0, _YEAR),
        metavar="SECONDS",
        help="a file that was saved later may get its row yet; default: 3600, an hour",
    )
    group.add_argument("--no-input", action="store_true", help="delete without asking")


def is_asked_for(options: dict[str, Any]) -> bool:
    """
    Whether a command line is about the database.

    Raises: CommandError for what means something only with --database, or only without it.
    """
    is_asked = bool(options["database"])
    for dest, name in (_OF_SHARES if is_asked else _OF_ROWS).items():
        if options[dest] is not None and options[dest] is not False:
            problem = "can't be used with" if is_asked else "needs"
            raise CommandError(f"{name} {problem} --database.", returncode=2)
    return is_asked


def handle(command: BaseCommand, options: dict[str, Any], storage: TahoeStorage) -> None:
    """
    Do it, and print what was found.

    Raises: CommandError, with a status of `exits`; the errors of the grid and of django.db.
    """
    asks = options["remove_unnamed"] and not options["no_input"]
    if asks and (options["json"] or not sys.stdin.isatty()):
        raise CommandError("There is nobody to ask: --no-input deletes without asking.")
    inventory = Inventory(storage)
    seconds = _HOUR if options["older_than"] is None else options["older_than"]
    with bar("reading names", "directories") as progress:
        found = inventory.compare(seconds, progress)
    report = _Report(found, [str(column) for column in inventory.references.unseen])
    if not options["json"]:
        report.print(command, options["verbosity"])
    removed: list[str] = []
    if options["remove_unnamed"] and found.unnamed and report.is_complete(command):
        removed = _remove(command, inventory, found.unnamed, asks)
    if options["json"]:
        print_json(command, {**report.for_programs(), "removed": removed})
    elif removed and options["verbosity"]:
        command.stdout.write(f"{len(removed):,} files removed.")
    _raise_found(found, len(found.unnamed) - len(removed))


def _remove(command: BaseCommand, inventory: Inventory, names: list[str], asks: bool) -> list[str]:
    """Those that were removed."""
    question = f"Delete the {len(names):,} files that no row names? [y/N] "
    if asks and input(question).lower() not in ("y", "yes"):
        return []
    removed, failed = inventory.remove(names)
    for name, problem in failed.items():
        command.stderr.write(f"{quoted(name)}: {problem}")
    return removed


def _raise_found(found: Comparison, unnamed: int) -> None:
    if found.missing or found.unread:
        raise CommandError(
            f"{len(found.missing):,} rows name a file that is not there, and "
            f"{len(found.unread):,} directories can't be read. If no server is away, restore them "
            "from a snapshot or a backup.",
            returncode=LOST,
        )
    if unnamed:
        raise CommandError(f"No row names {unnamed:,} of the files.", returncode=NOT_HEALTHY)


@frozen
class _Report:
    """What was found. `unseen`: the fields whose table is in no database."""

    found: Comparison
    unseen: list[str]

    def is_complete(self, command: BaseCommand) -> bool:
        """Whether all rows were seen that could name a file; else it is said."""
        if self.unseen:
            command.stderr.write("Nothing is deleted: not all fields could be looked at.")
        return not self.unseen

    def print(self, command: BaseCommand, verbosity: int) -> None:
        found = self.found
        if found.missing:
            print_table(
                command,
                ["field", "row", "name", "problem"],
                [
                    [
                        one.reference.column,
                        one.reference.pk,
                        shown(command, one.reference.name),
                        one.problem,
                    ]
                    for one in found.missing
                ],
            )
        for name, problem in found.unread.items():
            command.stdout.write(f"can't be read: {shown(command, name)}/: {problem}")
        for name in found.unnamed:
            command.stdout.write(f"no row names: {shown(command, name)}")
        if verbosity > 1:
            for name in found.others:
                command.stdout.write(f"not judged: {shown(command, name)}")
        for column in self.unseen:
            command.stdout.write(f"not looked at: {column}, whose table is in no database")
        if verbosity:
            command.stdout.write(self._summary())

    def _summary(self) -> str:
        found = self.found
        return _SUMMARY.format(
            found=found,
            missing=len(found.missing),
            unnamed=len(found.unnamed),
            others=len(found.others),
        )

    def for_programs(self) -> dict[str, Any]:
        found = self.found
        return {
            "references": found.references,
            "files": found.files,
            "missing": [
                {
                    "model": one.reference.column.model._meta.label,
                    "field": one.reference.column.field.name,
                    "database": one.reference.database,
                    "pk": str(one.reference.pk),
                    "name": one.reference.name,
                    "problem": one.problem,
                }
                for one in found.missing
            ],
            "unread": found.unread,
            "unnamed": found.unnamed,
            "recent": found.recent,
            "others": found.others,
            "not_looked_at": self.unseen,
        }
