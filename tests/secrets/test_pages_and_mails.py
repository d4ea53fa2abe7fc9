"""
No failure shows a cap of this run in any form: neither Django's page with DEBUG on nor its mail
with DEBUG off.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import django
from django.core import mail
from django.core.files.base import ContentFile
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.utils.html import escape
from django.utils.log import AdminEmailHandler

from tahoestorage.logs import RedactCaps
from tahoestorage.redaction import reporter
from tahoestorage.storage import TahoeStorage
from tests.secrets.collect import Collector
from tests.secrets.failing_site import caps
from tests.secrets.forms import forms
from tests.tahoestorage.case import StorageTestCase
from txtahoe import Cap

_LOCMEM = "django.core.mail.backends.locmem.EmailBackend"
MAILS: dict[str, Any] = (
    {"MAILERS": {"default": {"BACKEND": _LOCMEM}}, "ADMINS": ["admin@example.com"]}
    if django.VERSION >= (6, 1)
    else {"EMAIL_BACKEND": _LOCMEM, "ADMINS": [("Admin", "admin@example.com")]}
)


class Lines(Collector):
    """Collects the lines that loggers write."""

    def emit(self, record: logging.LogRecord) -> None:
        self.text(self.format(record), f"log: {record.name}")


class FailingSiteTestCase(StorageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.lines = Lines()
        self.lines._record_caps()
        self.addCleanup(self.lines.__exit__)
        self.secrets = self.lines.secrets
        self.storage = self.new_storage(location="location")
        self.name = self.storage.save("a/f", ContentFile(os.urandom(5000)))
        options = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap}
        backend = f"{TahoeStorage.__module__}.{TahoeStorage.__name__}"
        place = {"base_url": self.gateway, "location": "location"}
        self.override(
            ALLOWED_HOSTS=["127.0.0.1"],
            ROOT_URLCONF="tests.secrets.failing_site",
            TAHOE_STORAGE_BASE_CAP=self.cap,
            STORAGES={"default": {"BACKEND": backend, "OPTIONS": {**options, **place}}},
            IN_BYTES=self.cap.encode(),
            IN_A_LIST=[{self.cap: (f"http://h/{self.cap}/", [self.cap.encode()])}],
            IN_EVERY_FORM=forms(self.cap),
            **MAILS,
        )
        self.caps = caps(self.name)
        self.assertEqual(len(self.caps), 8)
        for cap in self.caps:
            self.secrets.add(Cap.parse(cap))
        for name in ("django", "django.server"):
            self.patch(logging.getLogger(name), "handlers", [self.lines])
        self.patch(os, "environ", {**os.environ, "TAHOE_CAP": self.cap})

    @contextmanager
    def site(self) -> Iterator[str]:
        with ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler) as server:
            server.set_app(WSGIHandler())
            thread = Thread(target=server.serve_forever, args=[0.01])
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/"
            finally:
                server.shutdown()
                thread.join()

    def ask(self, site: str, path: str, accepted: str) -> str:
        """The site's answer to a request with caps in every field."""
        every_form = {f"key {key}": form for key, form in forms(self.caps[0]).items()}
        query = urlencode({**every_form, "module": self.module_with_caps()})
        headers = {
            "Accept": accepted,
            "Cookie": f"seen={self.caps[1]}",
            "Referer": f"{self.gateway}named/{self.caps[2]}/f",
            "X-Cap": forms(self.caps[3])["b64encode after 1"],
        }
        form = urlencode({cap: cap for cap in self.caps}).encode()
        request = Request(f"{site}{path}?{query}", form, headers)
        try:
            answer = build_opener(ProxyHandler({})).open(request, timeout=60)
        except HTTPError as error:
            answer = error
        with answer:
            body: bytes = answer.read()
        return f"{answer.status}\n{body.decode()}"

    def module_with_caps(self) -> str:
        path = Path("with_caps.py").absolute()
        lines = [f'CAP_{number} = "{cap}"' for number, cap in enumerate(self.caps)]
        path.write_text("\n".join([*lines[:4], f'fail("{self.caps[4]}")', *lines[5:]]))
        return str(path)

    def pages(self, path: str) -> Iterator[tuple[str, str]]:
        """The page of a failure, as HTML and as text."""
        with self.site() as site:
            for accepted in ("text/html", "text/plain"):
                yield accepted, self.ask(site, path, accepted)

    def assert_no_caps(self, text: str, where: str) -> None:
        self.assertEqual(self.secrets.found_in(text), set(), where)


