"""A tree knows nothing for longer than `max_age`, and nothing of another directory."""

from __future__ import annotations

from typing import Any

from tests.txtahoe.case import Late, start
from tests.txtahoe.tree.test_rounds import CAP, DIRECTORY, OLD, OTHER, RoundsTestCase
from txtahoe import Link, Tree
from txtahoe.errors import NoSuchChild, NotADirectory
from txtahoe.testing.fake import Delay
from txtahoe.tree.spread.format import contents_of, mark, part_links
from txtahoe.tree.spread.states import Fanout


class Ages(RoundsTestCase):
    """An answer counts for `max_age` from its request on."""

    def resolving(self, tree: Tree, name: str = "f", **options: Any) -> Any:
        return start(tree.resolve(f"{DIRECTORY}/{name}", **options))

    def test_an_answer_that_waits_for_those_above_does_not_grow_younger(self) -> None:
        tree = self.known()
        self.clock.advance(OLD)
        self.fake.fail_next("GET*", Delay(8))  # the root; the others answer at once
        resolving = self.resolving(tree)
        self.now(self.other.link(f"{DIRECTORY}/f", OTHER, replace=True))
        self.clock.advance(8)
        self.successResultOf(resolving)
        self.clock.advance(3)
        self.assertEqual(self.successResultOf(self.resolving(tree)).cap, OTHER)

    def test_a_name_is_not_known_for_longer_than_its_directory(self) -> None:
        tree = self.known()
        self.clock.advance(9)
        self.now(tree.list(DIRECTORY))
        self.now(tree.link(f"{DIRECTORY}/own", CAP))
        self.now(self.other.rename("a", "moved"))
        self.clock.advance(2)
        for name in ("f", "own"):
            self.failureResultOf(self.resolving(tree, name), NoSuchChild)

    def test_an_own_change_counts_from_its_request_on(self) -> None:
        tree = self.known()
        self.fake.fail_next("POST*", Late(6))
        linking = start(tree.link("own", CAP))
        self.now(self.other.unlink("own"))
        self.clock.advance(6)
        self.successResultOf(linking)
        self.clock.advance(5)
        self.failureResultOf(start(tree.resolve("own")), NoSuchChild)

    def test_a_fresh_answer_is_not_one_that_was_on_its_way(self) -> None:
        for look in (
            lambda tree: tree.resolve(f"{DIRECTORY}/f", fresh=True),
            lambda tree: tree.list(DIRECTORY),
        ):
            tree = self.known()
            self.clock.advance(OLD)
            self.fake.fail_next("GET*", Late(1), times=5)
            first = self.resolving(tree)
            self.now(self.other.link(f"{DIRECTORY}/f", OTHER, replace=True))
            second = start(look(tree))
            self.clock.advance(1)
            self.successResultOf(first)
            found = self.successResultOf(second)
            self.assertEqual((found["f"] if isinstance(found, dict) else found).cap, OTHER)
            self.now(self.other.link(f"{DIRECTORY}/f", CAP, replace=True))

    def test_changes_elsewhere_do_not_keep_it_from_learning(self) -> None:
        tree = self.known()
        self.clock.advance(OLD)
        self.fake.fail_next("GET*", Delay(1), times=5)
        resolving = self.resolving(tree)
        linking = start(tree.link("elsewhere", CAP))
        self.clock.advance(1)
        self.successResultOf(resolving)
        self.successResultOf(linking)
        self.assertEqual(self.cost(tree.resolve(f"{DIRECTORY}/f")), (0, 0))

    def test_a_directory_that_this_tree_has_moved_is_not_learnt_again(self) -> None:
        tree = self.known()
        self.clock.advance(OLD)
        self.fake.fail_next("GET*", Delay(2), times=5)
        resolving = self.resolving(tree, "missing")
        self.clock.advance(1)
        renaming = start(tree.rename("a/b", "moved"))
        self.fake.forget_faults()
        self.clock.advance(2)
        self.clock.advance(2)
        self.successResultOf(renaming)
        self.failureResultOf(resolving, NoSuchChild)
        self.failureResultOf(self.resolving(tree), NoSuchChild)

    def test_that_a_removed_directory_is_empty_counts_from_its_request_on(self) -> None:
        self.now(self.other.make_directories("removed"))
        self.now(self.other.remove_directory("removed"))
        tree = Tree(self.client, self.root)
        self.fake.fail_next("GET*", Late(6), skip=1)
        listing = start(tree.list(""))
        self.now(self.other.link("removed/f", CAP))
        self.clock.advance(6)
        self.assertNotIn("removed", self.successResultOf(listing))
        self.clock.advance(5)
        self.assertIn("removed", self.now(tree.list("")))


