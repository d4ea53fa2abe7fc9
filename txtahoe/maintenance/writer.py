"""
Which gateway makes the changes of many hosts, and how that is handed over to another one.

Two gateways that write one directory lose links (docs/gateway.md 2.5), so at no time may two of
them write. The tree itself says which one does, in a record beside its files. Whoever changes
anything has looked at the record within the last KNOWN_SECONDS. To hand over, the record says first
that nobody makes changes. When all have seen that, and what was under way is over, it names the
next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from secrets import token_hex

from attrs import asdict, frozen
from twisted.internet.defer import DeferredLock
from twisted.internet.task import deferLater

from txtahoe.caps import Cap
from txtahoe.errors import (
    GatewayRefused,
    NoSuchChild,
    NotADirectory,
    NotWriteable,
    NoWriter,
    TahoeError,
    UncoordinatedWrite,
    UnknownOutcome,
)
from txtahoe.http.transport import Transport, gateway_url
from txtahoe.maintenance.records import RECORDS, record
from txtahoe.maintenance.walking import Progress
from txtahoe.nodes import Link, Node
from txtahoe.tree.tree import Tree

KNOWN_SECONDS = 20.0
"""For so long a process goes by what the record has said."""
END_SECONDS = 120.0
"""So long a change may take at a gateway, with what the gateway repeats by itself."""

HANDED_OVER = "the changes are being handed over to another gateway; try again in some minutes"
"""Why nobody makes changes."""

_WRITER = "writer"
_KEY = "txtahoe-writer"
_EMPTY = "URI:LIT:"


@frozen
class WriterRecord:
    """
    What the tree says.

    `url`: of the gateway that makes the changes; None while nobody does. `before`: of the one that
    did until then. `told_by`: a word for the call of `hand_over` that has written it.
    """

    url: str | None
    before: str | None = None
    told_by: str | None = None


class Writer:
    """
    The gateway that makes the changes, as the tree says; `Gateways` asks for it.

    `first`: the address of the one that does as long as the tree says nothing.
    `connect`: makes a Transport to an address. `tree` is to be set before the first change.
    """

    tree: Tree

    def __init__(
        self, first: str, connect: Callable[[str], Transport], known_seconds: float = KNOWN_SECONDS
    ) -> None:
        self._url = first
        self._connect = connect
        self._known_seconds = known_seconds
        self._transports: dict[str, Transport] = {}
        self._asking = DeferredLock()
        self._looked: float | None = None
        self._is_handed_over = False

    async def transport(self) -> Transport:
        """Raises: NoWriter while nobody makes changes, and where the record can't be read."""
        async with self._asking:  # who comes meanwhile learns from the same answer
            now = self.tree.client.reactor.seconds()
            if self._looked is None or now - self._looked > self._known_seconds:
                self._learn(await self._told())
                self._looked = now  # of when it was asked, not of when it was answered
        if self._is_handed_over:
            raise NoWriter(HANDED_OVER)
        if self._url not in self._transports:
            self._transports[self._url] = self._connect(self._url)
        return self._transports[self._url]

    def _learn(self, told: WriterRecord | None) -> None:
        self._is_handed_over = told is not None and told.url is None
        if told is not None and told.url is not None:
            self._url = told.url

    async def _told(self) -> WriterRecord | None:
        try:
            return await writer_of(self.tree)
        except TahoeError as error:
            raise NoWriter(f"which gateway makes the changes can't be found out: {error}") from None


async def writer_of(tree: Tree) -> WriterRecord | None:
    """What the tree says of the gateway that makes the changes; None where it says nothing."""
    try:
        return _record_of(await tree.resolve([RECORDS, _WRITER], fresh=True))
    except (NoSuchChild, NotADirectory):
        return None


async def hand_over(
    old: Tree,
    new: Tree,
    url: str,
    before: str,
    *,
    known_seconds: float = KNOWN_SECONDS,
    end_seconds: float = END_SECONDS,
    progress: Progress | None = None,
) -> None:
    """
    Let the gateway at `url` make the changes, instead of the one at `before`.

    `old`, `new`: the tree through these two. `url` has to lead to the new one from every host.
    It takes `known_seconds`, in which all others learn that nobody makes changes now, and
    `end_seconds`, in which what was under way ends. `progress` is called each second with the
    seconds that have gone by, and all.

    It may be called again after it was interrupted, and nobody makes changes until then.

    Raises: ValueError for what is no address; NotWriteable; UnknownOutcome where the gateway at
    `before` neither does as it is told nor refuses connections, so that it may still make changes;
    UncoordinatedWrite where somebody else is handing over at the same time; the errors of `Client`.
    """
    gateway_url(url)
    if not new.root.is_writable:
        raise NotWriteable(f"{new.root!r} does not give the right to write")
    told_by = token_hex(8)
    nobody = WriterRecord(None, before, told_by)
    try:
        await _say(old, nobody)
    except GatewayRefused:  # it does not run, so it writes nothing that another's write could undo
        await _say(new, nobody)
    except TahoeError as error:
        raise UnknownOutcome(
            f"{error}. The gateway at {before} may still make changes, so another one must not. "
            "Mend it, or stop it, so that its address refuses connections; then try again"
        ) from error
    seconds = ceil(known_seconds + end_seconds)
    for second in range(seconds):
        await deferLater(new.client.reactor, 1.0, lambda: None)
        if progress is not None:
            progress(second + 1, seconds)
    if await writer_of(new) != nobody:
        raise UncoordinatedWrite(
            "somebody else has changed meanwhile who makes the changes; look who does now"
        )
    await _say(new, WriterRecord(url, before, told_by))


async def _say(tree: Tree, told: WriterRecord) -> None:
    metadata = {_KEY: asdict(told)}
    await record(tree, _WRITER, Link(Cap.parse(_EMPTY), metadata), replace="only-files")


def _record_of(node: Node) -> WriterRecord | None:
    told = node.metadata.get(_KEY)
    # Metadata is anybody's: whoever writes the directory may put anything there.
    if not isinstance(told, Mapping):
        return None
    told_by = told.get("told_by")
    return WriterRecord(
        _address(told.get("url")),
        _address(told.get("before")),
        told_by if isinstance(told_by, str) else None,
    )


def _address(value: object) -> str | None:
    """An address of a gateway; None for anything else, so that nobody makes changes then."""
    if not isinstance(value, str):
        return None
    try:
        gateway_url(value)
    except ValueError:
        return None
    return value
