"""A grid whose storage servers are far away: each behind a proxy with a delay and a rate."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.grid import delay
from txtahoe.testing.grid import Grid
from txtahoe.testing.node import LOOPBACK, NodeError, Server, free_port


class FarServer(Server):
    """A storage server that tells the grid the address of its proxy, and never its own."""

    rtts: Sequence[float]
    mbit: float

    def __init__(self, name: str, grid: Path, lock: int) -> None:
        super().__init__(name, grid, lock)
        self._far_port = free_port()
        self._proxy: subprocess.Popen[bytes] | None = None

    def settings(self) -> dict[str, dict[str, str]]:
        settings = super().settings()
        # Tahoe-LAFS makes the address of its HTTP storage protocol from the same option.
        settings["node"]["tub.location"] = f"tcp:{LOOPBACK}:{self._far_port}"
        return settings

    def launch(self) -> None:
        self._end_proxy()
        rtt = self.rtts[int(self.name.removeprefix("server-")) - 1]
        numbers = self._far_port, self.port, rtt, self.mbit
        self._proxy = subprocess.Popen(
            [sys.executable, delay.__file__, *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C ends the nodes first
        )
        assert self._proxy.stdout is not None
        if not self._proxy.stdout.readline():
            raise NodeError(f"the proxy before {self.name} does not start")
        super().launch()

    def wait_stopped(self, timeout: float) -> None:
        super().wait_stopped(timeout)
        self._end_proxy()

    def _end_proxy(self) -> None:
        if self._proxy is not None:
            self._proxy.communicate()  # it ends with its standard input
            self._proxy = None


def far_grid(rtts: Sequence[float], mbit: float) -> Grid:
    """
    A grid with a storage server for each round trip time, in seconds; 3-of-5 if there are five.

    `mbit`: megabits a second, from and to each server.
    """
    grid = Grid(servers=len(rtts))
    grid.server_type = type("FarServer", (FarServer,), {"rtts": rtts, "mbit": mbit})
    return grid
