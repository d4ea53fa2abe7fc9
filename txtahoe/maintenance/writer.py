"""
The gateway that makes the changes of many hosts, and how to hand that over to another one.

Two gateways that write one directory lose links (docs/gateway.md 2.5), so at no time may two of
them write. A record beside the files of the tree says which one does. Every process that changes
anything has looked at the record within the last KNOWN_SECONDS. To hand over, the record first says
that no gateway makes changes. When all processes have seen that, and the changes under way are
over, it names the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from logging import getLogger
from math import ceil
from secrets import token_hex

from attrs import asdict, frozen
from twisted.internet.defer import DeferredLock
from twisted.internet.task import deferLater

from txtahoe.caps import Cap, redact
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
from txtahoe.nodes import Link
from txtahoe.tree.tree import Tree

logger = getLogger("txtahoe")

KNOWN_SECONDS = 20.0
"""How long a process relies on its last look at the record."""
END_SECONDS = 120.0
"""How long a change may take at a gateway, with the gateway's own retries."""

HANDED_OVER = "the changes are being handed over to another gateway; try again in some minutes"
"""Why no gateway makes changes."""

_WRITER = "writer"
_KEY = "txtahoe-writer"
_EMPTY = Cap.parse("URI:LIT:")


@frozen
class WriterRecord:
    """
    `url`: of the gateway that makes the changes; None while no gateway does. `before`: of the one
    before it. `told_by`: tells the call of `hand_over` that wrote the record from any other.
    """

    url: str | None
    before: str | None = None
    told_by: str | None = None


class Writer:
    """
    The gateway that makes the changes; `Gateways` asks for it.

    `first`: the URL of the gateway that makes them as long as there is no record.
    `connect`: makes a Transport to a URL. `tree` must be set before the first change.
    """

    tree: Tree

    def __init__(self, first: str, connect: Callable[[str], Transport]) -> None:
        self._url: str | None = first
        self._connect = cache(connect)
        self._asking = DeferredLock()
        self._looked: float | None = None

    async def transport(self) -> Transport:
        """Raises: NoWriter while no gateway makes changes, or if the record can't be read."""
        async with self._asking:  # callers that come meanwhile use the same answer
            asked = self.tree.client.reactor.seconds()
            if self._looked is None or asked - self._looked > KNOWN_SECONDS:
                try:
                    told = await writer_of(self.tree)
                except TahoeError as error:
                    reason = f"which gateway makes the changes can't be found out: {error}"
                    raise NoWriter(reason) from None
                if self.tree.client.reactor.seconds() - asked > KNOWN_SECONDS:
                    raise NoWriter(
                        "which gateway makes the changes can't be found out: the answer took more "
                        f"than {KNOWN_SECONDS:g} seconds, and another gateway may make them by now"
                    )
                # A grid may give an old version of the directory, without the record.
                self._follow(self._url if told is None else told.url)
                self._looked = asked
        if self._url is None:
            raise NoWriter(HANDED_OVER)
        return self._connect(self._url)

    def _follow(self, url: str | None) -> None:
        if url != self._url:
            now, before = url or "no gateway", self._url or "no gateway"
            told = redact(f"{now} makes the changes of directories now; before, {before} did")
            logger.warning("%s", told)
        self._url = url


async def writer_of(tree: Tree) -> WriterRecord | None:
    """The record of the gateway that makes the changes; None if there is none."""
    try:
        told = (await tree.resolve([RECORDS, _WRITER], fresh=True)).metadata.get(_KEY)
    except (NoSuchChild, NotADirectory):
        return None
    # Anyone who writes the directory may put anything into the metadata.
    if not isinstance(told, Mapping):
        return None
    url, before = _address(told.get("url")), _address(told.get("before"))
    return WriterRecord(url, before, told.get("told_by"))


async def hand_over(
    old: Tree,
    new: Tree,
    url: str,
    before: str,
    *,
    wait: float = KNOWN_SECONDS + END_SECONDS,
    progress: Progress | None = None,
) -> None:
    """
    Let the gateway at `url` make the changes, instead of the one at `before`.

    `old`, `new`: the tree through these two. `url` must lead to the new one from every host.
    `wait`: seconds in which all processes learn that no gateway makes changes now, and the changes
    under way end. `progress` is called each second with the seconds that have gone by, and all.
    If it is interrupted, no gateway makes changes until it is called again.

    Raises: ValueError for an invalid `url`; NotWriteable; UnknownOutcome if the gateway at
    `before` may still make changes; UncoordinatedWrite if another call hands over at the same time;
    the errors of `Client`.
    """
    gateway_url(url)
    if not new.root.is_writable:
        raise NotWriteable(f"{new.root!r} does not give the right to write")
    told_by = token_hex(8)
    nobody = WriterRecord(None, before, told_by)
    try:
        await _say(old, nobody)
    except GatewayRefused:  # it does not run, so it makes no write that another's would undo
        await _say(new, nobody)
    except TahoeError as error:
        raise UnknownOutcome(
            f"{error}. The gateway at {before} may still make changes, so another one must not. "
            "Mend it, or stop it, so that its address refuses connections; then try again"
        ) from error
    seconds = ceil(wait)
    for second in range(seconds):
        await deferLater(new.client.reactor, 1.0)
        if progress is not None:
            progress(second + 1, seconds)
    if await writer_of(new) != nobody:
        raise UncoordinatedWrite(
            "another call has changed the record meanwhile; look which gateway makes the changes"
        )
    await _say(new, WriterRecord(url, before, told_by))


async def _say(tree: Tree, told: WriterRecord) -> None:
    await record(tree, _WRITER, Link(_EMPTY, {_KEY: asdict(told)}), replace="only-files")


def _address(value: object) -> str | None:
    """The URL of a gateway; None for anything else, so that no gateway makes changes then."""
    if isinstance(value, str):
        with suppress(ValueError):
            gateway_url(value)
            return value
    return None
