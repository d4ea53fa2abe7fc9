"""`manage.py tahoe anchor`: links to the files that a database names."""

from __future__ import annotations

import json
import posixpath
from io import StringIO
from typing import Any

from django.conf import settings
from django.core.checks import run_checks
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import connection, connections, models
from django.test import override_settings

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.care.anchoring import anchor
from tests.grid.proxy import Proxy
from tests.tahoestorage.carrying import Carrying, CarryingMore
from tests.tahoestorage.case import StorageTestCase, forget_links
from txtahoe import Cap
from txtahoe.capnames.names import CapName

NOWHERE = "http://127.0.0.1:1/"


class AnchorTestCase(StorageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(forget_links)
        self.override(
            INSTALLED_APPS=[*settings.INSTALLED_APPS, "tests.tahoestorage.carrying"],
            TAHOE_STORAGE_BASE_URL=self.gateway,
            TAHOE_STORAGE_BASE_CAP=self.cap,
            TAHOE_PUBLIC_BASE_URL=self.gateway,
        )
        for model in (Carrying, CarryingMore):
            with connection.schema_editor() as editor:
                editor.create_model(model)
            self.addCleanup(self.drop, model)

    def drop(self, model: type[models.Model]) -> None:
        if model._meta.db_table not in connection.introspection.table_names():
            return
        with connection.schema_editor() as editor:
            editor.delete_model(model)

    def anchor(self, *arguments: str) -> str:
        out = StringIO()
        call_command("tahoe", "anchor", *arguments, stdout=out)
        return out.getvalue()

    def linked(self, **options: Any) -> set[str]:
        """The names that are linked under the root, as another process finds them."""
        storage = TahoeCapStorage(max_age=0, **options)
        return {
            posixpath.join(directory, file)
            for directory, _, files in storage.walk()
            for file in files
        }

    def name(self, number: int, directory: str = "reports") -> str:
        """The name of a small file, which is in its cap."""
        return CapName(directory, Cap.parse("URI:LIT:nbswy3dp"), f"{number}.txt").text


class Anchoring(AnchorTestCase):
    def test_every_file_that_the_database_names_is_linked(self) -> None:
        first = Carrying()
        first.report.save("report.pdf", ContentFile(b"1" * 100), save=False)
        first.elsewhere.save("else.txt", ContentFile(b"2" * 100), save=False)
        first.save()
        more = CarryingMore(report=self.name(1), other=self.name(2), more=self.name(3))
        more.save()
        said = self.anchor()
        self.assertIn("4 names, 4 newly linked.", said)
        self.assertIn("1 name, 1 newly linked.", said)
        self.assertIn("carrying.Carrying.report, carrying.Carrying.other", said)
        self.assertNotIn("URI:", said)
        names = {first.report.name, more.report.name, more.other.name, more.more.name}
        self.assertEqual(self.linked(), names)
        self.assertEqual(self.linked(location="elsewhere"), {first.elsewhere.name})

    def test_the_second_time_it_does_nothing(self) -> None:
        Carrying.objects.create(report=self.name(1))
        self.anchor()
        with Proxy(self.gateway) as proxy, override_settings(TAHOE_STORAGE_BASE_URL=proxy.url):
            self.assertIn("1 name, 0 newly linked.", self.anchor())
            self.assertEqual(set(proxy.requests), {"GET /uri"})
            proxy.requests.clear()
            Carrying.objects.create(report=self.name(2))
            self.assertIn("2 names, 1 newly linked.", self.anchor())
            changes = [request for request in proxy.requests if request != "GET /uri"]
            # The links, where they stand, and the ledger; more where another hour has begun.
            self.assertLess(len(changes), 8)

    def test_rebuild_reads_the_links_themselves(self) -> None:
        Carrying.objects.create(report=self.name(1))
        self.anchor()
        self.assertIn("1 name, 0 newly linked.", self.anchor("--rebuild"))

    def test_files_that_the_process_has_linked_are_left_alone(self) -> None:
        row = Carrying()
        row.report.save("report.pdf", ContentFile(b"1" * 100))
        row.report.storage.flush()
        self.assertIn("1 name, 0 newly linked.", self.anchor())

    def test_names_without_a_cap_are_counted_and_left_alone(self) -> None:
        writer = self.cap
        for name in ("old/report.pdf", f"docs/{writer}/f", self.name(1)):
            Carrying.objects.create(report=name)
        self.assertIn("3 names, 1 newly linked; 2 carry no cap.", self.anchor())

    def test_a_name_of_two_rows_is_linked_once(self) -> None:
        for _ in range(3):
            Carrying.objects.create(report=self.name(1))
        self.assertIn("3 names, 1 newly linked.", self.anchor())

    def test_rows_that_a_manager_hides_count(self) -> None:
        Carrying.objects.create(report=self.name(1), is_deleted=True)
        self.assertIn("1 name, 1 newly linked.", self.anchor())

    def test_the_rows_of_all_databases_count(self) -> None:
        connections.settings["second"] = {**connections.settings["default"]}
        self.addCleanup(connections.settings.pop, "second")
        self.addCleanup(connections["second"].close)
        with connections["second"].schema_editor() as editor:
            editor.create_model(Carrying)
        Carrying.objects.create(report=self.name(1))
        Carrying.objects.using("second").create(report=self.name(2))
        self.assertIn("2 names, 2 newly linked.", self.anchor())

    def test_a_table_that_no_database_has_is_reported(self) -> None:
        self.drop(CarryingMore)
        Carrying.objects.create(report=self.name(1))
        said = self.anchor()
        self.assertIn("1 name, 1 newly linked.", said)
        self.assertIn("not looked at: carrying.CarryingMore.more, because no database has", said)
        told = json.loads(self.anchor("--json")).values()
        unseen = [name for each in told for name in each["not_looked_at"]]
        self.assertEqual(unseen, ["carrying.CarryingMore.more"])

    def test_names_can_come_from_any_iterable(self) -> None:
        storage = TahoeCapStorage()
        told = []
        names = (self.name(number) for number in range(1200))
        count = anchor(storage.operations.tree, names, progress=lambda count: told.append(count))
        self.assertEqual((count.names, count.linked, len(told)), (1200, 1200, 1))
        self.assertEqual(len(self.linked()), 1200)

    def test_a_gateway_that_is_away_is_named_in_the_error(self) -> None:
        Carrying.objects.create(report=self.name(1))
        with override_settings(TAHOE_STORAGE_BASE_URL=NOWHERE):
            with self.assertRaisesRegex(CommandError, "Is the node running"):
                self.anchor()


class Checks(AnchorTestCase):
    def test_names_with_a_cap_need_room(self) -> None:
        self.assertEqual(self.ids(), [])
        field = Carrying._meta.get_field("report")
        self.patch(field, "max_length", 100)
        self.assertEqual(self.ids(), ["tahoestorage.W006"])

    def ids(self) -> list[str]:
        messages = [
            each for each in run_checks(tags=["files"]) if isinstance(each.obj, models.Field)
        ]
        for message in messages:
            self.assertIn("max_length=255", str(message.hint))
        return [str(message.id) for message in messages]
