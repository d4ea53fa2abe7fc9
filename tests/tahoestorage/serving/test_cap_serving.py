"""Files whose names carry their caps, served by the site itself."""

from __future__ import annotations

import os
import time
from typing import Any
from unittest import mock

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import override_settings

from tahoestorage.contract import fileurls
from tahoestorage.storage import TahoeStorage
from tests.tahoestorage.case import forget_links
from tests.tahoestorage.serving.case import ServingTestCase
from txtahoe import Cap
from txtahoe.capnames.names import CapName

DATA = os.urandom(5000)


class ServingNamesWithCaps(ServingTestCase):
    backend = "tahoestorage.capstorage.TahoeCapStorage"

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(forget_links)
        self.name = self.storage.save("a b/täst.txt", ContentFile(DATA))

    def assert_no_cap(self, text: str, name: str) -> None:
        carried = CapName.parse(name)
        assert carried is not None
        for part in str(carried.cap).split(":")[2:4]:
            self.assertNotIn(part, text)

    def test_a_url_shows_no_cap_and_stays_the_same(self) -> None:
        url = self.storage.url(self.name)
        self.assertEqual(url, self.storage.url(self.name))
        self.assertRegex(url, r"^/media/a%20b/[\w-]+/t%C3%A4st\.txt$")
        self.assert_no_cap(url, self.name)
        response = self.get(url)
        self.assertEqual((response.status_code, self.body(response)), (200, DATA))
        self.assertEqual(response["Content-Type"], "text/plain")
        self.assert_no_cap(str(response.headers), self.name)
        unchanged = self.get(url, If_None_Match=response["ETag"])
        self.assertEqual(unchanged.status_code, 304)
        part = self.get(url, Range="bytes=10-19")
        self.assertEqual((part.status_code, self.body(part)), (206, DATA[10:20]))

    def test_only_the_site_can_make_a_url(self) -> None:
        forged = CapName("", Cap.parse("URI:LIT:nbswy3dp"), "hello.html").text
        self.assertEqual(self.get(f"/media/{forged}").status_code, 404)
        self.assertEqual(self.get(f"/media/{self.name}").status_code, 404)
        url = self.storage.url(self.name)
        word = url.split("/")[3]
        flipped = word[:40] + ("A" if word[40] != "A" else "B") + word[41:]
        for wrong in (
            url.replace(word, flipped),
            url.replace(word, word[:-1]),
            url.replace("st.txt", "st.html"),
            url.replace("a%20b/", ""),
            url.replace("a%20b/", "c/"),
        ):
            response = self.get(wrong)
            self.assertEqual(response.status_code, 404, wrong)
            self.assert_no_cap(response.content.decode(), self.name)
        with override_settings(SECRET_KEY="another"):
            self.assertEqual(self.get(url).status_code, 404)

    def test_a_secret_key_can_be_replaced(self) -> None:
        url = self.storage.url(self.name)
        signed: Any = storages["signed"]
        name = signed.save("f.txt", ContentFile(DATA))
        signed_url = signed.url(name)
        with override_settings(
            SECRET_KEY="new", SECRET_KEY_FALLBACKS=["not a secret: these are tests"]
        ):
            self.assertEqual(self.get(url).status_code, 200)
            self.assertEqual(self.get(signed_url).status_code, 200)
            self.assertNotEqual(self.storage.url(self.name), url)

    def test_signed_urls_end(self) -> None:
        storage: Any = storages["signed"]
        name = storage.save("f.txt", ContentFile(DATA))
        url = storage.url(name)
        self.assert_no_cap(url, name)
        self.assertEqual(self.body(self.get(url)), DATA)
        bare = url.partition("?")[0]
        self.assertEqual(self.get(bare).status_code, 403)
        for other in ("/media", "/media/signed"):
            self.assertEqual(self.get(bare.replace("/signed", other)).status_code, 404)
        with mock.patch.object(fileurls, "time", mock.Mock(time=lambda: time.time() + 101)):
            self.assertEqual(self.get(url).status_code, 403)

    def test_permissions_are_given_the_name_of_the_database(self) -> None:
        storage: Any = storages["private"]
        names = [storage.save(f"{name}/f.txt", ContentFile(DATA)) for name in ("secret", "open")]
        self.assertEqual(
            [self.get(storage.url(name), X_Reader="yes").status_code for name in names], [403, 200]
        )
        self.assertEqual(self.get(storage.url(names[1])).status_code, 403)

    def test_names_without_a_cap_are_served_as_before(self) -> None:
        old = TahoeStorage(tahoe_base_url=self.gateway, tahoe_base_cap=self.cap)
        name = old.save("docs/old.txt", ContentFile(DATA))
        self.assertEqual(self.storage.url(name), "/media/docs/old.txt")
        self.assertEqual(self.body(self.get("/media/docs/old.txt")), DATA)
        self.assertEqual(self.get("/media/docs/missing.txt").status_code, 404)

    def test_a_file_that_cannot_be_read_shows_no_cap(self) -> None:
        carried = CapName.parse(self.name)
        assert carried is not None
        lost = ":".join(
            [*str(carried.cap).split(":")[:2], "a" * 26, *str(carried.cap).split(":")[3:]]
        )
        url = self.storage.url(f"{lost}/f.txt")
        with self.assertLogs("tahoestorage") as logs:
            response = self.get(url)
        self.assertEqual(response.status_code, 503)
        for shown in ("\n".join(logs.output), self.body(response).decode()):
            self.assert_no_cap(shown, f"{lost}/f.txt")
