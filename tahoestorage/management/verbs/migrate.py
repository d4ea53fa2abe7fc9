"""Copy all files of one storage to another."""

from __future__ import annotations

import posixpath
from collections import Counter
from contextlib import closing
from time import monotonic

from django.core.files.storage import storages
from django.core.management.base import CommandError

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.care.migration import Migration, State, overlap
from tahoestorage.care.sides import side_of
from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.arguments import argument, flag, number
from tahoestorage.management.printing import Line, bar, counted, size
from tahoestorage.management.verb import Verb, raise_failed
from tahoestorage.storage import TahoeStorage
from txtahoe.caps import redact

_CONFLICT = (
    "another file has this name, and both files are unchanged; to copy the one of the source, "
    "remove the other one (`manage.py tahoe rm` if it is on the grid)"
)
_ALIAS = {"metavar": "ALIAS", "required": True}


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
    arguments = (
        argument("--from", dest="source", help="the alias to copy from", **_ALIAS),
        argument("--to", dest="destination", help="the alias to copy to", **_ALIAS),
        argument("--prefix", metavar="DIRECTORY", default="", help="copy only what is below it"),
        argument(
            "--jobs",
            type=number(int, 1, 1000),
            metavar="N",
            default=8,
            help="how many files to copy at the same time; default: 8",
        ),
        argument(
            "--no-verify", dest="verify", action="store_false", help="do not read the copies back"
        ),
        flag("--dry-run", help="only say what would be copied"),
    )
    has_storage = False

    def run(self) -> None:
        migration, is_dry, began = self._migration(), self.options["dry_run"], monotonic()
        counts, total = Counter[State](), 0
        conflicts: list[str] = []
        failed: dict[str, str] = {}
        prefix = posixpath.normpath(f"/{self.options['prefix']}").strip("/")
        with bar("migrating", "files") as progress, closing(migration.run(prefix)) as run:
            for count, outcome in enumerate(run, 1):
                counts[outcome.state] += 1
                total += outcome.size
                if outcome.state is State.CONFLICT:
                    conflicts.append(outcome.name)
                elif outcome.problem is not None:
                    failed[outcome.name] = redact(self.problem(outcome.problem))
                progress(count, 0)  # nobody knows the number of all files before the end
                if self.options["verbosity"] > 1 and not self.options["json"]:
                    self.print(f"{outcome.state.value}: {self.shown(outcome.name)}")
        seconds = monotonic() - began
        copied, there = counts[State.COPIED], counts[State.THERE]
        text = (
            f"{counted(copied, 'file')} {'to be copied' if is_dry else 'copied'} ({size(total)}), "
            f"{there:,} there already, {len(conflicts):,} in conflict, "
            f"{counts[State.FAILED]:,} failed, in {seconds:.1f} s"
        )
        told = {
            "dry_run": is_dry,
            "copied": copied,
            "there": there,
            "conflicts": conflicts,
            "failed": failed,
            "bytes": total,
            "seconds": round(seconds, 1),
        }
        style = "" if conflicts or failed else "SUCCESS"
        self.tell_done(told, [Line(text, style)])
        raise_failed({**dict.fromkeys(conflicts, _CONFLICT), **failed})

    def _migration(self) -> Migration:
        """Raises: CommandError and ImproperlyConfigured if it cannot begin."""
        options = self.options
        source, destination = storages[options["source"]], storages[options["destination"]]
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
