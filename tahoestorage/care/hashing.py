"""A file that is hashed while somebody reads it."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from django.core.files import File


class HashedFile(File):  # type: ignore[type-arg]  # no generic at run time
    """
    A file that can tell the SHA-256 of its bytes when it has been read, in whatever order: some
    storages read all chunks, others look for the end first, or read it twice.

    `told` is called with the number of bytes of each read; what it raises ends the reading.
    """

    def __init__(self, file: File[Any], name: str, told: Callable[[int], None]) -> None:
        super().__init__(file, name)
        self.file: Any
        self._told = told
        self._read = 0
        self._digest = sha256()
        self.hashed = 0
        """Bytes, from the start on, that `so_far` is made of."""

    def read(self, size: int = -1) -> bytes:
        start = self._position()
        data: bytes = self.file.read(size)
        self._read += len(data)
        if start <= self.hashed < start + len(data):
            self._digest.update(memoryview(data)[self.hashed - start :])
            self.hashed = start + len(data)
        self._told(len(data))
        return data

    @property
    def so_far(self) -> str:
        """The digest of what was read, in hexadecimal."""
        return self._digest.hexdigest()

    def digest(self) -> str:
        """The digest of the whole file, in hexadecimal; what nobody has read is read now."""
        if self._position() != self.hashed:
            self.seek(self.hashed)
        while self.read(self.DEFAULT_CHUNK_SIZE):
            pass
        return self.so_far

    def _position(self) -> int:
        try:
            return int(self.file.tell())
        except (AttributeError, OSError):  # it can only be read from the start to the end
            return self._read
