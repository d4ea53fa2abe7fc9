"""How a process makes directories and parts, and takes a directory from one state to the next."""

from __future__ import annotations

from typing import Any

from tests.txtahoe.case import Late, start
from tests.txtahoe.tree.case import CAP, NAMES, OTHER, SpreadingTestCase
from txtahoe.testing.fake import Delay
from txtahoe.tree.spread.format import DIGITS, contents_of, digit_of
from txtahoe.tree.spread.states import State


class New(SpreadingTestCase):
    """New directories and parts."""

    def test_a_link_in_a_new_directory_is_new(self) -> None:
        old = {"tahoe": {"linkcrtime": 1.0, "linkmotime": 1.0}}
        self.now(self.tree.link("new/f", CAP, metadata=old))
        self.assertGreater(self.now(self.tree.resolve("new/f", fresh=True)).modified, 1.0)

    def test_few_directories_are_made_at_the_same_time(self) -> None:
        self.fake.fail_next("*mkdir*", Delay(1), times=999)
        making = start(self.tree.link_many([(f"d/{number}", CAP) for number in range(400)]))
        self.assertLess(len(self.fake.requests), 16)
        self.clock.pump([1] * 99)
        self.successResultOf(making)
        self.assertGreater(self.depth(self.now(self.tree.resolve("d")).cap), 1)

    def test_a_part_is_known_from_its_birth(self) -> None:
        self.closed()
        parts = contents_of(self.children(), 0).parts
        digit = next(digit for digit in DIGITS if digit not in parts)
        beside = [n for n in map(str, range(99)) if digit_of(n, 0) in (digit, *parts)]
        first, last, *_ = [name for name in beside if digit_of(name, 0) == digit]
        attempts = self.tree.link(first, CAP), self.tree.link(last, CAP), self.tree.prefetch(beside)
        costs = [self.cost(attempt)[0] for attempt in attempts]
        self.assertEqual(costs, [4, 1, 1 + len(parts)])


class Closing(SpreadingTestCase):
    """From open over closing to closed."""

    def test_names_of_other_trees_count_too(self) -> None:
        self.save(*NAMES[:4], tree=self.plain)
        self.save(NAMES[4])
        self.assertIs(contents_of(self.children(), 0).state, State.CLOSING)

    def test_a_directory_below_others_is_closed_long_after_its_mark_and_theirs(self) -> None:
        path = ("a", "b", "d")
        self.save(*((*path, name) for name in NAMES[:6]), tree=self.plain)
        cap = self.now(self.plain.resolve(path)).cap
        self.fake.fail_next("*set_children*", Delay(20), times=4)
        closing = start(self.tree.changer.builder.advance(path, cap, 0))
        self.clock.pump([20] * 4)
        self.assertEqual(self.successResultOf(closing), 30.0)
        marks = [[*contents_of(self.children(*path[:depth]), 0).marks] for depth in range(4)]
        self.assertEqual(marks, [["tree"], ["tree"], ["tree"], ["closing"]])
        self.clock.advance(29)
        self.save((*path, "new"))
        self.assertFalse(contents_of(self.children(*path), 0).is_closed)

    def test_a_directory_above_that_was_closed_meanwhile_is_read_as_such(self) -> None:
        self.tree = self.another(max_age=1000)
        self.save("d/f", "f")
        other = self.another()
        self.save(*NAMES[:5], tree=other)
        self.clock.advance(31)
        self.now(other.link("f", OTHER, replace="only-files"))
        self.save(*(f"d/{name}" for name in NAMES[:6]))
        self.now(self.tree.unlink("f"))
        self.assertNotIn("f", self.children())

    def test_a_closed_directory_has_no_next_state(self) -> None:
        self.closed()
        builder = self.another().changer.builder
        for most in (100, 0):  # even if its layout is not remembered
            builder._layouts._max_known = most
            self.assertEqual(self.now(builder.advance((), self.root, 0)), 0.0)

    def test_an_old_version_of_a_closed_directory_has_no_next_state(self) -> None:
        self.save("f")
        builder = self.tree.changer.builder
        builder._layouts.get(self.root).note_state(State.CLOSED, 0.0)
        self.assertEqual(self.now(builder.advance((), self.root, 0)), 0.0)
        self.assertEqual(set(self.children()), {"f"})


class UnderWay(SpreadingTestCase):
    """A reading that began before another process changed the directory is still under way."""

    def under_way(self, late: Any, meanwhile: Any, change: Any) -> None:
        """Make a change while a late reading is under way, and after another process has acted."""
        self.fake.fail_next("GET*", Late(5))
        reading = start(late)
        meanwhile()
        changing = start(change)
        self.clock.advance(5)
        self.successResultOf(reading)
        self.successResultOf(changing)

    def marks(self, *way: str) -> int:
        return sum(name.startswith(".tahoe-spread-") for name in self.children(*way))

    def test_a_mark_that_another_process_has_just_made_is_not_made_again(self) -> None:
        self.save(*(f"d/{name}" for name in NAMES[:4]))
        other = self.another()
        self.under_way(
            self.tree.list(""),
            lambda: self.save(*(f"d/other{name}" for name in NAMES[:2]), tree=other),
            self.tree.link(f"d/{NAMES[5]}", CAP),
        )
        self.assertEqual(self.marks(), 1)
        self.clock.advance(31)
        for tree in (self.tree, other):
            self.now(tree.list("d"))
        before = self.marks("d")
        self.under_way(
            self.tree.list("d"),
            lambda: self.save("d/closes", tree=other),
            self.tree.link("d/new", CAP),
        )
        self.assertEqual(self.marks("d"), before + 1)

    def test_a_part_is_not_made_from_a_reading_that_was_under_way_before(self) -> None:
        self.save(*(f"d/{name}" for name in NAMES[:6]))
        other = self.another()
        self.save("d/other", tree=other)
        self.now(self.tree.link("e", self.now(self.tree.resolve("d")).cap))
        self.clock.advance(31)
        self.now(self.tree.list(""))

        def close() -> None:
            self.save("d/closes", tree=other)
            self.assertTrue(contents_of(self.children("d"), 0).is_closed)
            self.now(self.tree.list("d"))

        self.under_way(self.tree.list("e"), close, self.tree.link("e/new", CAP))
        self.assertEqual(len(self.now(self.another().list("d"))), 9)
