"""Redaction takes caps in all their forms out of texts, and nothing else."""

from __future__ import annotations

import asyncio.base_events
import logging
from base64 import b64encode
from pathlib import Path
from random import randbytes
from typing import Any

from django.utils.safestring import mark_safe
from django.views import debug
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.logs import RedactCaps
from tahoestorage.redaction import redact, redacted
from tests.secrets.forms import forms
from tests.secrets.search import Secrets
from tests.secrets.test_search import base32, new_cap
from tests.seeds import given
from txtahoe import Cap


def caps() -> list[Cap]:
    """One readable cap of each kind."""
    directory, file = new_cap("DIR2"), new_cap("CHK", ":2:3:6000")
    mutable = new_cap("MDMF")
    literal = Cap.parse(f"URI:LIT:{base32(40)}")
    found = [*(directory, directory.reader, directory.verifier), *(file, file.verifier, literal)]
    found += [new_cap("DIR2-MDMF").reader, new_cap("SSK"), mutable, mutable.verifier]
    return [cap for cap in found if cap is not None]


class Redaction(SynchronousTestCase):
    def test_caps_in_every_form(self) -> None:
        for cap in caps():
            secrets = Secrets()
            secrets.add(cap)
            for name, form in forms(str(cap)).items():
                for text in (form, f"a {form} b", f"a\\n{form}", f"='{form}'", f"http://h/{form}?"):
                    self.assertTrue(secrets.found_in(text), f"{cap.kind} {name}")
                    self.assertEqual(secrets.found_in(redact(text)), set(), f"{cap.kind} {name}")

    def test_fingerprints_of_two_caps_differ(self) -> None:
        cap = new_cap()
        self.assertEqual(redact(f"a/{cap!s}/b?c"), f"a/{cap!r}/b?c")
        self.assertEqual(redact(f"a/{cap!s}/b".replace(":", "%3A")), f"a/{cap!r}/b")
        self.assertEqual(redact(str(cap)[:-5]), "<Cap>")
        self.assertEqual(redact(f"<{cap!s}>", html=True), f"<&lt;Cap DIR2 {cap.fingerprint}&gt;>")

    def test_keys_and_hashes_of_split_caps(self) -> None:
        cap = new_cap("CHK", ":2:3:6000")
        secrets = Secrets()
        secrets.add(cap)
        self.assertEqual(secrets.found_in(redact(repr(str(cap).split(":")))), set())

    def test_other_text_stays(self) -> None:
        for module in (debug, logging, asyncio.base_events):
            source = Path(str(module.__file__)).read_text()
            self.assertEqual(redact(source), source)
        for text in ("redirect_uri:str", "uri: a:b:c", b64encode(randbytes(10_000)).decode()):
            self.assertEqual(redact(text), text)

    @given(st.text(), st.booleans())
    def test_any_text_can_be_redacted(self, text: str, html: bool) -> None:
        redact(text, html=html)

    def test_nested_values_are_redacted_at_any_depth(self) -> None:
        cap = new_cap()
        shown, other = repr(cap), object()
        self.assertEqual(
            redacted({"a": [str(cap), (1, str(cap).encode())], str(cap): other, "b": "c"}),
            {"a": [shown, (1, shown.encode())], shown: other, "b": "c"},
        )
        self.assertEqual(redacted(mark_safe(f"<b>{cap!s}</b>"))[:11], "<b>&lt;Cap ")
        self.assertTrue(hasattr(redacted(mark_safe(str(cap))), "__html__"))


class Logs(SynchronousTestCase):
    """Logs of the packages, and of requests by Django, in any handler."""

    def logged(self, name: str, message: Any, *arguments: Any, **options: Any) -> str:
        logger, lines = logging.getLogger(name), []

        class Lines(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                lines.append(f"{self.format(record)} {record.args!r}")

        self.patch(logger, "handlers", [Lines()])
        logger.error(message, *arguments, **options)
        return lines[0]

    def test_caps_in_messages_arguments_and_tracebacks(self) -> None:
        cap = new_cap()
        for name in ("tahoestorage", "txtahoe", "django.request", "django.server"):
            for message, arguments in (
                ("made %s", [cap]),
                ("made %(a)s", [{"a": str(cap), "b": str(cap)}]),
                (f"made {cap!s} 100%", []),
                (ValueError(str(cap)), []),
            ):
                line = self.logged(name, message, *arguments)
                self.assertIn(repr(cap), line)
                self.assertNotIn(str(cap), line)
            try:
                raise ValueError(str(cap))
            except ValueError:
                line = self.logged(name, "failed", exc_info=True)
            self.assertIn(f"ValueError: {cap!r}", line)
            self.assertNotIn(str(cap), line)

    def test_other_records_stay_as_they_are(self) -> None:
        self.assertEqual(self.logged("tahoestorage", "%s of %d", "a", 5), "a of 5 ('a', 5)")
        record = logging.LogRecord("a", logging.INFO, "f", 1, "%d", ("no number",), None)
        self.assertTrue(RedactCaps().filter(record))
        self.assertEqual(record.args, ("no number",))
