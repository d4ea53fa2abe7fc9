"""Uploads side by side, but not too many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import DeferredSemaphore

from txtahoe.api.client import Client
from txtahoe.api.files import Progress, Uploadable
from txtahoe.caps import Cap
from txtahoe.http.sources import ISource

# Opens what is uploaded, when its turn has come.
Opener = Callable[[], Awaitable[Uploadable]]

# A file of fewer bytes is small; one of more, or of unknown length, is large.
SMALL = 2**20


class Uploads:
    """
    Uploads `at_once` small files at a time, and as many large ones beside them, so that small
    ones do not wait for large ones.

    While the gateway encodes one, the bytes of the next are on their way.
    """

    def __init__(self, client: Client, at_once: int) -> None:
        self._client = client
        self._small = DeferredSemaphore(at_once)
        self._large = DeferredSemaphore(at_once)

    async def upload(self, source: Uploadable | Opener, progress: Progress | None = None) -> Cap:
        """Raises: as `Client.upload`, and what the opener raises."""
        if callable(source):
            async with self._small:
                source = await source()
                if is_small(source):
                    return await self._client.upload(source, progress=progress)
        async with self._small if is_small(source) else self._large:
            return await self._client.upload(source, progress=progress)


def is_small(source: Uploadable | Opener) -> bool:
    """Whether the upload of something is known to be over soon."""
    if isinstance(source, bytes | bytearray | memoryview):
        return len(source) < SMALL
    length = source.length if ISource.providedBy(source) else None
    return length is not None and length < SMALL
