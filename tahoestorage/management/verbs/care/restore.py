"""
Bring files back from a snapshot.

It links the files that are still on the grid, and copies no byte. Files that were saved after the
snapshot stay. A file that has changed since is replaced only with --replace.

Examples, everything, and one directory with the files that have changed:
  manage.py tahoe restore latest
  manage.py tahoe restore latest documents/2026 --replace
"""

from __future__ import annotations

from tahoestorage.management.arguments import argument, flag
from tahoestorage.management.snapshots import SNAPSHOT_HELP, cap_of
from tahoestorage.management.verb import ALL_BELOW, Verb, raise_failed
from txtahoe.maintenance import restore


class Restore(Verb):
    help = __doc__
    arguments = (
        argument("snapshot", help=SNAPSHOT_HELP),
        argument("name", nargs="?", help=f"a file, or {ALL_BELOW}"),
        flag("--replace", help="replace files that have changed since"),
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
        failed = self.problems(restored.failed)
        lines = [*map(self.shown, back)]
        if not (back or conflicts or failed):
            lines = ["There was nothing to restore: every file of the snapshot exists unchanged."]
        self.tell_done({"restored": back, "conflicts": conflicts, "failed": failed}, lines)
        changed = "something else has this name now; " + (
            "rename or remove it (`manage.py tahoe rm`)" if replace else "--replace replaces files"
        )
        raise_failed({**dict.fromkeys(conflicts, changed), **failed}, "Not brought back are:")
