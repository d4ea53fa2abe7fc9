"""The differences of two trees, and the usage of one."""

from __future__ import annotations

from typing import Any

from tests.txtahoe.case import start
from tests.txtahoe.maintenance.case import MaintenanceTestCase
from txtahoe import Cap, Tree
from txtahoe.errors import NoSuchChild, NotADirectory
from txtahoe.maintenance import Usage, differences, take_snapshot, usage

LIST = "GET /uri/CAP?t=json"


class InMemory(MaintenanceTestCase):
    def snapshot(self) -> Tree:
        return Tree(self.client, self.now(take_snapshot(self.tree)).cap)


class Differences(InMemory):
    def different(
        self, before: Tree, after: Tree, path: str = "", **options: Any
    ) -> dict[str, str]:
        self.fake.requests.clear()
        found = self.now(differences(before, after, path, **options))
        self.assertEqual([each.path for each in found], sorted(each.path for each in found))
        return {"/".join(each.path): each.kind for each in found}

    def test_equal_trees_have_none(self) -> None:
        self.save("a/b/1", "2")
        snapshot = self.snapshot()
        self.assertEqual(self.different(snapshot, self.tree), {})
        self.assertEqual(self.fake.requests.count(LIST), 3 + 3)
        self.assertEqual(self.different(self.tree, Tree(self.client, self.root.reader)), {})
        self.assertEqual(self.fake.requests, [])

    def test_differences_of_both_directions_are_told_by_path(self) -> None:
        self.save("same/1", "a/1", "a/2", "a/b/3")
        snapshot = self.snapshot()
        self.remove("a/1")
        self.save("a/2", size=200)
        self.save("new/c/4")
        self.now(self.tree.make_directories("empty"))
        self.assertEqual(
            self.different(snapshot, self.tree),
            {
                "a/1": "removed",
                "a/2": "changed",
                "empty": "added",
                "new": "added",
                "new/c": "added",
                "new/c/4": "added",
            },
        )
        turned = self.different(self.tree, snapshot)
        self.assertEqual((turned["a/1"], turned["a/2"]), ("added", "changed"))
        self.assertEqual((turned["new/c/4"], turned["empty"]), ("removed", "removed"))

    def test_a_difference_has_the_nodes_of_both_trees(self) -> None:
        self.save("1")
        before, snapshot = self.caps["1"], self.snapshot()
        self.save("1", size=200)
        [found] = self.now(differences(snapshot, self.tree))
        self.assertEqual((found.before.cap, found.after.cap), (before, self.caps["1"]))

    def test_equal_immutable_directories_are_not_read(self) -> None:
        self.save("a/b/1", "a/2", "c/3")
        first = self.snapshot()
        self.save("c/4")
        second = self.snapshot()
        self.assertEqual(self.different(first, second), {"c/4": "added"})
        # The root and `c`, on both sides.
        self.assertEqual(self.fake.requests.count(LIST), 2 * 2)

    def test_a_path_below_is_compared(self) -> None:
        self.save("a/1", "b/1")
        snapshot = self.snapshot()
        self.save("a/2", "b/2", "c/d/3")
        self.assertEqual(self.different(snapshot, self.tree, "a"), {"a/2": "added"})
        self.assertEqual(self.different(snapshot, self.tree, "a/1"), {})
        self.assertEqual(self.different(snapshot, self.tree, "c/d/3"), {"c/d/3": "added"})
        self.failureResultOf(start(differences(snapshot, self.tree, "x")), NoSuchChild)

    def test_a_file_in_the_place_of_a_directory_is_a_change(self) -> None:
        self.save("a/1", "b")
        snapshot = self.snapshot()
        tree = Tree(self.client, self.now(self.client.mkdir()))
        self.now(tree.link("a", Cap.parse("URI:LIT:me")))
        self.now(tree.link("b/2", Cap.parse("URI:LIT:me")))
        self.assertEqual(
            self.different(snapshot, tree),
            {"a": "changed", "a/1": "removed", "b": "changed", "b/2": "added"},
        )

    def test_removed_directories_count_as_missing(self) -> None:
        self.save("a/b/1")
        snapshot = self.snapshot()
        self.remove("a/b/1", "a/b", "a")
        self.assertEqual(
            self.different(snapshot, self.tree),
            {"a": "removed", "a/b": "removed", "a/b/1": "removed"},
        )

    def test_a_directory_that_cannot_be_read_is_reported(self) -> None:
        self.save("a/b/1", "a/2", "c/3")
        snapshot = self.snapshot()
        self.lose("a/b")
        self.remove("c/3")
        self.assertEqual(self.different(snapshot, self.tree), {"a/b": "unread", "c/3": "removed"})
        self.assertEqual(
            self.different(self.tree, Tree(self.client, self.now(self.client.mkdir()))),
            {"a": "removed", "a/2": "removed", "a/b": "unread", "c": "removed"},
        )

    def test_a_directory_below_itself_is_compared_once(self) -> None:
        self.save("a/1")
        snapshot = self.snapshot()
        self.now(self.tree.link("a/loop", self.root))
        found = self.different(snapshot, self.tree)
        self.assertEqual(found.pop("a/loop"), "added")
        self.assertLessEqual(set(found), {f"a/loop/a{end}" for end in ("", "/1", "/loop")})

    def test_progress_counts_pairs_of_directories(self) -> None:
        self.save("a/1", "b/1")
        told = []
        self.different(
            self.snapshot(), self.tree, progress=lambda done, known: told.append((done, known))
        )
        self.assertEqual(told, [(1, 3), (2, 3), (3, 3)])


class Usages(InMemory):
    def usage(self, path: str = "") -> dict[str, Usage]:
        return {"/".join(at): what for at, what in self.now(usage(self.tree, path)).items()}

    def test_each_directory_counts_everything_below_it(self) -> None:
        for path, size in (("1", 1000), ("a/2", 200), ("a/b/3", 30), ("a/b/4", 4)):
            self.save(path, size=size)
        self.now(self.tree.make_directories("a/empty"))
        whole = {
            "": Usage(1234, 4, directories=3),
            "a": Usage(234, 3, directories=2),
            "a/b": Usage(34, 2),
            "a/empty": Usage(),
        }
        self.assertEqual(self.usage(), whole)
        self.assertEqual(list(self.usage()), sorted(whole))
        self.assertEqual(set(self.usage("a")), {"a", "a/b", "a/empty"})
        self.assertEqual(self.usage("a/b"), {"a/b": Usage(34, 2)})
        for path, error in (("x", NoSuchChild), ("1", NotADirectory)):
            self.failureResultOf(start(usage(self.tree, path)), error)

    def test_snapshots_do_not_count(self) -> None:
        self.save("a/1")
        before = self.usage()
        self.snapshot()
        self.assertEqual(self.usage(), before)

    def test_unknown_sizes_and_unreadable_directories_are_counted(self) -> None:
        self.save("a/1", size=100)
        self.save("b/2", size=100)
        mutable = self.now(self.client.create_mutable(b"mutable"))
        self.now(self.tree.link("a/m", mutable))
        self.now(self.tree.link("a/loop", self.root))
        self.lose("b")
        found = self.usage()
        self.assertEqual(found[""], Usage(100, 2, 1, directories=3, unread=1))
        self.assertEqual(found["b"], Usage(unread=1))
