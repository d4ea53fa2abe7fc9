"""`manage.py tahoe migrate --from ALIAS --to ALIAS`."""

from __future__ import annotations

import posixpath
from collections import Counter
from contextlib import closing
from time import monotonic
from typing import Any

from django.core.management.base import CommandError, CommandParser

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.care.migration import Migration, Outcome, State, overlap
from tahoestorage.care.sides import side_of
from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.arguments import number
from tahoestorage.management.printing import Line, bar, size
from tahoestorage.management.verb import Verb, raise_failed, storage_of
from tahoestorage.storage import TahoeStorage
from txtahoe.caps import redact

_CONFLICT = (
    "another file has this name, and both files are unchanged; to copy the one of the source, "
    "remove the other one (`manage.py tahoe rm` if it is on the grid)"
)


class Migrate(Verb):
    help = """
    Copy all files of one storage to another, under the same names.

    You can interrupt it, and run it again as often as you like: it compares the files that exist
    already, and never replaces one. It deletes nothing at the source. It keeps neither times (a
    storage gives a file the time at which it is saved) nor empty directories. It ends with status
    1 if it could not copy something.

    Example, first without copying:
      manage.py tahoe migrate --from default --to grid --dry-run
      manage.py tahoe migrate --from default --to grid
    """
    has_storage = False

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        for option, dest, help in (
            ("--from", "source", "the storage to copy from, one of STORAGES"),
            ("--to", "destination", "the storage to copy to, one of STORAGES"),
        ):
            parser.add_argument(option, dest=dest, metavar="ALIAS", required=True, help=help)
        parser.add_argument(
            "--prefix", metavar="DIRECTORY", default="", help="copy only what is below it"
        )
        parser.add_argument(
            "--jobs",
            type=number(int, 1, 1000),
            metavar="N",
            default=8,
            help="how many files to copy at the same time; default: 8",
        )
        parser.add_argument(
            "--no-verify", dest="verify", action="store_false", help="do not read the copies back"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would be copied")

    def run(self) -> None:
        migration = self._migration()
        is_dry = self.options["dry_run"]
        summary = _Summary()
        prefix = posixpath.normpath(f"/{self.options['prefix']}").strip("/")
        with bar("migrating", "files") as progress, closing(migration.run(prefix)) as run:
            for count, outcome in enumerate(run, 1):
                problem = outcome.problem
                summary.add(outcome, "" if problem is None else redact(self.problem(problem)))
                progress(count, 0)  # nobody knows the number of all files before the end
                if self.options["verbosity"] > 1 and not self.options["json"]:
                    self.print(f"{outcome.state.value}: {self.shown(outcome.name)}")
        told = {"dry_run": is_dry, **summary.for_programs()}
        failed = {**dict.fromkeys(summary.conflicts, _CONFLICT), **summary.failed}
        self.tell_done(told, [Line(summary.text(is_dry), "" if failed else "SUCCESS")])
        raise_failed(failed)

    def _migration(self) -> Migration:
        """Raises: CommandError if it cannot begin."""
        options = self.options
        source, destination = storage_of(options["source"]), storage_of(options["destination"])
        if overlap(source, destination):
            raise CommandError(
                "The two storages have files in common, since one is in the other. Give --from or "
                "--to another alias, or one of the storages another location."
            )
        if isinstance(destination, TahoeCapStorage):
            raise CommandError(
                f"A file gets another name in {options['destination']!r}, one that carries its "
                "cap. Copy to a TahoeStorage with the same cap and location: its names lead to "
                "the same files in this one."
            )
        if isinstance(destination, TahoeStorage):
            WholeTree.of(destination).tree.require_writable(options["destination"])
        return Migration(
            side_of(source),
            side_of(destination),
            at_once=options["jobs"],
            verify=options["verify"],
            dry_run=options["dry_run"],
        )


class _Summary:
    """Adds up the outcomes of a migration."""

    def __init__(self) -> None:
        self._began = monotonic()
        self._counts = Counter[State]()
        self._size = 0
        self.conflicts: list[str] = []
        self.failed: dict[str, str] = {}

    def add(self, outcome: Outcome, problem: str) -> None:
        self._counts[outcome.state] += 1
        self._size += outcome.size
        if outcome.state is State.CONFLICT:
            self.conflicts.append(outcome.name)
        elif problem:
            self.failed[outcome.name] = problem

    def for_programs(self) -> dict[str, Any]:
        return {
            "copied": self._counts[State.COPIED],
            "there": self._counts[State.THERE],
            "conflicts": self.conflicts,
            "failed": self.failed,
            "bytes": self._size,
            "seconds": round(monotonic() - self._began, 1),
        }

    def text(self, is_dry: bool) -> str:
        copied = "to be copied" if is_dry else "copied"
        counts = [
            f"{self._counts[State.COPIED]:,} files {copied} ({size(self._size)})",
            f"{self._counts[State.THERE]:,} there already",
            f"{self._counts[State.CONFLICT]:,} in conflict",
            f"{self._counts[State.FAILED]:,} failed",
        ]
        return f"{', '.join(counts)}, in {monotonic() - self._began:.1f} s"