class Moved(RoundsTestCase):
    """A directory that another client has moved; there is another one in its place."""

    def test_an_own_change_of_the_old_one_is_not_learnt_of_the_new_one(self) -> None:
        tree = self.known()
        self.clock.advance(1)
        self.now(self.other.rename(DIRECTORY, "moved"))
        self.now(self.other.link(f"{DIRECTORY}/f", OTHER))
        self.clock.advance(8)
        self.fake.fail_next("POST*", Late(1))
        linking = start(tree.link(f"{DIRECTORY}/f", CAP, replace=True))
        for depth in range(4):
            self.now(tree.list(DIRECTORY.split("/")[:depth]))  # the last one tells of the new one
        self.clock.advance(1)
        self.successResultOf(linking)
        self.assertEqual(self.now(tree.resolve(f"{DIRECTORY}/f")).cap, OTHER)

    def test_an_answer_of_a_part_of_the_old_one_is_not_learnt_of_the_new_one(self) -> None:
        spreading = Tree(self.client, self.root, fanout=Fanout(2))
        self.now(spreading.link_many([(f"s/name{number}", CAP) for number in range(9)]))
        tree = Tree(self.client, self.root)
        self.now(tree.list(""))
        self.clock.advance(9)
        self.fake.fail_next("GET*", Late(1), skip=1)  # a part
        resolving = start(tree.resolve("s/name1"))
        self.now(self.other.rename("s", "moved"))
        self.now(self.other.link("s/name1", OTHER))
        self.now(tree.list(""))
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(resolving).cap, CAP)
        self.assertEqual(self.now(tree.resolve("s/name1")).cap, OTHER)

    def test_an_own_change_stands_if_its_directory_has_been_forgotten_meanwhile(self) -> None:
        tree = self.known(max_known=5)
        self.now(tree.resolve(f"{DIRECTORY}/f"))
        self.fake.fail_next("POST*", Late(1))
        linking = start(tree.link(f"{DIRECTORY}/f", OTHER, replace=True))
        for number in range(5):  # they push the directory out
            self.now(tree.make_directories(f"other{number}"))
        self.clock.advance(1)
        self.successResultOf(linking)
        self.assertEqual(self.now(tree.resolve(f"{DIRECTORY}/f")).cap, OTHER)

    def test_nothing_is_missing_because_of_a_cap_from_elsewhere(self) -> None:
        directory = self.now(self.other.resolve("a/b")).cap
        self.now(self.other.rename("a/b", "moved"))
        self.now(self.other.unlink("moved/c", only_files=False))
        self.now(self.other.link(f"{DIRECTORY}/g", OTHER))
        for path in ("a/b/c", f"{DIRECTORY}/g"):  # in the directory itself, or below it
            for look in (lambda tree: tree.resolve(path), lambda tree: tree.prefetch([path])):
                tree = Tree(self.client, self.root)
                tree.learn_directory("a/b", directory)
                self.assertTrue(self.now(look(tree)))


class Parts(RoundsTestCase):
    def test_parts_of_a_directory_above_can_be_replaced(self) -> None:
        spreading = Tree(self.client, self.root, fanout=Fanout(2))
        self.now(spreading.link_many([(f"s/name{number}/f", CAP) for number in range(9)]))
        tree = Tree(self.client, self.root)
        self.now(tree.resolve("s/name1/f"))
        cap = self.now(tree.resolve("s")).cap
        contents = contents_of(self.now(self.client.list(cap)), 0)
        for digit, part in contents.parts.items():
            children = self.now(self.client.list(part))
            copy = self.now(self.client.mkdir({n: Link(c.cap) for n, c in children.items()}))
            links = part_links({digit: copy}, set())
            self.now(self.client.set_children(cap, links, replace=True))
            self.fake.lose(part)
        self.clock.advance(OLD)
        resolving = start(tree.resolve("s/name2/f"))
        self.clock.pump([10] * 9)  # it asks for the lost parts more than once
        self.assertEqual(self.successResultOf(resolving).cap, CAP)

    def test_parts_that_lead_back_are_an_error_each_time(self) -> None:
        cap = self.now(self.client.mkdir(mark("closed")))
        digits = dict.fromkeys("0123456789abcdef", cap)
        self.now(self.client.set_children(cap, part_links(digits, set())))
        self.now(self.other.link("a/loop", cap))
        tree = Tree(self.client, self.root)
        for _ in range(3):
            self.failureResultOf(start(tree.resolve("a/loop/f")), NotADirectory)
            self.clock.advance(OLD)
