"""`manage.py tahoe check --database`."""

from __future__ import annotations

import json
import sys
from time import time
from typing import Any
from unittest import mock

from django.apps import apps
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connections

from tahoestorage.care.inventory import Inventory
from tahoestorage.management.verb import LOST, NOT_HEALTHY
from tahoestorage.storage import TahoeStorage
from tests.tahoestorage.management.case import CommandTestCase
from txtahoe import Cap, Tree

APP = "tests.tahoestorage.management.filing"
LOST_DIRECTORY = (
    "URI:DIR2:aaaqeayeaudaocajbifqydiob4:mrswmz3infvgw3dnnzxxa4lson2hk5txpb4xu634pv7h7aebqkbq"
)
CHECK = "check", "--database"
NOW = "--older-than=0"


class Rows(CommandTestCase):
    """A test with the tables of an app, and its storages in one directory."""

    def setUp(self) -> None:
        super().setUp()
        self.override(INSTALLED_APPS=[*settings.INSTALLED_APPS, APP])
        self.models = apps.get_app_config("filing")
        # It was asked for once, when the models were made.
        self.models.get_model("Secret").file.field.storage = storages["private"]
        self.tables = [model for model in self.models.get_models() if not model._meta.proxy]
        self.make_tables(self.tables)

    def use(self, **options: Any) -> None:
        at = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap}
        self.override(
            TAHOE_STORAGE_BASE_URL=self.gateway,
            TAHOE_STORAGE_BASE_CAP=self.cap,
            STORAGES={
                alias: {
                    "BACKEND": "tahoestorage.storage.TahoeStorage",
                    "OPTIONS": {**at, "location": location},
                }
                for alias, location in (
                    ("default", "media"),
                    ("private", "media/private"),
                    ("staticfiles", "media/static"),
                    ("beside", "beside"),
                )
            },
        )
        self.storage = storages["default"]

    def make_tables(self, models: list[Any], using: str = "default") -> None:
        with connections[using].schema_editor() as editor:
            for model in models:
                editor.create_model(model)
        self.addCleanup(self.drop_tables, models, using)

    def drop_tables(self, models: list[Any], using: str = "default") -> None:
        tables = connections[using].introspection.table_names()
        with connections[using].schema_editor() as editor:
            for model in reversed(models):
                if model._meta.db_table in tables:
                    editor.delete_model(model)

    def row(self, model: str, using: str = "default", **names: str) -> Any:
        """A row with names of files, which are saved."""
        instance = self.models.get_model(model)(**names)
        for field, name in names.items():
            storage = instance._meta.get_field(field).storage
            if isinstance(storage, TahoeStorage) and not storage.exists(name):
                storage.save(name, ContentFile(b"content"))
        instance.save(using=using)
        return instance

    def save_unnamed(self, *names: str) -> None:
        self.storage.save_many((name, ContentFile(b"content")) for name in names)

    @property
    def names(self) -> set[str]:
        return {
            f"{where}/{name}".lstrip("/")
            for where, _, names in self.storage.walk()
            for name in names
        }


