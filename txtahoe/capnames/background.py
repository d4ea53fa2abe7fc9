"""Links that are made some time after a file was saved: many by one write, repeated if it fails."""

from __future__ import annotations

from itertools import islice
from logging import getLogger
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock

from txtahoe.capnames.anchors import BATCH, Anchors, deletion
from txtahoe.capnames.names import CapName
from txtahoe.caps import Cap
from txtahoe.tree.paths import Path

logger = getLogger("txtahoe")

DELAY = 5.0
"""Seconds that a link waits for others, so that one write makes them all."""

_LONGEST_PAUSE = 300.0
# Links that wait, at most, while the gateway is away. Further ones are dropped, and not lost: a
# database has the names, and `Anchors.link` makes their links.
_MOST_WAITING = 100_000


class Anchoring:
    """Links names some seconds after it got them. If the process ends, waiting links are lost."""

    def __init__(self, anchors: Anchors) -> None:
        self._anchors = anchors
        self._waiting: dict[str, Cap] = {}
        self._batch: Path = ()
        self._room = 0
        self._pause = DELAY
        self._call: Any = None
        self._lock = DeferredLock()

    def link(self, name: CapName) -> None:
        """Have a name linked."""
        self._add(name.label, name.cap)

    def delete(self, name: CapName) -> None:
        """Have it recorded that a name was deleted; see `Anchors.unlink`."""
        self._add(*deletion(name))

    async def flush(self) -> None:
        """Make all waiting links now. Raises: the errors of `Tree.link`; then they wait on."""
        async with self._lock:
            while self._waiting:
                await self._flush_some()
        self._stop()

    def forget(self) -> None:
        """Drop the waiting links."""
        self._waiting.clear()
        self._stop()

    def _stop(self) -> None:
        if self._call is not None and not self._waiting:
            self._call.cancel()
            self._call = None

    def _add(self, label: str, cap: Cap) -> None:
        if len(self._waiting) < _MOST_WAITING:
            self._waiting[label] = cap
        self._wait()

    def _wait(self) -> None:
        if self._call is None:
            reactor = self._anchors.tree.client.reactor
            self._call = reactor.callLater(
                self._pause, lambda: Deferred.fromCoroutine(self._flush_later())
            )

    async def _flush_later(self) -> None:
        self._call = None
        try:
            await self.flush()
        except Exception as error:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            if self._waiting:
                logger.warning("links that are not made yet: %d; %s", len(self._waiting), error)
                self._wait()
        else:
            self._pause = DELAY

    async def _flush_some(self) -> None:
        some = dict(islice(self._waiting.items(), BATCH))
        is_of_this_hour = "/".join(self._batch[-4:-1]) == self._anchors.hour()
        if self._room < len(some) or not is_of_this_hour:
            self._batch, self._room = self._anchors.new_batch(), BATCH
        links = {(*self._batch, label): cap for label, cap in some.items()}
        await self._anchors.link_together(links, replace=True)
        self._room -= len(links)
        for label in some:
            self._waiting.pop(label, None)
