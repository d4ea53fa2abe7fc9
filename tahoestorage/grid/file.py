"""The file that a storage opens: a reader fetches its bytes, a buffer takes what is written."""

from __future__ import annotations

import errno
import io
import logging
import shutil
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dis import opmap
from functools import partial
from typing import Any, Self
from weakref import finalize

from django.core.files import File

from tahoestorage.grid.reader import FIRST_WINDOW, SECOND_WINDOW, Reader
from tahoestorage.grid.tree import Linking, StorageTree
from tahoestorage.grid.writebuffer import WriteBuffer
from tahoestorage.reactor.waiting import done
from txtahoe.caps import redact
from txtahoe.errors import ExistingChild, IsADirectory, NoSuchChild
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree

logger = logging.getLogger("tahoestorage")


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
        self._raw: Reader | WriteBuffer
        self._was: Node | None
        self._tree = tree
        self._path = path
        self._allow_overwrite = allow_overwrite
        self._begin(mode, found)

    def _begin(self, mode: str, found: Node | None = None) -> None:
        self._left_when_opened = _leaving_exception()
        if is_only_read(mode):
            self._raw = self._reader(found or done(self._tree.file(self._path, self.name)))
            self.file = io.BufferedReader(self._raw, FIRST_WINDOW)
        else:
            self._raw = buffer = self._begin_writing(_kind(mode))
            buffered: Any = io.BufferedRandom if "+" in mode else io.BufferedWriter
            self.file = buffered(buffer)
        if "b" not in mode:
            self.file = io.TextIOWrapper(self.file, encoding="utf-8")
        if isinstance(self._raw, WriteBuffer):
            finalize(self, _tell_if_unsaved, self.file, self._raw, str(self.name))
        self.mode = mode

    def _begin_writing(self, kind: str) -> WriteBuffer:
        self._tree.require_replaceable(self.name)
        self._was, is_taken = None, True
        try:  # a fresh look-up, because a known file can be too old to be replaced
            fresh = not self._tree.is_spooled
            self._was = done(self._tree.file(self._path, self.name, fresh=fresh))
        except NoSuchChild:
            if kind == "r":
                raise
            is_taken = False
        except IsADirectory:
            if kind != "x":
                raise
        if kind == "x" and is_taken:
            raise ExistingChild(f"the name {self.name!r} is taken")
        buffer = WriteBuffer(appends=kind == "a")
        if self._was is not None and kind in "ra":
            with self._reader(self._was) as reader:
                shutil.copyfileobj(reader, buffer, SECOND_WINDOW)
            if kind == "r":
                buffer.seek(0)
            buffer.is_changed = False
        return buffer

    def _reader(self, found: Node) -> Reader:
        self._was = found
        try:
            return Reader(self._tree, found)
        except NoSuchChild:  # it was pending, and another one has just replaced it
            return self._reader(done(self._tree.file(self._path, self.name)))

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

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        if isinstance(self._raw, Reader):
            self._raw.goes_on = True
        return super().chunks(chunk_size)

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
        self._binary_reader().goes_on = True
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
        if isinstance(self._raw, WriteBuffer):
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
        if isinstance(self._raw, WriteBuffer):
            self._raw.is_changed = False
        self._raw.close()  # first, so that no buffer writes to it

    def _save(self, buffer: WriteBuffer) -> None:
        link: Linking = partial(Tree.replace, path=self._path, expected=self._was)
        if "x" in self.mode:
            link = partial(Tree.link, path=self._path)
        elif self._allow_overwrite:
            link = partial(Tree.link, path=self._path, replace="only-files")
        how = {
            "expected": self._was,
            "replaces": self._allow_overwrite and "x" not in self.mode,
            "is_growing": "a" in self.mode,
        }
        done(self._tree.put(self._path, buffer.content(self.name), self.name, link, **how))
        buffer.is_changed = False

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


def _tell_if_unsaved(file: Any, buffer: WriteBuffer, name: str) -> None:
    """Report a file that is dropped, or whose process ends, before it is saved."""
    with suppress(Exception):  # the buffered bytes, unless it is closed
        file.flush()
    if buffer.is_changed:
        text = f"{redact(name)!r} was not closed: what was written to it is not saved"
        logger.error("%s", text)
        warnings.warn(text, ResourceWarning, stacklevel=2)  # as for any file that is left open


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
