"""A storage with a content cache reads known bytes from the disk of this host."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.images import get_image_dimensions
from django.core.files.storage import FileSystemStorage
from PIL import Image

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.care.migration import Migration, State
from tahoestorage.care.sides import side_of
from tahoestorage.grid.reader import Reader
from tahoestorage.reactor.waiting import done
from tahoestorage.storage import TahoeStorage
from tests.tahoestorage.case import StorageTestCase, forget_links, no_reactor
from txtahoe.contentcache import BLOCK

LARGE = bytes(range(256)) * 2**13 + b"the end"  # two megabytes
PICTURE = BytesIO()
Image.effect_noise((300, 200), 64).save(PICTURE, "PNG")


class ContentCacheTestCase(StorageTestCase):
    """A test with a storage through a proxy, and one that fills the grid behind its back."""

    def setUp(self) -> None:
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "cache"
        self.others = self.storage
        self.storage, self.proxy = self.new_storage_through_proxy(**self.options)

    @property
    def options(self) -> dict[str, Any]:
        return {"content_cache": self.folder, "max_age": 3600}

    @contextmanager
    def no_request(self) -> Iterator[None]:
        """In this block, neither the gateway nor the reactor thread is asked."""
        before = len(self.proxy.requests)
        with no_reactor():
            yield
        self.assertEqual(self.proxy.requests[before:], [])


class Reading(ContentCacheTestCase):
    def test_a_file_that_was_read_is_read_from_the_disk(self) -> None:
        for name, content in (("small.bin", b"s" * 10_000), ("large.bin", LARGE)):
            self.others.save(name, ContentFile(content))
            self.assertEqual(self.read(name), content)
            with self.no_request():
                self.assertEqual(self.read(name), content)
                with self.storage.open(name) as opened:
                    self.assertEqual(b"".join(opened.chunks()), content)
                with self.storage.open(name) as opened:
                    opened.seek(5000)
                    self.assertEqual(opened.read(4000), content[5000:9000])
                with self.storage.open(name) as opened:
                    opened.seek(-7, 2)
                    self.assertEqual(opened.read(), content[-7:])

    def test_a_saved_file_is_there_already(self) -> None:
        for content in (b"s" * 10_000, LARGE):
            name = self.storage.save("a/b/c.bin", ContentFile(content))
            with self.no_request():
                self.assertEqual(self.read(name), content)

    def test_a_file_written_through_open_is_there_already(self) -> None:
        with self.storage.open("written.txt", "w") as opened:
            opened.write("é" * 50_000)
        with self.no_request(), self.storage.open("written.txt", "r") as opened:
            self.assertEqual(opened.read(), "é" * 50_000)

    def test_many_saved_files_are_there_already(self) -> None:
        files = {f"{number}.bin": bytes([number]) * 10_000 for number in range(9)}
        self.storage.save_many((name, ContentFile(files[name])) for name in files)
        with self.no_request():
            for name, content in files.items():
                self.assertEqual(self.read(name), content)

    def test_the_header_of_a_picture_fills_its_block_alone(self) -> None:
        self.others.save("p.png", ContentFile(PICTURE.getvalue() + LARGE))
        for _ in range(2):
            with self.storage.open("p.png") as opened:
                self.assertEqual(get_image_dimensions(opened), (300, 200))
            size = self.size_of_cache()
            self.assertTrue(0 < size < 2 * BLOCK, size)
        before = self.proxy.received
        with self.no_request(), self.storage.open("p.png") as opened:
            self.assertEqual(get_image_dimensions(opened), (300, 200))
        self.assertEqual(self.proxy.received, before)

    def test_a_range_within_a_block_brings_the_whole_block(self) -> None:
        self.others.save("large.bin", ContentFile(LARGE))
        with self.storage.open("large.bin") as opened:
            opened.seek(3 * BLOCK + 1000)
            opened.read(10)
        with self.no_request(), self.storage.open("large.bin") as opened:
            opened.seek(3 * BLOCK)
            self.assertEqual(opened.read(BLOCK), LARGE[3 * BLOCK : 4 * BLOCK])

    def test_a_range_of_a_file_that_is_too_large_to_keep_is_no_larger(self) -> None:
        self.others.save("large.bin", ContentFile(LARGE))
        cache = {"path": self.folder, "max_file_bytes": BLOCK}
        storage, proxy = self.new_storage_through_proxy(content_cache=cache)
        with storage.open("large.bin") as opened:
            opened.seek(3 * BLOCK + 1000)
            self.assertEqual(opened.read(10), LARGE[1000:1010])
        self.assertLess(proxy.received, 1.5 * BLOCK)

    def test_one_read_takes_a_part_of_a_large_file_to_the_memory(self) -> None:
        name = self.storage.save("large.bin", ContentFile(LARGE))
        with Reader(self.storage._tree, done(self.storage.operations.file(name))) as reader:
            self.assertLess(len(reader.read_at(0, len(LARGE))), len(LARGE) / 2)

    def test_another_process_needs_the_name_alone(self) -> None:
        name = self.storage.save("large.bin", ContentFile(LARGE))
        other, proxy = self.new_storage_through_proxy(**self.options)
        with other.open(name) as opened:
            self.assertEqual(opened.read(), LARGE)
        self.assertEqual(proxy.requests, ["GET /uri"])  # the listing

    def test_a_replaced_file_is_the_new_one(self) -> None:
        storage, _ = self.new_storage_through_proxy(**self.options, allow_overwrite=True)
        for content in (b"o" * 10_000, b"n" * 10_000):
            storage.save("a.bin", ContentFile(content))
            with storage.open("a.bin") as opened:
                self.assertEqual(opened.read(), content)

    def test_a_deleted_file_leaves_the_disk(self) -> None:
        name = self.storage.save("a.bin", ContentFile(b"s" * 10_000))
        self.assertEqual(self.files_of_cache(), 1)
        self.storage.delete(name)
        self.assertEqual(self.files_of_cache(), 0)

    def test_damage_on_the_disk_is_fetched_anew(self) -> None:
        name = self.storage.save("large.bin", ContentFile(LARGE))
        for copy in self.folder.glob("*/*"):
            data = bytearray(copy.read_bytes())
            data[5 * BLOCK] ^= 1
            copy.write_bytes(data)
        self.assertEqual(self.read(name), LARGE)
        with self.no_request():
            self.assertEqual(self.read(name), LARGE)

    def test_a_folder_that_fails_costs_nothing_but_speed(self) -> None:
        self.folder.write_text("mine")
        with self.assertLogs("txtahoe", "WARNING"):
            name = self.storage.save("a.bin", ContentFile(b"s" * 10_000))
            self.assertEqual(self.read(name), b"s" * 10_000)

    def test_a_storage_that_shares_the_tree_brings_its_cache(self) -> None:
        plain = self.new_storage(tahoe_base_url=self.proxy.url)
        plain.exists("x")  # it makes the tree
        name = self.storage.save("a.bin", ContentFile(b"s" * 10_000))
        with self.no_request():
            self.assertEqual(self.read(name), b"s" * 10_000)

    def size_of_cache(self) -> int:
        return sum(copy.stat().st_blocks * 512 for copy in self.folder.glob("*/*"))

    def files_of_cache(self) -> int:
        return len(list(self.folder.glob("*/*")))


class Awaiting(ContentCacheTestCase):
    def test_a_task_reads_from_the_disk(self) -> None:
        async def read(storage: TahoeStorage, name: str) -> bytes:
            async with await storage.aopen(name) as opened:
                data = await opened.aread()
                chunks = [chunk async for chunk in opened.aiter_chunks()]
            self.assertEqual(b"".join(chunks), data)
            return data

        name = self.storage.save("large.bin", ContentFile(LARGE))
        with self.no_request():
            self.assertEqual(asyncio.run(read(self.storage, name)), LARGE)


class OwnOpen(TahoeStorage):
    """A storage of the site's own, of which a migration knows no more than Django does."""

    def _open(self, name: Any, mode: str = "rb") -> Any:
        return super()._open(name, mode)


