"""Listings with strange children: nobody's metadata and nobody's cap breaks the others."""

from __future__ import annotations

import json

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.seeds import given
from txtahoe import Cap
from txtahoe.errors import NotAGateway
from txtahoe.nodes import parse_children, parse_json, parse_node, parse_status
from txtahoe.reports import parse_entry, parse_report

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
    @given(st.dictionaries(st.text(max_size=8), strange_child, max_size=5))
    def test_strange_children_do_not_hide_the_others(self, strange: dict[str, object]) -> None:
        good = ["filenode", {"ro_uri": CAP, "size": 1000, "metadata": {"tahoe": {"linkmotime": 5}}}]
        listing = json.loads(json.dumps(["dirnode", {"children": {**strange, "good": good}}]))
        children = parse_children(listing)
        self.assertEqual(set(children), {*strange, "good"})
        self.assertEqual(children["good"].cap, Cap.parse(CAP))
        self.assertEqual(children["good"].modified, 5)
        for node in children.values():
            self.assertIn(node.type, ("filenode", "dirnode", "unknown"))
            self.assertIsInstance(node.created, float | None)
            repr(node)

    @given(anything)
    def test_what_is_no_answer_of_a_gateway_is_one_error(self, answer: object) -> None:
        for parse in (parse_node, parse_children, parse_status, parse_report, parse_entry):
            with self.assertRaises(NotAGateway):
                parse(answer)

    @given(st.binary(max_size=30))
    def test_what_is_not_json_is_no_gateways(self, data: bytes) -> None:
        try:
            json.loads(data)
        except ValueError:
            self.assertRaises(NotAGateway, parse_json, data, "testing")
