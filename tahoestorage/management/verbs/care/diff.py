"""
Compare two snapshots, or a snapshot with the present files.

Examples, the changes since the newest snapshot, and those between two snapshots:
  manage.py tahoe diff latest --name documents
  manage.py tahoe diff 2026-11-01T05:00:02Z 2026-11-08T05:00:01Z
"""

from __future__ import annotations

from tahoestorage.management.arguments import argument
from tahoestorage.management.printing import Line, table
from tahoestorage.management.snapshots import SNAPSHOT_HELP, cap_of
from tahoestorage.management.verb import ALL_BELOW, Verb
from txtahoe.maintenance import Difference, Progress, differences
from txtahoe.tree.tree import Tree


class Diff(Verb):
    help = __doc__
    arguments = (
        argument("before", help=SNAPSHOT_HELP),
        argument("after", nargs="?", help="another snapshot; default: now"),
        argument("--name", help=f"a file, or {ALL_BELOW}"),
    )

    def run(self) -> None:
        before = cap_of(self, self.options["before"])
        after = None if self.options["after"] is None else cap_of(self, self.options["after"])
        path = self.path

        async def compare(tree: Tree, progress: Progress) -> list[Difference]:
            now = tree if after is None else Tree(tree.client, after)
            return await differences(Tree(tree.client, before), now, path, progress=progress)

        found = self.work("comparing", "directories", compare)
        told = [(each, self.whole.name_of(each.path), _end(each)) for each in found]
        rows = [[each.kind, self.shown(name) + end, each.unread] for each, name, end in told]
        same = [Line("There is no difference.")] if self.options["verbosity"] else []
        self.tell(
            [{"name": n + end, "kind": each.kind, "reason": each.unread} for each, n, end in told],
            table(["", "name", ""], rows) if rows else same,
        )


def _end(difference: Difference) -> str:
    """A slash if the name is that of a directory."""
    node = difference.after or difference.before
    return "/" if node is not None and node.is_directory else ""
