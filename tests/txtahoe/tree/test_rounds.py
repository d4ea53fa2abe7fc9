"""Requests, and rounds: the longest chain of requests of which each waits for the one before."""

from __future__ import annotations

from itertools import count
from typing import Any

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Cap, Tree
from txtahoe.concurrency import each
from txtahoe.errors import ExistingChild, NoSuchChild, SomeFailed
from txtahoe.maintenance import check, snapshots, take_snapshot
from txtahoe.testing.fake import Delay, Silence
from txtahoe.tree.paths import Path
from txtahoe.tree.spread.states import Fanout

CAP = Cap.parse("URI:LIT:me")
OTHER = Cap.parse("URI:LIT:mi")
DIRECTORY = "a/b/c/d"
OLD = 11.0  # seconds: what is known does not count any more


class RoundsTestCase(ClockTestCase):
    """A file that another process has saved four directories deep."""

    def setUp(self) -> None:
        super().setUp()
        self.other = Tree(self.client, self.root)
        self.now(self.other.link(f"{DIRECTORY}/f", CAP))

    def known(self, **options: Any) -> Tree:
        """A tree that has read all directories."""
        tree = Tree(self.client, self.root, **options)
        self.now(tree.list(DIRECTORY))
        return tree

    def assert_missing(self, tree: Tree, *costs: tuple[int, int]) -> None:
        """Require that each look for a missing name has these requests and rounds."""
        for cost in costs:
            missing = tree.resolve(f"{DIRECTORY}/missing")
            self.assertEqual(self.cost(missing, NoSuchChild), cost)


