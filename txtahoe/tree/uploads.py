"""Uploads side by side, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import DeferredSemaphore

from txtahoe.api.client import Client
from txtahoe.api.files import Progress, Uploadable
from txtahoe.caps import Cap
from txtahoe.http.sources import ISource

# Opens the source when its turn has come.
Opener = Callable[[], Awaitable[Uploadable]]

# A file of fewer bytes is small. One of more, or of unknown length, is large.
SMALL = 2**20


class Uploads:
    """
    Uploads `at_once` small files at a time, and as many large ones beside them: so small files do
    not wait for large ones.
    """

    def __init__(self, client: Client, at_once: int) -> None:
        self._client = client
        self._small = DeferredSemaphore(at_once)
        self._large = DeferredSemaphore(at_once)

    async def upload(self, source: Uploadable | Opener, progress: Progress | None = None) -> Cap:
        """Upload a source. Raises: the errors of `Client.upload` and of the opener."""
        if callable(source):
            async with self._small:
                source = await source()
                if is_small(source):
                    return await self._client.upload(source, progress=progress)
        async with self._small if is_small(source) else self._large:
            return await self._client.upload(source, progress=progress)


def is_small(source: Uploadable | Opener) -> bool:
    """Whether a source is known to be small."""
    if isinstance(source, bytes | bytearray | memoryview):
        return len(source) < SMALL
    length = source.length if ISource.providedBy(source) else None
    return length is not None and length < SMALL
