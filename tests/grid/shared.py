"""The gateways that the tests of one run have in common."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.needs import ALL_TESTS, GRID, needed_by
from txtahoe.testing.fake import FakeGateway
from txtahoe.testing.grid import Grid


@cache
def shared_grid() -> Grid:
    """
    A grid of 3 servers, 2-of-3, and 2 gateways, started at the first call (about 5 s, blocking).

    It stops when the interpreter exits. A test that stops or freezes nodes starts or thaws them
    again and calls `wait_ready` before it ends.
    """
    return Grid(servers=3, gateways=2, needed=2, total=3, happy=2).start()


@cache
def shared_fake() -> tuple[FakeGateway, list[str]]:
    """A grid in memory, and the URLs of two gateways to it."""
    fake = FakeGateway()
    return fake, [fake.listening().url, fake.listening().url]


def is_on_grid(test: Any) -> bool:
    """
    Whether a test uses the real grid, because it needs it, or because every test does.

    All other tests use a grid in memory, whose gateway is verified by `tests.contract`.
    """
    return ALL_TESTS or GRID in needed_by(test)


def gateways_for(test: Any) -> list[str]:
    """The URLs of two gateways to the grid that a test uses."""
    return shared_grid().gateway_urls if is_on_grid(test) else shared_fake()[1]
