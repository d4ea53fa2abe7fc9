"""The static files storage with a manifest, on a real grid."""

from __future__ import annotations

import asyncio
import json
import re
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.request import urlopen

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import InMemoryStorage
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.template import Context, Template
from django.test import override_settings

from tahoestorage import staticfiles
from tahoestorage.staticfiles import TahoeManifestStaticFilesStorage
from tests.grid.strangers import silent, stranger
from tests.needs import TIME, needs
from tests.tahoestorage.static_case import StaticTestCase
from txtahoe.errors import RequestTimeout
from txtahoe.testing.fake import Status

_URL = re.compile(r"""https?://[^"')]*?named/[^"'\s)]*""")


class Modules(TahoeManifestStaticFilesStorage):
    support_js_module_import_aggregation = True


class ManifestTestCase(StaticTestCase):
    backend = "tahoestorage.staticfiles.TahoeManifestStaticFilesStorage"

    def get(self, url: str) -> str:
        with urlopen(url) as answer:
            return str(answer.read().decode())

    def url(self, name: str) -> str:
        with self.session() as storage:
            return str(storage.url(name))

    def manifest(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.collected()["staticfiles.json"])
        return loaded


class Referring(ManifestTestCase):
    def references(self, name: str) -> list[str]:
        """The content at each URL in the file of a name."""
        return [self.get(url) for url in _URL.findall(self.get(self.url(name)))]

    def test_style_sheets_refer_to_files_by_full_urls(self) -> None:
        names = ["img/a.svg", "img/100% ü b.svg", "fonts/f.eot", "css/deep/c.svg", "js/x.js.map"]
        self.write(*names)
        self.write(
            "css/deep/a.css",
            content="""
            .a { background: url("../../img/a.svg") }
            .b { background: url(../../img/100%25%20ü%20b.svg) }
            .c { src: url('../../fonts/f.eot?#iefix'), url("../../fonts/f.eot?v=1/2#x") }
            .d { background: url( c.svg ) }
            .e { background: url("/static/img/a.svg") }
            .f { background: url("data:image/png;base64,x"), url(#f), url("//cdn/x"), url(/no) }
            .g { background: url("../") }
            """,
        )
        self.write("js/x.js", content="x\n//# sourceMappingURL=x.js.map")
        self.collect()
        files = {name: data.decode() for name, data in self.files().items()}
        wanted = [names[0], names[1], names[2], names[2], names[3], names[0]]
        self.assertEqual(self.references("css/deep/a.css"), [files[name] for name in wanted])
        self.assertEqual(self.references("js/x.js"), [files["js/x.js.map"]])
        css = self.get(self.url("css/deep/a.css"))
        for text in (".eot?#iefix", ".eot?v=1/2#x", "url(#f)", 'url("//cdn/x")', "url(/no)"):
            self.assertIn(text, css)
        self.assertIn('url("../")', css)
        self.assertNotIn("../fonts", css)

    def test_imported_style_sheets_are_processed_too(self) -> None:
        self.write("img/a.svg")
        self.write("a.css", content='@import "sub/b.css";')
        self.write("sub/b.css", content='@import url("c.css");')
        self.write("sub/c.css", content='.x { background: url("../img/a.svg") }')
        self.collect()
        url, depth = self.url("a.css"), 0
        while found := _URL.findall(self.get(url)):
            url, depth = found[0], depth + 1
        self.assertEqual(depth, 3)
        self.assertEqual(self.get(url).encode(), self.files()["img/a.svg"])
        self.assertEqual(set(self.collect()), {"GET /uri"})

    def test_modules_import_each_other_by_full_urls(self) -> None:
        self.backend = f"{__name__}.Modules"
        self.write("js/lib/b.js")
        self.write("js/a.js", content='import { b } from "./lib/b.js";\nimport("./lib/b.js");\n')
        self.collect()
        self.assertEqual(self.references("js/a.js"), [self.files()["js/lib/b.js"].decode()] * 2)

    def test_a_missing_file_is_reported_and_nothing_changes(self) -> None:
        self.write("img/a.svg")
        self.write("a.css", content='.x { background: url("img/a.svg") }')
        self.collect()
        before = self.collected()
        self.write("img/b.svg")
        self.write("a.css", content='.x { background: url("img/missing.svg") }')
        self.touch()
        with self.assertRaisesRegex(Exception, "'img/missing.svg' could not be found"):
            self.collect(clear=True)
        self.assertEqual(self.collected(), before)

    def test_names_that_are_equal_on_the_grid_are_reported_and_nothing_is_saved(self) -> None:
        self.write("caf\u00e9.txt", "cafe\u0301.txt")
        error = self.assertRaises(CommandError, self.collect)
        self.assertIn("are one name on the grid", str(error))
        self.assertEqual(self.collected(), {})

    def test_a_style_sheet_never_gets_the_url_of_a_missing_file(self) -> None:
        """A page may have a link that leads nowhere; what is written into a file may not."""
        self.write("a.css", content='.x { background: url("img/missing.svg") }')
        found = mock.patch.object(TahoeManifestStaticFilesStorage, "exists", return_value=True)
        with found, self.assertRaises(FileNotFoundError):
            self.collect()
        self.assertEqual(self.collected(), {})

    def test_style_sheets_that_import_each_other_cannot_be_saved(self) -> None:
        self.write("a.css", content='@import "b.css";')
        self.write("b.css", content='@import "a.css";')
        with self.assertRaisesRegex(Exception, "Max post-process passes exceeded"):
            self.collect()
        self.assertEqual(self.collected(), {})

    def test_without_a_base_url_nothing_is_sent(self) -> None:
        self.write("old")
        self.collect()
        before = self.collected()
        self.write("f")
        for clear in (False, True):
            with self.assertRaisesRegex(ImproperlyConfigured, "TAHOE_PUBLIC_BASE_URL"):
                self.collect({"base_url": None}, clear=clear)
            self.assertEqual(set(self.proxy.requests), {"GET /uri"})
        self.assertEqual(self.collected(), before)

    def test_without_a_base_url_the_command_prints_one_sentence(self) -> None:
        self.write("f")
        with self.session(base_url=None):
            with self.assertRaisesRegex(SystemCheckError, "tahoestorage.E017"):
                call_command("collectstatic", interactive=False, verbosity=0, skip_checks=False)
        self.assertEqual(self.proxy.requests, [])

    @needs(TIME)
    def test_the_admin_is_collected(self) -> None:
        spec = find_spec("django.contrib.admin")
        assert spec is not None
        assert spec.origin is not None
        self.folder = Path(spec.origin).parent / "static"
        first = self.collect()
        self.assertLess(first["PUT /uri"], len(self.files()) + 15)  # those with references, twice
        self.assertEqual(self.collect()["PUT /uri"], 0)
        files = self.files()
        plain = {name: data for name, data in self.collected().items() if name in files}
        self.assertEqual(plain, files)
        with self.session() as storage:
            urls = {name: storage.url(f"admin/css/{name}.css") for name in ("base", "widgets")}
        for url in urls.values():
            found = _URL.findall(self.get(url))
            self.assertTrue(found)
            for reference in set(found):
                self.get(reference)


