"""Nodes: what a cap, or a link of a directory, leads to."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from txtahoe.caps import BadCap, Cap
from txtahoe.testing.fake.http import refusals

_PREFIXES = ("ro.", "imm.")
_FORMATS = {"SSK": "SDMF", "SSK-RO": "SDMF", "MDMF": "MDMF", "MDMF-RO": "MDMF"}


@frozen
class Node:
    """
    A file, a directory, or something that is unknown; as Tahoe's `allmydata.nodemaker` makes them.

    `cap`: its strongest known cap; None where it is unknown, as verify caps are here.
    `rw_uri`, `ro_uri`: the strings by which it is linked.
    """

    cap: Cap | None = None
    rw_uri: str | None = field(default=None, repr=False)
    ro_uri: str | None = field(default=None, repr=False)

    @property
    def type(self) -> str:
        """The word for it in JSON."""
        if self.cap is None:
            return "unknown"
        return "dirnode" if self.cap.is_directory else "filenode"

    @property
    def uri(self) -> str:
        """Its strongest cap as a string."""
        return self.rw_uri or self.ro_uri or ""

    @property
    def known(self) -> Cap:
        """The cap of a file or directory. Raises: AttributeError, as Tahoe does."""
        if self.cap is None:
            raise AttributeError("an unknown node cannot do this")
        return self.cap

    @property
    def verify_uri(self) -> str:
        return str(self.cap.verifier or "") if self.cap else ""

    @property
    def storage_index(self) -> str:
        """Empty for an object without shares."""
        return (self.cap and self.cap.storage_index) or ""

    def uris(self) -> dict[str, str]:
        """Its caps under their names in JSON."""
        named = {"ro_uri": self.ro_uri, "rw_uri": self.rw_uri, "verify_uri": self.verify_uri}
        return {name: uri for name, uri in named.items() if uri}


def node_of(cap: Cap) -> Node:
    """The node of a known cap that can at least read."""
    return Node(cap, str(cap) if cap.is_writable else None, str(cap.reader))


def node_at(text: str) -> Node:
    """The node of the cap in a URL; text that is no cap makes an unknown one without caps."""
    cap = readable(text)
    return node_of(cap) if cap else Node()


def linked_node(rw_uri: str | None, ro_uri: str | None, name: str) -> Node:
    """
    The node of two caps that are given for a link; see `allmydata.unknown` for unknown ones.

    A known cap in either place counts for both, also a write cap that is given as `ro_uri`.

    Raises: Refused where a prefix promises more than the cap keeps, or where an unknown cap
    is given as `rw_uri` alone.
    """
    cap = readable(rw_uri or ro_uri or "")
    if cap is not None:
        return node_of(cap)
    if rw_uri and not ro_uri:
        if not rw_uri.startswith(_PREFIXES):
            raise refusals.must_not_be_unknown(name)
        rw_uri, ro_uri = None, rw_uri
    if ro_uri and not ro_uri.startswith(_PREFIXES):
        ro_uri = f"ro.{ro_uri}"
    elif ro_uri:
        prefix, _, rest = ro_uri.partition(".")
        if readable(rest):
            raise (
                refusals.must_be_readonly(name)
                if prefix == "ro"
                else refusals.must_be_deep_immutable(name)
            )
    return Node(None, rw_uri, ro_uri)


def describe_file(cap: Cap, size: int | None) -> dict[str, Any]:
    """A file in JSON, as Tahoe's `get_filenode_metadata`."""
    told = {"mutable": cap.is_mutable, "format": _FORMATS.get(cap.kind, "CHK")}
    return told if size is None else {**told, "size": size}


def readable(text: str) -> Cap | None:
    """The cap, if it is a known one that can at least read."""
    try:
        cap = Cap.parse(text)
    except BadCap:
        return None
    return cap if cap.is_readable else None
