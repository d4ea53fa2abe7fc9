"""Names that belong to the tree itself: no caller can reach or take one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, Storage
from django.test import Client
from django.urls import include, path

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.care.sides import side_of
from tahoestorage.care.wholetree import WholeTree
from tahoestorage.staticfiles import TahoeStaticFilesStorage
from tahoestorage.storage import TahoeStorage
from tests.tahoestorage.case import StorageTestCase, forget_links
from tests.tahoestorage.management.case import CommandTestCase
from txtahoe.errors import SomeFailed
from txtahoe.maintenance import check, list_snapshots, renew, restore, take_snapshot
from txtahoe.tree.paths import ANCHORS, RECORDS, RESERVED
from txtahoe.tree.tree import Tree

DATA = os.urandom(300)


class ReservedNamesTestCase(StorageTestCase):
    """A test with a storage that has a snapshot, and in "caps" files whose names carry caps."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(forget_links)
        self.storage.save("secret/f", ContentFile(DATA))
        self.caps = self.cap_storage(location="caps")
        self.carrying = self.caps.save("f", ContentFile(DATA))
        self.caps.flush()
        self.whole = WholeTree.of(self.storage)
        self.snapshot = self.whole.run(lambda tree, _: take_snapshot(tree))

    def cap_storage(self, **options: Any) -> TahoeCapStorage:
        given = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap, **options}
        return TahoeCapStorage(**{"base_url": self.gateway, **given})


class Reaching(ReservedNamesTestCase):
    def names(self) -> list[str]:
        inside = f"{RECORDS}/{self.snapshot.name}/secret/f"
        return [
            RECORDS,
            inside,
            f"/{inside}",
            f"./{inside}",
            f"secret/../{inside}",
            inside.replace("/", "\\"),
            f"caps/{ANCHORS}",
            f"caps//{ANCHORS}/ledger",
            f"new/{RECORDS}/f",
            f"new/{ANCHORS}/",
        ]

    def test_no_method_reaches_a_reserved_name(self) -> None:
        methods: list[Callable[[str], Any]] = [
            self.storage.open,
            lambda name: self.storage.open(name, "wb"),
            lambda name: self.storage.save(f"{name}/f", ContentFile(b"")),
            self.storage.exists,
            self.storage.size,
            self.storage.url,
            self.storage.listdir,
            self.storage.delete,
            self.storage.get_modified_time,
            lambda name: self.storage.prefetch([name]),
            lambda name: list(self.storage.walk(name)),
            lambda name: asyncio.run(self.storage.aopen(name)),
            lambda name: asyncio.run(self.storage.aexists(name)),
            lambda name: asyncio.run(self.storage.aurl(name)),
        ]
        for name in self.names():
            for method in methods:
                self.assertRaises(SuspiciousFileOperation, method, name)

    def test_a_storage_of_another_root_does_not_reach_one(self) -> None:
        inner = self.whole.run(lambda tree, _: tree.resolve("caps")).cap
        every: list[TahoeStorage] = [self.caps, self.new_storage(location="caps")]
        every += [self.new_storage(tahoe_base_cap=str(inner)), self.cap_storage(location="/caps/")]
        for storage in every:
            for name in (ANCHORS, f"{ANCHORS}/ledger", f"//caps/{ANCHORS}"):
                self.assertRaises(SuspiciousFileOperation, storage.exists, name)
        static = TahoeStaticFilesStorage(tahoe_base_url=self.gateway, tahoe_base_cap=self.cap)
        self.assertRaises(SuspiciousFileOperation, static.delete, RECORDS)

    def test_a_name_that_carries_a_cap_does_not_reach_one(self) -> None:
        cap = self.carrying.split("/")[0]
        for name in (f"{ANCHORS}/{cap}/f", f"{cap}/{ANCHORS}", f"{RECORDS}/{cap}"):
            self.assertRaises(SuspiciousFileOperation, self.caps.open, name)

    def test_a_visitor_gets_404_and_no_hook_is_called(self) -> None:
        asked: list[str] = []
        hook = {"permission": lambda request, name: asked.append(name) or True}
        self.override(
            ROOT_URLCONF=(path("media/", include("tahoestorage.urls"), hook),),
            MIDDLEWARE=[],
            STORAGES={
                "default": {
                    "BACKEND": "tahoestorage.storage.TahoeStorage",
                    "OPTIONS": {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap},
                }
            },
        )
        self.assertEqual(Client().get("/media/secret/f").status_code, 200)
        self.assertEqual(asked, ["secret/f"])
        for name in self.names():
            self.assertEqual(Client().get(f"/media/{name}").status_code, 404, name)
        self.assertEqual(asked, ["secret/f"])

    def test_listings_do_not_show_reserved_names(self) -> None:
        self.assertEqual(self.storage.listdir(""), (["caps", "secret"], []))
        self.assertEqual(self.storage.listdir("caps"), ([], []))
        self.assertEqual(
            [directory for directory, _, _ in self.storage.walk()], ["", "caps", "secret"]
        )
        static = TahoeStaticFilesStorage(
            tahoe_base_url=self.gateway, tahoe_base_cap=self.cap, location="caps"
        )
        self.assertEqual(static.listdir(""), ([], []))

    def test_a_migration_leaves_reserved_names_behind(self) -> None:
        names = [file.name for file in side_of(self.storage).files("")]
        self.assertEqual(names, ["secret/f"])

    def test_a_location_cannot_be_a_reserved_name(self) -> None:
        for location in (RECORDS, f"a/{ANCHORS}", f"a\\{ANCHORS}\\b", f"/{RECORDS}/"):
            storage = self.new_storage(location=location)
            self.assertRaises(ImproperlyConfigured, storage.exists, "f")


