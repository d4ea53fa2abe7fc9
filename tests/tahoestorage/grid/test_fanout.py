"""The option `fanout`: a large directory stays one directory for its users."""

from __future__ import annotations

import sys
from io import StringIO
from typing import Any

from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.test import override_settings
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage import conf
from tahoestorage.storage import TahoeStorage
from tests.needs import TIME, needs
from tests.processes import apart
from txtahoe.testing.fake import start_fake_gateway
from txtahoe.tree.spread.states import Fanout

NAMES = [f"{number}.txt" for number in range(60)]


def saved(storage: TahoeStorage, name: str) -> str:
    return storage.save(name, ContentFile(name.encode()))


class SpreadStorages(SynchronousTestCase):
    """A storage whose directories are spread from five names on, after 3 × 0.1 seconds."""

    def setUp(self) -> None:
        gateway, cap = start_fake_gateway()
        self.options: dict[str, Any] = {
            "tahoe_base_url": gateway,
            "tahoe_base_cap": cap,
            "base_url": gateway,
            "location": "media",
        }
        module = sys.modules[conf.connection.__module__]
        self.patch(
            module, "fanout", lambda options: self.measure if options.get("fanout") else None
        )
        self.measure = Fanout(limit=4, pace=0.1)

    def storage(self, **options: Any) -> TahoeStorage:
        """One of a process of its own."""
        return apart(TahoeStorage(**self.options, **options))

    def spread(self, **options: Any) -> str:
        out = StringIO()
        backend = {
            "BACKEND": "tahoestorage.storage.TahoeStorage",
            "OPTIONS": {**self.options, **options},
        }
        with override_settings(STORAGES={"default": backend}):
            call_command("tahoe", "spread", stdout=out)
        return out.getvalue()

    @needs(TIME)
    def test_an_existing_directory_is_spread_and_used_by_all_as_before(self) -> None:
        plain, storage = self.storage(), self.storage(fanout=True)
        plain.save_many((f"d/{name}", ContentFile(name.encode())) for name in NAMES)
        url = plain.url("d/1.txt")
        time = plain.get_modified_time("d/1.txt")
        self.assertIn(
            "Directories spread: 1, with 60 names. Links that were left behind: 60 are gone",
            self.spread(fanout=16),
        )
        names = set(NAMES)
        for each in (storage, plain, self.storage(fanout=True, max_age=0)):
            self.assertEqual(set(each.listdir("d")[1]), names)
            self.assertEqual(list(each.walk("d")), [("d", [], each.listdir("d")[1])])
            self.assertEqual((each.url("d/1.txt"), each.get_modified_time("d/1.txt")), (url, time))
            self.assertFalse(each.exists("d/missing"))
            with each.open("d/7.txt") as file:
                self.assertEqual(file.read(), b"7.txt")
            names.add(saved(each, "d/7.txt").removeprefix("d/"))
            with each.open("d/8.txt", "wb") as file:
                file.write(b"new")
        self.assertEqual((set(storage.listdir("d")[1]), len(names)), (names, 63))
        storage.delete("d/1.txt")
        self.assertFalse(self.storage().exists("d/1.txt"))
        self.assertEqual(storage.prefetch(["d/2.txt", "d/1.txt"]), {"d/2.txt"})

    def test_without_the_option_nothing_is_spread(self) -> None:
        error = self.assertRaises(CommandError, self.spread)
        self.assertIn("fanout", str(error))


class Options(SynchronousTestCase):
    def test_the_option_is_a_bool_or_a_number(self) -> None:
        self.assertIsNone(conf.fanout({}))
        self.assertIsNone(conf.fanout({"fanout": False}))
        self.assertEqual(conf.fanout({"fanout": True}), Fanout())
        self.assertEqual(conf.fanout({"fanout": 500}), Fanout(500))
