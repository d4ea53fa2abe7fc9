"""The search finds caps: otherwise its silence would prove nothing."""

from __future__ import annotations

import logging
import warnings
from base64 import b32encode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from random import randbytes
from typing import Any
from unittest import mock
from urllib.parse import quote

from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from tests.secrets import collect
from tests.secrets.collect import Collector
from tests.secrets.search import PIECE, Secrets
from txtahoe import Cap
from txtahoe.errors import SomeFailed


def base32(size: int) -> str:
    return b32encode(randbytes(size)).decode().rstrip("=").lower()


def new_cap(kind: str = "DIR2", numbers: str = "") -> Cap:
    return Cap.parse(f"URI:{kind}:{base32(16)}:{base32(32)}{numbers}")


class Search(SynchronousTestCase):
    def setUp(self) -> None:
        self.secrets = Secrets()
        self.cap = new_cap()
        self.secrets.add(self.cap)

    def assert_found(self, text: str) -> None:
        self.assertTrue(self.secrets.found_in(text), text)

    def test_a_cap_is_found_in_every_form(self) -> None:
        text = str(self.cap)
        self.assert_found(text)
        self.assert_found(text.upper())
        self.assert_found(f"<{quote(text, safe='')}>")
        self.assert_found("".join(f"%{ord(character):02x}" for character in text))
        for before in range(4):
            for encode in (b64encode, urlsafe_b64encode):
                self.assert_found(f"x {encode(b'-' * before + text.encode()).decode()} x")

    def test_every_piece_of_its_key_and_of_its_hash_is_found(self) -> None:
        _, _, *fields = str(self.cap).split(":")
        for field in fields:
            for start in range(len(field) - PIECE + 1):
                piece = field[start : start + PIECE]
                self.assert_found(f"({piece})")
                self.assert_found(b64encode(f"({piece})".encode()).decode())

    def test_a_literal_is_found(self) -> None:
        self.secrets.add(Cap.parse("URI:LIT:me"))
        self.assert_found("the cap URI:LIT:me is here")

    def test_a_fingerprint_is_not_taken_for_the_cap(self) -> None:
        self.assertEqual(self.secrets.found_in(f"{self.cap!r} {self.cap.storage_index}"), set())
        assert self.cap.verifier is not None
        secrets = Secrets()
        secrets.add(self.cap.verifier)
        self.assertEqual(secrets.found_in(str(self.cap.storage_index)), set())

    def test_another_cap_is_not_taken_for_the_secret(self) -> None:
        self.assertEqual(self.secrets.found_in(str(new_cap())), set())


class Collecting(SynchronousTestCase):
    """The collector notices each way of showing a cap, and names the place."""

    def leaks_of(self, say: Callable[[Collector, Cap], Any]) -> str:
        with Collector() as collector:
            say(collector, new_cap())
        return "\n".join(collector.leaks())

    def test_logs_of_python(self) -> None:
        leaks = self.leaks_of(lambda _, cap: logging.getLogger("a.b").debug("made %s", cap))
        self.assertIn("e.g. log", leaks)

    def test_logs_of_twisted(self) -> None:
        leaks = self.leaks_of(lambda _, cap: Logger("c.d").debug("{cap!s}", cap=cap))
        self.assertIn("e.g. Twisted's log", leaks)

    def test_warnings(self) -> None:
        leaks = self.leaks_of(lambda _, cap: warnings.warn(f"{cap!s}", stacklevel=1))
        self.assertIn("e.g. warning", leaks)

    def test_reprs(self) -> None:
        leaks = self.leaks_of(lambda collector, cap: collector.value([str(cap)], "here"))
        self.assertIn("repr of list", leaks)

    def test_texts_notes_hidden_causes_and_parts_of_exceptions(self) -> None:
        def note(error: Exception, cap: Cap) -> Exception:
            error.add_note(str(cap))
            return error

        def hidden(cap: Cap) -> Exception:
            error = ValueError("harmless")
            error.__context__, error.__suppress_context__ = LookupError(str(cap)), True
            return error

        for make in (
            lambda cap: ValueError(str(cap)),
            lambda cap: note(ValueError("harmless"), cap),
            hidden,
            lambda cap: SomeFailed("harmless", [ValueError(str(cap))]),
        ):
            leaks = self.leaks_of(lambda collector, cap: collector.exception(make(cap), "here"))
            self.assertIn("here", leaks)

    def test_variables_of_the_packages_frames_and_of_no_others(self) -> None:
        def fail(collector: Collector, cap: Cap) -> None:
            text = str(cap)
            try:
                raise ValueError(len(text))
            except ValueError as error:
                collector.exception(error, "here")

        self.assertEqual(self.leaks_of(fail), "")
        with mock.patch.object(collect, "_PACKAGES", (__file__,)):
            leaks = self.leaks_of(fail)
        self.assertIn("fail() text", leaks)
        self.assertIn("verbose failure", leaks)

    def test_weaker_caps_are_secrets_too(self) -> None:
        def say(collector: Collector, cap: Cap) -> None:
            collector.value(str(cap.reader).split(":")[2], "here")

        self.assertIn("DIR2-RO", self.leaks_of(say))