class Reading(RoundsTestCase):
    def test_each_unknown_directory_is_a_round(self) -> None:
        self.assertEqual(self.cost(self.tree.resolve(f"{DIRECTORY}/f")), (5, 5))
        self.assertEqual(self.cost(self.tree.resolve(f"{DIRECTORY}/f")), (0, 0))

    def test_a_missing_name_costs_a_listing_of_its_directory(self) -> None:
        tree = self.known()
        self.assert_missing(tree, (1, 1), (1, 1))
        missing = tree.unlink(f"{DIRECTORY}/missing")
        self.assertEqual(self.cost(missing, NoSuchChild), (1, 1))

    def test_a_directory_that_was_removed_once_costs_no_more(self) -> None:
        self.now(self.other.unlink(f"{DIRECTORY}/f"))
        self.now(self.other.remove_directory(DIRECTORY))
        self.now(self.other.link(f"{DIRECTORY}/g", CAP))
        self.assert_missing(self.known(), (1, 1))

    def test_directories_that_the_tree_has_made_are_known(self) -> None:
        self.assert_missing(self.other, (1, 1))

    def test_directories_whose_caps_are_from_elsewhere_are_looked_at_side_by_side(self) -> None:
        tree = Tree(self.client, self.root)
        for depth in range(1, 5):
            path = DIRECTORY[: 2 * depth - 1]
            tree.learn_directory(path, self.now(self.other.resolve(path)).cap)
        self.assert_missing(tree, (5, 2), (1, 1))

    def test_directories_that_were_known_once_are_read_side_by_side(self) -> None:
        tree = self.known()
        for use in (
            lambda: tree.resolve(f"{DIRECTORY}/f"),
            lambda: tree.list(DIRECTORY),
            lambda: tree.prefetch([f"{DIRECTORY}/f"]),
        ):
            self.clock.advance(OLD)
            self.assertEqual(self.cost(use()), (5, 1))
        self.clock.advance(OLD)
        self.assert_missing(tree, (5, 1))
        self.clock.advance(OLD)
        self.assertEqual(self.cost(tree.unlink(f"{DIRECTORY}/f")), (6, 2))

    def test_with_max_age_zero_everything_is_read_side_by_side(self) -> None:
        tree = Tree(self.client, self.root, max_age=0.0)
        self.assertEqual(self.cost(tree.resolve(f"{DIRECTORY}/f")), (5, 5))
        self.assertEqual(self.cost(tree.resolve(f"{DIRECTORY}/f")), (5, 1))
        self.assert_missing(tree, (5, 1))

    def test_readings_side_by_side_count_only_if_they_are_used(self) -> None:
        tree = self.known()
        self.now(self.other.rename("a/b", "old"))
        self.now(self.other.link(f"{DIRECTORY}/g", OTHER))
        self.clock.advance(OLD)
        # The old directories are read in vain; a/b, a/b/c and a/b/c/d are others by now.
        self.assertEqual(self.cost(tree.resolve(f"{DIRECTORY}/g")), (8, 4))
        self.assertIsNone(tree.known(f"{DIRECTORY}/f"))
        self.assertEqual(self.now(tree.list(DIRECTORY)).keys(), {"g"})

    def test_a_directory_that_has_moved_is_not_where_it_was(self) -> None:
        for use in (Tree.list, Tree.resolve):
            tree = self.known()
            self.now(self.other.rename("a/b", "old"))
            self.clock.advance(OLD)
            # Here the answers come at once: nothing may go by them before the root has answered.
            self.failureResultOf(start(use(tree, DIRECTORY)), NoSuchChild)
            self.failureResultOf(start(tree.list(DIRECTORY)), NoSuchChild)
            self.now(self.other.rename("old", "a/b"))

    def test_readings_of_directories_that_are_gone_do_not_count(self) -> None:
        tree = self.known()
        self.now(self.other.rename("a/b", "old"))
        self.clock.advance(OLD)
        missing = tree.resolve(f"{DIRECTORY}/f")
        self.assertEqual(self.cost(missing, NoSuchChild), (5, 1))
        self.assertIsNone(tree.known(f"{DIRECTORY}/f"))

    def test_a_reading_that_is_not_needed_any_more_is_cancelled(self) -> None:
        tree = self.known()
        self.now(self.other.rename("a/b", "old"))
        self.now(self.other.link(f"{DIRECTORY}/g", OTHER))
        self.clock.advance(OLD)
        self.fake.requests.clear()
        self.fake.fail_next("GET*", Silence(), skip=2, times=3)  # of the old directories
        self.assertEqual(self.now(tree.resolve(f"{DIRECTORY}/g")).cap, OTHER)
        self.assertEqual(len(self.fake.requests), 8)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_at_once_share_the_readings(self) -> None:
        tree = self.known()
        self.clock.advance(OLD)

        async def many() -> None:
            await each(range(9), lambda _: tree.resolve(f"{DIRECTORY}/f"), 9)

        self.assertEqual(self.cost(many()), (5, 1))

    def test_removed_directories_are_a_round_the_first_time(self) -> None:
        tree = Tree(self.client, self.root)
        for number in range(8):
            self.now(self.other.make_directories(f"removed{number}"))
            self.now(self.other.remove_directory(f"removed{number}"))
        self.assertEqual(self.cost(tree.list("")), (9, 2))
        self.assertEqual(self.cost(tree.list("")), (1, 1))


class Saving(RoundsTestCase):
    def test_missing_directories_are_asked_about_once(self) -> None:
        for depth in range(5):
            tree = Tree(self.client, self.root)
            path = "/".join([*(f"new{depth}" for _ in range(depth)), "f"])
            # During the upload one directory is read. Then each new one is made, with those below
            # it, and linked by the last request.
            self.assertEqual(self.cost(tree.save(path, b"x" * 100)), (3 + depth, 2 + depth))

    def test_known_directories_are_looked_up_during_the_upload(self) -> None:
        tree = Tree(self.client, self.root)
        self.assertEqual(self.cost(tree.save(f"{DIRECTORY}/1", b"x" * 100)), (6, 5))
        self.assertEqual(self.cost(tree.save(f"{DIRECTORY}/2", b"x" * 100)), (2, 2))
        self.clock.advance(OLD)
        self.assertEqual(self.cost(tree.save(f"{DIRECTORY}/3", b"x" * 100)), (6, 2))

    def test_a_directory_that_another_process_makes_meanwhile_gets_the_file(self) -> None:
        self.fake.fail_next("POST /uri?t=mkdir*", Delay(1))
        saving = start(self.tree.save("new/deep/er/f", b"x" * 100))
        self.now(self.other.link("new/deep/g", CAP))
        self.clock.advance(1)
        self.successResultOf(saving)
        self.assertEqual(self.now(self.other.list("new/deep")).keys(), {"er", "g"})
        self.assertEqual(self.now(self.other.list("new/deep/er")).keys(), {"f"})

    def test_a_directory_that_was_missing_lately_can_be_there_by_now(self) -> None:
        missing = start(self.tree.resolve("new/deep/f"))
        self.failureResultOf(missing, NoSuchChild)
        self.now(self.other.link("new/deep/g", CAP))
        self.now(self.tree.link("new/deep/f", CAP))
        self.now(self.tree.save_many([("new/deep/h", b"x" * 100), ("new/i", b"y" * 100)]))
        self.assertEqual(self.now(self.other.list("new/deep")).keys(), {"f", "g", "h"})
        self.assertEqual(self.now(self.other.list("new")).keys(), {"deep", "i"})