class Comparing(Rows):
    def test_a_healthy_site_is_counted(self) -> None:
        self.row("Document", file="documents/2026/a.txt")
        self.row("Letter", file="documents/2025/b.txt", scan="scans/c.txt")
        self.row("Loose", file="anywhere/7/d.txt", local="documents/2026/gone.txt")
        self.row("Document", file="")
        printed = self.run_verb(*CHECK, NOW)
        self.assertRegex(printed, "^Rows that name a file: 4. Files: 4.\\n")
        self.assertRegex(
            printed, "\\n +0  files are missing,[^\\n]*\\n +4  files are named by rows\\n"
        )
        self.assertRegex(printed, "\\n +0  files are named by no row\\n")

    def test_a_row_without_its_file_is_reported_with_status_4(self) -> None:
        gone = self.row("Letter", file="documents/2026/a.txt", scan="scans/b.txt")
        self.storage.delete("scans/b.txt")
        strange = self.row("Loose", local="../../x")
        type(strange).objects.update(file="../../climbing")
        said = self.fail_verb(*CHECK, status=LOST)
        self.assertRegex(
            said, rf"filing.Letter.scan +{gone.pk} +scans/b.txt +there is no such file"
        )
        self.assertRegex(said, r"filing.Loose.file +\S+ +../../climbing +.*outside of the storage")
        self.assertIn("Files that rows name and are not there: 2.", said)
        self.assertNotIn("Draft", said)

    def test_json_has_every_missing_and_unnamed_file(self) -> None:
        row = self.row("Document", file="documents/2026/a.txt")
        self.storage.delete("documents/2026/a.txt")
        self.save_unnamed("documents/2026/b.txt", "elsewhere")
        told, _ = self.decoded(self.fail_verb(*CHECK, NOW, "--json", status=LOST))
        self.assertEqual(
            told["missing"],
            [
                {
                    "model": "filing.Document",
                    "field": "file",
                    "database": "default",
                    "pk": str(row.pk),
                    "name": "documents/2026/a.txt",
                    "problem": "there is no such file",
                }
            ],
        )
        self.assertEqual(told["unnamed"], ["documents/2026/b.txt"])
        self.assertEqual(told["others"], ["elsewhere"])
        self.assertEqual((told["references"], told["files"], told["recent"]), (1, 2, 0))
        self.assertEqual((told["removed"], told["unread"], told["not_looked_at"]), ([], {}, []))

    def decoded(self, printed: str) -> tuple[Any, int]:
        return json.JSONDecoder().raw_decode(printed)

    def test_files_of_other_storages_are_left_out(self) -> None:
        self.row("Secret", file="documents/2026/s.txt")
        for alias in ("private", "staticfiles", "beside"):
            storages[alias].save("documents/2026/x.txt", ContentFile(b"x"))
            getattr(storages[alias], "flush", lambda: None)()
        self.assertIn("Files: 0.", self.run_verb(*CHECK, NOW))
        said = self.fail_verb(*CHECK, NOW, "--storage=private", status=NOT_HEALTHY)
        self.assertIn("no row names: documents/2026/x.txt", said)
        self.assertIn("Rows that name a file: 1. Files: 2.", said)

    def test_a_directory_that_is_the_root_of_another_storage_is_left_out(self) -> None:
        self.save_unnamed("documents/2026/mounted/x", "documents/2026/y")
        path = ("media", "documents", "2026", "mounted")

        async def cap_of(tree: Tree, _: Any) -> Cap:
            return (await tree.resolve(path)).cap

        cap = Inventory(self.storage)._whole.run(cap_of)
        self.models.get_model("Secret").file.field.storage = self.new_storage(tahoe_base_cap=cap)
        told, _ = self.decoded(self.fail_verb(*CHECK, NOW, "--json", status=NOT_HEALTHY))
        self.assertEqual((told["files"], told["unnamed"]), (1, ["documents/2026/y"]))

    def test_a_storage_around_it_names_its_files_too(self) -> None:
        self.save_unnamed("documents/2026/a")
        self.row("Outer", file="media/documents/2026/a")
        self.row("Outer", file="beside/b")
        self.assertIn("Rows that name a file: 1. ", self.run_verb(*CHECK, NOW))

    def test_rows_of_all_databases_name_files(self) -> None:
        connections.settings["second"] = {**connections.settings["default"]}
        self.addCleanup(connections.settings.pop, "second")
        self.make_tables(self.tables, "second")
        self.addCleanup(connections["second"].close)
        self.row("Document", "second", file="documents/2026/a.txt")
        self.assertIn("Rows that name a file: 1. ", self.run_verb(*CHECK, NOW))

    def test_an_unreadable_directory_is_reported_with_its_rows(self) -> None:
        self.row("Document", file="documents/2026/a.txt")
        row = self.row("Document", file="documents/2025/lost.txt")

        async def lose(tree: Tree, _: Any) -> None:
            path = ("media", "documents", "2025")
            await tree.link(path, Cap.parse(LOST_DIRECTORY), replace=True)

        Inventory(self.storage)._whole.run(lose)
        told, _ = self.decoded(self.fail_verb(*CHECK, NOW, "--json", status=LOST))
        self.assertEqual(list(told["unread"]), ["documents/2025"])
        self.assertEqual([one["pk"] for one in told["missing"]], [str(row.pk)])
        self.assertIn("410", told["missing"][0]["problem"])

    def test_a_file_saved_during_the_check_is_not_missing(self) -> None:
        inventory = Inventory(self.storage)
        follow = inventory._follow

        def save_and_follow(found: Any) -> Any:
            self.row("Document", file="documents/2026/new.txt")
            return follow(found)

        with mock.patch.object(inventory, "_follow", save_and_follow):
            found = inventory.compare(0)
        self.assertEqual((found.references, found.files, found.missing), (1, 0, []))

    def test_an_empty_storage_is_no_error(self) -> None:
        self.assertIn("Rows that name a file: 0. Files: 0.", self.run_verb(*CHECK))


