"""The ledger of linked names: a digest of 8 bytes for each."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Set
from struct import pack, unpack

from attrs import define, field


@define
class Ledger:
    """
    The digests (see `capnames.digest_of`) of linked names, by the path of the directory that holds
    the links. Two of a million names have one digest with a probability of 1 to 10^13.

    `until`: the last hour of which everything is in it; "" for none.
    `deleted`: digests of names that were deleted, and may still be linked.
    """

    until: str = ""
    deleted: set[int] = field(factory=set)
    is_changed: bool = False
    _sections: dict[str, tuple[int, ...]] = field(factory=dict)
    _linked: set[int] = field(factory=set)

    @classmethod
    def parse(cls, data: bytes) -> Ledger:
        """Raises: ValueError if it is no ledger."""
        first, *lines = data.decode("ascii").split("\n")
        kind, _, until = first.partition(" ")
        if kind != "ledger":
            raise ValueError("this is no ledger")
        ledger = cls(until)
        for line in lines:
            path, _, text = line.rpartition(" ")
            packed = b64decode(text, validate=True)
            if len(packed) % 8:
                raise ValueError("this is no ledger")
            ledger.add(path, unpack(f"<{len(packed) // 8}Q", packed))
        ledger.is_changed = False
        return ledger

    @property
    def data(self) -> bytes:
        """The ledger as `parse` reads it: about 11 bytes a name."""
        lines = [f"ledger {self.until}"]
        for path, digests in self._sections.items():
            lines.append(f"{path} {b64encode(pack(f'<{len(digests)}Q', *digests)).decode()}")
        return "\n".join(lines).encode()

    def __contains__(self, digest: int) -> bool:
        return digest in self._linked

    @property
    def paths(self) -> Collection[str]:
        """The paths of the directories whose links are known."""
        return self._sections.keys()

    def holding(self, digests: Set[int]) -> list[str]:
        """The paths of the directories that link any of these."""
        return [path for path, held in self._sections.items() if not digests.isdisjoint(held)]

    def add(self, path: str, digests: Iterable[int]) -> None:
        """Keep the links of a directory that nobody adds to any more."""
        self._sections[path] = tuple(digests)
        self._linked.update(self._sections[path])
        self.is_changed = True

    def note(self, digests: Iterable[int]) -> None:
        """Count names as linked whose directory may still change; they are not in `data`."""
        self._linked.update(digests)