class TakenNames(RoundsTestCase):
    """Names that this process knows to be taken are not tried."""

    def setUp(self) -> None:
        super().setUp()
        self.numbers = count(1)

    async def otherwise(self) -> str:
        return f"{DIRECTORY}/f{next(self.numbers)}"

    def save(self, tree: Tree) -> Any:
        return tree.save(
            f"{DIRECTORY}/f", b"%d" % next(self.numbers) * 100, otherwise=self.otherwise
        )

    def test_a_name_that_is_known_to_be_taken_costs_nothing(self) -> None:
        self.assertEqual(self.cost(self.save(self.known())), (2, 2))

    def test_a_name_that_was_refused_once_is_not_tried_again(self) -> None:
        tree = Tree(self.client, self.root)
        self.now(tree.make_directories(DIRECTORY))
        # Refused, and read back.
        self.assertEqual(self.cost(self.save(tree)), (4, 4))
        self.assertEqual(self.cost(self.save(tree)), (2, 2))

    def test_many_saves_of_one_name_share_their_writes_as_others_do(self) -> None:
        writes = []
        for name in ("{}", "f"):
            tree = self.known(commit_delay=5.0)

            async def save(number: int, tree: Tree = tree, name: str = name) -> Cap:
                path = f"{DIRECTORY}/{name.format(number)}"
                return await tree.save(path, b"%d" % number * 100, otherwise=self.otherwise)

            async def many(save: Any = save) -> None:
                await each(range(24), save, 16)

            self.cost(many())
            writes.append(self.fake.requests.count("POST /uri/CAP?t=set_children"))
        self.assertEqual(writes, [2, 2])
        self.assertEqual(len(self.now(self.known().list(DIRECTORY))), 1 + 24 + 24)

    def test_a_name_that_is_free_by_now_costs_an_odd_one(self) -> None:
        tree = self.known()
        self.now(self.other.unlink(f"{DIRECTORY}/f"))
        self.now(self.save(tree))
        self.assertEqual(self.now(self.other.list(DIRECTORY)).keys(), {"f2"})
        self.now(tree.save(f"{DIRECTORY}/f", b"x" * 100))  # there is no other name: it is tried

    def test_a_name_that_the_tree_has_deleted_is_free(self) -> None:
        tree = Tree(self.client, self.root)
        self.now(tree.make_directories(DIRECTORY))
        self.now(self.save(tree))
        self.now(tree.unlink(f"{DIRECTORY}/f"))
        self.now(self.save(tree))
        self.assertIn("f", self.now(self.other.list(DIRECTORY)))

    def test_save_many_does_not_try_them_either(self) -> None:
        tree = self.known()

        async def otherwise(number: int) -> str:
            return await self.otherwise()

        files = [(f"{DIRECTORY}/{name}", name.encode() * 100) for name in ("f", "x", "y")]
        # The uploads, a write of "x" and "y", and one of the other name.
        self.assertEqual(self.cost(tree.save_many(files, otherwise=otherwise)), (5, 3))
        self.assertEqual(self.now(self.known().list(DIRECTORY)).keys(), {"f", "f1", "x", "y"})

    def test_a_path_that_is_proposed_again_is_tried_once(self) -> None:
        async def same(*_: object) -> str:
            return f"{DIRECTORY}/f"

        def save(tree: Tree) -> Any:
            return tree.save(f"{DIRECTORY}/f", b"x" * 100, otherwise=same)

        def save_many(tree: Tree) -> Any:
            return tree.save_many([(f"{DIRECTORY}/f", b"x" * 100)], otherwise=same)

        for way, error in ((save, ExistingChild), (save_many, SomeFailed)):
            # Upload, link, and a look at what refuses it.
            self.assertEqual(self.cost(way(self.known()), error), (3, 3))
            tree = self.known()
            self.now(self.other.unlink(f"{DIRECTORY}/f"))
            self.now(way(tree))


