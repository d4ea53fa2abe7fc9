"""The values of the journal: an entry, its states, and the form in which it is stored."""

from __future__ import annotations

import errno
import json
import re
from enum import IntEnum
from time import monotonic, time

from attrs import field, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from txtahoe.caps import Cap
from txtahoe.contentcache.blocks import decrypted, encrypted
from txtahoe.nodes import Node
from txtahoe.sealing import sealed
from txtahoe.tree.paths import Path

_PENDING_CAP = re.compile("pending-([0-9a-f]{16})")
PENDING = "txtahoe-pending"
"""The key in a node's metadata that has the number of its pending file."""


class State(IntEnum):
    WAITING = 0
    UPLOADED = 1
    LINKED = 2
    ASIDE = 3
    GONE = 4


UNFINISHED = State.WAITING, State.UPLOADED, State.ASIDE


@frozen
class Entry:
    """
    The pending file of a path.

    `number`: that of its file. `since`: when it was saved, in seconds since 1970 UTC.
    `due`: when it is to be uploaded, by `time.monotonic()`; of a LINKED or GONE one, removed.
    `replaces`: whether it replaces any file of its name. `ours`: caps of files that it replaces.
    `problem`: why the last attempt failed; "" if none has.
    """

    number: int
    path: Path
    size: int
    replaces: bool = False
    cap: Cap | None = None
    ours: tuple[Cap, ...] = ()
    due: float = field(factory=lambda: monotonic())
    since: float = field(factory=lambda: time())
    state: State = State.WAITING
    tries: int = 0
    problem: str = ""

    @sealed
    def stored(self, seal: AESGCM) -> bytes:
        """The part of it that is encrypted on the disk."""
        record = {
            "path": self.path,
            "replaces": self.replaces,
            "cap": self.cap and str(self.cap),
            "ours": list(map(str, self.ours)),
            "problem": self.problem,
        }
        return encrypted(seal, json.dumps(record).encode(), self.number)

    @property
    def node(self) -> Node:
        """The file for readers. Until its cap is known, it has one that gives no rights."""
        cap = self.cap or pending_cap(self.number)
        times = {"linkcrtime": self.since, "linkmotime": self.since}
        return Node("filenode", cap, self.size, {"tahoe": times, PENDING: self.number})

    def is_file(self, cap: Cap) -> bool:
        """Whether a cap of a node is that of this file."""
        return cap in (self.cap, pending_cap(self.number))


Row = tuple[int, int, int, float, float, int, bytes]
"""An entry in the database: number, state, size, since, due, tries, and what is encrypted."""


@sealed
def entry_of(row: Row, seal: AESGCM) -> Entry:
    """The entry of a row. Raises: OSError, if it is damaged."""
    number, state, size, since, due, tries, told = row
    try:
        record = json.loads(decrypted(seal, told, number))
    except InvalidTag:
        raise OSError(errno.EIO, "an entry of the spool's journal is damaged") from None
    return Entry(
        number,
        tuple(record["path"]),
        size,
        record["replaces"],
        record["cap"] and Cap.parse(record["cap"]),
        tuple(map(Cap.parse, record["ours"])),
        due,
        since,
        State(state),
        tries,
        record["problem"],
    )


def pending_cap(number: int) -> Cap:
    return Cap.parse(f"pending-{number:016x}")


def is_pending(cap: Cap) -> bool:
    """Whether a cap stands for a pending file, whose own one is not known yet."""
    return number_of(cap) >= 0


def number_of(cap: Cap) -> int:
    """The opposite of `pending_cap`; -1 for another cap."""
    found = _PENDING_CAP.fullmatch(str(cap))
    return -1 if found is None else int(found[1], 16)


@frozen
class Summary:
    """
    What a spool holds: files that are not on the grid yet, and their bytes; how many of them are
    set aside; the time of the oldest, in seconds since 1970 UTC; and the last problem, or "".
    """

    files: int = 0
    bytes: int = 0
    aside: int = 0
    oldest: float | None = None
    problem: str = ""
