"""Wait until a condition holds, however long this machine takes for it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from twisted.internet.task import deferLater


def wait_until(condition: Callable[[], object]) -> None:
    """Block until a condition holds. Raises: AssertionError after 90 seconds."""
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 90 seconds"
        time.sleep(0.02)


def wait_until_dropped(condition: Callable[[], object]) -> None:
    """
    Collect garbage until a condition holds. The reactor thread, for example, may hold for a moment
    what it has returned. Raises: as `wait_until`.
    """

    def holds() -> object:
        gc.collect()
        return condition()

    wait_until(holds)


async def until(condition: Callable[[], object]) -> None:
    """Wait in the reactor until a condition holds. The test case limits the time."""
    from twisted.internet import reactor

    while not condition():
        await deferLater(reactor, 0.01)
