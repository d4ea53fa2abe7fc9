"""A file that is hashed while somebody reads it."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from django.core.files import File


class HashedFile(File):  # type: ignore[type-arg]  # no generic at run time
    """
    A file that knows the SHA-256 of its bytes once it was read, in any order: some storages read
    all chunks, others look for the end first, or read it twice.

    `on_read` is called after each read; an exception from it ends the reading.
    """

    def __init__(
        self, file: File[Any], name: str, on_read: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(file, name)
        self.file: Any
        self._on_read = on_read
        self._read = 0
        self._digest = sha256()
        self.hashed = 0
        """How many bytes from the start on are in `so_far`."""

    def read(self, size: int = -1) -> bytes:
        start = self._position()
        data: bytes = self.file.read(size)
        self._read += len(data)
        if start <= self.hashed < start + len(data):
            self._digest.update(memoryview(data)[self.hashed - start :])
            self.hashed = start + len(data)
        self._on_read()
        return data

    @property
    def so_far(self) -> str:
        """The digest of the first `hashed` bytes, in hexadecimal."""
        return self._digest.hexdigest()

    def digest(self) -> str:
        """The digest of the whole file, in hexadecimal. It reads the bytes that nobody has read."""
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
