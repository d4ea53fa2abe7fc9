"""Directories as JSON: the listings that the gateway gives, and the links that it takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from time import time
from typing import Any

from txtahoe.caps import Cap
from txtahoe.errors import NotAGateway
from txtahoe.http.sources import BytesSource
from txtahoe.nodes import Link, Node, parse_child
from txtahoe.sealing import sealed, sealed_async
from txtahoe.turns import in_turns

# By name: where a child is to lead, and perhaps what its link's metadata is to hold.
Children = Mapping[str, Cap | Link]

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


@sealed_async
async def read_listing(reactor: Any, body: bytes, doing: str) -> dict[str, Node]:
    """
    The children of a directory, by name, from what `t=json` gives of it.

    A child is parsed at a time, because a large listing as a whole would hold the reactor up.

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
    """JSON like `["dirnode", {"children": {name: child, …}, …}]`, with a place in it."""

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
        if not found or self._space() < len(self._text):
            raise ValueError("it has another form")

    def _members(self) -> Iterator[str]:
        """The keys of an object; the caller reads the value of each."""
        self._require("{")
        if self._has("}"):
            return
        while True:
            key = self._value()
            if not isinstance(key, str):
                raise ValueError("a key is no string")
            self._require(":")
            yield key
            if self._has("}"):
                return
            self._require(",")

    def _value(self) -> Any:
        value, self._at = _DECODER.raw_decode(self._text, self._space())
        return value

    def _has(self, character: str) -> bool:
        there = self._text.startswith(character, self._space())
        self._at += there
        return there

    def _require(self, character: str) -> None:
        if not self._has(character):
            raise ValueError(f"no {character}")

    def _space(self) -> int:
        """Skip white space; the place behind it."""
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._at


def newborn_body(children: Children, keep_times: bool) -> BytesSource:
    """The children of a directory that is made: here the gateway does not tell the time itself."""
    now = time()
    times = {"tahoe": {"linkcrtime": now, "linkmotime": now}}
    return links_body(links_of(children, *([{}, times] if keep_times else [times, {}])))


def links_of(
    children: Children, metadata: Mapping[str, Any], otherwise: Mapping[str, Any] | None = None
) -> dict[str, Link]:
    """The links to `children`, with `metadata` over their own, and these over `otherwise`."""
    links = {
        name: child if isinstance(child, Link) else Link(child) for name, child in children.items()
    }
    return {
        name: Link(link.cap, {**(otherwise or {}), **link.metadata, **metadata})
        for name, link in links.items()
    }


@sealed
def links_body(links: Mapping[str, Link]) -> BytesSource:
    """The body of a request that makes links. Raises: TypeError for metadata that is not JSON."""
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
