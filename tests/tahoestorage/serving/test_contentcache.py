"""Files that the site serves from its content cache: no request, and no other thread is asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.files.base import ContentFile
from django.test import AsyncClient

from tests.tahoestorage.case import forget_links, no_reactor
from tests.tahoestorage.serving.case import ServingTestCase

DATA = bytes(range(256)) * 2**13 + b"the end"  # two megabytes


class FromTheDisk(ServingTestCase):
    def setUp(self) -> None:
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        cache = Path(folder.name) / "cache"
        self.override(TAHOE_STORAGE_CONTENT_CACHE=cache, TAHOE_STORAGE_MAX_AGE=3600)
        self.addCleanup(forget_links)
        self.url = self.storage.url(self.storage.save("a/b.bin", ContentFile(DATA)))
        self.get(self.url).close()  # the name's times are known from now on

    def test_a_saved_file_is_served(self) -> None:
        with no_reactor():
            self.assertEqual(self.body(self.get(self.url)), DATA)
            part = self.get(self.url, range="bytes=200000-1000000")
            self.assertEqual(self.body(part), DATA[200_000:1_000_001])
            self.assertEqual(self.body(self.get(self.url, range="bytes=-5")), DATA[-5:])

    def test_a_saved_file_is_served_by_an_asynchronous_server(self) -> None:
        async def get(**headers: str) -> bytes:
            response: Any = await AsyncClient().get(self.url, headers=headers)
            return b"".join([bytes(block) async for block in response.streaming_content])

        with no_reactor():
            self.assertEqual(asyncio.run(get()), DATA)
            part = asyncio.run(get(range="bytes=200000-1000000"))
            self.assertEqual(part, DATA[200_000:1_000_001])


class FromTheDiskByCap(FromTheDisk):
    backend = "tahoestorage.capstorage.TahoeCapStorage"
