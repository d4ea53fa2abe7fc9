"""Files of an imaginary grid, and a folder for their contents."""

from __future__ import annotations

from hashlib import shake_128
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txtahoe import Cap
from txtahoe.caps import base32
from txtahoe.contentcache import ContentCache


def content_of(number: int, size: int) -> bytes:
    """The bytes of a file, made from its number. They are at least so many as its size."""
    return shake_128(b"%d" % number).digest(min(size, 10_000)) * (size // 10_000 + 1)


def cap_of(number: int, size: int) -> Cap:
    """The cap of a file of so many bytes."""
    key, root = (shake_128(b"%s %d" % (what, number)).digest(32) for what in (b"key", b"root"))
    return Cap.parse(f"URI:CHK:{base32(key[:16])}:{base32(root)}:2:3:{size}")


class CacheTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        above = TemporaryDirectory()
        self.addCleanup(above.cleanup)
        self.path = Path(above.name) / "cache"
        self.cache = self.new_cache()

    def new_cache(self, **options: Any) -> ContentCache:
        """The cache of this test, as another process has it."""
        return ContentCache(self.path, **options)

    def keep(self, number: int, size: int = 10_000, cache: ContentCache | None = None) -> Cap:
        """Keep a file, as after a download. Return its cap."""
        cap = cap_of(number, size)
        writer = (cache or self.cache).writer(cap)
        writer.write(content_of(number, size)[:size])
        writer.finish()
        return cap

    def save(self, number: int, size: int = 10_000, cache: ContentCache | None = None) -> Cap:
        """Keep a file, as after an upload. Return its cap."""
        cap = cap_of(number, size)
        writer = (cache or self.cache).writer()
        for start in range(0, size, 100_000):
            writer.write(content_of(number, size)[start : min(size, start + 100_000)])
        writer.finish(cap)
        return cap

    def is_kept(self, number: int, size: int = 10_000, cache: ContentCache | None = None) -> bool:
        """Whether all bytes of a file are there; they must be right."""
        found = (cache or self.cache).read(cap_of(number, size), 0, size)
        if found:
            self.assertTrue(content_of(number, size).startswith(found))
        return len(found) == size

    def files(self) -> list[Path]:
        return [path for path in self.path.glob("*/*") if path.is_file()]

    def size_on_disk(self) -> int:
        return sum(path.stat().st_blocks * 512 for path in self.files())
