"""
A content cache: what its files look like, and who can read them.

A cap of an immutable file stands for the same bytes for ever, so a copy of them is never stale. The
copy has the storage index as its name, and is encrypted by blocks with a key made from the
read-cap; see `blocks`. A block that is damaged counts as missing, and the next download writes it
again. So writes need not be atomic.

The content key is random, because a copy begins before its cap is known, while the file is
uploaded. Until then it has a random name and a head that nobody can read; if the process dies, it
is evicted as any other copy that nobody reads.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from logging import getLogger
from pathlib import Path
from time import monotonic, time
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from txtahoe.caps import Cap, base32
from txtahoe.contentcache.blocks import (
    BLOCK,
    HEAD,
    KEY,
    NONCE,
    SLOT,
    TAG,
    decrypted,
    encrypted,
    key_of,
)
from txtahoe.contentcache.ledger import Folder, Ledger, Usage, open_own
from txtahoe.sealing import sealed

T = TypeVar("T")

logger = getLogger("txtahoe")

# Seconds.
_EXACT = 1.0  # the time of a copy's last use, and the counts of reads, can be so old
_QUIET = 60.0  # without another line in the log


class ContentCache:
    """
    The contents of immutable files, by blocks, in the folder `path`; any number of processes can
    share it. Each method can be called by any thread, and blocks as the disk does.

    `max_bytes`: of the folder. Copies that were not used for long go if there is no more room.
    `max_file_bytes`: larger files are not kept; by default, an eighth of `max_bytes`.

    The last part of the path is made when the first block is kept. A folder that fails, because it
    is full or cannot be written, keeps nothing, and a line in the log of "txtahoe" says so, once a
    minute at most: only `usage` and `clear` raise OSError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 2**30,
        max_file_bytes: int | None = None,
    ) -> None:
        self.max_file_bytes = max_bytes // 8 if max_file_bytes is None else max_file_bytes
        self.path = Path(path).absolute()
        self._folder = Folder(self.path, max_bytes)
        self._hits = self._misses = 0
        self._told = self._quiet_until = 0.0

    def keeps(self, cap: Cap) -> bool:
        """Whether it keeps such a file: an immutable one, neither literal nor too large."""
        return cap.kind == "CHK" and (cap.size or 0) <= self.max_file_bytes

    def read(self, cap: Cap, offset: int, length: int) -> bytes:
        """
        Bytes of a file from `offset` on, `length` at most; b"" if the first one is not here. There
        can be more: it ends with a block rather than within one.
        """
        if not self.keeps(cap):
            return b""
        data = b""
        try:
            data = self._read(cap, offset, length)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._tell(error)
        self._hits += bool(data)
        self._misses += not data
        if data and monotonic() > self._told + _EXACT:
            self._told = monotonic()
            # If another process has the lock, a later read adds them: none waits for it.
            with suppress(OSError), self._folder.locked(patience=0) as ledger:
                self._add_reads(ledger)
        return data

    def writer(self, cap: Cap | None = None, offset: int = 0) -> Writer:
        """Keep a file, from an offset on; `cap` is None if it will be known at the end alone."""
        return Writer(self, cap, offset)

    def forget(self, cap: Cap) -> None:
        """Remove the copy of a file."""
        if self.keeps(cap):
            self._change(lambda ledger: ledger.remove(_sealing(cap)[0]))

    def usage(self) -> Usage:
        """The size, and the counts of reads. Raises: OSError."""
        if self._folder.is_new:
            return Usage(0, self._folder.max_bytes, 0, 0)
        with self._folder.locked() as ledger:
            self._add_reads(ledger)
            return ledger.usage

    def clear(self) -> None:
        """Remove all copies, and the counts of reads. Raises: OSError."""
        if not self._folder.is_new:
            with self._folder.locked() as ledger:
                self._add_reads(ledger)
                ledger.clear()

    def _change(self, change: Callable[[Ledger], T]) -> T | None:
        """Change the folder; None if that cannot be done now."""
        try:
            with self._folder.locked() as ledger:
                self._add_reads(ledger)
                return change(ledger)
        except OSError as error:
            self._tell(error)
            return None

    def _read(self, cap: Cap, offset: int, length: int) -> bytes:
        name, seal = _sealing(cap)
        size = cap.size
        assert size is not None
        stop = min(offset + length, size)
        first, last = offset // BLOCK, stop // BLOCK
        if first < last and stop < size:
            stop = last * BLOCK
        data = io.BytesIO()  # gives its bytes without a copy of them all
        path = self._folder.file(name)
        copy = open_own(path, os.O_RDONLY)
        try:
            content = AESGCM(decrypted(seal, os.pread(copy, HEAD, 0)))
            if abs(time() - os.fstat(copy).st_mtime) > _EXACT:
                with suppress(OSError):  # the folder is read-only
                    os.utime(copy)
            for number in range(first, -(-stop // BLOCK)):
                length = NONCE + min(BLOCK, size - number * BLOCK) + TAG
                slot = os.pread(copy, length, HEAD + number * SLOT)
                data.write(decrypted(content, slot, number))
        except InvalidTag:
            pass
        finally:
            os.close(copy)
        return data.getvalue()[offset - first * BLOCK : stop - first * BLOCK]

    def _add_reads(self, ledger: Ledger) -> None:
        hits, misses, self._hits, self._misses = self._hits, self._misses, 0, 0
        ledger.add_reads(hits, misses)

    def _tell(self, error: OSError) -> None:
        if monotonic() > self._quiet_until:
            self._quiet_until = monotonic() + _QUIET
            logger.warning("the content cache %s is not used now: %s", self.path, error)


class Writer:
    """
    Keeps the bytes of one file as they come, in sequence, for one thread at a time. It keeps whole
    blocks alone: it skips bytes before the first one, and drops the rest at the end.
    """

    def __init__(self, cache: ContentCache, cap: Cap | None, offset: int) -> None:
        self._cache = cache
        self._cap = cap
        self._is_on = cap is None or cache.keeps(cap)
        self._number = -(-offset // BLOCK)
        self._skipped = self._number * BLOCK - offset
        self._held = bytearray()
        self._key = os.urandom(KEY)
        self._name, self._seal = base32(os.urandom(16)), AESGCM(os.urandom(KEY))
        if cap is not None:
            self._name, self._seal = _sealing(cap)

    def write(self, data: bytes | bytearray) -> None:
        """Keep the next bytes."""
        if not self._is_on:
            return
        self._held += memoryview(data)[self._skipped :]
        self._skipped = max(0, self._skipped - len(data))
        if self._end > self._cache.max_file_bytes:
            self.drop()
        while len(self._held) >= BLOCK:
            self._put(BLOCK)

    def finish(self, cap: Cap | None = None) -> None:
        """Keep the rest, if the file ends here. `cap`: if it was not known before."""
        known = self._cap or cap
        if known is None or self._end != known.size or not self._cache.keeps(known):
            self.drop()
            return
        if not self._number:
            self._cap, (self._name, self._seal) = known, _sealing(known)
        if self._held:
            self._put(len(self._held))
        if self._cap is None and self._is_on:
            name, seal = _sealing(known)
            head = encrypted(seal, self._key)
            self._cache._change(lambda ledger: ledger.rename(self._name, name, head))

    def drop(self) -> None:
        """Keep no more; and nothing of a file whose cap is not known."""
        self._is_on = False
        self._held.clear()
        if self._cap is None and self._number:
            self._cache._change(lambda ledger: ledger.remove(self._name))

    @property
    def _end(self) -> int:
        return self._number * BLOCK + len(self._held)

    def _put(self, length: int) -> None:
        number, block = self._number, bytes(self._held[:length])
        place = HEAD + number * SLOT
        self._number += 1
        del self._held[:length]

        def put(ledger: Ledger) -> bool:
            copy = ledger.open(self._name, place, place + NONCE + length + TAG)
            if copy is None:
                return False
            with copy:
                try:
                    content = AESGCM(decrypted(self._seal, copy.read(HEAD)))
                except InvalidTag:  # it is new, or damaged: then its slots are of no use
                    copy.seek(0)
                    copy.write(encrypted(self._seal, self._key))
                    content = AESGCM(self._key)
                copy.seek(place)
                copy.write(encrypted(content, block, number))
            return True

        if not self._cache._change(put) and self._cap is None:
            self.drop()


@lru_cache(1024)
@sealed
def _sealing(cap: Cap) -> tuple[str, AESGCM]:
    """The name of the copy of a file, and the encryption of its head."""
    return cap.storage_index or "", AESGCM(key_of(cap, "txtahoe content cache 1"))
