"""Links with an expiry and a download name of their own."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from fractions import Fraction
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from tahoestorage.storage import TahoeStorage
from tests.grid.case import make_directory
from tests.tahoestorage.serving.case import ServingTestCase

CLOCK = "tahoestorage.contract.fileurls.time.time"
WEEK = 7 * 86_400


class Expiries(ServingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.signed: Any = storages["signed"]
        self.signed.save("f", ContentFile(b"x"))
        self.now = time.time()

    def status(self, url: str, later: float = 0) -> int:
        with mock.patch(CLOCK, return_value=self.now + later):
            return int(self.get(url).status_code)

    def test_a_link_can_expire_later_or_sooner_than_those_of_the_option(self) -> None:
        for expire in (WEEK, 20, 1.5, 1):
            for self.now in (1_800_000_000.0, 1_800_000_000.95):
                with mock.patch(CLOCK, return_value=self.now):
                    url = self.signed.url("f", expire=expire)
                self.assertEqual(self.status(url, expire * 0.89), 200)
                self.assertEqual(self.status(url, expire + 0.1), 403)

    def test_its_seconds_are_signed(self) -> None:
        url = self.signed.url("f", expire=20)
        self.assertEqual(self.status(url.replace("seconds=20", "seconds=2000")), 403)
        self.assertEqual(self.status(url.replace("seconds=20&", "")), 403)
        self.assertEqual(self.status(f"{self.signed.url('f')}&seconds=2000"), 403)

    def test_it_is_refused_if_a_clock_that_is_ahead_has_signed_it(self) -> None:
        with mock.patch(CLOCK, return_value=self.now + 86_400):
            url = self.signed.url("f", expire=WEEK)
        self.assertEqual(self.status(url), 403)

    def test_without_signed_urls_no_link_expires(self) -> None:
        for storage in (self.storage, self.new_storage(signed_urls=None)):
            with self.assertRaisesRegex(ValueError, "never expire.*option 'signed_urls'"):
                storage.url("f", expire=60)

    def test_an_expiry_is_a_number_of_seconds(self) -> None:
        minute = timedelta(minutes=1)
        for wrong in (0, -1, 0.5, float("inf"), float("nan"), True, "60", Fraction(60), minute):
            with self.assertRaisesRegex(ValueError, "'expire' must be a number, 1 or greater"):
                self.signed.url("f", expire=wrong)


class Tenant(TahoeStorage):
    """Each request is for one tenant or another, as the manual says."""

    name = "a"

    @property
    def location(self) -> str:
        return f"tenants/{self.name}"


class Places(ServingTestCase):
    """A link is for one directory, whatever the alias leads to when it is used."""

    def site(self, **options: Any) -> Any:
        options = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap, **options}
        cap_names = "tahoestorage.capstorage.TahoeCapStorage"
        backends = {"default": f"{__name__}.Tenant", "signed": cap_names, "private": self.backend}
        given = {**options, "signed_urls": 100}
        self.override(
            STORAGES={
                alias: {"BACKEND": backend, "OPTIONS": given} for alias, backend in backends.items()
            }
        )
        return storages["default"]

    def test_a_link_of_one_tenant_is_none_for_another(self) -> None:
        storage = self.site()
        for Tenant.name in ("b", "a"):
            storage.save("f", ContentFile(b"x"))
        for options in ({}, {"download": "g"}, {"expire": 20}):
            Tenant.name = "a"
            url = storage.url("f", **options)
            self.assertEqual(self.get(url).status_code, 200)
            Tenant.name = "b"
            self.assertEqual(self.get(url).status_code, 403)
        Tenant.name = "a"

    def test_a_site_that_only_reads_takes_the_links_of_one_that_writes(self) -> None:
        self.site()
        urls = []
        for alias in ("default", "signed"):
            storage: Any = storages[alias]
            urls.append(storage.url(storage.save("f", ContentFile(b"x" * 60))))
        self.site(read_only=True)
        self.assertEqual([self.get(url).status_code for url in urls], [200, 200])
        self.site(tahoe_base_cap=make_directory(self.gateway))
        self.assertEqual([self.get(url).status_code for url in urls], [403, 403])


class Downloads(ServingTestCase):
    def setUp(self) -> None:
        super().setUp()
        for alias in ("default", "signed"):
            storages[alias].save("a/f.txt", ContentFile(b"x" * 60))

    def test_browsers_save_the_file_under_the_name(self) -> None:
        for alias in ("default", "signed"):
            storage: Any = storages[alias]
            for name, header in (
                ("Report 2026.pdf", 'attachment; filename="Report 2026.pdf"'),
                (
                    "Bericht ä&b=c?.pdf",
                    f"attachment; filename*=utf-8''{quote('Bericht ä&b=c?.pdf')}",
                ),
            ):
                answer = self.get(storage.url("a/f.txt", download=name))
                self.assertEqual(answer["Content-Disposition"], header)
                self.assertEqual(answer["Content-Type"], "text/plain")
                self.assertEqual(self.body(answer), b"x" * 60)

    def test_nobody_else_can_name_a_file(self) -> None:
        for alias, path in (("default", "/media/a/f.txt"), ("signed", "/signed/a/f.txt")):
            storage: Any = storages[alias]
            url = storage.url("a/f.txt", download="report.pdf")
            query = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
            for forged in (
                {"download": "setup.exe"},
                {**query, "download": "setup.exe"},
                {**query, "download": ""},
                {**query, "signature": ""},
            ):
                answer = self.get(f"{path}?{urlencode(forged)}")
                self.assertEqual(answer.status_code, 403, forged)
            self.assertEqual(self.get(f"{path}x?{urlencode(query)}").status_code, 403)

    def test_a_link_from_before_signed_urls_leads_nowhere_with_it(self) -> None:
        url = self.storage.url("a/f.txt", download="report.pdf")
        options = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap, "signed_urls": 60}
        self.override(STORAGES={"default": {"BACKEND": self.backend, "OPTIONS": options}})
        self.assertEqual(self.get(url).status_code, 403)

    def test_at_a_public_gateway_the_name_ends_the_url(self) -> None:
        storage = self.new_storage()
        url = storage.url("a/f.txt", download="Bericht ä.pdf")
        self.assertEqual(url, storage.url("a/f.txt").replace("f.txt", quote("Bericht ä.pdf")))
        self.assertEqual(asyncio.run(storage.aurl("a/f.txt", download="Bericht ä.pdf")), url)

    def test_both_can_be_given_and_asked_for_in_a_task(self) -> None:
        storage: Any = storages["signed"]
        with mock.patch(CLOCK, return_value=time.time()):
            url = storage.url("a/f.txt", expire=20, download="f.pdf")
            again = asyncio.run(storage.aurl("a/f.txt", expire=20, download="f.pdf"))
        self.assertEqual(again, url)
        self.assertIn("f.pdf", self.get(url)["Content-Disposition"])

    def test_a_download_name_is_that_of_a_file(self) -> None:
        for storage in (self.storage, self.new_storage()):
            for wrong in ("", "..", "a/b"):
                with self.assertRaises(SuspiciousFileOperation):
                    storage.url("a/f.txt", download=wrong)


class DownloadsOfCapNames(ServingTestCase):
    backend = "tahoestorage.capstorage.TahoeCapStorage"

    def test_names_with_caps_have_them_too(self) -> None:
        name = self.storage.save("a/f.txt", ContentFile(b"x" * 60))
        answer = self.get(self.storage.url(name, download="report.pdf"))
        self.assertEqual(answer["Content-Disposition"], 'attachment; filename="report.pdf"')
        options = {**self.storage.options, "base_url": "https://files.example.com/"}
        url = type(self.storage)(**options).url(name, download="report.pdf")
        self.assertRegex(url, r"^https://files\.example\.com/named/URI:CHK:[^/]+/report\.pdf$")
