"""A grid that deletes objects whose leases are some seconds old."""

from __future__ import annotations

import sys
from pathlib import Path

from txtahoe.testing.grid import Grid, Server

_LEASE_CHECKER = Path(__file__).with_name("short_leases.py")


class ExpiringServer(Server):
    """A storage server whose leases are counted in seconds."""

    def command(self) -> list[str]:
        return [sys.executable, "-P", str(_LEASE_CHECKER)]


class ExpiringGrid(Grid):
    """The smallest grid that expires leases, `seconds` after they were given or renewed."""

    server_type = ExpiringServer

    def __init__(self, seconds: int) -> None:
        expire = {"enabled": "true", "mode": "age", "override_lease_duration": str(seconds)}
        settings = {"storage": {f"expire.{name}": value for name, value in expire.items()}}
        super().__init__(servers=1, gateways=1, server_settings=settings)
