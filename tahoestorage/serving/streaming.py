"""The bytes of a file on the grid, for the server of a site."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from tahoestorage.grid.tree import StorageTree
from tahoestorage.reactor.waiting import Caller, done
from txtahoe.api.download import Download
from txtahoe.caps import Cap
from txtahoe.tree.tree import Tree

# Bytes that one change of threads hands over, if so many are there.
_BLOCK = 2**18


class Stream:
    """
    Some bytes of a file, in blocks.

    The first block is read when the stream is made: a failure can still be answered then. Reading
    raises the errors of `txtahoe.Download.read`.
    """

    def __init__(self, tree: StorageTree, cap: Cap, offset: int, length: int) -> None:
        self._waiting = tree
        self._wanted = cap, offset, length
        self._tree: Tree | None = None
        self._download: Download | None = None
        self._head = done(tree.run(self._read))

    def __iter__(self) -> Iterator[bytes]:
        block = self._head
        while block:
            yield block
            block = done(self._waiting.run(self._read))

    def close(self) -> None:
        """End the download, unless it is over."""
        if self._download is not None and self._tree is not None:
            self._waiting.close(self._download, self._tree)

    def __del__(self) -> None:
        # If the client goes away before there is an answer, the server has nothing to close.
        self.close()

    async def _read(self, tree: Tree, caller: Caller) -> bytes:
        if self._download is None:
            self._download = await tree.client.download(*self._wanted)
            self._tree = tree
        blocks: list[bytes] = []
        while sum(map(len, blocks)) < _BLOCK and (data := await self._download.read()):
            blocks.append(data)
        return b"".join(blocks)


class AwaitedStream(Stream):
    """A stream for a task of asyncio, which reads all blocks but the first."""

    __iter__ = None  # type: ignore[assignment]  # by this, Django tells the two apart

    async def __aiter__(self) -> AsyncIterator[bytes]:
        block = self._head
        while block:
            yield block
            block = await self._waiting.awaited.run(self._read)
