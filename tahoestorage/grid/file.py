"""The file that a storage opens: reads fetch ranges, writes go to a spool."""

from __future__ import annotations

import errno
import io
import logging
import os
import shutil
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import ContextVar
from dis import opmap
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from weakref import finalize

from django.core.files import File
from twisted.internet.defer import DeferredLock

from tahoestorage.grid.spool import Spool
from tahoestorage.grid.tree import StorageTree
from tahoestorage.reactor.waiting import Caller, done, unblocked
from txtahoe.api.download import Download
from txtahoe.caps import redact
from txtahoe.contentcache import BLOCK
from txtahoe.errors import ExistingChild, IncompleteDownload, IsADirectory, NoSuchChild
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

logger = logging.getLogger("tahoestorage")

# Bytes of the first range after a seek: enough for a header. If reading goes on in sequence, the
# second range is larger, and the third one is the rest of the file.
_FIRST_WINDOW = 2**17
_SECOND_WINDOW = 2**20
_GAP = 2**16  # bytes that are read over faster than another range is asked for
_FETCHED = 2**18  # bytes that one change of threads fetches, if so many come
_MOST = 2**20  # bytes that the content cache gives at a time

reads_grid: ContextVar[bool] = ContextVar("reads_grid", default=False)
"""Whether files are read from the grid even if the content cache has them, to see what is there."""


