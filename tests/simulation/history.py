"""The operations and their outcomes, and the links that each name has had."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from attrs import define, field

from tests.simulation.gateway import Gateway
from tests.simulation.world import World
from txtahoe.caps import Cap
from txtahoe.testing.fake.objects.links import Directory, Link

NUMBER = "number"
"""The key in a link's metadata for the number of its operation; only the simulation reads it."""


@define(eq=False)
class Operation:
    """
    An operation of a process on a name.

    `began`, `ended`: moments of the world; `ended` is None if the process was killed before.
    `told`: "made", "taken", "missing", "unknown", or "failed" if the error says that nothing was
    done; "wrong" for an error that is none of txtahoe's; None if the caller was told nothing.
    `found`: the numbers of the links that a reading has found, by name. `expected`: for a
    conditional replacement, the number of the link that the name must have; for a deletion through
    a spool, that of the entry that it has found.
    `is_here`: whether its process uses a spool. Of a save there: `saved`, `linked`: the moments at
    which the journal had its entry, and first said that it is on the grid. `looks`: those at which
    an uploader began to look at its name.
    """

    number: int
    who: str
    kind: str
    name: str
    began: int
    ended: int | None = None
    told: str | None = None
    error: Exception | None = None
    expected: int | None = None
    found: dict[str, int | None] = field(factory=dict)
    is_here: bool = False
    saved: int | None = None
    linked: int | None = None
    looks: list[int] = field(factory=list)

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} (#{self.number} of {self.who})"

    @property
    def is_in_doubt(self) -> bool:
        """Whether it may have made its change, or may make it later."""
        return self.told in (None, "unknown")


class History:
    """
    The operations of a run, in the order of their beginnings; and for each name the moments at
    which it came to lead to another link, which is told by its operation's number.
    """

    def __init__(self, world: World, gateway: Gateway) -> None:
        self.operations: list[Operation] = []
        self.names: dict[str, list[tuple[int, int | None]]] = {}
        self.twice: set[str] = set()
        """Digits that had two parts in one directory."""
        self.has_closed = False
        """Whether a directory was closed."""
        self.left: list[str] = []
        """Files and entries that are in a spool at the end."""
        self._world = world
        self._gateway = gateway
        self._now: dict[str, int] = {}
        self._told_apart: dict[Cap, tuple[int, dict[str, Link], dict[str, Link], float | None]] = {}
        gateway.changed = self.look

    def begin(self, who: str, kind: str, name: str) -> Operation:
        number = len(self.operations) + 1
        operation = Operation(number, who, kind, name, self._world.moment())
        self.operations.append(operation)
        self._world.tell(who, f"{operation} begins")
        return operation

    def end(self, operation: Operation, told: str, error: Exception | None = None) -> None:
        operation.told, operation.error = told, error
        operation.ended = self._world.moment()
        self._world.tell(operation.who, f"{operation}: {told} {'' if error is None else error!r}")

    def look(self) -> None:
        """Note each name that leads to another link than before."""
        # Not by the code under test.
        now = dict(self._below("", self._gateway.root))
        for name in sorted(now.keys() | self._now.keys()):
            number = now.get(name)
            if number != self._now.get(name):
                moment = self._world.moment()
                self.names.setdefault(name, [(0, None)]).append((moment, number))
                self._world.tell("gateway", f"{name!r} leads to {number and f'#{number}'}")
        self._now = now

    def during(self, name: str, since: int, until: int | None) -> set[int | None]:
        """The numbers of the links that a name has had from one moment to another."""
        found: set[int | None] = set()
        for moment, number in reversed(self.names.get(name, [(0, None)])):
            if until is None or moment <= until:
                found.add(number)
            if moment <= since:
                break
        return found

    def _below(self, path: str, directory: Cap) -> Iterator[tuple[str, int]]:
        """Every name in a directory and below it, with the number of its link."""
        for name, link in self._links(directory, 0).items():
            if link.node.type == "dirnode":
                yield from self._below(f"{path}{name}/", link.node.known)
            else:
                yield path + name, number_of(link.metadata, link.node.known)

    def _links(self, directory: Cap, depth: int) -> dict[str, Link]:
        """The links that are in force in a directory, or a part, as PROTOCOL.md says."""
        version = self._gateway.store.version(directory)
        if self._told_apart.get(directory, (0,))[0] != version:
            self._told_apart[directory] = (version, *self._tell_apart(directory))
        _, names, parts, closed = self._told_apart[directory]
        if closed is None:
            return names
        found: dict[str, Link] = {}
        for part in parts.values():
            found |= self._links(part.node.known, depth + 1)
        for name, link in names.items():
            is_stray = (link.metadata or {})["tahoe"]["linkcrtime"] > closed
            is_stray = is_stray and not name.startswith(".tahoe-part-")
            if is_stray or sha256(name.encode()).hexdigest()[depth] not in parts:
                found.setdefault(name, link)
        return found

    def _tell_apart(self, directory: Cap) -> tuple[dict[str, Link], dict[str, Link], float | None]:
        """The names, the parts by digit, and when it was closed."""
        names, parts, closed = {}, dict[str, Link](), None
        for name, link in sorted(Directory(self._gateway.store, directory).links().items()):
            metadata: Any = link.metadata or {}
            if "txtahoe-part" in metadata:
                if parts.setdefault(metadata["txtahoe-part"], link) is not link:
                    self.twice.add(metadata["txtahoe-part"])
            elif "txtahoe-spread" not in metadata:
                names[name] = link
            elif metadata["txtahoe-spread"] == "closed" and closed is None:
                closed = metadata["tahoe"]["linkmotime"]
        self.has_closed = self.has_closed or closed is not None
        return names, parts, closed


def number_of(metadata: Any, cap: Cap) -> int:
    """The number of the operation that has made a link: saved files have it as their contents."""
    return int((metadata or {}).get(NUMBER) or cap.literal or 0)
