"""The bytes of a file on the grid, for the server of a site."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from tahoestorage.grid.tree import StorageTree
from tahoestorage.reactor.waiting import Caller, done
from txtahoe.api.download import Download
from txtahoe.caps import Cap
from txtahoe.tree.tree import Tree

# Bytes that are handed over, where so many are there, by one change of threads.
_BLOCK = 2**18


class Stream:
    """
    Some bytes of a file, in blocks; in a thread that waits, and, as `awaited`, in a task.

    `head`: the first block, which is read when the stream is made: where that fails it can still
    be said. Reading raises the errors of `txtahoe.Download.read`.
    """

    def __init__(self, tree: StorageTree, cap: Cap, offset: int, length: int) -> None:
        self._waiting = tree
        self._cap = cap
        self._offset = offset
        self._length = length
        self._tree: Tree | None = None
        self._download: Download | None = None
        self.head = done(self._block(tree))

    def __iter__(self) -> Iterator[bytes]:
        block = self.head
        while block:
            yield block
            block = done(self._block(self._waiting))

    @property
    def awaited(self) -> AwaitedStream:
        """The same, for a task of asyncio."""
        return AwaitedStream(self)

    async def iterate(self) -> AsyncIterator[bytes]:
        block = self.head
        while block:
            yield block
            block = await self._block(self._waiting.awaited)

    def close(self) -> None:
        """Want no more of it."""
        if self._download is not None and self._tree is not None:
            self._waiting.close(self._download, self._tree)

    def __del__(self) -> None:
        # Of a client that went away before there was an answer, no server has anything to close.
        self.close()

    async def _block(self, waiting: StorageTree) -> bytes:
        return await waiting.run(self._read)

    async def _read(self, tree: Tree, caller: Caller) -> bytes:
        if self._download is None:
            self._download = await tree.client.download(self._cap, self._offset, self._length)
            self._tree = tree
        blocks: list[bytes] = []
        while sum(map(len, blocks)) < _BLOCK and (data := await self._download.read()):
            blocks.append(data)
        return b"".join(blocks)


class AwaitedStream:
    """A stream that can only be iterated in a task: Django looks which of the two it is."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.close = stream.close

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.iterate()
