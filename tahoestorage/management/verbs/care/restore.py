"""`manage.py tahoe restore SNAPSHOT [NAME]`."""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser

from tahoestorage.management.quoting import quoted
from tahoestorage.management.snapshots import SNAPSHOT_HELP, cap_of
from tahoestorage.management.verb import Verb
from txtahoe.maintenance import restore


class Restore(Verb):
    help = """
    Bring files back from a snapshot.

    It links the files that are still on the grid, and copies no byte. Files that were saved after
    the snapshot stay. A file that has changed since is replaced only with --replace.

    Examples, everything, and one directory with the files that have changed:
      manage.py tahoe restore latest
      manage.py tahoe restore latest documents/2026 --replace
    """

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("snapshot", help=SNAPSHOT_HELP)
        parser.add_argument(
            "name",
            nargs="?",
            help="a file, or a directory with everything below it; default: everything",
        )
        parser.add_argument(
            "--replace", action="store_true", help="replace files that have changed since"
        )

    def run(self) -> None:
        cap = cap_of(self, self.options["snapshot"])
        path, replace = self.path, self.options["replace"]
        restored = self.work(
            "restoring",
            "directories",
            lambda tree, told: restore(tree, cap, path, replace=replace, progress=told),
        )
        back = sorted(map(self.whole.name_of, [*restored.files, *restored.directories]))
        conflicts = sorted(map(self.whole.name_of, restored.conflicts))
        failed = {self.whole.name_of(path): self.problem(e) for path, e in restored.failed.items()}
        lines = [*map(self.shown, back)]
        if not (back or conflicts or failed):
            lines = ["There was nothing to restore: every file of the snapshot exists unchanged."]
        self.tell_done({"restored": back, "conflicts": conflicts, "failed": failed}, lines)
        changed = "something else has this name now; " + (
            "rename or remove it (`manage.py tahoe rm`)" if replace else "--replace replaces files"
        )
        problems = {**dict.fromkeys(conflicts, changed), **failed}
        if problems:
            told = [f"{quoted(name)}: {problem}" for name, problem in problems.items()]
            raise CommandError("\n".join(["Not brought back are:", *told]))
