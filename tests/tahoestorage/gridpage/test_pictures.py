"""The positions in the drawings."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.gridpage.inquiry import Part
from tahoestorage.gridpage.overview import Gateway, Overview
from tahoestorage.gridpage.pictures import bar_of, map_of
from txtahoe.maintenance import Health, State
from txtahoe.nodes import GatewayStatus, Server


def overview(*gateways: list[Server] | None) -> Overview:
    """An overview of gateways that see these servers; None is a gateway that does not answer."""
    nothing: Part = Part()
    statuses = [
        Part(problem="away") if servers is None else Part(GatewayStatus(tuple(servers)))
        for servers in gateways
    ]
    asked = [Gateway("http://gateway/", 100, status, nothing) for status in statuses]
    return Overview(asked, nothing, nothing, nothing, nothing, nothing)


def server(name: str, connected: bool = True, space: int | None = 100) -> Server:
    return Server(name, connected, "", space, id=f"id of {name}")


class MapTests(SynchronousTestCase):
    def test_a_server_that_two_gateways_know_is_one_box(self) -> None:
        drawn = map_of(overview([server("b"), server("a", False)], [server("a")], None))
        self.assertEqual([seen.server.nickname for _, seen, _ in drawn.servers], ["a", "b"])
        self.assertEqual([seen.seen for _, seen, _ in drawn.servers], [[False, True], [True, None]])
        self.assertEqual([is_connected for _, _, is_connected in drawn.lines], [False, True, True])
        starts = [top for top, _ in drawn.gateways]
        self.assertEqual([start for start, _, _ in drawn.lines], [starts[0], starts[1], starts[0]])

    def test_the_length_of_a_bar_shows_the_free_space(self) -> None:
        spaces = {"a": 100, "b": 50, "c": 0, "d": None}
        drawn = map_of(overview([server(name, space=space) for name, space in spaces.items()]))
        frees = [free for _, _, free in drawn.servers]
        self.assertEqual(frees, [frees[0], frees[0] // 2, 0, 0])
        self.assertGreater(frees[0], 0)

    def test_of_too_many_servers_the_unconnected_are_drawn_first(self) -> None:
        every = [server(f"{number:03}", connected=number < 98) for number in range(100)]
        drawn = map_of(overview(every))
        self.assertEqual(drawn.left_out, 80)
        self.assertEqual([seen.connected for _, seen, _ in drawn.servers[:3]], [0, 0, 1])

    def test_boxes_do_not_overlap(self) -> None:
        drawn = map_of(overview(*([[server("a")]] * 3)))
        tops = [top for top, _ in drawn.gateways]
        self.assertEqual({after - before for before, after in zip(tops, tops[1:])}, {76})
        self.assertLessEqual(tops[-1] + 76, drawn.height)
        self.assertEqual(map_of(overview()).height, 0)


class BarTests(SynchronousTestCase):
    def bar(self, **counts: int) -> list:
        found = Counter({State[state]: number for state, number in counts.items()})
        return bar_of(Health(found, 0, [], 0.0, 0.0))

    def test_one_name_of_a_million_is_visible(self) -> None:
        bar = self.bar(HEALTHY=999_999, UNRECOVERABLE=1)
        self.assertEqual([segment.colour for segment in bar], ["good", "lost"])
        self.assertGreaterEqual(bar[1].width, 10)
        self.assertEqual(bar[0].start + bar[0].width, bar[1].start)
        self.assertLessEqual(bar[1].start + bar[1].width, 1000)

    def test_every_state_has_a_colour_and_words_of_its_own(self) -> None:
        bar = self.bar(**{state.name: 1 for state in State})
        self.assertEqual(len({segment.colour for segment in bar}), len(State))
        self.assertEqual(len({segment.words for segment in bar}), len(State))

    def test_an_empty_tree_has_no_bar(self) -> None:
        self.assertEqual(self.bar(), [])
