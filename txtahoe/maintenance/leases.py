"""Leases: a grid that expires leases deletes everything that nobody renews in time."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from attrs import frozen

from txtahoe.errors import TahoeError
from txtahoe.maintenance import records
from txtahoe.maintenance.health import Health, check
from txtahoe.maintenance.walking import Progress
from txtahoe.tree.tree import Tree

LEASE_SECONDS = 31 * 24 * 60 * 60
"""How long a lease lasts. The operator of a storage server may have set less."""

_RENEWED = "renewed"


@frozen
class Renewal:
    """
    The result of `renew`. `health`: the result of the check on the way.

    `previous`: when the last complete renewal before this one began, in seconds since 1970 UTC;
    None if unknown. `is_recorded`: whether the next renewal will know of this one. `problem`: why
    it could not be recorded.
    """

    health: Health
    previous: float | None
    is_recorded: bool
    problem: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether everything was reached, except for shares on servers that are away."""
        return self.health.is_complete

    @property
    def oldest_until(self) -> float | None:
        """
        When the first lease would have run out without this renewal, in seconds since 1970 UTC. If
        that is in the past, files may be lost; `health` tells.
        """
        return None if self.previous is None else self.previous + LEASE_SECONDS


async def renew(tree: Tree, *, progress: Progress | None = None) -> Renewal:
    """
    Renew the leases of a whole tree, snapshots included. It records a complete renewal in the tree,
    if that can be written. (`check` with `add_lease` renews those of a part.) Raises: as `check`.
    """
    previous = None
    with suppress(TahoeError):  # what is left must be renewed all the same
        previous = await last_renewal(tree)
    health = await check(tree, add_lease=True, progress=progress)
    if not health.is_complete or not tree.root.is_writable:
        return Renewal(health, previous, is_recorded=False)
    try:
        began = datetime.fromtimestamp(health.began, UTC)
        await records.write(tree, _RENEWED, began.isoformat().encode())
    except TahoeError as error:
        return Renewal(health, previous, is_recorded=False, problem=str(error))
    return Renewal(health, previous, is_recorded=True)


async def last_renewal(tree: Tree) -> float | None:
    """
    When the last complete renewal of a tree began, in seconds since 1970 UTC; None if unknown.

    Raises: NotADirectory; the errors of `Client`.
    """
    told = await records.read(tree, _RENEWED) or b""
    with suppress(ValueError, OverflowError):
        began = datetime.fromisoformat(told.decode()).timestamp()
        return began if records.is_past(began) else None
    return None
