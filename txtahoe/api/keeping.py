"""The content cache beside uploads and downloads: its disk is not waited for in the reactor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred, DeferredLock
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from txtahoe.caps import Cap
from txtahoe.contentcache import BLOCK, ContentCache, Writer
from txtahoe.http.sources import InThread, ISource, in_threads

# Bytes that one change of threads takes along.
_TOGETHER = 2 * BLOCK
_ANSWER = 2**20
_THREADS = 4

_pools: WeakKeyDictionary[Any, ThreadPool] = WeakKeyDictionary()


def disk_threads(reactor: Any) -> InThread[Any]:
    """
    As `in_threads`, but in threads for content caches alone. Callers of a storage can wait in all
    threads of the reactor, for downloads that would wait for one of these threads.
    """
    if not hasattr(reactor, "getThreadPool"):
        return in_threads(reactor)
    pool = _pools.get(reactor)
    if pool is None:
        pool = _pools[reactor] = ThreadPool(0, _THREADS, "content cache")
        pool.start()
        reactor.addSystemEventTrigger("during", "shutdown", _pools.pop, reactor)
        reactor.addSystemEventTrigger("during", "shutdown", pool.stop)
    return in_threads(reactor, pool)


class KeptDownload:
    """The bytes of one file in the cache. `fresh`: whether the caller wants none of them."""

    def __init__(self, cache: ContentCache, cap: Cap, reactor: Any, fresh: bool) -> None:
        self._cache = cache
        self._cap = cap
        self._fresh = fresh
        self._in_thread = disk_threads(reactor)
        self._writer: Writer | None = None
        self._held = bytearray()
        self._next = 0

    async def read(self, offset: int, length: int) -> bytes:
        """Some of so many bytes from an offset on; b"" if the first one is not there."""
        if self._fresh:
            return b""
        read = partial(self._cache.read, self._cap, offset, min(length, _ANSWER))
        data: bytes = await self._in_thread(read)
        return data

    async def keep(self, offset: int, data: bytes, *, is_last: bool) -> None:
        """Keep bytes that were downloaded."""
        if self._writer is None or offset != self._next:
            self._writer = self._cache.writer(self._cap, offset)
            self._held.clear()
        self._held += data
        self._next = offset + len(data)
        if is_last or len(self._held) >= _TOGETHER:
            held, self._held = self._held, bytearray()
            cap = self._cap if is_last else None
            await self._in_thread(partial(_keep, self._writer, held, cap))


@implementer(ISource)
class KeptSource:
    """A source whose bytes go into the cache too, while they are uploaded."""

    def __init__(self, source: ISource, cache: ContentCache, reactor: Any) -> None:
        self.length = source.length
        self.repeatable = source.repeatable
        self._source = source
        self._cache = cache
        self._in_thread = disk_threads(reactor)
        self._writer: Writer | None = None
        self._held = bytearray()
        self._turn = DeferredLock()  # to write: nobody who waits for a write can cancel it

    async def chunks(self) -> AsyncIterator[bytes | bytearray | memoryview]:
        await self.finish(None)
        self._writer = self._cache.writer()
        chunks = self._source.chunks()
        try:
            async for chunk in chunks:
                self._held += chunk
                if len(self._held) >= _TOGETHER:
                    await self._turn.acquire()
                    # It is written while the chunk is on its way.
                    Deferred.fromCoroutine(self._write())
                yield chunk
        finally:
            if hasattr(chunks, "aclose"):
                await chunks.aclose()

    async def finish(self, cap: Cap | None) -> None:
        """Keep the uploaded file under its cap; nothing, if the upload failed."""
        async with self._turn:
            writer, self._writer = self._writer, None
            held, self._held = self._held, bytearray()
            if writer is not None and cap is not None:
                await self._in_thread(partial(_keep, writer, held, cap))
            elif writer is not None:
                await self._in_thread(writer.drop)

    async def _write(self) -> None:
        """Write what is held, and end the turn, which the caller has taken."""
        held, self._held = self._held, bytearray()
        assert self._writer is not None
        try:
            await self._in_thread(partial(_keep, self._writer, held))
        finally:
            self._turn.release()


def _keep(writer: Writer, data: bytearray, cap: Cap | None = None) -> None:
    """Write bytes; the last ones, if they come with a cap."""
    writer.write(data)
    if cap is not None:
        writer.finish(cap)
