"""The uploads of a tree: how many are under way at a time, small and large ones apart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import DeferredSemaphore

from txtahoe.api.client import Client
from txtahoe.api.files import Uploadable
from txtahoe.caps import Cap
from txtahoe.http.sources import ISource
from txtahoe.limits import Limit, Room

# Opens the source when its turn has come.
Opener = Callable[[], Awaitable[Uploadable]]

# A file of fewer bytes is small. One of more, or of unknown length, is large.
SMALL = 2**20


def is_small(source: Uploadable | Opener) -> bool:
    """Whether a source is known to be small."""
    if isinstance(source, bytes | bytearray | memoryview):
        return len(source) < SMALL
    length = source.length if ISource.providedBy(source) else None
    return length is not None and length < SMALL


class Uploads:
    """
    Uploads of one tree, at most `most` of small files at a time, and as many of large ones.

    Large files have room of their own: small ones do not wait for them.
    """

    def __init__(self, client: Client, most: int) -> None:
        self._client = client
        self._small = Room(client.reactor.seconds, Limit(most))
        self._large = Room(client.reactor.seconds, Limit(most))
        self.ahead = 2 * most
        """How many of many files to begin with: enough, if all of those of one kind wait."""
        # To open a file can mean to save others, which need the room of uploads.
        self._opened = DeferredSemaphore(self.ahead)

    async def make(self, source: Uploadable | Opener) -> Cap:
        """The cap of a source, uploaded when there is room; `Client.upload` says more."""
        if callable(source):
            async with self._opened:
                return await self.make(await source())
        room = self._small if is_small(source) else self._large
        return await room.make(lambda: self._client.upload(source), _size_of)


def _size_of(cap: Cap) -> int | None:
    # The contents of a literal cap are in it: the upload tells nothing of the servers.
    return cap.size if cap.storage_index else None
