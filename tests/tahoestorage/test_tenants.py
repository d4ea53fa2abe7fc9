"""A storage for each of many tenants, made as Django makes those of STORAGES; read-only copies."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import Any

import psutil
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.signals import setting_changed
from django.test import override_settings
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.reactor.loop import current_loop
from tahoestorage.storage import TahoeStorage
from tests.needs import TIME, needs
from tests.tahoestorage.case import StorageTestCase
from tests.waiting import wait_until_dropped
from txtahoe.errors import NotWriteable
from txtahoe.testing.fake import FakeGateway

BACKEND = "tahoestorage.storage.TahoeStorage"
TENANTS = 1000
KEPT = 64
"""The trees and connections that a process keeps, as the manual says."""


class ManyTenants(SynchronousTestCase):
    @needs(TIME)
    def test_a_thousand_storages_take_bounded_room_and_each_sees_its_own_files(self) -> None:
        fake = FakeGateway()
        gateway = fake.listening()
        self.addCleanup(gateway.stop)
        every = [
            TahoeStorage(tahoe_base_url=gateway.url, tahoe_base_cap=fake.make_directory())
            for _ in range(TENANTS)
        ]

        def save(first: int) -> None:
            for number in range(first, TENANTS, 4):
                every[number].save("f", ContentFile(b"%d" % number * 30))

        every[0].exists("f")
        process = psutil.Process()
        running, sockets = threading.active_count(), len(process.net_connections())
        saving = [threading.Thread(target=save, args=(first,)) for first in range(4)]
        for thread in saving:
            thread.start()
        for thread in saving:
            thread.join()
        for number, storage in enumerate(every):
            self.assertEqual(storage.listdir(""), ([], ["f"]))
            with storage.open("f") as file:
                self.assertEqual(file.read(), b"%d" % number * 30)
        # All trees and connections of this process, those too that nothing but a request holds.
        wait_until_dropped(lambda: len(current_loop().kept._alive) <= KEPT)
        self.assertLessEqual(threading.active_count(), running)
        # Both ends of each connection are in this process: that of the client, and the gateway's.
        self.assertLessEqual(len(process.net_connections()) - sockets, 2 * 16)

    def test_a_storage_costs_the_others_nothing(self) -> None:
        # Django walks through all receivers whenever one is added or gone.
        before = len(setting_changed.receivers)
        every = [TahoeStorage() for _ in range(10)]
        self.assertEqual(len(setting_changed.receivers), before)
        for url in ("https://a.example.com/", "https://b.example.com/"):
            with override_settings(TAHOE_PUBLIC_BASE_URL=url):
                self.assertEqual({storage.base_url for storage in every}, {url})


class MadeByDjango(StorageTestCase):
    def test_create_storage_takes_the_backend_and_the_options_of_a_tenant(self) -> None:
        params = {
            "BACKEND": BACKEND,
            "OPTIONS": {
                "tahoe_base_url": self.gateway,
                "tahoe_base_cap": self.cap,
                "location": "of/a",
            },
        }
        storage: Any = storages.create_storage(params)
        storage.save("f", ContentFile(b"x"))
        self.assertEqual(type(storage), TahoeStorage)
        self.assertEqual(self.read("of/a/f"), b"x")
        self.assertEqual(params["OPTIONS"]["tahoe_base_cap"], self.cap)  # type: ignore[index]

    def test_create_storage_refuses_an_unknown_option_by_its_name(self) -> None:
        with self.assertRaisesRegex(ImproperlyConfigured, "did you mean 'location'"):
            storages.create_storage({"BACKEND": BACKEND, "OPTIONS": {"locaton": "x"}})


class ReadOnly(StorageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.storage.save("f", ContentFile(b"x" * 60))
        self.copy = self.new_storage(read_only=True, allow_overwrite=True)

    def test_it_reads_what_the_storage_has_saved(self) -> None:
        self.assertEqual(self.copy.listdir(""), ([], ["f"]))
        self.assertEqual(self.copy.size("f"), 60)
        self.assertEqual(self.copy.url("f"), self.storage.url("f"))
        with self.copy.open("f") as file:
            self.assertEqual(file.read(), b"x" * 60)

    def test_every_change_is_refused(self) -> None:
        content = ContentFile(b"y")
        for change in (
            lambda: self.copy.save("g", content),
            lambda: self.copy.save("f", content),
            lambda: self.copy.save_many([("g", content)]),
            lambda: self.copy.delete("f"),
            lambda: self.copy.open("f", "wb"),
            lambda: self.copy.open("g", "xb"),
            lambda: self.copy.open("f", "r+b"),
            lambda: asyncio.run(self.copy.asave("g", content)),
            lambda: asyncio.run(self.copy.adelete("f")),
        ):
            self.assertRaises(NotWriteable, change)
        self.assertEqual(self.storage.listdir(""), ([], ["f"]))
        self.assertEqual(self.read("f"), b"x" * 60)

    def test_no_request_holds_the_right_to_write(self) -> None:
        self.assertFalse(self.copy.connection.base_cap.is_writable)

    def test_a_pickle_of_it_only_reads(self) -> None:
        again = pickle.loads(pickle.dumps(self.copy))
        self.assertRaises(NotWriteable, again.save, "g", ContentFile(b"y"))

    def test_the_setting_makes_all_storages_read_only_but_those_with_the_option(self) -> None:
        self.override(TAHOE_STORAGE_READ_ONLY=True)
        self.assertRaises(NotWriteable, self.new_storage().save, "g", ContentFile(b"y"))
        self.assertEqual(self.new_storage(read_only=False).save("g", ContentFile(b"y")), "g")

    def test_checks_take_a_read_cap_for_meant_and_refuse_other_values(self) -> None:
        reader = str(self.storage.connection.base_cap.reader)
        for cap, read_only, ids in (
            (self.cap, True, []),
            (reader, True, []),
            (reader, False, ["tahoestorage.W012"]),
            (self.cap, "yes", ["tahoestorage.E014"]),
        ):
            options = {
                "tahoe_base_url": self.gateway,
                "tahoe_base_cap": cap,
                "base_url": "/files/",
                "read_only": read_only,
            }
            with override_settings(STORAGES={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
                self.assertEqual([each.id for each in run_checks(tags=["files"])], ids)