class Pages(FailingSiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.override(DEBUG=True)

    def test_of_a_view_that_fails(self) -> None:
        for kind, page in self.pages(f"variables/{self.name}"):
            self.assert_no_caps(page, kind)
            self.assertIn("LookupError", page)
            self.assertIn("IN_EVERY_FORM", page)
            if kind == "text/html":
                self.assertIn("never shown in a mail", page)
                self.assertIn(escape(repr(Cap.parse(self.cap))), page)
            else:
                self.assertIn(repr(Cap.parse(self.cap)), page)

    def test_of_a_template_that_fails(self) -> None:
        for kind, page in self.pages(f"template/{self.name}"):
            self.assert_no_caps(page, kind)
            self.assertIn("TemplateSyntaxError", page)
            if kind == "text/html":
                self.assertIn("&lt;a href=&#x27;&lt;Cap DIR2", page)

    def test_of_a_module_that_fails(self) -> None:
        for kind, page in self.pages(f"source/{self.name}"):
            self.assert_no_caps(page, kind)
            self.assertIn("NameError", page)
            self.assertIn("fail(", page)

    def test_of_a_missing_page(self) -> None:
        # With DEBUG Django shows the requested URL, and the argument of Http404.
        self.override(DEBUG=False)
        paths = [f"missing/{self.name}", *(f"nowhere/{form}" for form in self.forms_of_a_path())]
        for path in paths:
            for kind, page in self.pages(path):
                self.assert_no_caps(page, kind)
                self.assertTrue(page.startswith("404"))

    def forms_of_a_path(self) -> list[str]:
        every_form = forms(self.caps[-1])
        return [every_form[name] for name in ("plain", "quoted", "every letter quoted")]

    def test_of_a_suspicious_request_and_of_an_asynchronous_view(self) -> None:
        for path in ("suspicious", "asynchronous"):
            for kind, page in self.pages(f"{path}/{self.name}"):
                self.assert_no_caps(page, kind)
                self.assertRegex(page, "SuspiciousOperation|LookupError")

    def test_the_search_finds_what_would_be_shown(self) -> None:
        """The other tests prove something only if this passes."""
        self.patch(reporter, "redact", lambda text, html=False: text)
        self.patch(reporter, "redacted", lambda value: value)
        self.patch(reporter, "_Shown", lambda value: value)
        for _, page in self.pages(f"variables/{self.name}"):
            found = " ".join(self.secrets.found_in(page))
            for cap in self.caps:
                self.assertIn(repr(Cap.parse(cap)), found)

    def test_the_lines_of_the_server(self) -> None:
        for path in ("fine", "variables", "missing"):
            list(self.pages(f"{path}/{self.name}"))
        said = "\n".join(self.lines._texts)
        self.assertEqual(self.lines.leaks(), [])
        for start in ('"POST /fine/a/f?', "Internal Server Error: /variables/", "Not Found: /miss"):
            self.assertIn(start, said)
        self.assertIn("LookupError: ", said)


class Mails(FailingSiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        mail.outbox = []
        self.addCleanup(delattr, mail, "outbox")
        self.override(DEBUG=False)
        handler = AdminEmailHandler(include_html=True)
        handler.addFilter(RedactCaps())  # as Django's own has it once the app is ready
        handler.setLevel(logging.ERROR)
        self.patch(logging.getLogger("django"), "handlers", [handler])

    def assert_mails_have_no_caps(self, expected: str) -> None:
        self.assertGreater(len(mail.outbox), 0)
        for message in mail.outbox:
            html = message.alternatives[0][0]
            for part in (message.subject, message.body, html, message.message().as_string()):
                self.assert_no_caps(part, message.subject)
            for part in (message.body, html):
                self.assertIn(expected, part)
                self.assertNotIn("never shown in a mail", part)

    def test_of_a_view_that_fails(self) -> None:
        for path in ("variables", "template", "source", "asynchronous"):
            mail.outbox.clear()
            with self.site() as site:
                page = self.ask(site, f"{path}/{self.name}", "text/html")
            self.assert_no_caps(page, path)
            self.assertIn("Server Error (500)", page)
            self.assert_mails_have_no_caps("Error")

    def test_of_a_suspicious_request(self) -> None:
        list(self.pages(f"suspicious/{self.name}"))
        self.assert_mails_have_no_caps("SuspiciousOperation")

    def test_of_an_error_that_the_site_logs(self) -> None:
        for cap in self.caps:
            logging.getLogger("django.site").error("cannot serve %s, %s", cap, forms(cap))
        self.assert_mails_have_no_caps("cannot serve ")
