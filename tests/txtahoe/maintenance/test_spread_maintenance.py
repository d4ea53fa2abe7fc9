"""Whole trees with directories whose names are spread over parts."""

from __future__ import annotations

from tests.txtahoe.maintenance.case import MaintenanceTestCase
from txtahoe import Cap, Tree
from txtahoe.maintenance import (
    State,
    check,
    differences,
    list_snapshots,
    remove_snapshot,
    renew,
    restore,
    take_snapshot,
    usage,
)
from txtahoe.tree.spread.format import contents_of
from txtahoe.tree.spread.states import Fanout

NAMES = [f"d/name{number}" for number in range(30)]


class SpreadTrees(MaintenanceTestCase):
    """A tree with a directory of 30 files, some of them in parts, and some in parts of parts."""

    def setUp(self) -> None:
        super().setUp()
        self.tree = Tree(self.client, self.root, fanout=Fanout(limit=4))
        self.save(*NAMES[:6])
        self.clock.advance(31)
        self.save(*NAMES[6:20])
        self.clock.advance(31)
        self.save(*NAMES[20:], "other/f")

    def names(self, tree: Tree) -> set[str]:
        return {f"d/{name}" for name in self.now(tree.list("d"))}

    def parts(self) -> int:
        """How many parts the directory has."""
        return self.parts_below("d", self.now(self.tree.resolve("d")).cap, 0)

    def parts_below(self, path: str, cap: Cap, depth: int) -> int:
        parts = contents_of(self.now(self.client.list(cap)), depth).parts.values()
        return len(parts) + sum(self.parts_below(path, part, depth + 1) for part in parts)

    def test_a_snapshot_has_the_names_of_all_parts(self) -> None:
        snapshot = self.now(take_snapshot(self.tree))
        self.assertEqual((snapshot.files, snapshot.directories), (31, 3))
        self.assertTrue(snapshot.is_complete)
        then = Tree(self.client, snapshot.cap)
        self.remove(*NAMES[:15])
        self.save("d/new")
        self.assertEqual(self.names(then), set(NAMES))
        found = self.now(differences(then, self.tree))
        kinds = {("/".join(each.path), each.kind) for each in found}
        self.assertEqual(kinds, {("d/new", "added"), *((name, "removed") for name in NAMES[:15])})
        restored = self.now(restore(self.tree, snapshot.cap))
        self.assertTrue(restored.is_complete)
        self.assertEqual(self.names(self.tree), {*NAMES, "d/new"})

    def test_a_copy_has_the_same_parts(self) -> None:
        snapshot = self.now(take_snapshot(self.tree))
        cap = self.now(Tree(self.client, snapshot.cap).resolve("d")).cap
        self.assertEqual(self.parts_below("d", cap, 0), self.parts())

    def test_usage_and_differences_see_one_directory(self) -> None:
        used = self.now(usage(self.tree))
        self.assertEqual(set(used), {(), ("d",), ("other",)})
        self.assertEqual((used["d",].files, used["d",].directories), (30, 0))
        self.assertEqual(used[()].size, 31 * 300)
        plain = Tree(self.client, self.root)
        self.assertEqual(self.now(differences(self.tree, plain)), [])

    def test_parts_are_checked_and_reported_by_the_path_of_their_directory(self) -> None:
        health = self.now(check(self.tree))
        self.assertTrue(health.is_healthy)
        self.assertEqual(health.objects, 1 + 2 + self.parts() + 31)
        directory = self.now(self.tree.resolve("d")).cap
        part = next(iter(contents_of(self.now(self.client.list(directory)), 0).parts.values()))
        self.fake.lose(part, 3)
        health = self.now(check(self.tree))
        self.assertFalse(health.is_complete)
        problems = [problem for problem in health.problems if problem.is_closed]
        self.assertEqual([problem.paths for problem in problems], [[("d",)]])
        self.assertEqual(problems[0].state, State.UNRECOVERABLE)

    def test_deleted_files_are_no_longer_checked(self) -> None:
        before = self.now(check(self.tree)).objects
        self.remove(*NAMES)
        self.assertEqual(before - self.now(check(self.tree)).objects, 30)

    def test_leases_of_the_parts_are_renewed_and_snapshots_kept(self) -> None:
        renewal = self.now(renew(self.tree))
        self.assertTrue(renewal.is_recorded)
        for _ in range(6):
            self.now(take_snapshot(self.tree))
            self.clock.advance(31)
        snapshots = self.now(list_snapshots(self.tree))
        self.assertEqual(len(snapshots), 6)
        for snapshot in snapshots[:4]:
            self.now(remove_snapshot(self.tree, snapshot.name))
        kept = self.now(list_snapshots(Tree(self.client, self.root)))
        self.assertEqual([each.name for each in kept], [each.name for each in snapshots[4:]])
        self.assertIsNotNone(self.now(renew(self.tree)).previous)
