"""What tests of the storage on the shared grid have in common."""

from __future__ import annotations

from typing import Any

from django.test import override_settings
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.reactor import current_loop
from tahoestorage.storage import TahoeStorage
from tests.grid.case import make_directory
from tests.grid.proxy import Proxy
from tests.grid.shared import shared_grid
from txtahoe.anchoring import Anchoring


def forget_links() -> None:
    """Drop the links that are to come: those for a gateway of a test would wait for ever."""
    loop = current_loop()
    for kept in list(loop.kept.values()):
        if isinstance(kept, Anchoring):
            loop.call_soon(kept.forget)


class StorageTestCase(SynchronousTestCase):
    """A test with a storage on an empty directory of the shared grid."""

    def setUp(self) -> None:
        self.grid = shared_grid()
        self.gateway = self.grid.gateway_urls[0]
        self.cap = make_directory(self.gateway)
        self.storage = self.new_storage()

    def new_storage(self, **options: Any) -> TahoeStorage:
        defaults: dict[str, Any] = {
            "tahoe_base_url": self.gateway,
            "tahoe_base_cap": self.cap,
            "base_url": self.gateway,
        }
        return TahoeStorage(**{**defaults, **options})

    def new_storage_through_proxy(self, **options: Any) -> tuple[TahoeStorage, Proxy]:
        proxy = Proxy(self.gateway).__enter__()
        self.addCleanup(proxy.__exit__)
        return self.new_storage(tahoe_base_url=proxy.url, **options), proxy

    def override(self, **values: Any) -> None:
        """Settings that hold until the end of the test."""
        override = override_settings(**values)
        override.enable()
        self.addCleanup(override.disable)

    def read(self, name: str) -> bytes:
        with self.storage.open(name) as file:
            data: bytes = file.read()
            return data
