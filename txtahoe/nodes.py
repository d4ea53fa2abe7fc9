"""Files, directories and storage servers, as the gateway tells of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from attrs import field, frozen

from txtahoe.caps import Cap, require_cap
from txtahoe.errors import NotAGateway
from txtahoe.sealing import sealed

NodeType = Literal["filenode", "dirnode", "unknown"]
_TYPES: dict[Any, NodeType] = {"filenode": "filenode", "dirnode": "dirnode"}

# The key in a link's metadata whose value tells this link from any other.
MARK = "txtahoe-link"

# In seconds since 1970 UTC: 9999-01-01. Python's dates, in any time zone, go a little further.
_END_OF_TIME = 253_370_764_800

# Stands for a cap that cannot be parsed; itself unknown, it is never linked anywhere.
_STRANGE = Cap.parse("strange")


@frozen
class Node:
    """
    A file or a directory, or something that this gateway's release does not know ("unknown").

    `cap`: the strongest cap that the gateway gave for it.
    `size`: bytes of a file; None for directories, and if the gateway does not know it.
    `metadata`: of the link that led here; empty if there was none.
    """

    type: NodeType
    cap: Cap
    size: int | None = None
    metadata: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, mutable or not."""
        return self.type == "dirnode"

    def is_same_link(self, other: Node) -> bool:
        """
        Whether both tell of the same link. Equal files have equal caps, and another user may have
        linked an equal file under the name: then the marks differ, or, if there is no mark, the
        times that both know.
        """
        if (self.cap, self.mark) != (other.cap, other.mark):
            return False
        times = self.modified, other.modified
        return self.mark is not None or None in times or times[0] == times[1]

    @property
    def mark(self) -> Any:
        """Tells a link that txtahoe has made from all others."""
        return self.metadata.get(MARK)

    @property
    def created(self) -> float | None:
        """When the link was first made, in seconds since 1970 UTC (`linkcrtime`)."""
        return self._time("linkcrtime")

    @property
    def modified(self) -> float | None:
        """When the link last changed, in seconds since 1970 UTC (`linkmotime`)."""
        return self._time("linkmotime")

    def _time(self, key: str) -> float | None:
        # Anyone who can write the directory can put anything into the metadata.
        tahoe = self.metadata.get("tahoe")
        return _instant(tahoe.get(key) if isinstance(tahoe, Mapping) else None)


def _instant(told: Any) -> float | None:
    """A time in seconds since 1970 UTC; None for anything else, or beyond the year 9998."""
    return float(told) if type(told) in (int, float) and 0 <= told < _END_OF_TIME else None


def _count(told: object) -> int | None:
    """A number of bytes; None for anything else."""
    return told if type(told) is int and told >= 0 else None


@frozen
class Link:
    """
    A link that is to be made: to `cap`, with `metadata`, which must be JSON.

    The gateway adds when it was made, under the key "tahoe".

    Raises: TypeError if `cap` is no Cap.
    """

    cap: Cap = field(validator=lambda link, attribute, value: require_cap(value))
    metadata: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def node(self) -> Node:
        """The node it leads to, as far as that is known without the gateway."""
        type_: NodeType = "dirnode" if self.cap.is_directory else "filenode"
        return Node(
            type_ if self.cap.is_known else "unknown", self.cap, self.cap.size, self.metadata
        )


def require_json(metadata: Mapping[str, Any]) -> None:
    """Raises: TypeError, ValueError if the metadata of a link are not JSON."""
    try:
        json.dumps(dict(metadata))
    except RecursionError:
        raise ValueError("the metadata of a link are nested too deeply") from None


@frozen
class Server:
    """
    A storage server, as a gateway sees it.

    `available_space`: in bytes. `last_seen`: when it last said anything, in seconds since 1970
    UTC. Both are None, and so is `version`, if the gateway does not know.
    `id`: its name in the reports of checks; empty if the gateway does not tell it.
    """

    nickname: str
    connected: bool
    status: str
    available_space: int | None
    version: str | None = None
    last_seen: float | None = None
    id: str = ""


@frozen
class GatewayStatus:
    """The state of a gateway, and of the storage servers that it knows."""

    servers: tuple[Server, ...]

    @property
    def connected(self) -> int:
        """How many storage servers are connected now."""
        return sum(server.connected for server in self.servers)


@contextmanager
def understanding(what: str) -> Iterator[None]:
    """Raises: NotAGateway if a part of an answer does not have the form that Tahoe gives it."""
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError):
        raise NotAGateway(f"{what} has an unknown form; is it from a Tahoe-LAFS gateway?") from None


@sealed
@understanding("the description of a file or directory")
def parse_node(answer: Any) -> Node:
    """
    A node from `[type, {…}]`, as `t=json` gives it.

    Raises: NotAGateway, also for a node without any cap, which is Tahoe's answer for garbage.
    """
    type_, told = answer
    metadata = told.get("metadata")
    return Node(
        type=_TYPES.get(type_, "unknown"),
        cap=Cap.parse(told.get("rw_uri") or told.get("ro_uri")),
        size=_count(told.get("size")),
        metadata=metadata if isinstance(metadata, Mapping) else {},
    )


def parse_child(answer: Any) -> Node:
    """A child of a directory. Other clients link anything: a strange one must not hide the rest."""
    try:
        return parse_node(answer)
    except NotAGateway:
        return Node("unknown", _STRANGE)


@sealed
@understanding("the gateway's status")
def parse_status(answer: Any) -> GatewayStatus:
    """The answer to `GET /?t=json`. Raises: NotAGateway."""
    return GatewayStatus(servers=tuple(map(_server, answer["servers"])))


def _server(told: Mapping[str, Any]) -> Server:
    status = str(told["connection_status"])
    return Server(
        nickname=str(told.get("nickname", "")),
        # "Connected to …" in some releases, "connected" in others.
        connected=status.lower().startswith("connected"),
        status=status,
        available_space=_count(told.get("available_space")),
        version=told.get("version"),
        last_seen=_instant(told.get("last_received_data")),
        id=str(told.get("nodeid", "")),
    )


@sealed
def parse_json(body: bytes, doing: str) -> Any:
    """Raises: NotAGateway."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise NotAGateway(
            f"{doing}: the answer is not JSON, so it is not from a Tahoe-LAFS gateway"
        ) from None
