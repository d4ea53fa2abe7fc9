"""Directories as JSON: the gateway's listings, and the links in requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from txtahoe.caps import Cap
from txtahoe.errors import NotAGateway
from txtahoe.http.sources import BytesSource
from txtahoe.nodes import Link, Node, parse_child
from txtahoe.sealing import sealed, sealed_async
from txtahoe.turns import in_turns

# By name: the cap of each child, or the cap and the metadata of its link.
Children = Mapping[str, Cap | Link]

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


@sealed_async
async def read_listing(reactor: Any, body: bytes, doing: str) -> dict[str, Node]:
    """
    The children of a directory, by name, from the answer to `t=json`.

    It parses a child at a time: a large listing in one piece would hold the reactor up.

    Raises: NotAGateway.
    """
    children: dict[str, Node] = {}
    try:
        async for some in in_turns(reactor, _Listing(body.decode()).children()):
            children.update(some)
    except (ValueError, RecursionError):
        raise NotAGateway(
            f"{doing}: the answer is no listing, so it is not from a Tahoe-LAFS gateway"
        ) from None
    return children


class _Listing:
    """JSON like `["dirnode", {"children": {name: child, …}, …}]`, read a child at a time."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def children(self) -> Iterator[tuple[str, Node]]:
        """Raises: ValueError, RecursionError."""
        found = False
        self._require("[")
        self._value()
        self._require(",")
        for key in self._members():
            if key == "children":
                found = True
                for name in self._members():
                    yield name, parse_child(self._value())
            else:
                self._value()
        self._require("]")
        self._skip_space()
        if not found or self._at < len(self._text):
            raise ValueError("it has another form")

    def _members(self) -> Iterator[str]:
        """The keys of an object; the caller reads the value of each."""
        self._require("{")
        ended = self._has("}")
        while not ended:
            key = self._value()
            if not isinstance(key, str):
                raise ValueError("a key is no string")
            self._require(":")
            yield key
            ended = self._has("}")
            if not ended:
                self._require(",")

    def _value(self) -> Any:
        self._skip_space()
        value, self._at = _DECODER.raw_decode(self._text, self._at)
        return value

    def _has(self, character: str) -> bool:
        self._skip_space()
        there = self._text.startswith(character, self._at)
        self._at += there
        return there

    def _require(self, character: str) -> None:
        if not self._has(character):
            raise ValueError(f"no {character}")

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()


def links_of(
    children: Children, metadata: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> dict[str, Link]:
    """
    The links to `children`: `metadata` over their own, and their own over `defaults`.

    Raises: ValueError for a name that UTF-8 cannot encode.
    """
    links = {}
    for name, child in children.items():
        name.encode()
        link = child if isinstance(child, Link) else Link(child)
        links[name] = Link(link.cap, {**(defaults or {}), **link.metadata, **metadata})
    return links


@sealed
def links_body(links: Mapping[str, Link]) -> BytesSource:
    """The body of a request that makes links. Raises: TypeError if metadata is not JSON."""
    entries = {
        name: [
            "dirnode" if link.cap.is_directory else "filenode",
            {
                "rw_uri" if link.cap.is_writable else "ro_uri": str(link.cap),
                "metadata": link.metadata,
            },
        ]
        for name, link in links.items()
    }
    return BytesSource(json.dumps(entries).encode())
