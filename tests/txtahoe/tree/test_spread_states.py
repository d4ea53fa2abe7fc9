"""The table of states of a directory, and the page that explains it."""

from __future__ import annotations

import re
from math import nan
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txtahoe import Cap, Node
from txtahoe.tree import spread
from txtahoe.tree.spread.format import Contents
from txtahoe.tree.spread.memory import Layout, Layouts
from txtahoe.tree.spread.states import RULES, Fanout, State

ROOT = Path(__file__).parents[3]


class Rules(SynchronousTestCase):
    def test_no_answer_is_trusted_after_a_directory_may_have_been_closed(self) -> None:
        before = RULES[State.OPEN]
        closing = RULES[State.CLOSING]
        self.assertLess(before.use_within, before.sure_within)
        self.assertLessEqual(before.sure_within + before.use_within, closing.next_after)

    def test_every_state_but_the_last_leads_to_the_next(self) -> None:
        states = list(State)
        self.assertEqual([RULES[state].next for state in states], [*states[1:], None])

    def test_numbers_that_make_no_sense_are_refused(self) -> None:
        for wrong in ({"limit": 0}, {"pace": 0.0}, {"pace": -1.0}, {"pace": nan}):
            self.assertRaises(ValueError, Fanout, **wrong)
        self.assertEqual(Fanout(1, 0.01), Fanout(limit=1, pace=0.01))

    def test_ages_are_compared_in_paces(self) -> None:
        fanout = Fanout(limit=4, pace=10.0)
        self.assertTrue(fanout.may_use(State.OPEN, 9.9))
        self.assertFalse(fanout.may_use(State.OPEN, 10.0))
        self.assertFalse(fanout.may_use(State.CLOSING, 10.0))
        self.assertTrue(fanout.may_use(State.CLOSED, 1e9))
        self.assertTrue(fanout.is_sure(State.OPEN, 20.0))
        self.assertFalse(fanout.is_sure(State.OPEN, 20.1))
        self.assertFalse(fanout.is_sure(State.CLOSING, 0.0))
        self.assertEqual(fanout.wait(State.OPEN, 0.0), 0.0)
        self.assertEqual(fanout.wait(State.CLOSING, 10.0), 20.0)
        self.assertFalse(fanout.is_too_large(State.OPEN, 4))
        self.assertTrue(fanout.is_too_large(State.OPEN, 5))
        self.assertFalse(fanout.is_too_large(State.CLOSING, 5))


class Memory(SynchronousTestCase):
    CAPS = [Cap.parse(f"URI:LIT:{text}") for text in ("me", "mi", "mu")]

    def known(self, layouts: Layouts) -> list[bool]:
        return [layouts.get(cap).is_known for cap in self.CAPS]

    def test_the_layouts_that_were_kept_last_are_known(self) -> None:
        first, second, third = self.CAPS
        layouts = Layouts(first, 2, spreads=True)
        for cap in (first, second, first, third):
            layouts.put(cap, Layout(asked=1.0))
        self.assertEqual(self.known(layouts), [True, False, True])

    def test_a_directory_is_forgotten_with_its_parts_and_theirs(self) -> None:
        layouts = Layouts(self.CAPS[0], 3, spreads=True)
        for cap, part in zip(self.CAPS, [*self.CAPS[1:], None], strict=True):
            layouts.put(cap, Layout(asked=1.0, parts={"0": part} if part else {}))
        self.assertTrue(layouts.forget(self.CAPS[0]))
        self.assertEqual(self.known(layouts), [False, False, False])

    def test_an_older_reading_takes_no_mark_away(self) -> None:
        layouts = Layouts(self.CAPS[0], 3, spreads=True)
        newer = Contents({}, marks={"tree": ("mark", Node("filenode", self.CAPS[1]))})
        for contents in (newer, Contents({})):
            layouts.learn(self.CAPS[0], contents, 0, asked=1.0, now=2.0)
        self.assertTrue(layouts.get(self.CAPS[0]).is_marked)


class Page(SynchronousTestCase):
    def test_every_test_that_the_page_names_is_there(self) -> None:
        page = Path(spread.__file__).with_name("PROTOCOL.md").read_text()
        named = set(re.findall(r"`(test_\w+)`", page))
        tests = [
            *ROOT.glob("tests/txtahoe/tree/*.py"),
            *ROOT.glob("tests/txtahoe/maintenance/*.py"),
        ]
        there = {name for file in tests for name in re.findall(r"def (test_\w+)", file.read_text())}
        self.assertEqual(named - there, set())
        self.assertGreater(len(named), 10)
