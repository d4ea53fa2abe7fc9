"""The base of the tests of storages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.test import override_settings
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.reactor import loop, waiting
from tahoestorage.reactor.loop import current_loop
from tahoestorage.storage import TahoeStorage
from tests.grid.case import make_directory
from tests.grid.proxy import Proxy
from tests.grid.shared import gateways_for, is_on_grid, shared_fake, shared_grid
from tests.grid.shares import lose_on
from tests.needs import GRID, needed_by
from txtahoe import Cap
from txtahoe.capnames.background import Anchoring
from txtahoe.testing.fake import FakeGateway
from txtahoe.testing.grid import Grid


def forget_links() -> None:
    """Drop the links that are to come: those for a gateway of a test would wait for ever."""
    here = current_loop()
    for kept in list(here.kept._alive.values()):
        if isinstance(kept, Anchoring):
            here.call_soon(kept.forget)


@contextmanager
def no_reactor() -> Iterator[None]:
    """Fail if this block asks the reactor thread. It can ask no gateway either."""
    never = AssertionError("the reactor thread was asked")
    with (
        mock.patch.object(loop.Loop, "call_soon", side_effect=never),
        mock.patch.object(waiting, "current_loop", side_effect=never),
    ):
        yield


class StorageTestCase(SynchronousTestCase):
    """A test with a storage on an empty directory; see `is_on_grid` for where that is."""

    def setUp(self) -> None:
        self.gateways = gateways_for(self)
        self.gateway = self.gateways[0]
        self.cap = make_directory(self.gateway)
        self.storage = self.new_storage()

    @property
    def grid(self) -> Grid:
        """The real grid, for a test that says that it needs it."""
        self.assertIn(GRID, needed_by(self))
        return shared_grid()

    def lose(self, cap: Cap | str, shares: int = 3) -> None:
        """Destroy this number of shares of an object."""
        if not is_on_grid(self):
            shared_fake()[0].lose(cap, shares)
            return
        for server in shared_grid().servers[:shares]:
            self.assertEqual(lose_on(server, Cap.parse(str(cap))), 1)

    @contextmanager
    def gateway_of(self, release: str) -> Iterator[tuple[str, str]]:
        """A gateway in memory that says that it is of this release, and a directory's write cap."""
        fake, page = FakeGateway(), f'<p class="minutia">{release}</p>'
        with mock.patch("txtahoe.testing.fake.api.surface._WELCOME", page), fake.listening() as url:
            yield url, str(fake.make_directory())

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
        """Override settings until the end of the test."""
        override = override_settings(**values)
        override.enable()
        self.addCleanup(override.disable)

    def read(self, name: str) -> bytes:
        with self.storage.open(name) as file:
            data: bytes = file.read()
            return data
