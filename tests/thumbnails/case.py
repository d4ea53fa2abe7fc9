"""The base of the tests of the libraries."""

from __future__ import annotations

import io
from functools import cache
from typing import Any
from urllib.request import urlopen

from django.conf import settings
from django.core.cache import cache as django_cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings
from PIL import Image
from twisted.trial.unittest import SynchronousTestCase

from tests.bench.counting import CountingProxy
from tests.grid.case import make_directory

COLORS = "red", "lime", "blue"


class LibraryTestCase(SynchronousTestCase):
    """A test with an empty default storage, whose requests are counted, and an empty database."""

    def setUp(self) -> None:
        self.cap = make_directory(settings.TAHOE_PUBLIC_BASE_URL)
        self.begin_process()
        django_cache.clear()
        _make_tables()
        atomic = transaction.atomic()
        atomic.__enter__()
        self.addCleanup(atomic.__exit__, None, None, None)
        self.addCleanup(transaction.set_rollback, True)

    def begin_process(self) -> None:
        """Use the storage as a new process does, which knows nothing; count its requests."""
        self.proxy = CountingProxy(settings.TAHOE_PUBLIC_BASE_URL).__enter__()
        self.addCleanup(self.proxy.__exit__)
        override = override_settings(
            TAHOE_STORAGE_BASE_URL=self.proxy.url, TAHOE_STORAGE_BASE_CAP=self.cap
        )
        override.enable()
        self.addCleanup(override.disable)

    def stored(self) -> list[str]:
        """The names of all files."""
        return sorted(
            f"{directory}/{name}".removeprefix("/")
            for directory, _, names in default_storage.walk()
            for name in names
        )

    def assertShows(self, url: str, size: tuple[int, int], color: str = "red") -> None:
        """Require that the URL leads to a picture of this size and color."""
        with urlopen(url, timeout=60) as answer, Image.open(io.BytesIO(answer.read())) as image:
            self.assertEqual(image.size, size)
            pixel = image.convert("RGB").getpixel((5, 5))
        self.assertEqual(COLORS[pixel.index(max(pixel))], color)

    def assertMadeWithFewRequests(self, thumbnails: int, directories: int) -> None:
        """
        Require that a new process has made thumbnails with few requests: each reads its picture,
        one directory, and writes itself, its link and so many new directories.
        """
        counts = self.proxy.counts
        self.assertEqual((counts.uploads, counts.file_reads), (thumbnails, thumbnails))
        # No level is read twice; there are three above the pictures.
        self.assertLessEqual(counts.directory_reads, thumbnails + 3)
        # The directories above the first one are new too.
        self.assertLessEqual(counts.directory_writes, thumbnails * (1 + directories) + 3)

    def assertReadsAgain(self, file: Any) -> None:
        """Require that a file gives the same bytes again, also after it was closed."""
        data = file.read()
        self.assertEqual(file.size, len(data))
        file.seek(0)
        self.assertEqual(file.read(), data)
        file.close()
        file.open()
        self.assertEqual(file.read(), data)
        file.close()


@cache
def _make_tables() -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)


def picture(color: str = "red", kind: str = "JPEG") -> ContentFile:
    """A picture of 400 by 300 pixels."""
    data = io.BytesIO()
    Image.new("RGB", (400, 300), color).save(data, kind)
    return ContentFile(data.getvalue(), "picture.jpg")
