"""
The links of a directory: how they are packed into a file, and what a change does to them.

After Tahoe's `allmydata.dirnode`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from unicodedata import normalize

from attrs import field, frozen

from txtahoe.caps import Cap
from txtahoe.testing.fake.http import refusals
from txtahoe.testing.fake.objects.nodes import Node, linked_node, node_of, readable
from txtahoe.testing.fake.objects.store import Store, as_directory, as_file

# Around an encrypted write cap: the salt before it and the code after it. Nothing is encrypted
# here, but a directory is as long as a real one.
_SALT, _CODE = bytes(16), bytes(32)


@frozen
class Link:
    """
    A child, and the metadata of the link to it; None where a request gives none.

    `packed`: the bytes that it was unpacked from.
    """

    node: Node
    metadata: Mapping[str, Any] | None = None
    packed: bytes = field(default=b"", repr=False)


Links = dict[str, Link]


def nfc(name: str) -> str:
    """The one form of a name: composed and decomposed accents are the same child."""
    return normalize("NFC", name)


class Directory:
    """A directory, with the rights that a cap gives to it."""

    def __init__(self, store: Store, cap: Cap) -> None:
        self._store = store
        self._cap = cap

    def links(self) -> Links:
        """All children by name. Raises: Lost."""
        entries = _netstrings(self._store.read(as_file(self._cap)))
        return dict(_unpacked(entry, self._cap.is_writable) for entry in entries)

    def child(self, name: str) -> Link:
        """Raises: Refused with 404, Lost."""
        links = self.links()
        if nfc(name) not in links:
            raise refusals.no_such_child(nfc(name))
        return links[nfc(name)]

    def add(self, given: Mapping[str, Link], replace: bool | str) -> None:
        """
        Link all of them or none; `replace` is True, False or "only-files".

        Raises: Failed as NotWriteableError, Refused with 409, Lost.
        """
        self.require_writable()
        links = self.links()
        for name, link in given.items():
            links[nfc(name)] = _updated(links.get(nfc(name)), link, replace)
        self._write(links)

    def remove(self, name: str) -> None:
        """Raises: Failed as NotWriteableError, Refused with 404, Lost."""
        self.require_writable()
        links = self.links()
        if links.pop(nfc(name), None) is None:
            raise refusals.no_such_child(nfc(name))
        self._write(links)

    def require_writable(self) -> None:
        """Raises: Failed as NotWriteableError."""
        if not self._cap.is_writable:
            raise refusals.not_writeable()

    def _write(self, links: Links) -> None:
        self._store.write(as_file(self._cap), _pack(links, mutable=True))


def new_directory(store: Store, given: Mapping[str, Link], format_: str = "SDMF") -> Node:
    """A new mutable directory, with metadata exactly as given."""
    return node_of(as_directory(store.put_mutable(format_, _pack(given, mutable=True))))


def new_immutable_directory(store: Store, given: Mapping[str, Link]) -> Node:
    """Raises: Refused where a child is mutable, Failed with too few servers."""
    for name, link in given.items():
        if link.node.rw_uri or (link.node.cap and link.node.cap.is_mutable):
            raise refusals.must_be_deep_immutable(nfc(name))
    return node_of(as_directory(store.put_immutable(_pack(given, mutable=False))))


def given_links(text: bytes) -> Links:
    """The links in the JSON of a request. Raises: whatever a wrong form leads to."""
    return {
        name: Link(linked_node(told.get("rw_uri"), told.get("ro_uri"), name), told.get("metadata"))
        for name, (_type, told) in json.loads(text).items()
    }


def _updated(old: Link | None, given: Link, replace: bool | str) -> Link:
    is_protected = replace == "only-files" and old and old.node.type == "dirnode"
    if is_protected or (old and not replace):
        raise refusals.existing_child()
    kept = (old and old.metadata) or {}
    metadata = kept if given.metadata is None else given.metadata
    now = time.time()
    times = {"linkcrtime": now, **kept.get("tahoe", {}), "linkmotime": now}
    return Link(given.node, {**metadata, "tahoe": times})


def _pack(links: Mapping[str, Link], *, mutable: bool) -> bytes:
    named = {nfc(name): link for name, link in links.items()}
    return b"".join(_netstring(_entry(name, named[name], mutable)) for name in sorted(named))


def _entry(name: str, link: Link, mutable: bool) -> bytes:
    if link.packed:
        return link.packed
    write_cap = _SALT + (link.node.rw_uri or "").encode() + _CODE
    read_cap = (link.node.ro_uri or "").removeprefix("ro.")
    # The children of an immutable directory are immutable: their prefix is implied.
    read_cap = read_cap if mutable else read_cap.removeprefix("imm.")
    fields = [
        name.encode(),
        read_cap.encode(),
        write_cap if mutable else b"",
        json.dumps(link.metadata or {}).encode(),
    ]
    return b"".join(map(_netstring, fields))


# A change reads and writes every link of the directory, and changes few.
@lru_cache(maxsize=2**15)
def _unpacked(entry: bytes, writable: bool) -> tuple[str, Link]:
    name, ro_uri, rw_uri, metadata = _netstrings(entry)
    write_cap = rw_uri[len(_SALT) : -len(_CODE)].decode() if writable else ""
    read_cap = ro_uri.decode()
    cap = readable(write_cap or read_cap)
    if not cap and read_cap and not read_cap.startswith("imm."):
        read_cap = f"{'ro.' if rw_uri else 'imm.'}{read_cap}"
    node = Node(cap, write_cap or None, read_cap or None)
    return name.decode(), Link(node, json.loads(metadata), entry)


def _netstring(data: bytes) -> bytes:
    return b"%d:%s," % (len(data), data)


def _netstrings(data: bytes) -> list[bytes]:
    found, position = [], 0
    while position < len(data):
        colon = data.index(b":", position)
        end = colon + 1 + int(data[position:colon])
        found.append(data[colon + 1 : end])
        position = end + 1
    return found