class Taking(ReservedNamesTestCase):
    def assert_others_take_their_place(self, storage: Storage) -> None:
        for name in RESERVED:
            for directory in ("", "a/"):
                saved = storage.save(f"{directory}{name}", ContentFile(DATA))
                self.assertRegex(saved, rf"{name}_\w+$")
                with storage.open(saved) as file:
                    self.assertEqual(file.read(), DATA)

    def test_an_upload_gets_another_name(self) -> None:
        class AskedFirst(TahoeStorage):
            def get_available_name(self, name: str, max_length: int | None = None) -> str:
                return super().get_available_name(name, max_length)

        asked = AskedFirst(tahoe_base_url=self.gateway, tahoe_base_cap=self.cap)
        for storage in (self.storage, asked, self.new_storage(allow_overwrite=True), self.caps):
            self.assert_others_take_their_place(storage)
        self.whole.run(lambda tree, _: take_snapshot(tree))
        self.assertTrue(self.whole.run(lambda tree, _: renew(tree)).is_recorded)

    def test_a_cut_name_never_becomes_a_reserved_one(self) -> None:
        long = f"{ANCHORS}{'x' * 30}"
        for storage in (self.storage, self.new_storage(allow_overwrite=True)):
            saved = storage.save(long, ContentFile(DATA), max_length=len(ANCHORS))
            self.assertNotIn(saved, RESERVED)
        length = len(self.carrying) - len("f") + len(ANCHORS)
        with self.assertRaises(SuspiciousFileOperation):
            self.caps.save(long, ContentFile(DATA), max_length=length)

    def test_save_many_refuses_each_reserved_name(self) -> None:
        for storage in (self.storage, self.caps):
            names = ("good", RECORDS, f"a/{RECORDS}/f")
            with self.assertRaises(SomeFailed) as caught:
                storage.save_many((name, ContentFile(DATA)) for name in names)
            good, other, bad = caught.exception.results
            self.assertTrue(storage.exists(good) and storage.exists(other))
            self.assertIn(RECORDS, other)
            self.assertIsInstance(bad, SuspiciousFileOperation)

    def test_a_storage_of_another_kind_migrates_without_such_names(self) -> None:
        memory = InMemoryStorage()
        memory.save(f"a/{RECORDS}", ContentFile(DATA))
        self.assertRaises(SuspiciousFileOperation, side_of(self.storage).find, f"a/{RECORDS}")


class Maintaining(ReservedNamesTestCase):
    def test_maintenance_goes_on_by_its_own_paths(self) -> None:
        self.storage.delete("secret/f")

        async def look(tree: Tree, _: object) -> None:
            [kept] = await list_snapshots(tree)
            self.assertEqual(kept.cap, self.snapshot.cap)
            restored = await restore(tree, kept.cap)
            self.assertEqual(restored.files, [("secret", "f")])
            self.assertTrue((await renew(tree)).is_recorded)
            self.assertEqual((await check(tree)).taken, [])

        self.whole.run(look)

    def test_a_tree_takes_reserved_paths_as_names_and_not_as_text(self) -> None:
        async def look(tree: Tree, _: object) -> None:
            self.assertTrue((await tree.resolve([RECORDS])).is_directory)
            with self.assertRaises(ValueError):
                await tree.resolve(RECORDS)
            with self.assertRaises(ValueError):
                await tree.save(f"a/{ANCHORS}/f", DATA)

        self.whole.run(look)


class InTheWay(CommandTestCase):
    """Files that took such names when they could."""

    def setUp(self) -> None:
        super().setUp()
        self.save(a=DATA)
        self.whole = WholeTree.of(self.storage)
        for names in ([RECORDS], ["b", ANCHORS]):
            self.whole.run(lambda tree, _, names=names: tree.save(names, DATA))

    def test_a_check_names_files_with_reserved_names(self) -> None:
        for verb in ("check", "renew"):
            said = self.fail_verb(verb, status=3)
            self.assertIn(f"'{RECORDS}', 'b/{ANCHORS}'", said)
            self.assertIn("tahoe mv", said)
        told = self.fail_verb("check", "--json", status=3)
        self.assertIn(f'"taken": [\n    "{RECORDS}",\n    "b/{ANCHORS}"\n  ]', told)
        self.assertIn('"is_healthy": true', told)

    def test_no_verb_reaches_a_reserved_name(self) -> None:
        for verb in ("ls", "get", "rm", "url", "check", "du"):
            self.assertIn("belong to the tree itself", self.fail_verb(verb, f"b/{ANCHORS}"))
        self.assertEqual(self.lines("ls", "-R"), ["a", "b/"])
