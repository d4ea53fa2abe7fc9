"""The reader of a file: the ranges that it asks for, and the bytes that it has in memory."""

from __future__ import annotations

import asyncio
import random

from django.core.files.base import ContentFile

from tahoestorage.grid.reader import Reader
from tahoestorage.reactor.waiting import done
from tests.tahoestorage.case import StorageTestCase, no_reactor
from tests.waiting import wait_until

DATA = random.Random(0).randbytes(4_000_000)


class Ranges(StorageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.storage, self.proxy = self.new_storage_through_proxy()
        self.reader = self.reader_of(DATA)

    def reader_of(self, content: bytes) -> Reader:
        name = self.storage.save("f", ContentFile(content))
        reader = Reader(self.storage._tree, done(self.storage.operations.file(name)))
        self.addCleanup(reader.close)
        self.proxy.requests.clear()
        return reader

    def read_at(self, position: int) -> int:
        """Read at a position; the number of the bytes, which must be right."""
        data = self.reader.read_at(position, len(DATA))
        self.assertEqual(data, DATA[position : position + len(data)])
        return len(data)

    def test_one_fetch_takes_a_part_of_the_range_to_the_memory(self) -> None:
        self.reader.goes_on = True
        count = self.read_at(0)
        self.assertLess(count, len(DATA) / 2)
        with no_reactor():
            self.assertEqual(self.read_at(count - 1), 1)

    def test_a_small_gap_is_read_over_and_a_large_one_ends_the_range(self) -> None:
        self.reader.goes_on = True
        end = self.read_at(0) + 1000
        end += self.read_at(end) + 100_000
        self.assertEqual(len(self.proxy.requests), 1)
        self.read_at(end)
        self.assertEqual(len(self.proxy.requests), 2)
        wait_until(lambda: self.proxy.connections == 1)
        self.reader.close()
        wait_until(lambda: self.proxy.connections == 0)

    def test_tasks_that_read_the_same_bytes_share_a_range(self) -> None:
        async def read() -> list[memoryview]:
            return await asyncio.gather(*(self.reader.aread_at(1, 10) for _ in range(2)))

        self.assertEqual(asyncio.run(read()), [DATA[1:11]] * 2)
        self.assertEqual(len(self.proxy.requests), 1)

    def test_the_rest_after_a_few_bytes_is_in_memory(self) -> None:
        reader = self.reader_of(DATA[:10_000])
        self.assertEqual(reader.readinto(bytearray()), 0)
        self.assertEqual(self.proxy.requests, [])
        self.assertEqual(reader.read(10), DATA[:10])
        with no_reactor():
            self.assertEqual(reader.read(), DATA[10:10_000])
