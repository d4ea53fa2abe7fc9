"""`manage.py tahoe upload`, and the spool in `status`."""

from __future__ import annotations

from unittest import mock

from attrs import evolve

from tahoestorage.health import health
from tests.tahoestorage.management.case import CommandTestCase
from txtahoe.errors import FileTooLarge
from txtahoe.spool import State, Uploader
from txtahoe.tree.tree import Tree


class Upload(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        wake = mock.patch.object(Uploader, "wake")
        wake.start()
        self.addCleanup(wake.stop)
        self.use(spool=self.folder / "spool", spool_min_free=0, base_url=None)

    def test_it_brings_the_spool_to_the_grid(self) -> None:
        self.assertEqual(self.told("upload")["files"], 0)
        self.save(a=b"one", b=b"two")
        told = self.told("status")["spool"]
        self.assertEqual((told["files"], told["bytes"], told["aside"]), (2, 6, {}))
        self.assertRegex(self.run_verb("status"), r"spool has 2 files of 6\sbytes; the oldest is")
        self.assertEqual(self.told("upload", "--wait")["files"], 0)
        self.assertIn("is empty", self.run_verb("upload"))
        self.use(base_url=None)
        self.assertEqual(len(self.storage.listdir("")[1]), 2)

    def test_files_that_cannot_be_saved_are_named(self) -> None:
        self.save(a=b"one")
        with mock.patch.object(Tree, "upload", side_effect=FileTooLarge("it is too large")):
            self.assertIn("are left", self.fail_verb("upload", "--wait", status=3))
            self.assertIn("cannot be saved", self.fail_verb("status", status=3))
            self.assertIn("it is too large", self.fail_verb("status", status=3))
            found = health(self.storage)
        self.assertEqual([problem.kind for problem in found.problems], ["spool"])
        self.assertTrue(found.is_ok)
        self.assertEqual(self.told("upload")["files"], 0)
        self.assertEqual(health(self.storage).problems, ())

    def test_notes_stay_until_they_are_forgotten(self) -> None:
        self.save(a=b"one")
        spool = self.storage.connection.spool
        assert spool is not None
        (entry,) = spool.below(())
        spool.update([evolve(entry, note="a name was taken", state=State.BESIDE)])
        self.assertIn("a name was taken", self.run_verb("upload"))
        self.assertIn("a name was taken", self.run_verb("status"))
        self.run_verb("upload", "--forget")
        self.assertNotIn("a name was taken", self.run_verb("status"))

    def test_a_file_that_is_pending_for_long_is_a_problem(self) -> None:
        self.save(a=b"one")
        spool = self.storage.connection.spool
        assert spool is not None
        (entry,) = spool.below(())
        self.assertEqual(health(self.storage).problems, ())
        spool.update([evolve(entry, since=entry.since - 4000)])
        self.assertEqual([problem.kind for problem in health(self.storage).problems], ["spool"])
        self.assertIs(entry.state, State.WAITING)

    def test_a_storage_without_one(self) -> None:
        self.use(spool=None)
        self.assertIn("TAHOE_STORAGE_SPOOL", self.fail_verb("upload"))
        self.assertIsNone(self.told("status")["spool"])
