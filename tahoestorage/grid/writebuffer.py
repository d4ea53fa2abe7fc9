"""The bytes that are written to a file of the grid, until they are saved."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.files import File

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class WriteBuffer(SpooledTemporaryFile[bytes]):
    """
    A temporary file: in memory at first, then on the disk.

    `appends`: whether every write goes to the end.
    `is_changed`: whether it has bytes that are not saved.
    `failure`: the error of a write, if one failed; then some bytes are missing here.
    """

    def __init__(self, *, appends: bool = False) -> None:
        # 0 would mean "without a limit".
        most = max(1, settings.FILE_UPLOAD_MAX_MEMORY_SIZE)
        super().__init__(most, dir=settings.FILE_UPLOAD_TEMP_DIR)
        self._appends = appends
        self.is_changed = True  # a new file is saved even if it stays empty
        self.failure: BaseException | None = None

    @property
    def size(self) -> int:
        position = self.tell()
        size = self.seek(0, os.SEEK_END)
        self.seek(position)
        return size

    def content(self, name: str | None) -> File[bytes]:
        """The buffer as a Django file, to be saved."""
        return File(self, name)

    def write(self, data: Any) -> int:
        if self._appends:
            self.seek(0, os.SEEK_END)
        return self._put(data)

    def truncate(self, size: int | None = None) -> int:
        position = self.tell()
        size = position if size is None else size
        if size > self.size:
            self.seek(size - 1)
            self._put(b"\0")
            self.seek(position)
        else:
            self.is_changed = True
            super().truncate(size)
        return size

    def close(self) -> None:
        with suppress(OSError):  # a full disk fails again, for bytes that it has not taken
            super().close()

    def _put(self, data: ReadableBuffer) -> int:
        """Write all of the data at the position. A full disk fails now, and not at `close`."""
        if self.failure is not None:
            raise OSError(errno.EIO, f"an earlier write has failed: {self.failure}")
        self.is_changed = True
        try:
            super().write(data)
            self.flush()
        except BaseException as error:
            self.failure = error
            has_no_file = isinstance(error, FileNotFoundError | FileExistsError)
            if has_no_file or getattr(error, "filename", None) is not None:
                # Not FileNotFoundError, which would mean that the file of the grid is missing.
                text = f"no temporary file could be made: {error}. Set FILE_UPLOAD_TEMP_DIR"
                self.failure = OSError(errno.EIO, text)
                raise self.failure from error
            raise
        return memoryview(data).nbytes
