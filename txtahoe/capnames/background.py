"""Links that are made behind the back of those who save: in batches, and again where one fails."""

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
# Links that wait, at most, while the gateway is away. Those that are dropped are not lost: the
# names are known to who saved the files.
_MOST_WAITING = 100_000


class Anchoring:
    """
    Links names some seconds after they were given to it, many with one write.

    What waits is lost when the process ends.
    """

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
        """Have it written down that a name was deleted; see `Anchors.unlink`."""
        self._add(*deletion(name))

    async def flush(self) -> None:
        """Make all links that wait, now. Raises: the errors of `Tree.link`; they wait on then."""
        async with self._lock:
            while self._waiting:
                await self._flush_some()
        self._stop()

    def forget(self) -> None:
        """Drop what waits."""
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
            self._call = self._anchors.tree.client.reactor.callLater(self._pause, self._begin)

    def _begin(self) -> None:
        self._call = None
        Deferred.fromCoroutine(self._flush_later())

    async def _flush_later(self) -> None:
        try:
            await self.flush()
        except Exception as error:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            if self._waiting:
                logger.warning("%d links are not made yet: %s", len(self._waiting), error)
                self._wait()
        else:
            self._pause = DELAY

    async def _flush_some(self) -> None:
        some = dict(islice(self._waiting.items(), BATCH))
        is_of_this_hour = "/".join(self._batch[-4:-1]) == self._anchors.hour
        if self._room < len(some) or not is_of_this_hour:
            self._batch, self._room = self._anchors.batch(), BATCH
        links = {(*self._batch, label): cap for label, cap in some.items()}
        await self._anchors.link_together(links, replace=True)
        self._room -= len(links)
        for label in some:
            self._waiting.pop(label, None)
