"""The base cap in a file, as containers mount secrets."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.db.migrations.writer import MigrationWriter
from django.test import override_settings

from tahoestorage import conf
from tahoestorage.storage import TahoeStorage
from tests.grid.case import make_directory
from tests.secrets.search import Secrets
from tests.secrets.test_search import new_cap
from tests.tahoestorage.case import StorageTestCase
from txtahoe import Cap


class CapFileTestCase(StorageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.override(
            TAHOE_STORAGE_BASE_URL=self.gateway,
            TAHOE_PUBLIC_BASE_URL="https://files.example.com/",
            STORAGES={"default": {"BACKEND": "tahoestorage.storage.TahoeStorage"}},
        )
        self.file = self.written(f"\n {self.cap} \n")

    def written(self, text: str | bytes, mode: int = 0o600) -> Path:
        path = Path(self.mktemp()).absolute()
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path


class CapFile(CapFileTestCase):
    def used(self, **settings: Any) -> str:
        """The cap that a storage uses with these settings."""
        with override_settings(**settings):
            return str(TahoeStorage().place[0].base_cap)

    def test_the_cap_file_is_read_and_used(self) -> None:
        self.override(TAHOE_STORAGE_BASE_CAP_FILE=str(self.file))
        name = TahoeStorage().save("f", ContentFile(b"in the file's directory"))
        self.assertEqual(self.read(name), b"in the file's directory")

    def test_an_option_wins_over_the_settings(self) -> None:
        other = make_directory(self.gateway)
        for options, expected in (
            ({"tahoe_base_cap_file": self.file}, self.cap),
            ({"tahoe_base_cap": other}, other),
        ):
            for settings in (
                {"TAHOE_STORAGE_BASE_CAP": str(new_cap())},
                {"TAHOE_STORAGE_BASE_CAP_FILE": self.written(str(new_cap()))},
            ):
                with override_settings(**settings):
                    storage = TahoeStorage(**options)  # type: ignore[arg-type]
                    self.assertEqual(str(storage.place[0].base_cap), expected)

    def test_an_empty_value_counts_as_not_given(self) -> None:
        file, cap = self.file, self.cap
        for nothing in ("", None):
            found = self.used(TAHOE_STORAGE_BASE_CAP=nothing, TAHOE_STORAGE_BASE_CAP_FILE=file)
            self.assertEqual(found, cap)
            found = self.used(TAHOE_STORAGE_BASE_CAP=cap, TAHOE_STORAGE_BASE_CAP_FILE=nothing)
            self.assertEqual(found, cap)

    def test_a_setting_that_changes_is_noticed(self) -> None:
        storage = TahoeStorage()
        for cap in (self.cap, str(new_cap())):
            with override_settings(TAHOE_STORAGE_BASE_CAP_FILE=self.written(cap)):
                self.assertEqual(str(storage.place[0].base_cap), cap)

    def test_migrations_and_pickles_have_the_path_and_no_cap(self) -> None:
        secrets = Secrets()
        secrets.add(Cap.parse(self.cap))
        storage = TahoeStorage(tahoe_base_cap_file=str(self.file))
        storage.save("f", ContentFile(b"x"))
        migration, pickled = MigrationWriter.serialize(storage)[0], pickle.dumps(storage)
        for text in (migration, pickled.decode("latin-1"), repr(vars(storage))):
            self.assertIn(str(self.file), text)
            self.assertEqual(secrets.found_in(text), set())
        self.patch(conf.basecap, "_remembered", {})  # as in another process
        self.assertTrue(pickle.loads(pickled).exists("f"))

    def test_a_pickle_of_the_cap_finds_it_in_the_file_of_the_settings(self) -> None:
        pickled = pickle.dumps(self.storage)
        self.patch(conf.basecap, "_remembered", {})
        self.override(TAHOE_STORAGE_BASE_CAP_FILE=self.file)
        self.assertEqual(str(pickle.loads(pickled).place[0].base_cap), self.cap)


class Mistakes(CapFileTestCase):
    """Each has an error that says what to mend, and a check; neither has a cap."""

    def problem(self, **settings: Any) -> tuple[str, list[str]]:
        """The error, and the ids of the checks."""
        with override_settings(**settings):
            error = self.assertRaises(ImproperlyConfigured, TahoeStorage().exists, "f")
            messages = run_checks(tags=["files"])
        secrets = Secrets()
        secrets.add(Cap.parse(self.cap))
        for message in messages:
            self.assertTrue(message.hint)
            self.assertEqual(secrets.found_in(f"{error} {message}"), set())
        return str(error), [str(message.id).removeprefix("tahoestorage.") for message in messages]

    def test_a_file_that_cannot_be_used(self) -> None:
        missing = self.file.with_name("missing")
        for file, why in {
            missing: f"{str(missing)!r}, which cannot be read: No such file",
            self.file.parent: "cannot be read: Is a directory",
            self.written(" \n"): "an empty file",
            5: "is '5', not the path of a file",
            "a\0b": "not the path of a file",
            self.cap: "is '<Cap DIR2 .*>', which cannot be read",
        }.items():
            error, ids = self.problem(TAHOE_STORAGE_BASE_CAP_FILE=file)
            self.assertRegex(error, "^TAHOE_STORAGE_BASE_CAP_FILE .or the option 'tahoe_base_cap_f")
            self.assertRegex(error, why)
            self.assertEqual(ids, ["E011"])

    def test_a_file_with_something_else(self) -> None:
        for content, why in (
            (self.cap[:-5], "malformed"),
            (f"{self.cap}\n{self.cap}", "one word of printable ASCII"),
            (b"\xff\xfe", "one word of printable ASCII"),
            (str(new_cap("CHK", ":2:3:6000")), "not the cap of a directory"),
        ):
            error, ids = self.problem(TAHOE_STORAGE_BASE_CAP_FILE=self.written(content))
            self.assertRegex(error, f"^TAHOE_STORAGE_BASE_CAP_FILE .*{why}")
            self.assertEqual(ids, ["E024"])

    def test_a_cap_and_a_file(self) -> None:
        error, ids = self.problem(
            TAHOE_STORAGE_BASE_CAP=self.cap, TAHOE_STORAGE_BASE_CAP_FILE=self.file
        )
        self.assertRegex(error, "TAHOE_STORAGE_BASE_CAP .* and .*_FILE .* both given: keep one")
        self.assertEqual(ids, ["E011"])
        both = TahoeStorage(tahoe_base_cap=self.cap, tahoe_base_cap_file=self.file)
        with self.assertRaisesRegex(ImproperlyConfigured, "both given"):
            both.exists("f")

    def test_a_file_that_others_can_use_is_a_warning(self) -> None:
        for mode in (0o600, 0o400, 0o640, 0o604):
            file = self.written(self.cap, mode)
            with override_settings(TAHOE_STORAGE_BASE_CAP_FILE=file):
                messages = run_checks(tags=["files"])
            said = [(message.id, f"{mode:04o}" in message.msg) for message in messages]
            self.assertEqual(said, [("tahoestorage.W004", True)] if mode & 0o077 else [])

    def test_a_read_cap_in_a_file_only_reads(self) -> None:
        file = self.written(str(Cap.parse(self.cap).reader))
        with override_settings(TAHOE_STORAGE_BASE_CAP_FILE=file):
            (message,) = run_checks(tags=["files"])
        self.assertEqual(message.id, "tahoestorage.W012")
        self.assertTrue(message.msg.startswith("TAHOE_STORAGE_BASE_CAP_FILE "))