class TahoeFile(File):  # type: ignore[type-arg]
    """
    A file on the grid, in any mode of `open()`. Text is UTF-8.

    `close` saves the written bytes, unless an exception leaves the `with` block of the file, or of
    an object that closes the file, such as a FieldFile. If saving fails, the file stays open for
    another `close`, or for `discard`. Without `allow_overwrite`, a file is replaced only if it is
    still the one that was there at opening; see `Tree.replace`.

    Raises: NoSuchChild, IsADirectory; with mode "x", ExistingChild, at opening or at `close`.
    """

    def __init__(
        self,
        tree: StorageTree,
        path: Path,
        name: str,
        mode: str = "rb",
        *,
        allow_overwrite: bool = False,
        found: Node | None = None,
    ) -> None:
        super().__init__(None, name)
        self.file: Any
        self._raw: Reader | Spool
        self._was: Node | None
        self._tree = tree
        self._path = path
        self._allow_overwrite = allow_overwrite
        self._begin(mode, found)

    def _begin(self, mode: str, found: Node | None = None) -> None:
        self._left_when_opened = _leaving_exception()
        if is_only_read(mode):
            was = self._was = found or done(self._tree.file(self._path, self.name))
            self._raw = Reader(self._tree, was)
            self.file = io.BufferedReader(self._raw, _FIRST_WINDOW)
        else:
            self._raw = spool = self._begin_writing(_kind(mode))
            buffered: Any = io.BufferedRandom if "+" in mode else io.BufferedWriter
            self.file = buffered(spool)
        if "b" not in mode:
            self.file = io.TextIOWrapper(self.file, encoding="utf-8")
        if isinstance(self._raw, Spool):
            finalize(self, _tell_if_unsaved, self.file, self._raw, str(self.name))
        self.mode = mode

    def _begin_writing(self, kind: str) -> Spool:
        self._tree.require_replaceable(self.name)
        self._was, is_taken = None, True
        try:  # a fresh look-up, because a known file can be too old to be replaced
            self._was = done(self._tree.file(self._path, self.name, fresh=True))
        except NoSuchChild:
            if kind == "r":
                raise
            is_taken = False
        except IsADirectory:
            if kind != "x":
                raise
        if kind == "x" and is_taken:
            raise ExistingChild(f"the name {self.name!r} is taken")
        spool = Spool(appends=kind == "a")
        if self._was is not None and kind in "ra":
            with Reader(self._tree, self._was) as reader:
                shutil.copyfileobj(reader, spool, _SECOND_WINDOW)
            if kind == "r":
                spool.seek(0)
            spool.is_changed = False
        return spool

    def __repr__(self) -> str:
        return redact(super().__repr__())  # a name may carry the cap of its file

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> TahoeFile:
        """Go back to the start; open anew with another mode, or after `close`."""
        if not self.closed and mode in (None, self.mode):
            self.seek(0)
        else:
            self.close()
            self._begin(mode or self.mode)
        return self

    async def aread(self, size: int | None = None) -> bytes:
        """As `read`, of a file opened with "rb", for a task of asyncio."""
        reader = self._binary_reader()
        position = self.file.tell()
        end = reader.size if size is None or size < 0 else min(position + size, reader.size)
        blocks: list[memoryview] = []
        while position < end:
            blocks.append(await reader.aread_at(position, end - position))
            position += len(blocks[-1])
        self.file.seek(position)
        return b"".join(blocks)

    async def aiter_chunks(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """As `chunks`, of a file opened with "rb", for a task of asyncio."""
        self._binary_reader()
        self.seek(0)
        while chunk := await self.aread(chunk_size or self.DEFAULT_CHUNK_SIZE):
            yield chunk

    async def aclose(self) -> None:
        self._binary_reader()
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.__exit__(*error)

    def _binary_reader(self) -> Reader:
        if not isinstance(self._raw, Reader) or "b" not in self.mode:
            raise io.UnsupportedOperation(f"only files opened with 'rb', not {self.mode!r}")
        return self._raw

    @property
    def size(self) -> int:
        if not self.closed:
            self.file.flush()
            self._size = self._raw.size
        return self._size

    def close(self) -> None:
        """Save what was written, and close. Raises: ExistingChild, and as `Storage.save`."""
        if self.closed:
            return
        if isinstance(self._raw, Spool):
            leaving = _leaving_exception()
            # An `__exit__` can also write a file of its own, about the exception.
            if leaving is not None and leaving is not self._left_when_opened:
                self.discard()
                return
            with suppress(OSError):  # it is the `failure`
                self.file.flush()
            failure = self._raw.failure
            if failure is not None:
                self.discard()
                name = redact(str(self.name))
                text = f"{name!r} is not saved, as a write to it failed: {failure}"
                raise OSError(errno.EIO, text) from failure
            if self._raw.is_changed:
                self._save(self._raw)
        self._size = self.size
        self.file.close()

    def discard(self) -> None:
        """Close, and save nothing."""
        if self.closed:
            return
        self._size = 0 if self._was is None else self._was.size or 0
        if isinstance(self._raw, Spool):
            self._raw.is_changed = False
        self._raw.close()  # first, so that no buffer writes to it

    def _save(self, spool: Spool) -> None:
        cap = done(self._tree.upload(spool.content(self.name), self.name))
        if "x" in self.mode:
            link = partial(Tree.link, path=self._path, cap=cap)
        elif self._allow_overwrite:
            link = partial(Tree.link, path=self._path, cap=cap, replace="only-files")
        else:
            link = partial(Tree.replace, path=self._path, cap=cap, expected=self._was)
        done(self._tree.change(link, self._path, self.name))
        spool.is_changed = False

    def __exit__(self, exc_type: type[BaseException] | None, *error: Any) -> None:
        if exc_type is None:
            self.close()
        else:
            self.discard()


def _leaving_exception() -> BaseException | None:
    """
    The exception that leaves a `with` block now, if an `__exit__` has led to this call.

    The `__exit__` of wrappers, such as Django's File or TextIOWrapper, only calls `close`, without
    the exception. A call in an `except` or `finally` is the caller's decision, and gives None.
    """
    error = sys.exception()
    if error is None or error.__traceback__ is None:
        return None
    handler = error.__traceback__.tb_frame
    is_leaving = handler.f_code.co_code[handler.f_lasti] == opmap["WITH_EXCEPT_START"]
    return error if is_leaving else None


def _tell_if_unsaved(file: Any, spool: Spool, name: str) -> None:
    """Report a file that is dropped, or whose process ends, before it is saved."""
    with suppress(Exception):  # the buffered bytes, unless it is closed
        file.flush()
    if spool.is_changed:
        text = f"{redact(name)!r} was not closed: what was written to it is not saved"
        logger.error("%s", text)
        warnings.warn(text, ResourceWarning, stacklevel=2)  # as for any file that is left open


class Reader(io.RawIOBase):
    """
    The bytes of a file on the grid, up to `node.size`; any caller can read at any position.

    Raises: the errors of `txtahoe.Download.read`.
    """

    def __init__(self, tree: StorageTree, node: Node) -> None:
        assert node.size is not None
        self._storage_tree = tree
        self._cache = tree.connection.content_cache
        self._cap = node.cap
        self.size = node.size
        self._position = 0
        # Their start, and the bytes: one value, because other threads can look meanwhile.
        self._fetched: tuple[int, bytes] = 0, b""
        self._fetching = DeferredLock()
        self._tree: Tree | None = None
        self._window: Download | None = None
        self._window_end = -1
        self._window_length = _FIRST_WINDOW

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
        blocks: list[memoryview] = []
        while self._position < self.size:
            blocks.append(self.read_at(self._position, self.size - self._position))
            self._position += len(blocks[-1])
        return b"".join(blocks)

    def close(self) -> None:
        window, tree = getattr(self, "_window", None), getattr(self, "_tree", None)
        if not self.closed and window is not None and tree is not None:
            self._storage_tree.close(window, tree)
        super().close()

    def read_at(self, position: int, most: int) -> memoryview:
        """Return at least one byte from a position before the end."""
        return done(self.aread_at(position, most))

    async def aread_at(self, position: int, most: int) -> memoryview:
        data = self._at_hand(position, most) or await self._kept(position, most)
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

    async def _kept(self, position: int, most: int) -> memoryview:
        """Bytes of the content cache, which is on this host; no other thread is asked for them."""
        cache = self._cache
        if cache is None or not cache.keeps(self._cap) or reads_grid.get():
            return memoryview(b"")
        length = min(most, self.size - position, _MOST)
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
        data = b""
        while window.position <= position:
            data = await _read(window)
        blocks = [data]
        while sum(map(len, blocks)) < _FETCHED and window.position < self._window_end:
            blocks.append(await _read(window))
        fetched = b"".join(blocks)
        self._fetched = window.position - len(fetched), fetched

    async def _next_window(self, tree: Tree, position: int, wanted: int) -> Download:
        length = _FIRST_WINDOW
        if position == self._window_end:
            length = _SECOND_WINDOW if self._window_length == _FIRST_WINDOW else self.size
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


async def _read(window: Download) -> bytes:
    data = await window.read()
    if not data:
        raise IncompleteDownload(f"{window.cap!r} has become shorter. Read it again from its start")
    return data


def is_only_read(mode: str) -> bool:
    """Whether a mode is for reading alone. Raises: ValueError if it is none of `open()`."""
    return _kind(mode) == "r" and "+" not in mode


def _kind(mode: str) -> str:
    letters = set(mode)
    kind = letters & set("rwxa")
    is_double = len(letters) != len(mode) or len(kind) != 1 or {"b", "t"} <= letters
    if is_double or letters - set("rwxabt+"):
        raise ValueError(f"invalid mode: {mode!r}")
    return kind.pop()
