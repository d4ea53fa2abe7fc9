"""Snapshots, on a gateway in memory and on a real grid."""

from __future__ import annotations

from os import urandom
from typing import Any

from tests.grid.case import GatewayTestCase
from tests.needs import GRID, needs
from tests.txtahoe.case import start
from tests.txtahoe.maintenance.case import MaintenanceTestCase
from txtahoe import Cap, Link, Tree
from txtahoe.errors import NoSuchChild, NotWriteable, Unrecoverable
from txtahoe.maintenance import (
    Snapshot,
    check,
    list_snapshots,
    remove_snapshot,
    take_snapshot,
)
from txtahoe.maintenance.records import RECORDS
from txtahoe.nodes import MARK
from txtahoe.testing.fake import Delay
from txtahoe.tree.removed import REMOVED

LIST = "GET /uri/CAP?t=json"
COPY = "POST /uri?t=mkdir-immutable"


class Snapshots(MaintenanceTestCase):
    def take(self, **options: Any) -> Snapshot:
        self.fake.requests.clear()
        snapshot: Snapshot = self.now(take_snapshot(self.tree, **options))
        return snapshot

    def reasons(self, snapshot: Snapshot) -> dict[str, str]:
        return {"/".join(path): reason for path, reason in snapshot.reasons.items()}

    def names(self, cap: Cap) -> dict[str, Cap | None]:
        """The caps of everything below a directory, by path; None for directories."""

        async def names() -> dict[str, Cap | None]:
            return {
                "/".join((*path, name)): None if node.is_directory else node.cap
                async for path, children in Tree(self.client, cap).walk()
                for name, node in children.items()
            }

        found: dict[str, Cap | None] = self.now(names())
        return found

    def test_a_snapshot_has_everything_and_never_changes(self) -> None:
        self.save("1", "a/1", "a/b/2", "c/3")
        self.now(self.tree.save("c/short", b"short"))
        snapshot = self.take()
        self.assertEqual(self.names(snapshot.cap), self.names(self.root))
        self.assertFalse(snapshot.cap.is_mutable)
        self.assertEqual((snapshot.files, snapshot.directories), (5, 4))
        self.assertTrue(snapshot.is_complete)
        before = self.names(snapshot.cap)
        self.save("a/new")
        self.now(self.tree.unlink("c/3"))
        self.assertEqual(self.names(snapshot.cap), before)

    def test_each_directory_is_read_once_and_copied_once(self) -> None:
        self.save(*(f"{number % 7}/{number % 3}/{number}" for number in range(50)))
        # The name of a snapshot of the same second would be taken.
        self.now(remove_snapshot(self.tree, self.take().name))
        self.save("new")
        self.tree = Tree(self.client, self.root)
        snapshot = self.take()
        self.assertEqual(snapshot.directories, 1 + 7 + 21)
        self.assertEqual(self.fake.requests.count(LIST), 29)
        self.assertEqual(self.fake.requests.count(COPY), 29)
        # And the list of snapshots.
        self.assertEqual(len(self.fake.requests), 2 * 29 + 1)

    def test_an_unchanged_tree_has_the_same_snapshot(self) -> None:
        self.save("1", "a/1")
        self.assertEqual(self.take().cap, self.take().cap)

    def test_snapshots_are_kept_in_a_hidden_list(self) -> None:
        self.save("a/1")
        self.assertEqual(self.now(list_snapshots(self.tree)), [])
        first, second = self.take(), self.take()
        self.assertRegex(first.name, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertNotEqual(first.name, second.name)
        for tree in (self.tree, Tree(self.client, self.root.reader)):
            self.assertEqual(self.now(list_snapshots(tree)), [first, second])
            self.assertEqual(set(self.now(tree.list(""))), {"a"})
        self.assertEqual(set(self.names(self.root)), {"a", "a/1"})
        self.assertEqual(set(self.names(second.cap)), {"a", "a/1"})

    def test_two_snapshots_at_once_are_both_kept(self) -> None:
        self.save("1")
        self.fake.fail_next("POST /uri?t=mkdir-with-children", Delay(1))
        slow = start(take_snapshot(Tree(self.client, self.root)))
        fast = self.take()
        self.clock.advance(1)
        slow = self.successResultOf(slow)
        listed = self.now(list_snapshots(self.tree))
        self.assertEqual({each.name for each in listed}, {slow.name, fast.name})
        self.assertEqual(set(self.now(self.tree.list(""))), {"1"})

    def test_a_snapshot_is_removed_from_the_list(self) -> None:
        self.save("1")
        first, second = self.take(), self.take()
        self.now(remove_snapshot(self.tree, first.name))
        self.assertEqual(self.now(list_snapshots(self.tree)), [second])
        for name in (first.name, "renewed", "x"):
            self.failureResultOf(start(remove_snapshot(self.tree, name)), NoSuchChild)

    def test_other_links_in_the_list_are_ignored(self) -> None:
        self.save("1")
        snapshot = self.take()
        node = self.now(self.tree.resolve([RECORDS]))
        told = {"files": 1, "directories": 1, "left_out": 0}
        file, day = self.caps["1"], "2026-01-01T00:00:00Z"
        for name, cap, metadata in (
            (f"{day}-2", snapshot.cap, {}),
            (f"{day}-3", snapshot.cap, {"txtahoe-snapshot": [1, 2, 3]}),
            (f"{day}-4", snapshot.cap, {"txtahoe-snapshot": {**told, "files": "many"}}),
            (f"{day}-5", snapshot.cap, {"txtahoe-snapshot": {**told, "files": 1e300}}),
            (f"{day}-6", snapshot.cap, {"txtahoe-snapshot": {**told, "left_out": -1}}),
            ("2026-13-01T00:00:00Z", snapshot.cap, {"txtahoe-snapshot": told}),
            ("x", snapshot.cap, {"txtahoe-snapshot": told}),
            # Their caps would be shown as those of snapshots, which anyone may read.
            (f"{day}-7", self.root, {"txtahoe-snapshot": told}),
            (f"{day}-8", self.root.reader, {"txtahoe-snapshot": told}),
            (f"{day}-9", file, {"txtahoe-snapshot": told}),
        ):
            self.now(self.client.link(node.cap, name, cap, metadata=metadata))
        self.assertEqual(self.now(list_snapshots(self.tree)), [snapshot])

    def test_the_name_tells_when_it_was_taken(self) -> None:
        self.save("1")
        snapshot = self.take()
        where = self.now(self.tree.resolve([RECORDS])).cap
        told = {"files": 1, "directories": 1, "left_out": 0, "began": 4e9}
        for name in ("2026-01-02T00:00:00Z-10", "2026-01-02T00:00:00Z-9", "2026-01-01T00:00:00Z"):
            metadata = {"txtahoe-snapshot": told}
            self.now(self.client.link(where, name, snapshot.cap, metadata=metadata))
        listed = self.now(list_snapshots(self.tree))
        self.assertEqual(
            [each.name[8:] for each in listed[:3]],
            ["01T00:00:00Z", "02T00:00:00Z-9", "02T00:00:00Z-10"],
        )
        self.assertEqual(listed[3], snapshot)
        self.assertEqual(listed[0].began, 1767225600)

    def test_snapshots_are_checked_with_the_tree(self) -> None:
        self.save("a/1")
        before = self.now(check(self.tree)).objects
        self.take()
        # The list, and two directories; the file is in the tree too.
        self.assertEqual(self.now(check(self.tree)).objects, before + 3)

    def test_mutable_files_are_left_out_and_reported(self) -> None:
        self.save("a/1")
        mutable = self.now(self.client.create_mutable(b"mutable"))
        self.now(self.tree.link("a/m", mutable))
        self.now(self.tree.link("a/r", mutable.reader))
        self.now(self.tree.link("f", Cap.parse("lafs://from-the-future")))
        snapshot = self.take()
        self.assertEqual(set(self.names(snapshot.cap)), {"a", "a/1"})
        self.assertEqual(
            self.reasons(snapshot),
            {
                "a/m": "it is a file that can change",
                "a/r": "it is a file that can change",
                "f": "it is of a kind that is not known",
            },
        )
        self.assertFalse(snapshot.is_complete)
        [listed] = self.now(list_snapshots(self.tree))
        self.assertEqual((listed.left_out, listed.files), (3, 1))

    def test_a_lost_directory_is_left_out_and_reported(self) -> None:
        self.save("a/b/1", "a/2", "c/3")
        self.lose("a/b")
        snapshot = self.take()
        self.assertEqual(set(self.names(snapshot.cap)), {"a", "a/2", "c", "c/3"})
        self.assertEqual(set(self.reasons(snapshot)), {"a/b"})
        self.lose("a")
        self.assertEqual(set(self.names(self.take().cap)), {"c", "c/3"})
        self.fake.lose(self.root)
        self.failureResultOf(start(take_snapshot(self.tree)), Unrecoverable)

    def test_a_directory_below_itself_is_left_out_and_reported(self) -> None:
        self.save("a/b/1")
        for path, cap in (
            ("a/b/loop", self.root.reader),
            ("a/b/a", self.now(self.tree.resolve("a")).cap),
            ("again", self.now(self.tree.resolve("a/b")).cap),
        ):
            self.now(self.tree.link(path, cap))
        snapshot = self.take()
        self.assertEqual(
            set(self.names(snapshot.cap)), {"a", "a/b", "a/b/1", "again", "again/1", "again/a"}
        )
        self.assertEqual(
            set(self.reasons(snapshot)), {"a/b/loop", "a/b/a", "again/loop", "again/a/b"}
        )

    def test_empty_directories_are_copied_and_removed_ones_are_not(self) -> None:
        self.save("gone/b/1", "back/1")
        self.now(self.tree.make_directories("empty/empty"))
        self.remove("gone/b/1", "gone/b", "gone", "back/1", "back")
        self.save("back/2")
        self.assertIn(REMOVED, self.now(self.client.list(self.root))["back"].metadata)
        snapshot = self.take()
        # `back` is read once, though its mark needs a look too. The root is also asked for the list
        # of snapshots, because this is the first one.
        self.assertEqual(self.fake.requests.count(LIST), 6 + 1)
        self.assertEqual(set(self.names(snapshot.cap)), {"empty", "empty/empty", "back", "back/2"})
        children = self.now(self.client.list(snapshot.cap))
        self.assertNotIn(REMOVED, children["back"].metadata)

    def test_an_immutable_directory_is_kept_as_it_is(self) -> None:
        self.save("1")
        frozen = self.now(self.client.mkdir_immutable({"1": self.names(self.root)["1"]}))
        self.now(self.tree.link("frozen", frozen))
        snapshot = self.take()
        self.assertEqual(self.now(self.client.list(snapshot.cap))["frozen"].cap, frozen)
        self.assertEqual((snapshot.files, snapshot.directories), (1, 2))
        self.assertEqual(self.fake.requests.count(COPY), 1)

    def test_progress_counts_directories(self) -> None:
        self.save("a/1", "b/2")
        told = []
        self.take(progress=lambda done, known: told.append((done, known)))
        self.assertEqual(told, [(1, 3), (2, 3), (3, 3)])

    def test_a_read_cap_takes_no_snapshot(self) -> None:
        reader = Tree(self.client, self.root.reader)
        self.failureResultOf(start(take_snapshot(reader)), NotWriteable)
        self.assertEqual(self.fake.requests, [])

    def test_a_snapshot_fails_if_a_directory_cannot_be_made(self) -> None:
        self.save("a/1", "b/2")
        self.fake.servers = 1
        error = self.failureResultOf(start(take_snapshot(self.tree)), OSError).value
        self.fake.servers = 3
        self.assertEqual(self.now(list_snapshots(self.tree)), [], error)


@needs(GRID)
class SnapshotsOnTheGrid(GatewayTestCase):
    async def test_links_keep_their_times_and_metadata(self) -> None:
        tree = await self.new_tree()
        cap = await self.client.upload(urandom(1000))
        await tree.link_many(
            [("a/1", Link(cap, {"digest": "xyz"})), ("é/with space/..x", cap), ("2", cap)]
        )
        await tree.make_directories("empty")
        snapshot = await take_snapshot(tree)
        copy = Tree(self.client, snapshot.cap)
        for directory in ("", "a", "é", "é/with space", "empty"):
            before, after = await tree.list(directory), await copy.list(directory)
            self.assertEqual(set(before), set(after))
            for name, node in before.items():
                self.assertEqual(node.metadata, after[name].metadata)
                self.assertEqual((node.type, node.size), (after[name].type, after[name].size))
                self.assertTrue(node.is_directory or node.cap == after[name].cap)
        self.assertEqual((await copy.resolve("a/1")).metadata["digest"], "xyz")
        self.assertIn(MARK, (await copy.resolve("2")).metadata)
        self.assertEqual((await list_snapshots(tree)), [snapshot])
        self.assertEqual((await check(copy, verify=True)).problems, [])
