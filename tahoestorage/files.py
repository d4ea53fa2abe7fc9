"""The file that the storage opens: read by ranges, written by spooling."""

from __future__ import annotations

import errno
import io
import os
import shutil
import warnings
from collections.abc import AsyncIterator
from functools import partial
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast

from django.conf import settings
from django.core.files import File
from twisted.internet.defer import DeferredLock

from tahoestorage.reactor import Caller
from tahoestorage.trees import StorageTree
from tahoestorage.waiting import done
from txtahoe.bodies import Download
from txtahoe.caps import redact
from txtahoe.errors import ExistingChild, NoSuchChild
from txtahoe.nodes import Node
from txtahoe.paths import Path
from txtahoe.tree import Tree

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

# What is asked for after a seek, in bytes: enough for a header. When reading goes on in sequence,
# the second range is larger, and the third one is the rest of the file.
_FIRST_WINDOW = 2**17
_SECOND_WINDOW = 2**20
# Reading over a gap of so many bytes is faster than asking for another range.
_GAP = 2**16
# Bytes that are fetched, where so many come, by one change of threads.
_BLOCK = 2**18


class TahoeFile(File):  # type: ignore[type-arg]
    """
    A file on the grid, in any mode of `open()`.

    Reading fetches what is read, with some read-ahead; `seek` costs nothing. Writing goes to a
    temporary file, which is saved when the file is closed, and is not where its `with` block
    raised. If saving fails the file stays open, and `close` may be called again. Text is UTF-8.

    Without `allow_overwrite`, a file is replaced only if it is still the one that was there when
    this one was opened; see `Tree.replace`.

    Raises: NoSuchChild, IsADirectory, and, with mode "x", ExistingChild.
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
        self._tree = tree
        self._path = path
        self._allow_overwrite = allow_overwrite
        self._begin(mode, found)

    def _begin(self, mode: str, found: Node | None = None) -> None:
        kind = _kind(mode)
        self._raw: Reader | Spool
        self._was: Node | None
        if is_only_read(mode):
            self._was = was = found or done(self._tree.file(self._path, self.name))
            self._raw = Reader(self._tree, was)
            self.file = io.BufferedReader(self._raw, _FIRST_WINDOW)
        else:
            self._tree.require_replaceable(self.name)
            self._was = self._look_up() if kind == "r" else self._look_up_or_none()
            if kind == "x" and self._was is not None:
                raise ExistingChild(f"the name {self.name!r} is taken")
            self._raw = Spool(appends=kind == "a")
            if self._was is not None and kind in "ra":
                self._raw.fill(Reader(self._tree, self._was))
            self.file = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(self._raw)
        if "b" not in mode:
            self.file = io.TextIOWrapper(self.file, encoding="utf-8")
        self.mode = mode

    def __repr__(self) -> str:
        return redact(super().__repr__())  # a name may carry the cap of its file

    def _look_up_or_none(self) -> Node | None:
        try:
            return self._look_up()
        except NoSuchChild:
            return None

    def _look_up(self) -> Node:
        """What is there now: what is known of it may be too old for it to be replaced."""
        return done(self._tree.file(self._path, self.name, fresh=True))

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> TahoeFile:
        """Go back to the start; with another mode, or after `close`, open anew."""
        if not self.closed and mode in (None, self.mode):
            self.seek(0)
        else:
            self.close()
            self._begin(mode or self.mode)
        return self

    async def aread(self, size: int | None = None) -> bytes:
        """As `read`, of a file opened with "rb", for a task of asyncio."""
        reader = self._binary_reader()
        start = self.file.tell()
        end = reader.size if size is None or size < 0 else min(start + size, reader.size)
        blocks: list[bytes] = []
        position = start
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
        """Close a file that was only read."""
        self._binary_reader()
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        self.close()

    def _binary_reader(self) -> Reader:
        if not isinstance(self._raw, Reader) or "b" not in self.mode:
            raise io.UnsupportedOperation(f"only files opened with 'rb', not {self.mode!r}")
        return self._raw

    @property
    def size(self) -> int:
        """Bytes of the file; while it is being written, those written so far."""
        if not self.closed:
            self.file.flush()
            self._size = self._raw.size
        return self._size

    def close(self) -> None:
        """Save what was written, and close. Raises: ExistingChild, and as `Storage.save`."""
        if self.closed:
            return
        self._size = self.size
        if isinstance(self._raw, Spool) and self._raw.is_changed:
            self._save(self._raw)
        self.file.close()

    def _save(self, spool: Spool) -> None:
        # For Django's types a file is an IO; an io.RawIOBase does as well.
        cap = done(self._tree.upload(File(cast("IO[bytes]", spool), self.name), self.name))
        if self._allow_overwrite:
            link = partial(Tree.link, path=self._path, cap=cap, replace="only-files")
        else:
            link = partial(Tree.replace, path=self._path, cap=cap, expected=self._was)
        done(self._tree.change(link, self._path, self.name))
        spool.is_changed = False

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if exc_type is not None and isinstance(self._raw, Spool) and not self.closed:
            self.file.flush()
            self._raw.is_changed = False
        self.close()

    def __del__(self) -> None:
        raw = getattr(self, "_raw", None)
        if isinstance(raw, Spool) and raw.is_changed:
            warnings.warn(
                f"{self.name!r} was not closed: what was written to it is not saved",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )


class Reader(io.RawIOBase):
    """The bytes of a file on the grid. Reading raises the errors of `txtahoe.Download.read`."""

    def __init__(self, tree: StorageTree, node: Node) -> None:
        assert node.size is not None
        self._waiting = tree
        self._cap = node.cap
        self.size = node.size
        self._position = 0
        # Where they begin, and the bytes: one value, for who looks while others fetch.
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
        data = done(self._read_at(self._waiting, self._position, len(target)))
        target[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        rest = memoryview(bytearray(max(0, self.size - self._position)))
        read = 0
        while count := self.readinto(rest[read:]):
            read += count
        return bytes(rest)

    async def aread_at(self, position: int, most: int) -> bytes:
        """Some bytes from a position before the end on, at least one, for a task of asyncio."""
        return bytes(await self._read_at(self._waiting.awaited, position, most))

    def close(self) -> None:
        window, tree = getattr(self, "_window", None), getattr(self, "_tree", None)
        if not self.closed and window is not None and tree is not None:
            self._waiting.close(window, tree)
        super().close()

    async def _read_at(self, tree: StorageTree, position: int, most: int) -> memoryview:
        data = self._at_hand(position, most)
        if data:
            return data

        async def fetch(tree: Tree, caller: Caller) -> memoryview:
            self._adopt(tree)
            async with self._fetching:
                if not self._at_hand(position, most):
                    await self._fetch(tree, position, most)
                return self._at_hand(position, most)

        return await tree.run(fetch)

    def _at_hand(self, position: int, most: int) -> memoryview:
        start, data = self._fetched
        if position < start:
            return memoryview(b"")
        return memoryview(data)[position - start : position - start + most]

    def _adopt(self, tree: Tree) -> None:
        """Go on with the tree of this process, and without what belongs to the parent's."""
        if tree is not self._tree:
            self._tree, self._window, self._fetching = tree, None, DeferredLock()

    async def _fetch(self, tree: Tree, position: int, wanted: int) -> None:
        """Fetch the byte at a position, and what comes along with it."""
        window = self._window
        if window is None or not self._is_ahead(window, position):
            window = await self._next_window(tree, position, wanted)
        data = b""
        while window.position <= position:
            data = await window.read()
        blocks = [data]
        while sum(map(len, blocks)) < _BLOCK and window.position < self._window_end:
            blocks.append(await window.read())
        fetched = b"".join(blocks)
        self._fetched = window.position - len(fetched), fetched

    def _is_ahead(self, window: Download, position: int) -> bool:
        return window.position <= position < min(self._window_end, window.position + _GAP)

    async def _next_window(self, tree: Tree, position: int, wanted: int) -> Download:
        length = _FIRST_WINDOW
        if position == self._window_end:
            length = _SECOND_WINDOW if self._window_length == _FIRST_WINDOW else self.size
        if self._window is not None:
            self._window.close()
        self._window_length = max(wanted, length)
        self._window_end = min(self.size, position + self._window_length)
        self._window = await tree.client.download(self._cap, position, self._window_length)
        return self._window


