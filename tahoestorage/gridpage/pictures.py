"""The drawings of the admin's pages: the position of each piece, in whole units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from django.utils.translation import gettext_lazy as _

from tahoestorage.gridpage.overview import Gateway, Overview, SeenServer
from txtahoe.maintenance import Health, State

# From one box to the next.
_STEP = 76
# The longest bar of free space.
_LONGEST = 166
# Nobody looks at more boxes.
_MOST = 20

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
# The shortest visible piece, even for one name of a million.
_LEAST = 10


@frozen
class GatewayBox:
    top: int
    gateway: Gateway


@frozen
class ServerBox:
    """`free`: the length of its bar; the server with the most free space has the longest."""

    top: int
    seen: SeenServer
    free: int


@frozen
class Line:
    """A line from the top of a gateway's box to the top of a server's box."""

    start: int
    end: int
    is_connected: bool


@frozen
class Map:
    """Gateways on the left, servers on the right. `left_out`: the number of servers not drawn."""

    height: int
    gateways: Sequence[GatewayBox]
    servers: Sequence[ServerBox]
    lines: Sequence[Line]
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
    tops = _tops(len(drawn), height)
    servers = [
        ServerBox(top, seen, _LONGEST * (seen.server.available_space or 0) // most)
        for top, seen in zip(tops, drawn, strict=True)
    ]
    tops = _tops(len(overview.gateways), height)
    gateways = [
        GatewayBox(top, gateway) for top, gateway in zip(tops, overview.gateways, strict=True)
    ]
    answering = [box for box in gateways if box.gateway.status.value is not None]
    lines = [
        Line(gateway.top, server.top, is_connected)
        for server in servers
        for gateway, is_connected in zip(answering, server.seen.seen, strict=True)
        if is_connected is not None
    ]
    return Map(height, gateways, servers, lines, len(every) - len(drawn))


def bar_of(health: Health) -> list[Segment]:
    """The number of names in each state, without empty states."""
    counts = [(state, health.counts[state]) for state in _STATES if health.counts[state]]
    total = sum(count for state, count in counts)
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
    """The words of a state, as in the legend of the bar."""
    return _STATES[state][0]


def _tops(number: int, height: int) -> list[int]:
    """The tops of boxes that stand in the middle of a column."""
    first = (height - _STEP * number) // 2
    return [first + _STEP * each for each in range(number)]
