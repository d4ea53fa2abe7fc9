"""
Take a snapshot of all files, or list, show or remove snapshots.

A snapshot is a tree of immutable directories over the files that exist now. `restore` brings files
back from it, and a storage with its read-cap reads it. Anyone who has the read-cap can read all its
files, so the snapshot's cap is printed only by --cap.

Examples, for cron every day, and for a file with the cap of the newest snapshot:
  manage.py tahoe snapshot -v 0
  manage.py tahoe snapshot --cap latest > snapshot.cap
"""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser

from tahoestorage.management.exits import NOT_HEALTHY
from tahoestorage.management.printing import Line, table, time
from tahoestorage.management.quoting import quoted
from tahoestorage.management.snapshots import cap_of
from tahoestorage.management.verb import Verb, picked
from txtahoe.errors import NoSuchChild
from txtahoe.maintenance import list_snapshots, remove_snapshot, take_snapshot

_TOLD = "name began files directories left_out"


class TakeSnapshot(Verb):
    help = __doc__

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        instead = parser.add_mutually_exclusive_group()
        instead.add_argument("--list", action="store_true", help="list the snapshots instead")
        instead.add_argument(
            "--cap", metavar="NAME", help="print the read-cap of a snapshot instead"
        )
        instead.add_argument(
            "--remove",
            metavar="NAME",
            help="remove a snapshot instead: its leases are not renewed any more",
        )
        super().add_arguments(parser)

    def run(self) -> None:
        if self.options["list"]:
            self._list()
        elif self.options["cap"]:
            cap = str(cap_of(self, self.options["cap"]))
            self.tell({"cap": cap}, [cap])
        elif self.options["remove"]:
            self.work("removing", "", lambda tree, _: remove_snapshot(tree, self.options["remove"]))
        else:
            self._take()

    def cure(self, error: Exception) -> str:
        if isinstance(error, NoSuchChild):
            return "`manage.py tahoe snapshot --list` lists the snapshots"
        return super().cure(error)

    def _list(self) -> None:
        kept = self.work("reading the snapshots", "", lambda tree, _: list_snapshots(tree))
        rows = [
            [self.shown(each.name), time(each.began), each.files, each.directories] for each in kept
        ]
        nothing = Line("There is no snapshot. `manage.py tahoe snapshot` takes one.")
        lines = table(["name", "taken", "files", "directories"], rows) if rows else [nothing]
        self.tell([picked(each, _TOLD) for each in kept], lines)

    def _take(self) -> None:
        taken = self.work(
            "copying", "directories", lambda tree, told: take_snapshot(tree, progress=told)
        )
        left_out = {self.whole.name_of(path): reason for path, reason in taken.reasons.items()}
        text = f"{taken.name}: {taken.files:,} files in {taken.directories:,} directories."
        style = "WARNING" if left_out else "SUCCESS"
        self.tell_done({**picked(taken, _TOLD), "left_out": left_out}, [Line(text, style)])
        if left_out:
            lines = "\n".join(f"  {quoted(name)}: {reason}" for name, reason in left_out.items())
            raise CommandError(
                f"Not in the snapshot are:\n{lines}\n`manage.py tahoe check` tells more.",
                returncode=NOT_HEALTHY,
            )
