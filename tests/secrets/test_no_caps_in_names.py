"""
Names that carry caps: anyone who has the name has the cap, but no error, log, file or link shows
it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from django.core.files.base import ContentFile

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.care.anchoring import anchor
from tests.grid import strangers
from tests.grid.proxy import Proxy
from tests.needs import TIME, needs
from tests.secrets.test_no_caps import NOWHERE, echo
from tests.secrets.test_no_caps_in_the_storage import StorageSecretsTestCase
from tests.tahoestorage.case import forget_links
from txtahoe import Cap
from txtahoe.capnames.names import CapName


class NamesWithCaps(StorageSecretsTestCase):
    backend = TahoeCapStorage

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(forget_links)
        storage: Any = self.new_storage()
        self.name = storage.save("docs/here.txt", ContentFile(os.urandom(5000)))
        storage.flush()
        carried = CapName.parse(self.name)
        assert carried is not None
        self.lost = CapName("docs", lost(carried.cap), "lost.txt").text

    def operations(self, storage: Any) -> dict[str, Callable[[], Any]]:
        wrong = f"docs/{self.cap}/wrong.txt"

        def read(name: str) -> bytes:
            with storage.open(name) as file:
                self.collector.text(repr(file), "repr of a file")
                return bytes(file.read())

        return {
            "save": lambda: storage.save("docs/new.txt", ContentFile(os.urandom(1000))),
            "save below a name": lambda: storage.save(f"{self.name}.jpg", ContentFile(b"x" * 100)),
            "save below a write cap": lambda: storage.save(wrong, ContentFile(b"x" * 100)),
            "save without room": lambda: storage.save("f", ContentFile(b"x" * 100), max_length=50),
            "save_many": lambda: storage.save_many([(self.name, ContentFile(b"x")), (wrong, b"")]),
            "read": lambda: read(self.name),
            "read what is lost": lambda: read(self.lost),
            "write": lambda: storage.open(self.name, "wb"),
            "read by a write cap": lambda: read(wrong),
            "size by a write cap": lambda: storage.size(wrong),
            "get_modified_time": lambda: storage.get_modified_time(self.name),
            "below a name": lambda: storage.open(f"{self.name}/below"),
            "flush": storage.flush,
            "listdir": lambda: storage.listdir("docs"),
            "walk": lambda: list(storage.walk()),
            "delete": lambda: storage.delete(self.name),
            "anchor": lambda: anchor(storage.operations.tree, [self.name, self.lost, wrong]),
        }

    def attempt_each(self, storage: Any, trouble: str) -> None:
        self.collector.value(storage, trouble)
        for name, operation in self.operations(storage).items():
            try:
                operation()
            except Exception as error:
                self.collector.message(error, f"{name}, {trouble}")

    def test_when_all_is_well(self) -> None:
        self.attempt_each(self.new_storage(), "well")
        self.assert_no_leaks()

    @needs(TIME)
    def test_in_trouble(self) -> None:
        reader = str(Cap.parse(self.cap).reader)
        self.attempt_each(self.new_storage(tahoe_base_cap=reader), "read-only")
        self.attempt_each(self.new_storage(tahoe_base_url=NOWHERE), "no gateway")
        for behave in (strangers.hang_up, echo):
            with strangers.stranger(behave) as url:
                self.attempt_each(self.new_storage(tahoe_base_url=url, timeout=0.1), "a stranger")
        self.assert_no_leaks()

    def test_when_answers_are_lost_or_cut(self) -> None:
        with Proxy(self.gateway) as proxy:
            storage = self.new_storage(tahoe_base_url=proxy.url)
            for name, operation in self.operations(storage).items():
                proxy.lose_answer("PUT /uri")
                proxy.cut_after(400)
                try:
                    operation()
                except Exception as error:
                    self.collector.message(error, f"{name}, lost answers")
        self.assert_no_leaks()


def lost(cap: Cap) -> Cap:
    """The cap of a file that does not exist."""
    kind, key, *others = str(cap).split(":")[1:]
    return Cap.parse(":".join(["URI", kind, key[:-6] + "aaaaaa", *others]))
