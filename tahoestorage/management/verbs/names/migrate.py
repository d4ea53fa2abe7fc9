"""`manage.py tahoe migrate --from ALIAS --to ALIAS`."""

from __future__ import annotations

import posixpath
from collections import Counter
from contextlib import closing
from time import monotonic
from typing import Any

from django.core.files.storage import InvalidStorageError, Storage, storages
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.care.migration import Migration, Outcome, State, overlap
from tahoestorage.care.sides import side_of
from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.arguments import number
from tahoestorage.management.failures import problem_of, raise_failed
from tahoestorage.management.printing import add_json_argument, bar, print_json, size
from tahoestorage.management.quoting import shown
from tahoestorage.storage import TahoeStorage
from txtahoe.caps import redact

help = (
    "Copy all files of one storage to another, each under its name. It can be ended and run again "
    "as often as you like: what is there already is compared, and not replaced. Nothing is deleted "
    "at the source. Times are not kept: a storage gives a file the time at which it is saved; nor "
    "are empty directories. Ends with 1 where something could not be copied."
)
_CONFLICT = "another file of this name is there; both were left alone"


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    for option, dest, help in (
        ("--from", "source", "the storage to copy from, one of STORAGES"),
        ("--to", "destination", "the storage to copy to, one of STORAGES"),
    ):
        parser.add_argument(option, dest=dest, metavar="ALIAS", required=True, help=help)
    parser.add_argument(
        "--prefix", metavar="DIRECTORY", default="", help="copy only what is in there"
    )
    parser.add_argument(
        "--at-once",
        type=number(int, 1, 1000),
        metavar="N",
        default=8,
        help="files at a time; default: 8",
    )
    parser.add_argument(
        "--no-verify", dest="verify", action="store_false", help="do not read copies back"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    migration = _migration(options)
    told = _Told()
    prefix = posixpath.normpath(f"/{options['prefix']}").strip("/")
    with bar("migrating", "files") as progress, closing(migration.run(prefix)) as run:
        for number, outcome in enumerate(run, 1):
            told.add(outcome)
            progress(number, 0)  # how many there will be is not known before the end
            if options["verbosity"] > 1 and not options["json"]:
                command.stdout.write(f"{outcome.state.value}: {shown(command, outcome.name)}")
    if options["json"]:
        print_json(command, {"dry_run": options["dry_run"], **told.for_programs()})
    elif options["verbosity"]:
        command.stdout.write(told.summary(options["dry_run"]))
    raise_failed({**dict.fromkeys(told.conflicts, _CONFLICT), **told.failed})


def _migration(options: dict[str, Any]) -> Migration:
    """Raises: CommandError where it can't begin."""
    source, destination = _storage(options["source"]), _storage(options["destination"])
    if overlap(source, destination):
        raise CommandError("The two storages have files in common: one is in the other.")
    if isinstance(destination, TahoeCapStorage):
        raise CommandError(
            f"A file gets another name in {options['destination']!r}, one that carries its cap. "
            "Copy to a TahoeStorage with the same cap and location: the names that it gives lead "
            "to the same files in the other one."
        )
    if isinstance(destination, TahoeStorage):
        WholeTree.of(destination).tree.require_writable(options["destination"])
    return Migration(
        side_of(source),
        side_of(destination),
        at_once=options["at_once"],
        verify=options["verify"],
        dry_run=options["dry_run"],
    )


def _storage(alias: str) -> Storage:
    try:
        return storages[alias]
    except InvalidStorageError as error:
        raise CommandError(str(error)) from None


class _Told:
    """What a migration has told until now."""

    def __init__(self) -> None:
        self._began = monotonic()
        self._counts = Counter[State]()
        self._size = 0
        self.conflicts: list[str] = []
        self.failed: dict[str, str] = {}

    def add(self, outcome: Outcome) -> None:
        self._counts[outcome.state] += 1
        self._size += outcome.size
        if outcome.state is State.CONFLICT:
            self.conflicts.append(outcome.name)
        elif outcome.problem is not None:
            self.failed[outcome.name] = redact(problem_of(outcome.problem))

    def for_programs(self) -> dict[str, Any]:
        return {
            "copied": self._counts[State.COPIED],
            "there": self._counts[State.THERE],
            "conflicts": self.conflicts,
            "failed": self.failed,
            "bytes": self._size,
            "seconds": round(monotonic() - self._began, 1),
        }

    def summary(self, dry_run: bool) -> str:
        copied = "to be copied" if dry_run else "copied"
        counts = [
            f"{self._counts[State.COPIED]:,} files {copied} ({size(self._size)})",
            f"{self._counts[State.THERE]:,} there already",
            f"{self._counts[State.CONFLICT]:,} in conflict",
            f"{self._counts[State.FAILED]:,} failed",
        ]
        return f"{', '.join(counts)}, in {monotonic() - self._began:.1f} s"
