"""Tests of permissions, and of the model without a table."""

from __future__ import annotations

from io import StringIO
from typing import Any

from django.apps import apps
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.test import Client

from tests.tahoestorage.gridpage.case import GRID_PAGE, AdminTestCase, node


class PermissionTests(AdminTestCase):
    def assertAnswers(self, browser: Client, status: int, *addresses: str) -> None:
        for address in addresses or (GRID_PAGE, node("")):
            self.assertEqual(browser.get(address).status_code, status, address)

    def test_a_visitor_who_is_not_staff_must_log_in(self) -> None:
        for browser in (Client(), self.log_in("view_grid", "check_grid", is_staff=False)):
            self.assertAnswers(browser, 302)
            self.assertIn("/admin/login/", browser.get(GRID_PAGE).headers["Location"])
            answer = browser.post(node(""), {"action": "repair"})
            self.assertIn("/admin/login/", answer.headers["Location"])

    def test_staff_without_the_permission_sees_nothing(self) -> None:
        browser = self.log_in()
        self.assertAnswers(browser, 403)
        self.assertEqual(browser.post(node(""), {"action": "check"}).status_code, 403)
        self.assertNotIn("Tahoe grid", browser.get("/admin/").content.decode())
        self.assertAnswers(self.log_in("check_grid"), 403)

    def test_a_user_who_may_only_view_has_no_buttons(self) -> None:
        self.browser = self.log_in("view_grid")
        self.storage.save("a.bin", ContentFile(b"x" * 1000))
        page = self.get(node("a.bin"))
        self.assertIn("3 of 3 shares", page)
        self.assertNotIn('name="action"', page)
        for action in ("check", "verify", "repair"):
            self.post(node("a.bin"), action, 403)

    def test_a_user_who_may_check_has_buttons(self) -> None:
        self.storage.save("a.bin", ContentFile(b"x" * 1000))
        self.assertEqual(self.get(node("a.bin")).count('name="action"'), 3)
        browser = self.log_in("view_grid", "check_grid", enforce_csrf_checks=True)
        self.assertEqual(browser.post(node("a.bin"), {"action": "check"}).status_code, 403)

    def test_the_index_leads_to_the_page_and_there_is_no_form(self) -> None:
        page = self.get("/admin/")
        self.assertIn(f'href="{GRID_PAGE}"', page)
        self.assertIn("viewlink", page)
        self.assertNotIn("addlink", page)
        self.assertNotIn("changelink", page)
        self.assertIn(f'href="{GRID_PAGE}"', self.get("/admin/tahoestorage/"))
        self.assertAnswers(self.browser, 404, f"{GRID_PAGE}add/", f"{GRID_PAGE}1/change/")
        self.assertEqual(self.browser.post(GRID_PAGE).status_code, 405)

    def test_a_second_admin_site_links_to_its_own_pages(self) -> None:
        self.storage.save("a/b.bin", ContentFile(b"x" * 1000))
        self.assertIn('href="/other/tahoestorage/grid/"', self.get("/other/"))
        page = self.get("/other/tahoestorage/grid/")
        self.assertIn('href="/other/tahoestorage/grid/node/?path=a"', page)
        self.assertNotIn('"/admin/', page)
        page = self.get("/other/tahoestorage/grid/node/?path=a%2Fb.bin")
        self.assertNotIn('"/admin/', page)


class DatabaseTests(AdminTestCase):
    """The model has no table."""

    def said_by(self, *command: str, **options: Any) -> str:
        said = StringIO()
        call_command(*command, stdout=said, stderr=said, **options)
        return said.getvalue()

    def test_a_project_has_nothing_to_migrate(self) -> None:
        self.override(MIGRATION_MODULES={})
        self.assertIn("No changes", self.said_by("makemigrations", "--check", "--dry-run"))

    def test_nothing_asks_for_a_table(self) -> None:
        model = apps.get_model("tahoestorage", "Grid")
        self.assertEqual(list(model.objects.all()), [])
        for options in ({}, {"use_base_manager": True}):
            self.assertEqual(self.said_by("dumpdata", "tahoestorage", **options).strip(), "[]")

    def test_checks_are_silent(self) -> None:
        self.assertIn("no issues", self.said_by("check", "--tag=models", "--tag=admin"))