class Spool(io.RawIOBase):
    """What is written until it is saved: in memory at first, then in a temporary file."""

    def __init__(self, *, appends: bool) -> None:
        self._file = SpooledTemporaryFile(  # noqa: SIM115 - closed by `close`
            settings.FILE_UPLOAD_MAX_MEMORY_SIZE, dir=settings.FILE_UPLOAD_TEMP_DIR
        )
        self._appends = appends
        # A new file is saved though nothing is written to it.
        self.is_changed = True

    def fill(self, reader: Reader) -> None:
        """Begin with what is there already, which is no change."""
        with reader:
            shutil.copyfileobj(reader, self._file, _SECOND_WINDOW)
        self.seek(0, os.SEEK_END if self._appends else os.SEEK_SET)
        self.is_changed = False

    @property
    def size(self) -> int:
        position = self.tell()
        size = self.seek(0, os.SEEK_END)
        self.seek(position)
        return size

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        data = self._file.read(len(target))
        target[: len(data)] = data
        return len(data)

    def write(self, data: ReadableBuffer) -> int:
        if self._appends:
            self.seek(0, os.SEEK_END)
        self.is_changed = True
        return self._file.write(bytes(data))

    def truncate(self, size: int | None = None) -> int:
        self.is_changed = True
        size = self.tell() if size is None else size
        self._file.rollover()  # a file of the disk can be made longer too
        self._file.truncate(size)
        return size

    def close(self) -> None:
        super().close()
        self._file.close()


def is_only_read(mode: str) -> bool:
    """Whether a file is opened for reading alone. Raises: ValueError for what is no mode."""
    return _kind(mode) == "r" and "+" not in mode


def _kind(mode: str) -> str:
    """Raises: ValueError for what is no mode of `open()`."""
    letters = set(mode)
    kind = letters & set("rwxa")
    is_double = len(letters) != len(mode) or len(kind) != 1 or {"b", "t"} <= letters
    if is_double or letters - set("rwxabt+"):
        raise ValueError(f"invalid mode: {mode!r}")
    return kind.pop()
