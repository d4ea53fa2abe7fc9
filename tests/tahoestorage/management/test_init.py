"""`manage.py tahoe init`, from nothing to a storage that works."""

from __future__ import annotations

import os

from django.core.files.base import ContentFile

from tahoestorage.storage import TahoeStorage
from tests.tahoestorage.management.case import CommandTestCase
from txtahoe import Cap
from txtahoe.testing.fake import FakeGateway


class Init(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.file = self.folder / "root.cap"
        self.use(tahoe_base_cap=None)

    def test_it_writes_the_cap_to_a_file_that_the_storage_reads(self) -> None:
        self.use(tahoe_base_cap=None, tahoe_base_cap_file=str(self.file))
        printed = self.run_verb("init")
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        self.assertNotIn("URI:", printed)
        for told in (str(self.file), self.gateway, "KEEP A COPY", "TAHOE_STORAGE_BASE_CAP_FILE"):
            self.assertIn(told, printed)
        name = self.storage.save("a/b.txt", ContentFile(b"content"))
        self.assertEqual(self.read(name), b"content")

    def test_it_prints_the_cap_and_the_settings_to_paste(self) -> None:
        printed = self.run_verb("init")
        settings: dict[str, str] = {}
        exec("\n".join(line[4:] for line in printed.splitlines() if line[:4] == "    "), settings)
        storage = TahoeStorage(
            tahoe_base_url=settings["TAHOE_STORAGE_BASE_URL"],
            tahoe_base_cap=settings["TAHOE_STORAGE_BASE_CAP"],
        )
        self.assertEqual(storage.listdir(""), ([], []))

    def test_json_has_the_cap_or_the_file(self) -> None:
        told = self.told("init")
        self.assertTrue(Cap.parse(told["cap"]).is_writable)
        self.assertIsNone(told["file"])
        told = self.told("init", "--file", str(self.file))
        self.assertEqual(set(told), {"url", "file"})
        self.assertTrue(Cap.parse(self.file.read_text()).is_writable)

    def test_an_existing_file_is_not_overwritten(self) -> None:
        self.file.write_text("the cap of other files")
        self.assertIn("not overwritten", self.fail_verb("init", "--file", str(self.file)))
        self.assertEqual(self.file.read_text(), "the cap of other files")

    def test_a_storage_with_a_directory_needs_force(self) -> None:
        self.use()
        said = self.fail_verb("init")
        self.assertIn("has a directory already", said)
        self.assertNotIn(self.cap[-20:], said)
        self.assertIn("URI:DIR2:", self.run_verb("init", "--force"))

    def test_too_few_servers_are_refused(self) -> None:
        said = self.fail_verb("init", "--servers", "9", "--file", str(self.file))
        self.assertIn("connected to 3 storage servers of the 9", said)
        self.assertFalse(self.file.exists())

    def test_missing_servers_are_an_error(self) -> None:
        fake = FakeGateway()
        with fake.listening() as url:
            self.use(tahoe_base_cap=None, tahoe_base_url=url)
            fake.servers = 2
            self.assertIn("connected to 2 storage servers of the 3", self.fail_verb("init"))
            # A directory would go to one server without an error; a file does not.
            fake.servers = 1
            self.assertIn("only 1 server", self.fail_verb("init", "--servers", "1"))
        self.assertNotIn("POST /uri?t=mkdir", fake.requests)

    def test_a_wrong_gateway_is_an_error(self) -> None:
        for url, said in (
            ("http://127.0.0.1:1/", "connection"),
            ("ftp://127.0.0.1/", "http"),
            (f"{self.gateway}statistics", ""),
        ):
            self.assertIn(said, self.fail_verb("init", "--gateway", url).lower())

    def test_an_unwritable_folder_is_an_error_before_a_directory_is_made(self) -> None:
        missing = str(self.folder / "missing" / "root.cap")
        self.assertIn("No such file", self.fail_verb("init", "--file", missing))
        self.assertEqual(os.listdir(self.folder), [])
