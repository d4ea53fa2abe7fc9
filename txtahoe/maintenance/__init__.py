"""
Whole trees: the health of files, their leases, snapshots, and which gateway makes the changes.

Users and Django's side import it; its functions are public. Every function is for a `Tree`. Begin
with `walking.py`, then `health.py`.
"""

from txtahoe.maintenance.differences import Difference, differences
from txtahoe.maintenance.health import Health, Problem, State, check, keep_check, last_check
from txtahoe.maintenance.leases import LEASE_SECONDS, Renewal, last_renewal, renew
from txtahoe.maintenance.restoring import Restored, restore
from txtahoe.maintenance.snapshots import (
    Snapshot,
    list_snapshots,
    remove_snapshot,
    take_snapshot,
)
from txtahoe.maintenance.spread import Spread, spread
from txtahoe.maintenance.usage import Usage, usage
from txtahoe.maintenance.walking import Progress

__all__ = [
    "LEASE_SECONDS",
    "Difference",
    "Health",
    "Problem",
    "Progress",
    "Renewal",
    "Restored",
    "Snapshot",
    "Spread",
    "State",
    "Usage",
    "check",
    "differences",
    "keep_check",
    "last_check",
    "last_renewal",
    "list_snapshots",
    "remove_snapshot",
    "renew",
    "restore",
    "spread",
    "take_snapshot",
    "usage",
]
