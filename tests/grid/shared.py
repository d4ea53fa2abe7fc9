"""One grid for all test modules of a run."""

from __future__ import annotations

from functools import cache

from txtahoe.testing.grid import Grid


@cache
def shared_grid() -> Grid:
    """A grid of 3 servers, 2-of-3, and 2 gateways, started at the first call (about 5 s, blocking).

    It stops when the interpreter exits. A test that stops or freezes nodes starts or thaws them
    again and calls `wait_ready` before it ends.
    """
    return Grid(servers=3, gateways=2, needed=2, total=3, happy=2).start()
