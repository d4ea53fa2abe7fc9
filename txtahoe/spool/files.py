"""The encrypted files of a spool, and locks that a process loses with its end."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from weakref import WeakSet

from attrs import frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from txtahoe.contentcache.blocks import BLOCK, HEAD, KEY, SLOT, decrypted, encrypted
from txtahoe.contentcache.ledger import open_own


class Damaged(OSError):
    """The bytes of a pending file are gone or damaged."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "the bytes of a file in the spool are gone or damaged")


def write(
    path: Path,
    seal: AESGCM,
    number: int,
    chunks: Iterable[bytes],
    room: Callable[[int], int],
) -> int:
    """
    Write an encrypted file, sync it to the disk, and return how many bytes it has. If this fails,
    it leaves none.

    `number`: the file's, which is authenticated: nobody can put it in the place of another.
    `room`: called with the bytes so far, returns how many there can be.

    Raises: OSError ENOSPC if there is no room; what `chunks` raises.
    """
    key, size = os.urandom(KEY), 0
    content = AESGCM(key)
    with open(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        try:
            file.write(encrypted(seal, key, number))
            for slot, block in enumerate(_blocks(chunks)):
                size += len(block)
                if size > room(size):
                    raise OSError(errno.ENOSPC, "there is no room for the file")
                file.write(encrypted(content, block, slot))
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise
    return size


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= BLOCK:
            yield bytes(held[:BLOCK])
            del held[:BLOCK]
    if held:
        yield bytes(held)


@frozen
class SealedFile:
    """An encrypted file that is open: it can be read to its end even if it is removed meanwhile."""

    _opened: int
    _content: AESGCM
    _size: int

    @classmethod
    def open(cls, path: Path, seal: AESGCM, number: int, size: int) -> SealedFile | None:
        """Open a file of so many bytes; None if it is not there. Raises: OSError; Damaged."""
        try:
            opened = open_own(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            key = decrypted(seal, os.read(opened, HEAD), number)
        except InvalidTag:
            os.close(opened)
            raise Damaged from None
        return cls(opened, AESGCM(key), size)

    def read(self, offset: int, length: int) -> bytes:
        """Some of so many bytes from an offset on. Raises: OSError; Damaged, also at the end."""
        number = offset // BLOCK
        try:
            slot = os.pread(self._opened, SLOT, HEAD + number * SLOT)
            block = decrypted(self._content, slot, number)
        except InvalidTag:
            raise Damaged from None
        data = block[offset - number * BLOCK :][:length]
        if not data:
            raise Damaged
        return data

    def chunks(self) -> Iterator[bytes]:
        """All its bytes, by blocks. Raises: as `read`."""
        position = 0
        while position < self._size:
            yield (block := self.read(position, BLOCK))
            position += len(block)

    def close(self) -> None:
        os.close(self._opened)


def sync_folder(path: Path) -> None:
    """Sync the names in a folder to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def lock(path: Path) -> BinaryIO | None:
    """
    Lock a path until the result is closed, or this process ends; None if another thread or process
    has the lock.
    """
    file = open(path, "ab", opener=open_own)  # noqa: SIM115 - it is the result
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    _locks.add(file)
    return file


def _after_fork() -> None:
    for file in _locks:
        file.close()


# A lock belongs to all copies of its descriptor: a forked child must not keep one of its parent.
_locks: WeakSet[BinaryIO] = WeakSet()
os.register_at_fork(after_in_child=_after_fork)
