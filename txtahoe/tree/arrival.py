"""An upload whose bytes arrive from elsewhere, at any speed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from twisted.internet.defer import Deferred, DeferredQueue
from twisted.python.failure import Failure

from txtahoe.api.client import Client
from txtahoe.caps import Cap
from txtahoe.errors import NotAGateway
from txtahoe.http.sources import bytes_of
from txtahoe.http.streams import Flow

# Bytes that can wait for the gateway; if there are more, `put` waits.
_ENOUGH = 2**20
# Bytes held back, to be sent one by one while no others come: one in 20 seconds, for an hour.
_RESERVE = 180


class Arrival(AbstractAsyncContextManager["Arrival"]):
    """
    An upload of bytes that the caller hands over as they arrive, in the reactor thread.

    It begins at once, and waits for no other upload, because it can take any time. It cannot be
    repeated. The caller must `close` it, also after an error; an `async with` block does so at its
    end. `put` and `finish` raise the errors of `Client.upload`, and ValueError after `finish`.

    `silence`: seconds without new bytes after which it sends one that it has held back. So a slow
    origin does not end the request: neither by the deadline, nor because the gateway closes a
    connection on which nothing comes for 60 seconds. It must be less than the Transport's timeout.

    Raises: ValueError for a `silence` that is not above 0.
    """

    def __init__(self, client: Client, silence: float = 20.0) -> None:
        if not silence > 0:
            raise ValueError(f"silence is {silence}: give a number of seconds above 0")
        self._reactor = client.reactor
        self._silence = silence
        self._arrived: DeferredQueue[bytes] = DeferredQueue()
        self._waiting = 0
        self._is_complete = False
        self._flow = Flow()
        self._outcome: Cap | Failure | None = None
        self._upload = Deferred.fromCoroutine(client.upload(self._chunks())).addBoth(self._over)

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def put(self, data: bytes) -> None:
        """Hand over the next bytes, and wait until there is room for more."""
        self._add(data)
        await self._flow.ready()
        self._require_under_way()

    async def finish(self, data: bytes = b"") -> Cap:
        """Hand over the last bytes. Returns the cap of all."""
        self._add(data)
        self._is_complete = True
        self._arrived.put(b"")
        return await self._upload

    def close(self) -> None:
        """End the request, unless it is over."""
        self._upload.addErrback(lambda _: None)
        self._upload.cancel()

    def _add(self, data: bytes) -> None:
        self._require_under_way()
        if data:
            self._waiting += len(data)
            self._arrived.put(bytes_of(data))  # a copy of a buffer, which its owner fills again
        if self._waiting >= _ENOUGH:
            self._flow.pauseProducing()

    async def _chunks(self) -> AsyncIterator[bytes]:
        held = b""
        while (data := await self._next()) != b"":
            if data is None:
                yield held[:1]
                held = held[1:]
            else:
                held += data
                yield held[:-_RESERVE]
                held = held[-_RESERVE:]
        yield held

    async def _next(self) -> bytes | None:
        """The next bytes; b"" at the end; None if none came for `silence` seconds."""
        coming = self._arrived.get()
        data = await coming.addTimeout(self._silence, self._reactor, lambda *_: None)
        self._waiting -= len(data or b"")
        if self._waiting < _ENOUGH:
            self._flow.resumeProducing()
        return data

    def _over(self, outcome: Cap | Failure) -> Cap | Failure:
        self._outcome = outcome
        self._flow.resumeProducing()
        return outcome

    def _require_under_way(self) -> None:
        if isinstance(self._outcome, Failure):
            self._outcome.raiseException()
        if self._is_complete:
            raise ValueError("uploading: no bytes can follow after `finish`")
        if self._outcome is not None:
            raise NotAGateway("uploading: the answer came before all of the bytes were sent")
