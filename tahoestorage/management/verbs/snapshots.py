"""Take, show, compare and restore snapshots."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import CommandError, CommandParser

from tahoestorage.management.arguments import argument, flag
from tahoestorage.management.printing import Line, counted, table, time
from tahoestorage.management.verb import ALL_BELOW, NOT_HEALTHY, Verb, picked, raise_failed
from txtahoe.caps import BadCap, Cap
from txtahoe.errors import NoSuchChild
from txtahoe.maintenance import (
    Difference,
    Progress,
    differences,
    list_snapshots,
    remove_snapshot,
    restore,
    take_snapshot,
)
from txtahoe.maintenance.records import is_past
from txtahoe.tree.tree import Tree

_SNAPSHOT = "a snapshot: its name, 'latest', or the path of a file with its cap"
_TOLD = "name began files directories left_out"


class TakeSnapshot(Verb):
    help = """
    Take a snapshot of all files, or list, show or remove snapshots.

    A snapshot is a tree of immutable directories over the files that exist now. `restore` brings
    files back from it, and a storage with its read-cap reads it. Anyone who has the read-cap can
    read all its files, so the snapshot's cap is printed only by --cap.

    Examples, for cron every day, and for a file with the cap of the newest snapshot:
      manage.py tahoe snapshot -v 0
      manage.py tahoe snapshot --cap latest > snapshot.cap
    """

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
            cap = str(_cap_of(self, self.options["cap"]))
            self.tell({"cap": cap}, [cap])
        elif self.options["remove"]:
            self.work("removing", "", remove_snapshot, self.options["remove"])
        else:
            self._take()

    def cure(self, error: Exception) -> str:
        if isinstance(error, NoSuchChild):
            return "`manage.py tahoe snapshot --list` lists the snapshots"
        return super().cure(error)

    def _list(self) -> None:
        kept = self.work("reading the snapshots", "", list_snapshots)
        lines = [Line("There is no snapshot. `manage.py tahoe snapshot` takes one.")]
        if kept:
            rows = [[self.shown(s.name), time(s.began), s.files, s.directories] for s in kept]
            lines = table(["name", "taken", "files", "directories"], rows)
        self.tell([picked(each, _TOLD) for each in kept], lines)

    def _take(self) -> None:
        taken = self.work("copying", "directories", take_snapshot)
        left_out = {self.whole.name_of(path): reason for path, reason in taken.reasons.items()}
        files, directories = counted(taken.files, "file"), counted(taken.directories, "directory")
        text = f"{taken.name}: {files} in {directories}."
        style = "WARNING" if left_out else "SUCCESS"
        self.tell_done({**picked(taken, _TOLD), "left_out": left_out}, [Line(text, style)])
        heading = "Not in the snapshot are (`manage.py tahoe check` tells more):"
        raise_failed(left_out, heading, status=NOT_HEALTHY)


class Restore(Verb):
    help = """
    Bring files back from a snapshot.

    It links the files that are still on the grid, and copies no byte. Files that were saved after
    the snapshot stay. A file that has changed since is replaced only with --replace.

    Examples, everything, and one directory with the files that have changed:
      manage.py tahoe restore latest
      manage.py tahoe restore latest documents/2026 --replace
    """
    arguments = (
        argument("snapshot", help=_SNAPSHOT),
        argument("name", nargs="?", help=f"a file, or {ALL_BELOW}"),
        flag("--replace", help="replace files that have changed since"),
    )

    def run(self) -> None:
        cap = _cap_of(self, self.options["snapshot"])
        replace = self.options["replace"]
        restored = self.work("restoring", "directories", restore, cap, self.path, replace=replace)
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


class Diff(Verb):
    help = """
    Compare two snapshots, or a snapshot with the present files.

    Examples, the changes since the newest snapshot, and those between two snapshots:
      manage.py tahoe diff latest --name documents
      manage.py tahoe diff 2026-11-01T05:00:02Z 2026-11-08T05:00:01Z
    """
    arguments = (
        argument("before", help=_SNAPSHOT),
        argument("after", nargs="?", help="another snapshot; default: now"),
        argument("--name", help=f"a file, or {ALL_BELOW}"),
    )

    def run(self) -> None:
        before, given = _cap_of(self, self.options["before"]), self.options["after"]
        after = None if given is None else _cap_of(self, given)

        async def compare(tree: Tree, progress: Progress) -> list[Difference]:
            old = Tree(tree.client, before)
            new = tree if after is None else Tree(tree.client, after)
            return await differences(old, new, self.path, progress=progress)

        told, rows = [], []
        for each in self.work("comparing", "directories", compare):
            node, name = each.after or each.before, self.whole.name_of(each.path)
            end = "/" if node is not None and node.is_directory else ""
            told.append({"name": name + end, "kind": each.kind, "reason": each.unread})
            rows.append([each.kind, self.shown(name) + end, each.unread])
        same = [Line("There is no difference.")] if self.options["verbosity"] else []
        self.tell(told, table(["", "name", ""], rows) if rows else same)


def _cap_of(verb: Verb, chosen: str) -> Cap:
    """Return the read-cap of the snapshot that an argument names. Raises: CommandError."""
    kept = verb.work("reading the snapshots", "", list_snapshots)
    if chosen == "latest":
        for snapshot in reversed(kept):
            if is_past(snapshot.began):
                return snapshot.cap
        raise CommandError(
            "By the clock of this machine the times of all snapshots are in the future. Set the "
            "clock, or give the name of a snapshot; `manage.py tahoe snapshot --list` lists them."
            if kept
            else "No snapshot is kept. `manage.py tahoe snapshot` takes one."
        )
    for snapshot in kept:
        if snapshot.name == chosen:
            return snapshot.cap
    # Every user of the machine can see a command line, so it never holds a cap.
    if Path(chosen).is_file():
        return _read(Path(chosen))
    raise CommandError(
        f"No snapshot has the name {chosen!r}. `manage.py tahoe snapshot --list` lists them."
    )


def _read(file: Path) -> Cap:
    try:
        cap = Cap.parse(file.read_bytes().strip())
        if cap.is_directory and cap.is_readable:
            return cap
        problem = f"holds {cap!r}, which is no readable directory"
    except BadCap as error:
        problem = f"holds no cap: {error}"
    raise CommandError(
        f"The file {str(file)!r} {problem}. Write the output of `manage.py tahoe snapshot --cap "
        "NAME` to it."
    )
