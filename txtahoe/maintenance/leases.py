"""Leases: what is not renewed in time is deleted by grids that expire leases."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from attrs import frozen

from txtahoe.errors import TahoeError
from txtahoe.maintenance.health import Health, check
from txtahoe.maintenance.records import contents_of, is_past, record
from txtahoe.maintenance.walking import AT_ONCE, Progress
from txtahoe.nodes import Link
from txtahoe.tree.paths import split
from txtahoe.tree.tree import Tree

LEASE_SECONDS = 31 * 24 * 60 * 60
"""How long a lease lasts. The operator of a storage server may have set less."""

_RENEWED = "renewed"


@frozen
class Renewal:
    """
    Leases that were renewed.

    `health`: what was found on the way, and when.
    `previous`: when the last complete renewal before this one began, in seconds since 1970 UTC;
    None where none is known.
    `is_recorded`: whether this one will be the `previous` of the next; `problem`: why not, where
    that was tried.
    """

    health: Health
    previous: float | None
    is_recorded: bool
    problem: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether everything was reached. Shares on servers that are away were not."""
        return self.health.is_complete

    @property
    def oldest_until(self) -> float | None:
        """
        When the first of the leases would have run out without this renewal, at the earliest, in
        seconds since 1970 UTC. What is in the past may be lost; `health` tells.
        """
        return None if self.previous is None else self.previous + LEASE_SECONDS


async def renew(
    tree: Tree,
    path: str | Sequence[str] = (),
    *,
    at_once: int = AT_ONCE,
    progress: Progress | None = None,
) -> Renewal:
    """
    Renew the leases of what a path leads to and of everything below it, snapshots included.

    A complete renewal of a whole tree that can be written is recorded in it.

    Raises: as `check`.
    """
    try:
        previous = await last_renewal(tree)
    except TahoeError:  # no reason not to renew what is left
        previous = None
    health = await check(tree, path, add_lease=True, at_once=at_once, progress=progress)
    if not health.is_complete or split(path) or not tree.root.is_writable:
        return Renewal(health, previous, is_recorded=False)
    try:
        cap = await tree.client.upload(_written(health.began))
        await record(tree, _RENEWED, Link(cap), replace=True)
    except TahoeError as error:
        return Renewal(health, previous, is_recorded=False, problem=str(error))
    return Renewal(health, previous, is_recorded=True)


async def last_renewal(tree: Tree) -> float | None:
    """
    When the last complete renewal of a tree began, in seconds since 1970 UTC, if any.

    Raises: NotADirectory; the errors of `Client`.
    """
    told = await contents_of(tree, _RENEWED)
    return None if told is None else _read(told)


def _written(time: float) -> bytes:
    return datetime.fromtimestamp(time, UTC).isoformat().encode()


def _read(told: bytes) -> float | None:
    with suppress(ValueError, OverflowError):
        seconds = datetime.fromisoformat(told.decode()).timestamp()
        return seconds if is_past(seconds) else None
    return None
