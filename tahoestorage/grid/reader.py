"""The bytes of one file on the grid: those that this host keeps, and ranges of the others."""

from __future__ import annotations

import errno
import io
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING

from twisted.internet.defer import DeferredLock

from tahoestorage.grid.tree import StorageTree
from tahoestorage.reactor.waiting import Caller, done, unblocked
from txtahoe.api.download import Download
from txtahoe.contentcache import BLOCK
from txtahoe.errors import IncompleteDownload
from txtahoe.nodes import Node
from txtahoe.spool.files import SealedFile
from txtahoe.tree.tree import Tree

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Bytes of the first range after a seek: enough for a header. If reading goes on in sequence, the
# second range is larger, and the third one is the rest of the file.
FIRST_WINDOW = 2**17
SECOND_WINDOW = 2**20
_GAP = 2**16  # bytes that are read over faster than another range is asked for
# Bytes that one change of threads fetches, if so many come: more than come before those wanted,
# which are a gap, or a part of a block.
_FETCHED = 2**18
_MOST = 2**18  # bytes that the content cache gives at a time, unless all are wanted

reads_grid: ContextVar[bool] = ContextVar("reads_grid", default=False)
"""Whether files are read from the grid even if the content cache has them, to see what is there."""


class Reader(io.RawIOBase):
    """
    The bytes of a file on the grid, up to `node.size`; any caller can read at any position.

    Raises: the errors of `txtahoe.Download.read`.
    """

    # For `close`, which Python calls even if `__init__` fails.
    _sealed: SealedFile | None = None
    _window: Download | None = None

    def __init__(self, tree: StorageTree, node: Node) -> None:
        assert node.size is not None
        self._storage_tree = tree
        self._sealed, self._cap = tree.opened(node)
        cache = tree.connection.content_cache
        self._cache = cache if cache is not None and cache.keeps(self._cap) else None
        self.size = node.size
        self.goes_on = False
        """Whether the caller reads to the end, which one range then fetches."""
        self._position = 0
        # Their start, and the bytes: one value, because other threads can look meanwhile.
        self._fetched: tuple[int, bytes] = 0, b""
        self._tree: Tree | None = None
        self._fetching: DeferredLock  # of this tree
        self._window_end = -1
        self._window_length: int

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position = offset + (0, self._position, self.size)[whence]
        if position < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = position
        return position

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        if self._position >= self.size or not target:
            return 0
        data = self.read_at(self._position, len(target))
        target[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        rest = io.BytesIO()  # gives its bytes without a copy of them all
        while self._position < self.size:
            left = self.size - self._position
            data = done(self.aread_at(self._position, left, left))
            self._position += len(data)
            if len(data) == left and not rest.tell():
                return _bytes_of(data)
            rest.write(data)
        return rest.getvalue()

    def close(self) -> None:
        if self._window is not None:
            self._storage_tree.close(self._window, self._tree)
        if self._sealed is not None and not self.closed:
            self._sealed.close()
        super().close()

    def read_at(self, position: int, most: int) -> memoryview:
        """Return at least one byte from a position before the end."""
        return done(self.aread_at(position, most))

    async def aread_at(self, position: int, most: int, at_once: int = _MOST) -> memoryview:
        """As `read_at`. `at_once`: bytes that the content cache gives at most."""
        data = self._at_hand(position, most) or await self._kept(position, min(most, at_once))
        if data:
            return data

        async def fetch(tree: Tree, caller: Caller) -> memoryview:
            if tree is not self._tree:  # a forked child must not use the download of its parent
                self._tree, self._window, self._fetching = tree, None, DeferredLock()
            async with self._fetching:
                if not self._at_hand(position, most):
                    await self._fetch(tree, position, most)
                return self._at_hand(position, most)

        return await self._storage_tree.run(fetch)

    async def _kept(self, position: int, length: int) -> memoryview:
        """Bytes that are on this host; no other thread is asked for them."""
        cache, sealed = self._cache, self._sealed
        if sealed is not None and not (reads_grid.get() and self._cap.is_readable):
            return memoryview(await unblocked(lambda: sealed.read(position, length)))
        if cache is None or reads_grid.get():
            return memoryview(b"")
        return memoryview(await unblocked(lambda: cache.read(self._cap, position, length)))

    def _at_hand(self, position: int, most: int) -> memoryview:
        start, data = self._fetched
        if position < start:
            return memoryview(b"")
        return memoryview(data)[position - start : position - start + most]

    async def _fetch(self, tree: Tree, position: int, wanted: int) -> None:
        """Fetch the byte at a position, and those that come along with it."""
        window = self._window
        if window is None or not (
            window.position <= position < min(self._window_end, window.position + _GAP)
        ):
            window = await self._next_window(tree, position, wanted)
        blocks: list[bytes] = []
        while sum(map(len, blocks)) < _FETCHED and window.position < self._window_end:
            blocks.append(await _read(window))
        fetched = b"".join(blocks)
        self._fetched = window.position - len(fetched), fetched

    async def _next_window(self, tree: Tree, position: int, wanted: int) -> Download:
        length = FIRST_WINDOW
        if self.goes_on:
            length = self.size
        elif position == self._window_end:
            length = SECOND_WINDOW if self._window_length == FIRST_WINDOW else self.size
        if self._window is not None:
            self._window.close()
        self._window_length = max(wanted, length)
        start, end = position, position + self._window_length
        if self._cache is not None:  # it keeps whole blocks
            start, end = start - start % BLOCK, -(-end // BLOCK) * BLOCK
        self._window_end = min(self.size, end)
        length = self._window_end - start
        self._window = await tree.client.download(self._cap, start, length, fresh=True)
        return self._window


def _bytes_of(data: memoryview) -> bytes:
    """The same bytes; if they are those of a whole object, that one and no copy."""
    whole = data.obj
    return whole if isinstance(whole, bytes) and len(whole) == len(data) else bytes(data)


async def _read(window: Download) -> bytes:
    data = await window.read()
    if not data:
        raise IncompleteDownload(f"{window.cap!r} has become shorter. Read it again from its start")
    return data
