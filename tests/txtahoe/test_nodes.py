"""Listings with strange children: no cap and no metadata hides the others."""

from __future__ import annotations

import json

from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.seeds import given
from tests.txtahoe.case import CountingClock
from txtahoe import Cap
from txtahoe.api import listings
from txtahoe.api.listings import read_listing
from txtahoe.api.reports import parse_entry, parse_report
from txtahoe.errors import NotAGateway
from txtahoe.nodes import Node, parse_json, parse_node, parse_status
from txtahoe.turns import TOGETHER

CAP = "URI:CHK:aaaqeayeaudaocajbifqydiob4:" + "a" * 52 + ":2:3:1000"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
strange_child = anything | st.tuples(
    st.sampled_from(["filenode", "dirnode", "unknown", "future"]),
    st.dictionaries(st.sampled_from(["ro_uri", "rw_uri", "size", "metadata", "mutable"]), anything),
)


class Listings(SynchronousTestCase):
    def read(self, text: str) -> dict[str, Node]:
        reading = Deferred.fromCoroutine(read_listing(Clock(), text.encode(), "testing"))
        children: dict[str, Node] = self.successResultOf(reading)
        return children

    def refuse(self, text: str) -> None:
        reading = Deferred.fromCoroutine(read_listing(Clock(), text.encode(), "testing"))
        self.failureResultOf(reading, NotAGateway)

    @given(st.dictionaries(st.text(max_size=8), strange_child, max_size=5))
    def test_strange_children_do_not_hide_the_others(self, strange: dict[str, object]) -> None:
        good = ["filenode", {"ro_uri": CAP, "size": 1000, "metadata": {"tahoe": {"linkmotime": 5}}}]
        children = self.read(json.dumps(["dirnode", {"children": {**strange, "good": good}}]))
        self.assertEqual(set(children), {*strange, "good"})
        self.assertEqual(children["good"].cap, Cap.parse(CAP))
        self.assertEqual(children["good"].modified, 5)
        for node in children.values():
            self.assertIn(node.type, ("filenode", "dirnode", "unknown"))
            self.assertIsInstance(node.created, float | None)
            repr(node)

    @given(anything)
    def test_strange_answers_raise_not_a_gateway(self, answer: object) -> None:
        for parse in (parse_node, parse_status, parse_report, parse_entry):
            with self.assertRaises(NotAGateway):
                parse(answer)
        self.refuse(json.dumps(answer))

    @given(st.binary(max_size=30))
    def test_an_answer_that_is_not_json_raises_not_a_gateway(self, data: bytes) -> None:
        try:
            json.loads(data)
        except ValueError:
            self.assertRaises(NotAGateway, parse_json, data, "testing")

    @given(st.lists(st.text(max_size=8), unique=True, max_size=4), st.sampled_from([None, 1, 4]))
    def test_a_listing_is_read_however_it_is_written(
        self, names: list[str], indent: int | None
    ) -> None:
        child = ["filenode", {"ro_uri": CAP, "size": 1000}]
        told = {"mutable": True, "children": dict.fromkeys(names, child), "x": [{}, []]}
        for separators in ((",", ":"), (" ,\r\n", "\t: ")):
            text = json.dumps(["dirnode", told], indent=indent, separators=separators)
            self.assertEqual(list(self.read(f" {text}\n")), names)

    def test_a_listing_that_is_cut_or_goes_on_is_refused(self) -> None:
        child = ["filenode", {"ro_uri": CAP, "size": 1000}]
        text = json.dumps(["dirnode", {"children": {"a": child, "b": child}, "mutable": True}])
        self.assertEqual(set(self.read(text)), {"a", "b"})
        for length in range(len(text)):
            self.refuse(text[:length])
        for more in (",", "]", "{}"):
            self.refuse(text + more)

    def test_a_listing_that_is_nested_too_deeply_is_refused(self) -> None:
        self.refuse('["dirnode", {"children": {"a": ' + "[" * 100_000)

    def test_a_large_listing_is_read_in_turns(self) -> None:
        child = ["filenode", {"ro_uri": CAP, "size": 1000}]
        names = [str(number) for number in range(3 * TOGETHER)]
        text = json.dumps(["dirnode", {"children": dict.fromkeys(names, child)}])
        parsed: list[object] = []
        clock = CountingClock(parsed)

        def parse(told: object) -> Node:
            parsed.append(told)
            return Node("filenode", Cap.parse(CAP))

        self.patch(listings, "parse_child", parse)
        reading = Deferred.fromCoroutine(read_listing(clock, text.encode(), "testing"))
        self.assertNoResult(reading)
        clock.advance(0)
        self.assertEqual(list(self.successResultOf(reading)), names)
        self.assertEqual(len(parsed), len(names))
        self.assertLessEqual(clock.most_in_a_turn, TOGETHER + 1)


class Links(SynchronousTestCase):
    """Two nodes tell of the same link, or of two that look alike."""

    def node(self, mark: str | None, time: float | None, cap: str = CAP) -> Node:
        metadata: dict[str, object] = {} if mark is None else {"txtahoe-link": mark}
        if time is not None:
            metadata["tahoe"] = {"linkmotime": time}
        return Node("filenode", Cap.parse(cap), metadata=metadata)

    def test_the_cap_tells_links_apart_then_the_mark_then_the_time(self) -> None:
        same = [
            (self.node("a", 1), self.node("a", 2)),
            (self.node("a", None), self.node("a", 2)),
            (self.node(None, 1), self.node(None, 1)),
            (self.node(None, 1), self.node(None, None)),
        ]
        different = [
            (self.node("a", 1), self.node("b", 1)),
            (self.node("a", 1), self.node(None, 1)),
            (self.node(None, 1), self.node(None, 2)),
            (self.node("a", 1), self.node("a", 1, "URI:LIT:me")),
        ]
        for expected, pairs in ((True, same), (False, different)):
            for one, other in pairs:
                self.assertEqual(one.is_same_link(other), expected, (one, other))
                self.assertEqual(other.is_same_link(one), expected, (one, other))
