"""The headers of served files that a site chooses."""

from __future__ import annotations

from typing import Any
from unittest import mock

from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.http import HttpRequest
from django.urls import include, path

from tahoestorage.storage import TahoeStorage
from tests.tahoestorage.serving.case import ServingTestCase


class Headers(ServingTestCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("f.txt", "f.html", "f.bin"):
            self.storage.save(name, ContentFile(b"x" * 60))

    def mount(self, **options: Any) -> None:
        self.override(ROOT_URLCONF=(path("media/", include("tahoestorage.urls"), options),))

    def test_the_site_says_how_long_browsers_keep_files(self) -> None:
        self.mount(cache_control="public, max-age=3600")
        first = self.get("/media/f.txt")
        self.assertEqual(first["Cache-Control"], "public, max-age=3600")
        unchanged = self.get("/media/f.txt", If_None_Match=first["ETag"])
        self.assertEqual(unchanged.status_code, 304)
        self.assertEqual(unchanged["Cache-Control"], "public, max-age=3600")
        self.assertNotIn("Content-Disposition", unchanged)

    def test_errors_are_not_kept(self) -> None:
        self.mount(cache_control="max-age=3600")
        self.assertEqual(self.get("/media/missing").status_code, 404)
        self.assertNotIn("Cache-Control", self.get("/media/missing"))
        past = self.get("/media/f.txt", Range="bytes=100-")
        self.assertEqual((past.status_code, past["Cache-Control"]), (416, "no-cache"))
        away = TahoeStorage(tahoe_base_url="http://127.0.0.1:1/", tahoe_base_cap=self.cap)
        with mock.patch("tahoestorage.serving.views.storage_of", return_value=away):
            with self.assertLogs("tahoestorage", "ERROR"):
                answer = self.get("/media/f.txt")
        self.assertEqual((answer.status_code, answer["Cache-Control"]), (503, "no-cache"))

    def test_the_site_says_whether_browsers_show_files(self) -> None:
        for kind in ("inline", "attachment"):
            self.mount(content_disposition=kind)
            for name in ("f.txt", "f.html", "f.bin"):
                answer = self.get(f"/media/{name}")
                self.assertEqual(answer["Content-Disposition"], f'{kind}; filename="{name}"')
                # A file that could run scripts cannot, however it is shown.
                self.assertEqual("Content-Security-Policy" in answer, name == "f.html")
                self.assertEqual(answer["X-Content-Type-Options"], "nosniff")

    def test_functions_choose_by_the_request_and_the_name(self) -> None:
        def caching(request: HttpRequest, name: str) -> str | None:
            return "max-age=60" if name.endswith(".txt") else None

        def disposition(request: HttpRequest, name: str) -> str | None:
            return "attachment" if "save" in request.GET else None

        self.mount(cache_control=caching, content_disposition=disposition)
        for url, cached, shown in (
            ("f.txt", "max-age=60", "inline"),
            ("f.txt?save", "max-age=60", "attachment"),
            ("f.bin", "no-cache", "attachment"),
        ):
            answer = self.get(f"/media/{url}")
            self.assertEqual(answer["Cache-Control"], cached)
            self.assertTrue(answer["Content-Disposition"].startswith(shown))

    def test_a_download_name_comes_before_the_disposition_of_the_site(self) -> None:
        self.mount(content_disposition="inline")
        answer = self.get(self.storage.url("f.txt", download="g.txt"))
        self.assertEqual(answer["Content-Disposition"], 'attachment; filename="g.txt"')

    def test_a_header_that_is_no_text_is_refused_by_the_view_and_by_a_check(self) -> None:
        async def caching(request: HttpRequest, name: str) -> str:
            return "private"

        for name in ("cache_control", "content_disposition"):
            for wrong, kind in ((caching, "coroutine"), (3600, "int"), (True, "bool")):
                self.mount(**{name: wrong})
                with self.assertRaisesRegex(ImproperlyConfigured, f"{name} must .*, not {kind}"):
                    self.get("/media/f.txt")
                found = [each for each in run_checks(tags=["files"]) if each.id.endswith("E021")]
                self.assertEqual(len(found), 1)
                self.assertIn(repr(name), found[0].msg)
            self.mount(**{name: lambda request, name: 3600})
            with self.assertRaisesRegex(ImproperlyConfigured, f"{name} must .*, not int"):
                self.get("/media/f.txt")

    def test_another_disposition_is_refused_by_the_view_and_by_a_check(self) -> None:
        self.mount(content_disposition="attachment; filename=x")
        with self.assertRaisesRegex(ImproperlyConfigured, "'inline' or 'attachment'"):
            self.get("/media/f.txt")
        [found] = [each for each in run_checks(tags=["files"]) if each.id == "tahoestorage.E021"]
        self.assertIn("'content_disposition' is 'attachment; filename=x'", found.msg)
        for good in ("inline", "attachment", lambda request, name: None):
            self.mount(content_disposition=good, cache_control="no-store")
            ids = [each.id for each in run_checks(tags=["files"])]
            self.assertNotIn("tahoestorage.E021", ids)

    def test_a_name_with_a_line_break_makes_one_header(self) -> None:
        answer = self.get(self.storage.url("f.txt", download="g\n"))
        self.assertEqual(answer["Content-Disposition"], 'attachment; filename="g"')
