"""`manage.py tahoe cache`."""

from __future__ import annotations

from tests.tahoestorage.management.case import CommandTestCase


class Cache(CommandTestCase):
    def test_it_shows_and_clears_the_content_cache(self) -> None:
        self.use(content_cache=self.folder / "cache")
        self.assertEqual(self.told("cache")["bytes"], 0)
        self.assertFalse((self.folder / "cache").exists())
        self.save(a=b"s" * 10_000)
        self.assertEqual(self.told("cache")["bytes"], 12288)
        self.assertIn(str(self.folder / "cache"), self.run_verb("cache"))
        self.assertEqual(self.told("cache", "--clear")["bytes"], 0)
        self.assertEqual(self.told("cache")["bytes"], 0)

    def test_a_storage_without_one(self) -> None:
        self.assertIn("TAHOE_STORAGE_CONTENT_CACHE", self.fail_verb("cache"))

    def test_a_folder_with_other_files_is_not_cleared(self) -> None:
        (self.folder / "mine").write_text("mine")
        self.use(content_cache=self.folder)
        self.assertIn("has other files", self.fail_verb("cache", "--clear"))
        self.assertEqual((self.folder / "mine").read_text(), "mine")