class Many(ClockTestCase):
    """A tree of depth 3, with two directories or files in each directory."""

    def setUp(self) -> None:
        super().setUp()
        numbers = range(2)
        # As many as are under way at a time.
        self.names = [f"a{a}/b{b}/c{c}/f" for a in numbers for b in numbers for c in numbers]
        self.files = [(name, name.encode() * 20) for name in self.names]

    def another(self) -> Tree:
        return Tree(self.client, self.root)

    def saved(self) -> Tree:
        self.now(self.tree.save_many(self.files))
        return self.another()

    def test_save_many_makes_new_directories_level_by_level(self) -> None:
        # The uploads, and a look at the root; three levels; the root.
        self.assertEqual(self.cost(self.another().save_many(self.files)), (8 + 1 + 14 + 1, 5))

    def test_save_many_looks_directories_up_level_by_level_during_the_uploads(self) -> None:
        tree = self.saved()
        more = [(f"{name}2", content) for name, content in self.files]
        self.assertEqual(self.cost(tree.save_many(more)), (8 + 7 + 8, 3 + 1))

    def test_prefetch_reads_level_by_level(self) -> None:
        tree = self.saved()
        self.assertEqual(self.cost(tree.prefetch(self.names)), (15, 4))
        self.assertEqual(self.cost(tree.prefetch(f"{name}2" for name in self.names)), (8, 1))
        self.clock.advance(OLD)
        self.assertEqual(self.cost(tree.prefetch(self.names)), (15, 1))

    def test_walk_reads_level_by_level(self) -> None:
        async def walked() -> list[Path]:
            return [path async for path, _ in tree.walk()]

        tree = self.saved()
        self.assertEqual(self.cost(walked()), (15, 4))

    def test_check_reads_level_by_level(self) -> None:
        tree = self.saved()
        # Each directory is checked and read; then there are the files.
        self.assertEqual(self.cost(check(tree, at_once=100)), (2 * 15 + 8, 4 + 1))

    def test_a_snapshot_reads_and_copies_level_by_level(self) -> None:
        tree = self.saved()
        self.patch(snapshots, "time", count(10**9).__next__)
        # The first one looks for the directory of snapshots, makes it and links it.
        self.assertEqual(self.cost(take_snapshot(tree)), (2 * 15 + 3, 4 + 4 + 3))
        self.assertEqual(self.cost(take_snapshot(tree)), (2 * 15 + 1, 4 + 4 + 1))


class Spread(ClockTestCase):
    """A directory whose parts have parts."""

    def setUp(self) -> None:
        super().setUp()
        names = [f"d/name{number}" for number in range(200)]
        self.now(
            Tree(self.client, self.root, fanout=Fanout(2)).link_many([(n, CAP) for n in names])
        )

    def test_each_unknown_part_is_a_round(self) -> None:
        for fanout in (None, Fanout(2)):
            with self.subTest(fanout=fanout):
                tree = Tree(self.client, self.root, fanout=fanout)
                # The root, the directory, and two parts.
                self.assertEqual(self.cost(tree.resolve("d/name7")), (4, 4))
                # The layout is known: another part of a part.
                missing = tree.resolve("d/name7.missing")
                self.assertEqual(self.cost(missing, NoSuchChild)[1], 2)
                self.clock.advance(OLD)
                self.assertEqual(self.cost(tree.resolve("d/name7")), (2, 1))

    def test_a_change_reads_parts_during_the_upload(self) -> None:
        tree = Tree(self.client, self.root)
        # The root, the directory and two parts; and then the link.
        self.assertEqual(self.cost(tree.save("d/name7.new", b"x" * 100)), (6, 5))
        tree = Tree(self.client, self.root)
        self.assertEqual(self.cost(tree.unlink("d/name7")), (5, 5))
