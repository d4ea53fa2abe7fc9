"""What the gateway tells of files, directories and itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeGuard

from attrs import field, frozen

from txtahoe.caps import Cap, require_cap
from txtahoe.errors import NotAGateway
from txtahoe.sealing import sealed

NodeType = Literal["filenode", "dirnode", "unknown"]
_TYPES: dict[Any, NodeType] = {"filenode": "filenode", "dirnode": "dirnode"}

# The key under which a link's metadata holds what tells this link from any other.
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
    `size`: bytes of a file; None for directories and where the gateway does not know it.
    `metadata`: of the link that led here; empty where there was none.
    """

    type: NodeType
    cap: Cap
    size: int | None = None
    metadata: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def is_directory(self) -> bool:
        return self.type == "dirnode"

    def is_same_link(self, other: Node) -> bool:
        """
        Whether both tell of the same link. Equal files have equal caps, and a name may have been
        given to an equal file anew: then the marks differ, or, where there is no mark, the times
        that both know.
        """
        if (self.cap, self.mark) != (other.cap, other.mark):
            return False
        times = self.modified, other.modified
        return self.mark is not None or None in times or times[0] == times[1]

    @property
    def mark(self) -> Any:
        """What tells a link that txtahoe has made from all others."""
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
        # Metadata is anybody's: whoever writes the directory may put anything there.
        tahoe = self.metadata.get("tahoe")
        time = tahoe.get(key) if isinstance(tahoe, Mapping) else None
        return _instant(time)


def _instant(told: object) -> float | None:
    """A time in seconds since 1970 UTC; None for what is none, or is beyond the year 9998."""
    if not _is_number(told) or not 0 <= told < _END_OF_TIME:
        return None
    return float(told)


def _count(told: object) -> int | None:
    """A number of bytes; None for what is none."""
    return told if _is_number(told) and isinstance(told, int) and told >= 0 else None


def _is_number(told: object) -> TypeGuard[int | float]:
    return isinstance(told, int | float) and not isinstance(told, bool)


def names_by_kind(children: Mapping[str, Node]) -> tuple[list[str], list[str]]:
    """The names of the directories among children, and those of all others."""
    directories = [name for name, node in children.items() if node.is_directory]
    files = [name for name, node in children.items() if not node.is_directory]
    return directories, files


@frozen
class Link:
    """
    A link that is to be made: to `cap`, with what its metadata shall hold, as JSON.

    The gateway adds when it was made, under the key "tahoe".

    Raises: TypeError for what is no Cap.
    """

    cap: Cap = field(validator=lambda link, attribute, value: require_cap(value))
    metadata: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def node(self) -> Node:
        """What it leads to, as far as that is known without the gateway."""
        type_: NodeType = "dirnode" if self.cap.is_directory else "filenode"
        if not self.cap.is_known:
            type_ = "unknown"
        return Node(type_, self.cap, self.cap.size, self.metadata)

    def require_valid(self) -> None:
        """Raises: TypeError, ValueError where this can't be sent to a gateway."""
        if not isinstance(self.cap, Cap):
            raise TypeError(f"a link leads to a Cap, as Cap.parse makes it, not {type(self.cap)}")
        require_json(self.metadata)


def require_json(metadata: Mapping[str, Any]) -> None:
    """Raises: TypeError, ValueError for metadata of a link that are not JSON."""
    try:
        json.dumps(dict(metadata))
    except RecursionError:
        raise ValueError("the metadata of a link are nested too deeply") from None


@frozen
class Server:
    """
    A storage server, as a gateway sees it.

    `available_space`: in bytes. `last_seen`: when it last said anything, in seconds since 1970
    UTC. Both are None, and so is `version`, where the gateway does not know.
    `id`: what it is called in the reports of checks; empty where the gateway does not say it.
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
    """What a gateway says of itself and of the storage servers that it knows."""

    servers: tuple[Server, ...]

    @property
    def connected(self) -> int:
        """How many storage servers are connected now."""
        return sum(server.connected for server in self.servers)


@sealed
def parse_node(answer: Any) -> Node:
    """
    A node from `[type, {…}]`, as `t=json` gives it.

    Raises: NotAGateway, also for a node without any cap, which is what Tahoe answers for garbage.
    """
    try:
        type_, told = answer
        text = told.get("rw_uri") or told.get("ro_uri")
        metadata = told.get("metadata")
        return Node(
            type=_TYPES.get(type_, "unknown"),
            cap=Cap.parse(text),
            size=_count(told.get("size")),
            metadata=metadata if isinstance(metadata, Mapping) else {},
        )
    except (TypeError, ValueError, AttributeError):
        raise NotAGateway("the gateway told of a node in a form that is not known") from None


def parse_child(answer: Any) -> Node:
    """A child of a directory. Other clients link anything: a strange one must not hide the rest."""
    try:
        return parse_node(answer)
    except NotAGateway:
        return Node("unknown", _STRANGE)


@sealed
def parse_status(answer: Any) -> GatewayStatus:
    """The answer to `GET /?t=json`. Raises: NotAGateway."""
    try:
        return GatewayStatus(servers=tuple(_parse_server(told) for told in answer["servers"]))
    except (TypeError, KeyError, AttributeError):
        raise NotAGateway("the gateway's status is of a form that is not known") from None


def _parse_server(told: Mapping[str, Any]) -> Server:
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
