"""The base of the tests of storages of static files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from secrets import token_hex
from time import time
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command, get_commands
from django.test import override_settings

from tahoestorage.storage import TahoeStorage
from tests.grid.proxy import Proxy
from tests.processes import forget_trees
from tests.tahoestorage.case import StorageTestCase
from txtahoe.testing.fake import FakeGateway

_FINDER = "django.contrib.staticfiles.finders.FileSystemFinder"


class StaticTestCase(StorageTestCase):
    """A test with a folder of static files, and a storage for them that is reached by a proxy."""

    backend = "tahoestorage.staticfiles.TahoeStaticFilesStorage"

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.reach(self.gateway)

    def use_fake(self) -> FakeGateway:
        """From now on a gateway in memory, which can be told to fail, is in the grid's place."""
        fake = FakeGateway()
        loopback = fake.listening()
        self.addCleanup(loopback.stop)
        self.cap = str(fake.make_directory())
        self.reach(loopback.url)
        return fake

    def reach(self, gateway: str) -> None:
        """Let the storages use this gateway, by a proxy."""
        self.gateway = gateway
        self.proxy = Proxy(gateway).__enter__()
        self.addCleanup(self.proxy.__exit__)

    def write(self, *names: str, content: str | None = None) -> None:
        """Write files in the folder; without `content`, each with bytes of its own."""
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(token_hex(50) if content is None else content)

    def touch(self) -> None:
        """Make all files of the folder newer than their copies on the grid."""
        for path in self.folder.rglob("*"):
            os.utime(path, (time() + 1000, time() + 1000))

    def files(self) -> dict[str, bytes]:
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    def options(self, **options: Any) -> dict[str, Any]:
        """The options of a storage of static files."""
        return {
            "tahoe_base_url": self.proxy.url,
            "tahoe_base_cap": self.cap,
            "base_url": self.gateway,
            "max_age": 60,  # on a busy machine too
            **options,
        }

    @contextmanager
    def session(self, **options: Any) -> Iterator[Any]:
        """The static files storage, as in a new process."""
        forget_trees()
        backend = {"BACKEND": self.backend, "OPTIONS": self.options(**options)}
        with override_settings(
            INSTALLED_APPS=[*settings.INSTALLED_APPS, "django.contrib.staticfiles"],
            STATIC_URL="/static/",
            STATICFILES_DIRS=[self.folder],
            STATICFILES_FINDERS=[_FINDER],
            STORAGES={"staticfiles": backend},
        ):
            get_commands.cache_clear()
            yield staticfiles_storage
        get_commands.cache_clear()

    def collect(self, given: dict[str, Any] | None = None, **arguments: Any) -> Counter[str]:
        """Run `collectstatic`. The requests, by method and first segment."""
        with self.session(**(given or {})):
            self.proxy.requests.clear()
            quiet = {"interactive": False, "verbosity": 0, "stderr": StringIO()}
            call_command("collectstatic", **quiet, **arguments)
        return Counter(self.proxy.requests)

    def collected(self) -> dict[str, bytes]:
        """The files on the grid, by name."""
        storage = TahoeStorage(**self.options(tahoe_base_url=self.gateway, max_age=0))
        found: dict[str, bytes] = {}
        for directory, _, names in storage.walk():
            for name in names:
                path = f"{directory}/{name}" if directory else name
                with storage.open(path) as file:
                    found[path] = file.read()
        return found
