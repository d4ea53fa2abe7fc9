"""Files brought back from snapshots, on a gateway in memory and on a real grid."""

from __future__ import annotations

from os import urandom
from typing import Any

from tests.grid.case import GatewayTestCase
from tests.needs import GRID, needs
from tests.txtahoe.case import start
from tests.txtahoe.maintenance.case import MaintenanceTestCase
from txtahoe import Tree
from txtahoe.errors import NoSuchChild, NotWriteable, Unrecoverable
from txtahoe.maintenance import Restored, differences, restore, take_snapshot
from txtahoe.testing.fake import ExceptionPage

WRITES = ("POST /uri/CAP?t=set_children", "POST /uri?t=mkdir-with-children", "POST /uri?t=mkdir")


class Restoring(MaintenanceTestCase):
    def take(self) -> None:
        self.snapshot = self.now(take_snapshot(self.tree)).cap

    def restore(self, path: str = "", **options: Any) -> Restored:
        self.fake.requests.clear()
        restored: Restored = self.now(restore(self.tree, self.snapshot, path, **options))
        return restored

    def different(self) -> dict[str, str]:
        """The differences of the snapshot and the tree, as another process sees it."""
        now = Tree(self.client, self.root)
        found = self.now(differences(Tree(self.client, self.snapshot), now))
        return {"/".join(each.path): each.kind for each in found}

    def assertRestored(
        self, restored: Restored, files: str = "", directories: str = "", conflicts: str = ""
    ) -> None:
        found = [
            sorted(map("/".join, paths))
            for paths in (restored.files, restored.directories, restored.conflicts)
        ]
        self.assertEqual(found, [files.split(), directories.split(), conflicts.split()])

    def writes(self) -> int:
        return sum(request in WRITES for request in self.fake.requests)

    def test_missing_files_come_back_and_the_others_stay(self) -> None:
        self.save("a/1", "a/2", "b/c/3", "4")
        self.take()
        self.remove("a/1", "b/c/3", "4")
        self.save("a/new")
        restored = self.restore()
        self.assertRestored(restored, "4 a/1 b/c/3")
        self.assertTrue(restored.is_complete)
        self.assertEqual(self.different(), {"a/new": "added"})
        self.assertEqual(self.now(self.tree.resolve("a/1")).cap, self.caps["a/1"])
        self.assertEqual(self.writes(), 3)
        self.assertNotIn("PUT /uri", self.fake.requests)
        self.assertRestored(self.restore())
        self.assertEqual(self.writes(), 0)

    def test_one_file_or_one_directory_comes_back(self) -> None:
        self.save("a/1", "a/2", "b/3")
        self.take()
        self.remove("a/1", "a/2", "b/3")
        self.assertRestored(self.restore("a/1"), "a/1")
        self.assertEqual(self.different(), {"a/2": "removed", "b/3": "removed"})
        self.assertRestored(self.restore("b"), "b/3")
        self.assertEqual(self.different(), {"a/2": "removed"})

    def test_overwritten_files_come_back_with_replace(self) -> None:
        self.save("a/1", "2")
        self.take()
        before = dict(self.caps)
        self.save("a/1", "2", size=500)
        restored = self.restore()
        self.assertRestored(restored, conflicts="2 a/1")
        self.assertFalse(restored.is_complete)
        self.assertEqual(self.writes(), 0)
        self.assertEqual(self.now(self.tree.resolve("2")).cap, self.caps["2"])
        self.assertRestored(self.restore("a", replace=True), "a/1")
        self.assertEqual(self.now(self.tree.resolve("a/1")).cap, before["a/1"])
        self.assertRestored(self.restore(replace=True), "2")
        self.assertEqual(self.different(), {})

    def test_directories_are_made_with_their_files_and_can_be_written(self) -> None:
        self.save("a/b/1", "a/b/2", "a/c/3", "a/4")
        self.now(self.tree.make_directories("a/empty/empty"))
        self.take()
        self.now(self.client.unlink(self.root, "a", self.now(self.tree.resolve("a"))))
        self.tree = Tree(self.client, self.root)
        restored = self.restore()
        self.assertRestored(restored, "a/4 a/b/1 a/b/2 a/c/3", "a/empty a/empty/empty")
        self.assertEqual(self.different(), {})
        self.save("a/b/new")
        # `a`, `b` and `c`, which are made with their files.
        self.assertEqual(self.fake.requests.count("POST /uri?t=mkdir-with-children"), 3)

    def test_removed_directories_come_back(self) -> None:
        self.save("a/b/1")
        self.now(self.tree.make_directories("empty"))
        self.take()
        self.remove("a/b/1", "a/b", "a", "empty")
        self.assertEqual(self.now(self.tree.list("")), {})
        self.assertRestored(self.restore(), "a/b/1", "empty")
        self.assertEqual(self.different(), {})

    def test_metadata_comes_back_and_the_mark_of_the_old_link_does_not(self) -> None:
        self.save("1")
        self.now(self.tree.link("a/2", self.caps["1"], metadata={"digest": "xyz"}))
        self.take()
        before = self.now(self.tree.resolve("a/2", fresh=True))
        self.remove("a/2", "a")
        self.restore()
        after = self.now(Tree(self.client, self.root).resolve("a/2"))
        self.assertEqual(after.metadata["digest"], "xyz")
        self.assertFalse(after.is_same_link(before))

    def test_a_file_and_a_directory_do_not_replace_each_other(self) -> None:
        self.save("a/1", "a/b/2", "c")
        self.take()
        root = self.now(self.client.list(self.root))
        for name in ("a", "c"):
            self.now(self.client.unlink(self.root, name, root[name]))
        self.tree = Tree(self.client, self.root)
        self.save("a", "c/1")
        for replace in (False, True):
            self.assertRestored(self.restore(replace=replace), conflicts="a c")
        self.assertEqual(self.writes(), 0)
        self.assertRestored(self.restore("c"), conflicts="c")

    def test_nothing_comes_back_below_a_file(self) -> None:
        self.save("a/b/1")
        self.take()
        root = self.now(self.client.list(self.root))
        self.now(self.client.unlink(self.root, "a", root["a"]))
        self.tree = Tree(self.client, self.root)
        self.save("a")
        self.assertRestored(self.restore("a/b/1"), conflicts="a/b/1")
        self.assertRestored(self.restore("a/b"), conflicts="a/b/1")

    def test_a_lost_directory_stays_until_it_has_another_name(self) -> None:
        self.save("a/1", "b/2", "b/3")
        self.take()
        self.remove("b/2")
        self.lose("a")
        restored = self.restore(replace=True)
        self.assertRestored(restored, "b/2")
        self.assertIsInstance(restored.failed["a",], Unrecoverable)
        self.assertFalse(restored.is_complete)
        self.now(self.tree.rename("a", "lost"))
        self.assertRestored(self.restore(), "a/1")

    def test_a_lost_directory_of_the_snapshot_is_reported(self) -> None:
        self.save("a/1", "a/2", "b/3")
        self.take()
        self.fake.lose(self.now(Tree(self.client, self.snapshot).resolve("a")).cap)
        self.remove("a/1", "b/3")
        restored = self.restore()
        self.assertRestored(restored, "b/3")
        self.assertEqual(list(restored.failed), [("a",)])

    def test_failed_writes_are_reported(self) -> None:
        self.save("a/1", "b/2", "b/3")
        self.take()
        self.remove("a/1", "b/2", "b/3")
        self.fake.fail_next(WRITES[0], ExceptionPage("builtins.KeyError", "why"))
        restored = self.restore()
        self.assertEqual(len(restored.files) + len(restored.failed), 3)
        self.assertTrue(restored.failed)
        self.assertEqual(set(self.different()), {"/".join(path) for path in restored.failed})
        self.restore()
        self.assertEqual(self.different(), {})

    def test_progress_counts_compared_then_written_directories(self) -> None:
        self.save("a/1", "b/2")
        self.take()
        self.remove("a/1", "b/2")
        told = []
        self.restore(progress=lambda done, known: told.append((done, known)))
        self.assertEqual(told, [(1, 3), (2, 3), (3, 3), (1, 2), (2, 2)])

    def test_a_path_outside_of_the_snapshot_or_a_read_cap_is_refused(self) -> None:
        self.save("a/1")
        self.take()
        self.save("b/2")
        for path in ("b", "a/x", "x/y"):
            self.failureResultOf(start(restore(self.tree, self.snapshot, path)), NoSuchChild)
        reader = Tree(self.client, self.root.reader)
        self.failureResultOf(start(restore(reader, self.snapshot)), NotWriteable)


@needs(GRID)
class RestoringOnTheGrid(GatewayTestCase):
    async def test_deleted_and_overwritten_files_come_back(self) -> None:
        tree = await self.new_tree()
        contents = {f"{number % 3}/{number}": urandom(1000) for number in range(6)}
        await tree.save_many(contents.items())
        snapshot = await take_snapshot(tree)
        await tree.unlink("0/3")
        await tree.save("1/4", urandom(1000), replace="only-files")
        await tree.rename("2", "elsewhere")

        restored = await restore(tree, snapshot.cap, replace=True)
        self.assertTrue(restored.is_complete)
        self.assertEqual(set(restored.files), {("0", "3"), ("1", "4"), ("2", "2"), ("2", "5")})
        again = Tree(self.client, tree.root)
        for path, content in contents.items():
            self.assertEqual(await self.client.read((await again.resolve(path)).cap), content)
        self.assertEqual(set(await again.list("elsewhere")), {"2", "5"})