class Unnamed(Rows):
    """Files that no row names."""

    def test_only_files_where_a_field_saves_count(self) -> None:
        self.row("Document", file="documents/2026/a.jpg")
        self.row("Loose", file="anywhere/7/d.txt")
        ours = ["documents/2024/a.jpg", "documents/2026/a_x7Yz123.jpg", "scans/b", "anywhere/7/e"]
        others = [
            "documents/2026/a.jpg.80x80_q85.jpg",
            "documents/2026/thumb-a.jpg",
            "documents/2026/below/f",
            "documents/g",
            "cache/ab/cd/h.jpg",
            "anywhere/8/i",
        ]
        self.save_unnamed(*ours, *others)
        said = self.fail_verb(*CHECK, NOW, "-v2", status=NOT_HEALTHY)
        for name in ours:
            self.assertIn(f"no row names: {name}\n", said)
        for name in others:
            self.assertIn(f"not judged: {name}\n", said)
        self.assertIn("No row names 4 of the files.", said)
        self.assertRegex(said, f"\\n +{len(others)}  files have no row and are not judged: ")

    def test_a_file_younger_than_an_hour_does_not_count(self) -> None:
        self.save_unnamed("scans/a")
        self.assertRegex(self.run_verb(*CHECK), "\\n +1  files have no row yet, ")

    def test_a_host_whose_clock_is_two_days_off_removes_no_new_file(self) -> None:
        self.save_unnamed("scans/a")
        for apart in (2 * 86_400, -2 * 86_400):
            with mock.patch("tahoestorage.care.inventory.time", lambda: time() + apart):
                self.run_verb(*CHECK, "--remove-unnamed", "--no-input")
            self.assertEqual(self.names, {"scans/a"})

    def test_remove_unnamed_removes_them(self) -> None:
        self.row("Document", file="documents/2026/a.jpg")
        self.save_unnamed("documents/2026/b.jpg", "scans/c", "scans/c.80x80", "other/d")
        printed = self.run_verb(*CHECK, NOW, "--remove-unnamed", "--no-input")
        self.assertIn("2 files removed.", printed)
        self.assertEqual(self.names, {"documents/2026/a.jpg", "scans/c.80x80", "other/d"})

    def test_the_user_is_asked_before_a_removal(self) -> None:
        self.save_unnamed("scans/a")
        remove = *CHECK, NOW, "--remove-unnamed"
        self.assertIn("--no-input", self.fail_verb(*remove))
        with mock.patch.object(sys, "stdin", mock.Mock(isatty=lambda: True)):
            self.assertIn("--no-input", self.fail_verb(*remove, "--json"))
            with mock.patch("builtins.input", side_effect=["", "y"]) as asked:
                self.fail_verb(*remove, status=NOT_HEALTHY)
                self.assertEqual(self.names, {"scans/a"})
                self.run_verb(*remove)
        self.assertIn("No row names 1 file.", asked.call_args[0][0])
        self.assertEqual(self.names, set())

    def test_rows_and_links_are_read_again_before_a_removal(self) -> None:
        names = ["scans/a", "scans/b", "scans/c", "scans/d"]
        self.save_unnamed(*names)
        inventory = Inventory(self.storage)
        self.assertEqual(inventory.compare(0).unnamed, names)
        self.row("Letter", file="documents/2026/x", scan="scans/a")
        self.storage.delete("scans/b")
        self.storage.delete("scans/c")
        self.storage.save("scans/c", ContentFile(b"another one"))
        self.assertEqual(inventory.remove(names), (["scans/d"], {}))
        self.assertEqual(self.names, {"scans/a", "scans/c", "documents/2026/x"})

    def test_nothing_is_removed_if_a_table_is_missing(self) -> None:
        self.save_unnamed("scans/a")
        self.drop_tables([self.models.get_model("Unmade")])
        remove = *CHECK, NOW, "--remove-unnamed", "--no-input"
        said = self.fail_verb(*remove, status=NOT_HEALTHY)
        self.assertIn("not looked at: filing.Unmade.file", said)
        self.assertIn("Nothing is deleted", said)
        self.assertEqual(self.names, {"scans/a"})
