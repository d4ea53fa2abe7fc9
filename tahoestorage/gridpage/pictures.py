"""The drawings of the admin's pages: where everything is, in whole units of each drawing."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from tahoestorage.gridpage.overview import Gateway, Overview, SeenServer
from txtahoe.maintenance import Health, State

# From one box to the next.
_STEP = 76
# The longest bar of free space.
_LONGEST = 166
# Nobody looks at more boxes; the tables have them all.
_MOST = 20

# In the order of the bar: the words for each, and its colour in the style sheet.
_STATES = {
    State.HEALTHY: ("healthy", "good"),
    State.LITERAL: ("healthy, and so small that it needs no shares", "small"),
    State.REPAIRED: ("repaired", "repaired"),
    State.UNHEALTHY: ("readable, but shares are missing or damaged", "unhealthy"),
    State.REPAIR_FAILED: ("readable, but the repair failed", "failed"),
    State.UNRECOVERABLE: ("not readable: too few shares are within reach", "lost"),
    State.UNCHECKED: ("not checked, because the check failed", "unchecked"),
    State.UNKNOWN: ("of an unknown kind", "unknown"),
}
_WHOLE_BAR = 1000
# So much of it is seen, be it one of a million.
_LEAST = 10


@frozen
class GatewayBox:
    top: int
    gateway: Gateway


@frozen
class ServerBox:
    """`free`: how long its bar is; the longest is that of the server with the most room."""

    top: int
    seen: SeenServer
    free: int


@frozen
class Line:
    """From the top of a gateway's box to that of a server's."""

    start: int
    end: int
    is_connected: bool


@frozen
class Map:
    """Gateways on the left, servers on the right. `left_out`: how many servers are not drawn."""

    height: int
    gateways: Sequence[GatewayBox]
    servers: Sequence[ServerBox]
    lines: Sequence[Line]
    left_out: int


@frozen
class Segment:
    """A piece of a bar, and its row in the table."""

    start: int
    width: int
    colour: str
    words: str
    count: int


def map_of(overview: Overview) -> Map:
    """Where there are too many servers, those that are not connected are drawn first."""
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
    """How many are in each state that there is."""
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


def words_for(state: State) -> str:
    """As in the table of the bar."""
    return _STATES[state][0]


def _tops(number: int, height: int) -> list[int]:
    """Of boxes in the middle of a column."""
    first = (height - _STEP * number) // 2
    return [first + _STEP * each for each in range(number)]
