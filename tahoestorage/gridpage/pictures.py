"""The drawings of the admin's pages: the position of each piece, in whole units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from django.utils.translation import gettext_lazy as _

from tahoestorage.gridpage.overview import Gateway, Overview, SeenServer
from txtahoe.maintenance import Health, State

_STEP = 76  # from one box to the next
_LONGEST = 166  # the longest bar of free space
_MOST = 20  # boxes that are drawn

# In the order of the bar: the words of each state, and its colour in the style sheet.
_STATES = {
    State.HEALTHY: (_("healthy"), "good"),
    State.LITERAL: (_("healthy, and so small that it needs no shares"), "small"),
    State.REPAIRED: (_("repaired"), "repaired"),
    State.UNHEALTHY: (_("readable, but shares are missing or damaged"), "unhealthy"),
    State.REPAIR_FAILED: (_("readable, but the repair failed"), "failed"),
    State.UNRECOVERABLE: (_("not readable: too few shares can be reached"), "lost"),
    State.UNCHECKED: (_("not checked, because the check failed"), "unchecked"),
    State.UNKNOWN: (_("of an unknown kind"), "unknown"),
}
_WHOLE_BAR = 1000
_LEAST = 10  # the shortest visible piece, even for one name of a million


@frozen
class Map:
    """
    Gateways on the left, servers on the right.

    `gateways`: each with the top of its box. `servers`: each with the top of its box and the
    length of its bar; the server with the most free space has the longest. `lines`: from the top
    of a gateway's box to the top of a server's box, and whether the gateway is connected.
    `left_out`: the number of servers that are not drawn.
    """

    height: int
    gateways: Sequence[tuple[int, Gateway]]
    servers: Sequence[tuple[int, SeenServer, int]]
    lines: Sequence[tuple[int, int, bool]]
    left_out: int


@frozen
class Segment:
    """A piece of a bar, and its entry in the legend."""

    start: int
    width: int
    colour: str
    words: Any
    count: int


def map_of(overview: Overview) -> Map:
    """Draw all gateways and servers; of too many servers, first those without a connection."""
    every = overview.servers
    drawn = sorted(every, key=lambda seen: seen.connected)[:_MOST] if len(every) > _MOST else every
    height = _STEP * max(len(drawn), len(overview.gateways))
    most = max((seen.server.available_space or 0 for seen in drawn), default=0) or 1
    servers = [
        (top, seen, _LONGEST * (seen.server.available_space or 0) // most)
        for top, seen in zip(_tops(len(drawn), height), drawn, strict=True)
    ]
    tops = _tops(len(overview.gateways), height)
    gateways = list(zip(tops, overview.gateways, strict=True))
    answering = [top for top, gateway in gateways if gateway.status.value is not None]
    lines = [
        (start, end, is_connected)
        for end, server, _ in servers
        for start, is_connected in zip(answering, server.seen, strict=True)
        if is_connected is not None
    ]
    return Map(height, gateways, servers, lines, len(every) - len(drawn))


def bar_of(health: Health) -> list[Segment]:
    """The number of names in each state, without empty states."""
    counts = [(state, health.counts[state]) for state in _STATES if health.counts[state]]
    total = sum(count for _, count in counts)
    room = _WHOLE_BAR - _LEAST * len(counts)
    segments = []
    start = 0
    for state, count in counts:
        words, colour = _STATES[state]
        width = _LEAST + room * count // total
        segments.append(Segment(start, width, colour, words, count))
        start += width
    return segments


def words_for(state: State) -> Any:
    """The words of a state, as in the legend."""
    return _STATES[state][0]


def _tops(number: int, height: int) -> Sequence[int]:
    """The tops of boxes that stand in the middle of a column."""
    first = (height - _STEP * number) // 2
    return range(first, first + _STEP * number, _STEP)