class Verifying(ContentCacheTestCase):
    def test_a_migration_reads_its_copies_back_from_the_grid(self) -> None:
        own = OwnOpen(**{**self.storage.options, "location": "other"})
        with TemporaryDirectory() as folder:
            source = FileSystemStorage(folder)
            source.save("a.bin", ContentFile(LARGE))
            for destination in (self.storage, own):
                self.proxy.received = 0
                migration = Migration(side_of(source), side_of(destination), at_once=1)
                self.assertEqual([found.state for found in migration.run("")], [State.COPIED])
                self.assertGreater(self.proxy.received, len(LARGE))
        with self.no_request():
            self.assertEqual(self.read("a.bin"), LARGE)


class WithCaps(ContentCacheTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(forget_links)
        self.storage = TahoeCapStorage(**self.storage.options)

    def test_nothing_is_asked_while_the_grid_is_away(self) -> None:
        for content in (b"s" * 10_000, LARGE):
            name = self.storage.save("a/b.bin", ContentFile(content))
            nowhere = {"tahoe_base_url": "http://127.0.0.1:9/", "timeout": 1}
            other = TahoeCapStorage(**{**self.storage.options, **nowhere})
            with self.no_request(), other.open(name) as opened:
                self.assertEqual(opened.read(), content)
                self.assertEqual(other.size(name), len(content))

    def test_a_deleted_name_leaves_the_disk(self) -> None:
        name = self.storage.save("a/b.bin", ContentFile(b"s" * 10_000))
        self.assertEqual(len(list(self.folder.glob("*/*"))), 1)
        self.storage.delete(name)
        self.assertEqual(len(list(self.folder.glob("*/*"))), 0)