class Manifest(ManifestTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.write("a.txt", "d/b%25 c.txt")

    def test_urls_need_no_request_once_the_manifest_is_read(self) -> None:
        self.collect()
        with self.session() as storage:
            self.proxy.requests.clear()
            storage.exists("")
            self.assertEqual(self.proxy.requests, [])
            storage.url("a.txt")
            self.assertEqual(self.proxy.requests, ["GET /uri", "GET /uri"])  # find it, read it
            self.proxy.refuse()
            self.proxy.close_connections()
            for _ in range(3):
                self.assertEqual(self.get(storage.url("a.txt")).encode(), self.files()["a.txt"])
            with self.assertRaisesRegex(ValueError, "Missing staticfiles manifest entry"):
                storage.url("missing.txt")

    def test_the_manifest_is_read_in_the_thread_of_an_event_loop_too(self) -> None:
        self.collect()

        async def use() -> list[str]:
            return [
                str(storage.url("a.txt")),
                Template("{% load static %}{% static 'a.txt' %}").render(Context()),
            ]

        with self.session() as storage:
            self.proxy.requests.clear()
            urls = asyncio.run(use())
            self.assertEqual(self.proxy.requests, ["GET /uri"] * 2)
        for url in urls:
            self.assertEqual(self.get(unescape(url)).encode(), self.files()["a.txt"])

    def test_an_event_loop_stands_still_for_some_seconds_at_most(self) -> None:
        self.patch(staticfiles, "_SECONDS", 0.2)

        async def use() -> None:
            storage.url("a.txt")

        with stranger(silent) as nowhere, self.session(tahoe_base_url=nowhere) as storage:
            with self.assertRaisesRegex(RequestTimeout, "within 0.2 seconds"):
                asyncio.run(use())

    def test_django_reads_the_manifest(self) -> None:
        self.collect()
        with override_settings(STATIC_URL="/static/", STATIC_ROOT=self.mktemp()):
            memory = InMemoryStorage()
            with memory.open("staticfiles.json", "wb") as file:
                file.write(self.collected()["staticfiles.json"])
            storage = ManifestStaticFilesStorage(manifest_storage=memory)
        self.assertEqual(storage.hashed_files.keys(), {"a.txt", "d/b%25 c.txt"})
        self.assertEqual(storage.manifest_hash, self.manifest()["hash"])

    def test_a_manifest_that_django_has_made_is_read(self) -> None:
        self.collect()
        manifest = self.manifest()
        del manifest["caps"]
        memory = InMemoryStorage()
        with memory.open("staticfiles.json", "w") as file:
            file.write(json.dumps(manifest))
        storage = TahoeManifestStaticFilesStorage(**self.options(), manifest_storage=memory)
        self.assertEqual(self.get(storage.url("a.txt")).encode(), self.files()["a.txt"])

    def test_a_name_can_have_a_percent_sign(self) -> None:
        self.write("50% off.txt")
        self.collect()
        data = self.files()["50% off.txt"]
        self.assertEqual(self.get(self.url("50% off.txt")).encode(), data)
        self.assertTrue(self.url("50% off.txt#part").endswith(".txt#part"))

    def test_another_storage_can_hold_the_manifest(self) -> None:
        memory = InMemoryStorage()
        self.collect({"manifest_storage": memory})
        self.assertTrue(memory.exists("staticfiles.json"))
        self.assertNotIn("staticfiles.json", self.collected())
        with self.session(manifest_storage=memory) as storage:
            self.proxy.requests.clear()
            self.assertEqual(self.get(storage.url("a.txt")).encode(), self.files()["a.txt"])
            self.assertEqual(self.proxy.requests, [])

    def test_clear_leaves_the_files_their_hashed_copies_and_the_manifest(self) -> None:
        self.collect()
        before = set(self.collected())
        self.write("old.css", "d/old.css")
        self.collect()
        for name in ("old.css", "d/old.css"):
            (self.folder / name).unlink()
        self.assertEqual(self.collect(clear=True)["POST /uri"], 1 + 4)  # the manifest's link
        self.assertEqual(set(self.collected()), before)
        self.assertEqual(set(self.manifest()["caps"]), set(self.manifest()["paths"].values()))

    def test_if_nothing_has_changed_nothing_is_sent(self) -> None:
        self.collect()
        self.assertEqual(self.collect(), {"GET /uri": 2})
        self.touch()
        self.assertEqual(self.collect(), {"GET /uri": 2})
        self.assertEqual(self.collect(clear=True), {"GET /uri": 2})

    def test_a_dry_run_leaves_the_urls_of_this_process_alone(self) -> None:
        self.collect()
        from django.core.management import call_command

        with self.session() as storage:
            call_command("collectstatic", interactive=False, verbosity=0, dry_run=True)
            self.assertEqual(self.get(storage.url("a.txt")).encode(), self.files()["a.txt"])

    def test_this_process_knows_what_it_has_collected(self) -> None:
        from django.core.management import call_command

        with self.session() as storage:
            call_command("collectstatic", interactive=False, verbosity=0)
            self.proxy.requests.clear()
            self.assertEqual(self.get(storage.url("a.txt")).encode(), self.files()["a.txt"])
            self.assertEqual(self.proxy.requests, [])

    def test_the_manifest_holds_no_write_cap(self) -> None:
        self.collect()
        caps = self.manifest()["caps"].values()
        self.assertTrue(all(cap.startswith(("URI:CHK:", "URI:LIT:")) for cap in caps))

    def test_a_broken_manifest_is_reported_without_its_text(self) -> None:
        memory = InMemoryStorage()
        with memory.open("staticfiles.json", "w") as file:
            file.write('{"caps": {"a": "URI:CHK:')
        storage = TahoeManifestStaticFilesStorage(**self.options(), manifest_storage=memory)
        with self.assertRaisesRegex(ValueError, "Couldn't load manifest"):
            storage.url("a.txt")


class Failing(ManifestTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.fake = self.use_fake()

    def test_the_old_manifest_and_its_files_stay_until_the_new_one_is_there(self) -> None:
        self.write("css/a.css", "css/old.css")
        self.collect()
        before = self.collected()
        (self.folder / "css/old.css").unlink()
        self.write("css/a.css")
        self.touch()
        for skip in range(2):
            self.fake.fail_next("POST /uri/CAP?t=set_children*", Status(500), skip=skip, times=9)
            with self.assertRaises(OSError):
                self.collect(clear=True)
            self.fake.forget_faults()
            now = self.collected()
            hashed = json.loads(before["staticfiles.json"])["paths"].values()
            for name in ("staticfiles.json", *hashed):
                self.assertEqual(now[name], before[name])
        self.collect(clear=True)
        self.assertEqual(len(self.collected()), 3)

    def test_a_new_manifest_waits_until_all_its_files_are_there(self) -> None:
        self.write("css/a.css")
        self.collect()
        before = self.collected()
        self.write("new/a.css")
        self.fake.fail_next("POST /uri?t=mkdir-with-children", Status(500), times=9)
        with self.assertRaises(OSError):
            self.collect()
        self.assertEqual(self.collected(), before)
