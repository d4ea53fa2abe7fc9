"""What is known to be linked: a digest of 8 bytes for each name, and where its link stands."""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from bisect import bisect_left
from collections.abc import Iterable, Set
from functools import cached_property
from itertools import chain


class Ledger:
    """
    The digests (see `capnames.digest_of`) of names that are linked, by the path of what they are
    linked in.

    `until`: the last hour of which everything is in it; "" for none.
    `deleted`: of names that were deleted, and may still be linked.

    That a name has by chance the digest of one of a million others has the odds 1 to 10^13.
    """

    def __init__(self) -> None:
        self.until = ""
        self.deleted: set[int] = set()
        self.is_changed = False
        self._sections: dict[str, array[int]] = {}
        self._others: set[int] = set()

    @classmethod
    def parse(cls, data: bytes) -> Ledger:
        """Raises: ValueError for what is no ledger."""
        first, *lines = data.decode("ascii").split("\n")
        kind, _, until = first.partition(" ")
        if kind != "ledger":
            raise ValueError("this is no ledger")
        ledger = cls()
        ledger.until = until
        for line in lines:
            path, _, packed = line.rpartition(" ")
            ledger._sections[path] = _portable(array("Q", b64decode(packed, validate=True)))
        return ledger

    @property
    def data(self) -> bytes:
        """What `parse` reads: about 11 bytes a name."""
        lines = [f"ledger {self.until}"]
        for path, digests in self._sections.items():
            lines.append(f"{path} {b64encode(_portable(digests).tobytes()).decode()}")
        return "\n".join(lines).encode()

    def __contains__(self, digest: int) -> bool:
        if digest in self._others:
            return True
        index = bisect_left(self._sorted, digest)
        return index < len(self._sorted) and self._sorted[index] == digest

    @property
    def paths(self) -> Iterable[str]:
        """Of what is known to hold links."""
        return self._sections.keys()

    def has(self, path: str) -> bool:
        """Whether it is known what is linked there."""
        return path in self._sections

    def holding(self, digests: Set[int]) -> list[str]:
        """Where any of these is linked."""
        return [path for path, held in self._sections.items() if not digests.isdisjoint(held)]

    def add(self, path: str, digests: Iterable[int]) -> None:
        """Keep what is linked there, and will not change by itself."""
        self._sections[path] = array("Q", digests)
        self._others.update(self._sections[path])
        self.is_changed = True

    def note(self, digests: Iterable[int]) -> None:
        """As `add`, of what may still change: not in `data`."""
        self._others.update(digests)

    @cached_property
    def _sorted(self) -> array[int]:
        """What was there at the first question; what came later is among the others too."""
        return array("Q", sorted(chain.from_iterable(self._sections.values())))


def _portable(digests: array[int]) -> array[int]:
    """The same, with the order of bytes in which numbers are written down."""
    if sys.byteorder == "little":
        return digests
    swapped = digests[:]
    swapped.byteswap()
    return swapped
