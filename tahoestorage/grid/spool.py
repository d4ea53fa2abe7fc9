"""What is written to a file of the grid until it is saved."""

from __future__ import annotations

import errno
import io
import os
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, cast

from django.conf import settings
from django.core.files import File

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class Spool(io.RawIOBase):
    """
    What is written until it is saved: in memory at first, then in a temporary file.

    `appends`: whether every write goes to the end.
    `is_changed`: whether something was written that is not saved.
    `failure`: what ended a write, if one failed. What is here is not all that was written then.
    """

    def __init__(self, *, appends: bool = False) -> None:
        self._file: IO[bytes] = io.BytesIO()
        self._appends = appends
        # A new file is saved though nothing is written to it.
        self.is_changed = True
        self.failure: BaseException | None = None

    @property
    def size(self) -> int:
        position = self.tell()
        size = self.seek(0, os.SEEK_END)
        self.seek(position)
        return size

    def content(self, name: str | None) -> File[bytes]:
        """What is here, as a Django file to be saved."""
        # For Django's types a file is an IO; an io.RawIOBase does as well.
        return File(cast("IO[bytes]", self), name)

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
            self._file.truncate(size)
        return size

    def close(self) -> None:
        super().close()
        with suppress(OSError):  # a full disk fails again, for what it has not taken
            self._file.close()

    def _put(self, data: ReadableBuffer) -> int:
        """Write all of the data where the file stands; what a full disk does not take fails now."""
        self.is_changed = True
        count = memoryview(data).nbytes
        try:
            end = self.tell() + count
            if isinstance(self._file, io.BytesIO) and end > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
                self._file = _on_disk(self._file)
            self._file.write(data)
            self._file.flush()
        except BaseException as error:
            self.failure = error
            raise
        return count


def _on_disk(memory: io.BytesIO) -> IO[bytes]:
    """A temporary file with the same bytes, which stands at the same byte."""
    try:
        file = TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR)  # noqa: SIM115 - closed by the Spool
    except OSError as error:
        # Not a FileNotFoundError, which would say that the name of the file is missing.
        raise OSError(
            errno.EIO, f"no temporary file could be made: {error}. Set FILE_UPLOAD_TEMP_DIR"
        ) from error
    try:
        file.write(memory.getbuffer())
        file.seek(memory.tell())
    except BaseException:
        file.close()
        raise
    return file
