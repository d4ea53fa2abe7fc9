"""The values of the journal: an entry, its states, and what readers see of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import IntEnum
from time import monotonic, time
from typing import Any, Literal

from attrs import field, frozen

from txtahoe.caps import Cap
from txtahoe.errors import ExistingChild
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path

PENDING: Any = ("txtahoe", "pending")
"""
The key in a node's metadata that has the number of its pending file. It is no str, so that nothing
in the JSON of a gateway, where other clients can write what they like, looks like it.
"""


class State(IntEnum):
    """See `spool`. All up to ASIDE are pending."""

    WAITING = 0
    UPLOADED = 1
    ASIDE = 2
    LINKED = 3
    BESIDE = 4


def _cap(given: str | Cap | None) -> Cap | None:
    return Cap.parse(given) if isinstance(given, str) else given


def _over(given: Any) -> Literal[True] | tuple[Cap, ...]:
    return given is True or tuple(Cap.parse(cap) if isinstance(cap, str) else cap for cap in given)


@frozen
class Entry:
    """
    The newest file of a path that this host has saved.

    `number`: that of its file. `cap`: None before the upload. `over`: True if it replaces any file
    of its name; else the caps of its older versions that can be on the grid, of which there is none
    for a new file. `since`: when it was saved, in seconds since 1970 UTC. `due`: when the next step
    is to be tried, by `time.monotonic()`; of a LINKED one, when it was linked. `tries`: those of
    this step that have failed, and `problem`: why, or "". `note`: what a person must know, or "".
    """

    path: Path = field(converter=tuple[str, ...])
    size: int = 0
    number: int = field(factory=lambda: int.from_bytes(os.urandom(8)) >> 1)  # SQLite has a sign
    cap: Cap | None = field(default=None, converter=_cap)
    over: Literal[True] | tuple[Cap, ...] = field(default=(), converter=_over)
    state: State = field(default=State.WAITING, converter=State)
    since: float = field(factory=lambda: time())
    due: float = field(factory=lambda: monotonic())
    tries: int = 0
    problem: str = ""
    note: str = ""

    @property
    def is_pending(self) -> bool:
        return self.state <= State.ASIDE

    @property
    def node(self) -> Node:
        """The file for readers. Until its cap is known, it has one that gives no rights."""
        cap = self.cap or Cap.parse(f"pending-{self.number:016x}")
        times = {"linkcrtime": self.since, "linkmotime": self.since}
        pending = {PENDING: self.number} if self.is_pending else {}
        return Node("filenode", cap, self.size, {"tahoe": times, **pending})

    def is_file(self, node: Node | None) -> bool:
        """Whether a node is of this file."""
        return node is not None and (
            node.metadata.get(PENDING) == self.number or node.cap == self.cap
        )


@frozen
class Summary:
    """
    The contents of a spool. `files`: those that are not on the grid yet, with their `bytes`, and
    the time of the `oldest` in seconds since 1970 UTC. `problem`: the last one, or "". `aside`: the
    problems of files that are set aside, by name. `notes`: about files that got another name, until
    a person forgets them.
    """

    files: int = 0
    bytes: int = 0
    oldest: float | None = None
    problem: str = ""
    aside: dict[str, str] = field(factory=dict)
    notes: tuple[str, ...] = ()


def replaceable(known: Sequence[Entry], expected: Node | None) -> Literal[True] | tuple[Cap, ...]:
    """The versions that a new entry can replace; see rule 4 in `spool`. Raises: ExistingChild."""
    for there in known:
        if not there.is_file(expected):
            raise ExistingChild("the name is taken, or the file has changed since it was opened")
        older = there.over if there.is_pending else ()
        if older is True or there.state in (State.WAITING, State.ASIDE):
            return older
        assert there.cap is not None
        return *older, there.cap
    if expected is not None and not expected.cap.is_known:
        raise ExistingChild("the file has changed since it was opened")
    return () if expected is None else (expected.cap,)
