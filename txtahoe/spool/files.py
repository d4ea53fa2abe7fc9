"""
The folder of a spool: its encrypted files, and locks that a process loses with its end.

A file has a random number. Its process holds the lock of that number until the journal has the
file. So the file of a process that died has no entry and no lock, and `sweep` removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from attrs import frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from txtahoe.contentcache.blocks import BLOCK, HEAD, KEY, SLOT, decrypted, encrypted
from txtahoe.contentcache.ledger import open_own

_LOCKS = "locks"
_SUFFIX = ".file"
_POLL = 0.01  # seconds


class Damaged(OSError):
    """The bytes of a pending file are gone or damaged."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "the bytes of a file in the spool are gone or damaged")


def new_number() -> int:
    """A number for a file; it is also the place of a lock, which must fit into 63 bits."""
    return int.from_bytes(os.urandom(8)) >> 2


class Locks:
    """
    Locks by number, of which each has one holder among all processes and threads.

    They are those of POSIX: a forked child does not inherit them, and the system releases them when
    the process ends. A process loses them too if it closes any descriptor of the file, so this
    opens it once, and never closes it. An object is for one process; see `Files.locks`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = -1
        self._held: set[int] = set()
        self._mutex = threading.Lock()

    def take(self, number: int, patience: float = 0.0) -> bool:
        """Take a lock, and wait for it so many seconds at most; return whether it was free."""
        deadline = monotonic() + patience
        while not self._take(number):
            if monotonic() >= deadline:
                return False
            sleep(_POLL)
        return True

    def _take(self, number: int) -> bool:
        with self._mutex:
            self._open()
            if number in self._held:
                return False
            try:
                fcntl.lockf(self._opened, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    return False
                raise
            self._held.add(number)
            return True

    def release(self, number: int) -> None:
        """Release a lock, if this process holds it."""
        with self._mutex:
            if number in self._held:
                self._held.discard(number)
                fcntl.lockf(self._opened, fcntl.LOCK_UN, 1, number)

    def _open(self) -> None:
        with suppress(OSError):
            if self._opened >= 0 and os.path.samestat(os.fstat(self._opened), os.stat(self._path)):
                return
        # It is new; or somebody has removed the folder, and the locks with it.
        self._opened = open_own(self._path, os.O_RDWR | os.O_CREAT)


@frozen
class SealedFile:
    """An encrypted file that is open: it can be read to its end even if it is removed meanwhile."""

    _opened: int
    _content: AESGCM
    _stored: int
    """Its bytes on the disk."""

    def read(self, offset: int, length: int) -> bytes:
        """Some of so many bytes from an offset on. Raises: OSError; Damaged, also at the end."""
        number = offset // BLOCK
        try:
            slot = os.pread(self._opened, SLOT, HEAD + number * SLOT)
            block = decrypted(self._content, slot, number)
        except InvalidTag:
            raise Damaged from None
        return block[offset - number * BLOCK :][:length]

    def chunks(self) -> Iterator[bytes]:
        """All bytes that are there, by blocks."""
        for number in range(-(-(self._stored - HEAD) // SLOT)):
            yield self.read(number * BLOCK, BLOCK)

    def close(self) -> None:
        os.close(self._opened)


# By process id too: a forked child holds no lock of its parent.
_locks: dict[tuple[int, Path], Locks] = {}


@frozen
class Files:
    """The encrypted files in the folder `path`; `seal` encrypts their keys."""

    path: Path
    seal: AESGCM

    @property
    def locks(self) -> Locks:
        return _locks.setdefault((os.getpid(), self.path), Locks(self.path / _LOCKS))

    @contextmanager
    def writing(
        self,
        chunks: Iterable[bytes],
        most: Callable[[int], int],
        is_known: Callable[[int], bool],
    ) -> Iterator[Written]:
        """
        Write a file, sync it and its name to the disk, and hold its lock in this block. It is
        removed if the block fails, unless it is known by then: Ctrl-C can come after that.

        `most`: called with the size so far, returns how many bytes there is room for.

        Raises: OSError ENOSPC if there is no room.
        """
        number = new_number()
        while not self.locks.take(number):
            number = new_number()
        try:
            size = self._write(number, chunks, most)
            yield Written(number, size)
        except BaseException:
            if not is_known(number):
                self.remove(number)
            raise
        finally:
            self.locks.release(number)

    def _write(self, number: int, chunks: Iterable[bytes], most: Callable[[int], int]) -> int:
        key, size, slot = os.urandom(KEY), 0, 0
        content = AESGCM(key)
        held = bytearray()
        with open(open_own(self._file(number), os.O_RDWR | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(encrypted(self.seal, key))

            def put(length: int) -> None:
                nonlocal slot
                if size > most(size):
                    raise OSError(errno.ENOSPC, "the spool has no room for the file")
                file.write(encrypted(content, bytes(held[:length]), slot))
                slot += 1
                del held[:length]

            for chunk in chunks:
                held += chunk
                size += len(chunk)
                while len(held) >= BLOCK:
                    put(BLOCK)
            if held:
                put(len(held))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.path)
        return size

    def open(self, number: int) -> SealedFile | None:
        """Open a file; None if it is not there. Raises: OSError."""
        try:
            opened = open_own(self._file(number), os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            key = decrypted(self.seal, os.read(opened, HEAD))
        except InvalidTag:
            os.close(opened)
            raise Damaged from None
        return SealedFile(opened, AESGCM(key), os.fstat(opened).st_size)

    def remove(self, number: int) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(self._file(number))

    def sweep(self, is_known: Callable[[int], bool]) -> None:
        """Remove the files of processes that died before the journal knew of them."""
        with os.scandir(self.path) as entries:
            numbers = [int(e.name[: -len(_SUFFIX)], 16) for e in entries if _is_file(e)]
        for number in numbers:
            if not is_known(number) and self.locks.take(number):
                try:
                    if not is_known(number):  # its process may have been faster than this look
                        self.remove(number)
                finally:
                    self.locks.release(number)

    def _file(self, number: int) -> str:
        return f"{self.path}/{number:016x}{_SUFFIX}"


@frozen
class Written:
    """A file that was written: its number, and its size in bytes."""

    number: int
    size: int


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(_SUFFIX) and stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode)


def sync_folder(path: Path) -> None:
    """Sync the names in a folder to the disk."""
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
