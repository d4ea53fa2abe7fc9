"""The bytes of a file on the grid, for the server of a site."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from attrs import evolve

from tahoestorage.grid.reader import Reader
from tahoestorage.grid.tree import StorageTree
from txtahoe.nodes import Node


class Stream:
    """
    The bytes of a file from `start` to `stop`, in blocks.

    The first block is read when the stream is made: a failure can still be answered then. Reading
    raises the errors of `txtahoe.Download.read`.
    """

    def __init__(self, tree: StorageTree, node: Node, start: int, stop: int) -> None:
        self._reader = Reader(tree, node if node.size == stop else evolve(node, size=stop))
        self._stop = stop
        self._first = self._reader.read_at(start, stop - start)
        self._next = start + len(self._first)
        # The server calls it; if the client is gone before the answer, the reader's end does.
        self.close = self._reader.close

    def __iter__(self) -> Iterator[memoryview]:
        yield self._first
        position = self._next
        while position < self._stop:
            block = self._reader.read_at(position, self._stop - position)
            yield block
            position += len(block)


class AwaitedStream(Stream):
    """A stream for a task of asyncio, which reads all blocks but the first."""

    __iter__ = None  # type: ignore[assignment]  # by this, Django tells the two apart

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        yield self._first
        position = self._next
        while position < self._stop:
            block = await self._reader.aread_at(position, self._stop - position)
            yield block
            position += len(block)
