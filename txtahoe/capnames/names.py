"""Names that carry the cap of their file, so that a reader needs no directory."""

from __future__ import annotations

from hashlib import sha256

from attrs import field, frozen

from txtahoe.caps import BadCap, Cap
from txtahoe.sealing import sealed

_MARK = "URI:"


@frozen
class CapName:
    """
    A name such as `docs/2026/<cap>/report.pdf`: the component before the last one is the read cap
    of an immutable file. Anyone who has the name can read the file.

    `directory`: the part before the cap, without a slash at its end; can be empty.
    """

    directory: str
    cap: Cap = field()
    file: str

    @cap.validator
    def _require_immutable_file(self, _: object, cap: Cap) -> None:
        if not cap.is_file or not cap.is_readable or cap.is_mutable:
            raise BadCap(f"a name can carry the read cap of an immutable file, not {cap!r}")

    @staticmethod
    @sealed
    def parse(text: str) -> CapName | None:
        """
        Read a name; None if its component before the last does not begin as a cap does.

        Raises: BadCap, which does not show the cap, if it is not that of an immutable file.
        """
        above, _, file = text.rpartition("/")
        directory, _, cap = above.rpartition("/")
        return CapName(directory, Cap.parse(cap), file) if is_cap(cap) else None

    @staticmethod
    def of_link(label: str, cap: Cap) -> CapName | None:
        """The name of which a link has the `label`; None for any other link."""
        plain = label.replace("%2F", "/").replace("%25", "%")
        above, _, file = plain.rpartition("/")
        directory, _, fingerprint = above.rpartition("/")
        if fingerprint != cap.fingerprint:
            return None
        try:
            return CapName(directory, cap, file)
        except BadCap:  # anyone who can write to the directory can put anything there
            return None

    @property
    def text(self) -> str:
        """The name itself."""
        return self._with(str(self.cap))

    @property
    def label(self) -> str:
        """The name of a link to the file: as `text`, in one word, with the cap's fingerprint."""
        return self._with(self.cap.fingerprint).replace("%", "%25").replace("/", "%2F")

    def _with(self, component: str) -> str:
        return "/".join([*([self.directory] if self.directory else []), component, self.file])


def is_cap(component: str) -> bool:
    """Whether a component of a name begins as a cap does."""
    return component.startswith(_MARK)


def digest_of(text: str) -> int:
    """A number of 8 bytes that tells names apart, and does not give the name away."""
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big")
