"""Files that the site itself serves, by name."""

from __future__ import annotations

import asyncio
import os
import time
from email.utils import parsedate_to_datetime
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.template import Context, Template
from django.test import AsyncClient, RequestFactory
from django.urls import set_script_prefix

from tahoestorage.contract.fileurls import is_signed
from tahoestorage.storage import TahoeStorage, storage_of
from tests.tahoestorage.serving.case import ServingTestCase
from tests.waiting import wait_until

DATA = os.urandom(1_500_000)


class Answers(ServingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.name = self.storage.save("a/täst fïle.bin", ContentFile(DATA))
        self.url = self.storage.url(self.name)

    def test_a_whole_file_is_served(self) -> None:
        response = self.get(self.url)
        self.assertEqual(response.status_code, 200)
        self.assertTrue(response.streaming)
        self.assertEqual(self.body(response), DATA)
        self.assertEqual(response["Content-Length"], str(len(DATA)))
        self.assertEqual(response["Content-Type"], "application/octet-stream")
        self.assertEqual(response["Accept-Ranges"], "bytes")
        self.assertEqual(response["X-Content-Type-Options"], "nosniff")
        self.assertEqual(response["Cache-Control"], "no-cache")
        self.assertEqual(
            response["Content-Disposition"],
            "attachment; filename*=utf-8''t%C3%A4st%20f%C3%AFle.bin",
        )
        self.assertNotIn("Content-Security-Policy", response)
        modified = parsedate_to_datetime(response["Last-Modified"])
        self.assertLess(abs(modified.timestamp() - time.time()), 60)

    def test_no_header_has_the_cap(self) -> None:
        cap = str(self.storage.operations.tree.known(("a", "täst fïle.bin")).cap)
        told = repr(self.get(self.url).headers)
        for part in cap.split(":")[2:4]:
            self.assertNotIn(part, told)
        self.assertNotIn(self.cap.split(":")[2], told)

    def test_head_has_the_headers_and_no_body(self) -> None:
        response = self.client.head(self.url)
        self.assertEqual((response.status_code, response.content), (200, b""))
        self.assertEqual(response["Content-Length"], str(len(DATA)))
        self.assertEqual(response["ETag"], self.get(self.url)["ETag"])

    def test_other_methods_are_refused(self) -> None:
        for method in ("post", "put", "delete", "patch", "options"):
            response = getattr(self.client, method)(self.url)
            self.assertEqual(response.status_code, 405, method)
        self.assertEqual(self.read(self.name), DATA)

    def test_a_single_range_is_served(self) -> None:
        size = len(DATA)
        for asked, start, stop in (
            ("bytes=0-0", 0, 1),
            ("bytes=0-99", 0, 100),
            ("bytes=1000000-", 1_000_000, size),
            ("bytes=-100", size - 100, size),
            (f"bytes=-{size + 5}", 0, size),
            (f"bytes={size - 1}-{size + 1000}", size - 1, size),
            ("Bytes=5-9", 5, 10),
        ):
            response = self.get(self.url, Range=asked)
            self.assertEqual(response.status_code, 206, asked)
            self.assertEqual(response["Content-Range"], f"bytes {start}-{stop - 1}/{size}")
            self.assertEqual(response["Content-Length"], str(stop - start))
            self.assertEqual(self.body(response), DATA[start:stop], asked)

    def test_a_range_outside_of_the_file_is_416(self) -> None:
        for asked in (f"bytes={len(DATA)}-", "bytes=99999999999999999999999999-", "bytes=-0"):
            response = self.get(self.url, Range=asked)
            self.assertEqual(response.status_code, 416, asked)
            self.assertEqual(response["Content-Range"], f"bytes */{len(DATA)}")
            self.assertEqual(self.body(response), b"")

    def test_any_other_range_header_gets_the_whole_file(self) -> None:
        for asked in ("bytes=0-1,5-6", "bytes=9-5", "bytes=-", "bytes=a-b", "lines=0-1", "٣-٤"):
            response = self.get(self.url, Range=asked.encode("utf-8").decode("latin-1"))
            self.assertEqual(response.status_code, 200, asked)
            self.assertEqual(response["Content-Length"], str(len(DATA)))
        self.assertEqual(
            self.client.head(self.url, headers={"Range": "bytes=0-1"}).status_code, 200
        )

    def test_a_range_fetches_little_more_than_the_range(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        with mock.patch("tahoestorage.serving.views.storage_of", return_value=storage):
            self.assertEqual(storage.size(self.name), len(DATA))
            before = proxy.received
            response = self.get(self.url, Range="bytes=700000-709999")
            self.assertEqual(self.body(response), DATA[700_000:710_000])
            self.assertLess(proxy.received - before, 11_000)

    def test_if_range(self) -> None:
        first = self.get(self.url)
        for named, status in (
            (first["ETag"], 206),
            (first["Last-Modified"], 206),
            ('"another"', 200),
            (f"W/{first['ETag']}", 200),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ):
            response = self.get(self.url, Range="bytes=0-9", If_Range=named)
            self.assertEqual(response.status_code, status, named)

    def test_an_unchanged_file_is_304(self) -> None:
        first = self.get(self.url)
        for header, value, status in (
            ("If_None_Match", first["ETag"], 304),
            ("If_None_Match", f'"x", {first["ETag"]}', 304),
            ("If_None_Match", "*", 304),
            ("If_None_Match", '"x"', 200),
            ("If_Modified_Since", first["Last-Modified"], 304),
            ("If_Modified_Since", "Sun, 06 Nov 1994 08:49:37 GMT", 200),
            ("If_Match", '"x"', 412),
        ):
            response = self.get(self.url, **{header: value})
            self.assertEqual(response.status_code, status, (header, value))
            if status == 304:
                self.assertEqual(response["ETag"], first["ETag"])
                self.assertEqual(response["Cache-Control"], "no-cache")
                self.assertEqual(self.body(response), b"")
        both = self.get(self.url, If_None_Match=first["ETag"], Range="bytes=0-1")
        self.assertEqual(both.status_code, 304)

    def test_equal_bytes_have_equal_etags(self) -> None:
        tag = self.get(self.url)["ETag"]
        copy = self.storage.save("copy", ContentFile(DATA))
        self.assertEqual(self.get(self.storage.url(copy))["ETag"], tag)
        self.storage.delete(self.name)
        self.storage.save(self.name, ContentFile(b"other"))
        self.assertNotEqual(self.get(self.url)["ETag"], tag)

    def test_an_empty_file(self) -> None:
        url = self.storage.url(self.storage.save("empty.txt", ContentFile(b"")))
        response = self.get(url)
        self.assertEqual((response.status_code, self.body(response)), (200, b""))
        self.assertEqual(response["Content-Length"], "0")
        self.assertEqual(self.get(url, Range="bytes=0-").status_code, 416)

    def test_a_name_that_is_no_file_is_404(self) -> None:
        for name in ("a", "missing", "a/missing", f"{self.name}/below", "a/../../x", "x\0y", "a//"):
            response = self.get(f"/media/{quote(name)}")
            self.assertEqual(response.status_code, 404, name)

    def test_a_name_with_too_many_levels_is_404(self) -> None:
        self.assertEqual(self.get(f"/media/{'d/' * 1900}f").status_code, 404)

    def test_a_grid_that_is_away_is_no_missing_file(self) -> None:
        away = TahoeStorage(tahoe_base_url="http://127.0.0.1:1/", tahoe_base_cap=self.cap)
        with mock.patch("tahoestorage.serving.views.storage_of", return_value=away):
            with self.assertLogs("tahoestorage", "ERROR") as logged:
                response = self.get(self.url)
        self.assertEqual(response.status_code, 503)
        self.assertNotIn("URI:", str(logged.output))

    def test_a_client_that_goes_away_ends_the_reading(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        large = storage.save("large", ContentFile(os.urandom(20_000_000)))
        with mock.patch("tahoestorage.serving.views.storage_of", return_value=storage):
            before = proxy.received
            response = self.get(self.storage.url(large))
            next(iter(response.streaming_content))
            response.close()
            time.sleep(1)
            received = proxy.received - before
            self.assertLess(received, 8_000_000)
            time.sleep(0.5)
            self.assertEqual(proxy.received - before, received)

    def test_a_file_that_fails_in_the_middle_is_no_short_answer(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        large = storage.save("large", ContentFile(os.urandom(20_000_000)))
        with mock.patch("tahoestorage.serving.views.storage_of", return_value=storage):
            response = self.get(self.storage.url(large))
            blocks = iter(response.streaming_content)
            next(blocks)
            proxy.refuse()
            proxy.close_connections()
            with self.assertRaises(OSError):
                list(blocks)


class ContentTypes(ServingTestCase):
    def headers(self, name: str) -> Any:
        return self.get(self.storage.url(self.storage.save(name, ContentFile(b"<x/>")))).headers

    def test_types_that_can_run_scripts_are_in_a_sandbox(self) -> None:
        for name in ("f.html", "f.htm", "f.xhtml", "f.svg", "f.xml", "f.rdf", "f.mht"):
            policy = self.headers(name).get("Content-Security-Policy", "")
            self.assertTrue(policy.startswith("sandbox; default-src 'none'"), name)
        for name in ("f.png", "f.txt", "f.mp4", "f.pdf", "f"):
            self.assertNotIn("Content-Security-Policy", self.headers(name), name)

    def test_browsers_show_safe_types_and_download_the_others(self) -> None:
        for disposition, names in (
            ("inline", "f.png f.webp f.mp3 f.mp4 f.pdf f.txt f.html f.svg"),
            ("attachment", "f.js f.mjs f.css f.wasm f.json f.csv f.zip f.tar.gz f.docx f.exe f"),
        ):
            for name in names.split():
                self.assertTrue(
                    self.headers(name)["Content-Disposition"].startswith(f"{disposition};"), name
                )

    def test_no_page_can_load_a_script_or_a_style_from_an_uploaded_file(self) -> None:
        for name in ("f.js", "f.mjs", "f.JS", "f.css", "f.wasm"):
            headers = self.headers(name)
            # With "nosniff" a browser neither runs nor applies what is of this type.
            self.assertEqual(headers["Content-Type"], "application/octet-stream", name)
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff", name)
        for kind in ("application/x-javascript", "text/ecmascript", "Text/JavaScript1.5"):
            with mock.patch("mimetypes.guess_type", return_value=(kind, None)):
                self.assertEqual(self.headers("f")["Content-Type"], "application/octet-stream")

    def test_static_files_are_scripts_of_the_site_itself(self) -> None:
        backend = "tahoestorage.staticfiles.TahoeStaticFilesStorage"
        options = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap, "location": "static"}
        self.override(STORAGES={"default": {"BACKEND": backend, "OPTIONS": options}})
        storage: Any = storages["default"]
        for name, kind in (("f.js", r"\w+/javascript"), ("f.css", "text/css")):
            storage.save(name, ContentFile(b"/**/"))
            storage.flush()
            headers = self.get(storage.url(name)).headers
            self.assertRegex(headers["Content-Type"], f"^{kind}$")
            self.assertTrue(headers["Content-Disposition"].startswith("inline;"))

    def test_compressed_files_have_the_type_of_the_compression(self) -> None:
        for name, kind in (
            ("f.png", "image/png"),
            ("f.txt", "text/plain"),
            ("f.tar.gz", "application/gzip"),
            ("f.svgz", "application/gzip"),
            ("f.unknown-kind", "application/octet-stream"),
        ):
            self.assertEqual(self.headers(name)["Content-Type"], kind, name)

    def test_names_of_any_kind(self) -> None:
        for name in ("a b.txt", 'quote".txt', "名前.txt", "%41.txt", "a;b.txt", "a+b&c=d#e?f.txt"):
            headers = self.headers(name)
            self.assertIn("filename", headers["Content-Disposition"])
            self.assertNotIn("\n", headers["Content-Disposition"])


class Compression(ServingTestCase):
    middleware = ("django.middleware.gzip.GZipMiddleware",)

    def test_a_part_is_not_compressed(self) -> None:
        url = self.storage.url(self.storage.save("f.txt", ContentFile(b"0123456789" * 1000)))
        part = self.get(url, Range="bytes=0-999", Accept_Encoding="gzip")
        self.assertEqual(self.body(part), b"0123456789" * 100)
        self.assertEqual(part["Content-Encoding"], "identity")
        whole = self.get(url, Accept_Encoding="gzip")
        self.assertEqual(whole["Content-Encoding"], "gzip")


class Addresses(ServingTestCase):
    def test_a_url_needs_no_request(self) -> None:
        storage, proxy = self.new_storage_through_proxy(base_url=None)
        self.override(
            STORAGES={
                "default": {
                    "BACKEND": "tahoestorage.storage.TahoeStorage",
                    "OPTIONS": storage.options,
                }
            },
            ROOT_URLCONF="tests.tahoestorage.serving.one_url",
        )
        self.assertEqual(storage.url("a/missing.txt"), "/files/a/missing.txt")
        self.assertEqual(asyncio.run(storage.aurl("b.txt")), "/files/b.txt")
        self.assertEqual(proxy.requests, [])

    def test_each_storage_has_its_own_mount(self) -> None:
        self.assertEqual(self.storage.url("f"), "/media/f")
        self.assertEqual(storages["private"].url("a/f"), "/private/a/f")
        self.assertTrue(storages["signed"].url("f").startswith("/signed/f?expires="))
        with self.assertRaises(ValueError):
            self.new_storage(base_url=None, location="elsewhere").url("f")

    def test_an_equal_storage_has_the_same_urls(self) -> None:
        self.assertEqual(self.new_storage(base_url=None).url("f"), "/media/f")

    def test_a_public_gateway_comes_first(self) -> None:
        storage = self.new_storage(base_url="https://files.example.com")
        storage.save("f", ContentFile(b"x"))
        self.assertTrue(storage.url("f").startswith("https://files.example.com/named/URI:"))

    def test_names_are_quoted_and_found_again(self) -> None:
        for name in ("a b/ü.txt", "50%.txt", "a?b#c.txt", "x&y=z.txt", "a+b.txt", "名.txt"):
            self.storage.save(name, ContentFile(name.encode()))
            url = self.storage.url(name)
            self.assertEqual(urlsplit(url)[3:], ("", ""), url)
            self.assertEqual(self.body(self.get(url)), name.encode())

    def test_a_url_has_the_clean_name(self) -> None:
        self.assertEqual(self.storage.url("a/./b/../f"), "/media/a/f")

    def test_urls_are_below_the_script_name(self) -> None:
        set_script_prefix("/app/")
        self.addCleanup(set_script_prefix, "/")
        self.assertEqual(self.storage.url("f"), "/app/media/f")
        self.assertEqual(storages["private"].url("f"), "/app/private/f")

    def test_without_a_mount_there_are_no_urls(self) -> None:
        self.override(ROOT_URLCONF="tests.tahoestorage.serving.no_urls")
        with self.assertRaises(ValueError):
            self.storage.url("f")
        with self.assertRaises(ImproperlyConfigured) as caught:
            storages["signed"].url("f")
        self.assertIn("include('tahoestorage.urls')", str(caught.exception))

    def test_in_a_template_a_missing_file_is_a_link_too(self) -> None:
        page = Template("{{ storage.url }}").render(
            Context({"storage": {"url": self.storage.url("missing")}})
        )
        self.assertEqual(page, "/media/missing")


class Permissions(ServingTestCase):
    def test_a_hook_decides_who_can_read(self) -> None:
        storage = storages["private"]
        for name in ("f", "secret/f"):
            storage.save(name, ContentFile(b"x" * 100))
        self.assertEqual(self.get("/private/f").status_code, 403)
        self.assertEqual(self.get("/private/secret/f", X_Reader="yes").status_code, 403)
        self.assertEqual(self.get("/private/a/../secret/f", X_Reader="yes").status_code, 403)
        allowed = self.get("/private/f", X_Reader="yes")
        self.assertEqual(self.body(allowed), b"x" * 100)
        self.assertEqual(allowed["Cache-Control"], "private, no-cache")

    def test_a_refused_client_does_not_learn_if_a_file_exists(self) -> None:
        self.assertEqual(self.get("/private/missing").status_code, 403)

    def test_a_hook_guards_its_own_storage_only(self) -> None:
        storages["private"].save("f", ContentFile(b"x"))
        self.assertEqual(self.get("/media/f").status_code, 404)

    def test_signed_links_expire(self) -> None:
        storage = storages["signed"]
        storage.save("f", ContentFile(b"x" * 100))
        url = storage.url("f")
        answer = self.get(url)
        self.assertEqual(self.body(answer), b"x" * 100)
        self.assertEqual(answer["Cache-Control"], "private, no-cache")
        now = time.time()
        for later, status in ((89, 200), (101, 403)):
            with mock.patch("tahoestorage.contract.fileurls.time.time", return_value=now + later):
                self.assertEqual(self.get(url).status_code, status, later)

    def test_a_link_signed_by_a_clock_that_is_ahead_does_not_live_longer(self) -> None:
        storages["signed"].save("f", ContentFile(b"x"))
        now = time.time() // 10 * 10
        for apart, status in ((2 * 86_400, 403), (15, 403), (5, 200), (-89, 200), (-101, 403)):
            with mock.patch("tahoestorage.contract.fileurls.time.time", return_value=now + apart):
                url = storages["signed"].url("f")
            with mock.patch("tahoestorage.contract.fileurls.time.time", return_value=now):
                self.assertEqual(self.get(url).status_code, status, apart)

    def test_a_signature_is_valid_for_one_name_and_one_time(self) -> None:
        storage = storages["signed"]
        for name in ("f", "g"):
            storage.save(name, ContentFile(b"x" * 100))
        url = storage.url("f")
        query = url.partition("?")[2]
        later = query.replace("expires=", "expires=9")
        for forged in (
            "/signed/f",
            f"/signed/g?{query}",
            f"/signed/f?{later}",
            "/signed/f?expires=9999999999&signature=",
            "/signed/f?expires=&signature=x",
            "/signed/f?expires=٩٩٩٩٩٩٩٩٩٩&signature=x",
            "/signed/f?expires=-1&signature=x",
            f"/signed/f?expires={'9' * 4400}&signature=x",
            "/signed/f?expires=%00&signature=%00%FF",
            "/signed/f?expires=1e9&signature=a:b",
        ):
            self.assertEqual(self.get(forged).status_code, 403, forged[:80])
        query = {"expires": "1", "signature": "\ud800"}
        self.assertFalse(is_signed("signed", "", "f", query, 100))

    def test_signed_texts_are_unambiguous(self) -> None:
        storage = storages["signed"]
        for name, other in (("f", "f:x"), ("g", 'g", "1')):
            storage.save(name, ContentFile(b"x" * 100))
            query = parse_qs(urlsplit(storage.url(other)).query)
            expires, signature = query["expires"][0], query["signature"][0]
            for forged in (signature, f"{other.removeprefix(name)}:{signature}", f"x:{signature}"):
                given = urlencode({"expires": expires, "signature": forged})
                self.assertEqual(self.get(f"/signed/{name}?{given}").status_code, 403, forged)
        signed = {"expires": expires, "signature": signature}
        seal = storage.seal
        self.assertTrue(is_signed("signed", seal, other, signed, 100))
        self.assertFalse(is_signed(f"signed{other}", seal, "", signed, 100))
        self.assertFalse(is_signed("signed", f"{seal}{other}", "", signed, 100))

    def test_a_signed_link_stays_the_same_for_a_while(self) -> None:
        storage = storages["signed"]
        with mock.patch("tahoestorage.contract.fileurls.time.time", return_value=1_000_000_000):
            first = storage.url("f")
        with mock.patch("tahoestorage.contract.fileurls.time.time", return_value=1_000_000_009):
            self.assertEqual(storage.url("f"), first)

    def test_a_mount_of_the_directory_above_needs_no_signature(self) -> None:
        """A location is no protection: what is below it is served with what is above it."""
        storages["signed"].save("f", ContentFile(b"x"))
        self.assertEqual(self.get("/media/signed/f").status_code, 200)

    def test_a_signature_needs_a_number_of_seconds(self) -> None:
        for wrong in (0, -1, "3600", True, float("inf")):
            with self.assertRaises(ImproperlyConfigured):
                self.new_storage(signed_urls=wrong).url("f")


class OtherStorages(ServingTestCase):
    def test_the_storage_of_the_settings_is_served_if_the_default_is_of_another_kind(self) -> None:
        local = "django.core.files.storage.InMemoryStorage"
        self.override(
            STORAGES={"default": {"BACKEND": local}, "memory": {"BACKEND": local}},
            TAHOE_STORAGE_BASE_URL=self.gateway,
            TAHOE_STORAGE_BASE_CAP=self.cap,
            ROOT_URLCONF="tests.tahoestorage.serving.one_url",
        )
        storage = TahoeStorage()
        storage.save("f", ContentFile(b"x"))
        self.assertEqual(self.body(self.get(storage.url("f"))), b"x")
        with self.assertRaises(ImproperlyConfigured):
            storage_of("memory")


class Asgi(ServingTestCase):
    """The same under ASGI, where the bytes are sent by a task."""

    def test_files_and_ranges_are_served_under_asgi(self) -> None:
        self.storage.save("f.bin", ContentFile(DATA))

        async def use() -> None:
            client = AsyncClient()
            whole = await client.get("/media/f.bin")
            self.assertTrue(whole.is_async)
            self.assertEqual(b"".join([block async for block in whole.streaming_content]), DATA)
            part = await client.get("/media/f.bin", headers={"Range": "bytes=300000-899999"})
            self.assertEqual(part.status_code, 206)
            found = b"".join([block async for block in part.streaming_content])
            self.assertEqual(found, DATA[300_000:900_000])
            self.assertEqual((await client.get("/media/missing")).status_code, 404)
            self.assertEqual((await client.get("/private/f")).status_code, 403)

        asyncio.run(use())

    def test_an_unused_stream_is_closed(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        large = storage.save("large", ContentFile(os.urandom(20_000_000)))
        with mock.patch("tahoestorage.serving.views.storage_of", return_value=storage):
            from tahoestorage.serving.views import serve

            answer = serve(RequestFactory().get("/"), large)
            self.assertEqual(answer.status_code, 200)
            before, connections = proxy.received, proxy.connections
            del answer
            wait_until(lambda: proxy.connections < connections)
            self.assertLess(proxy.received - before, 8_000_000)
