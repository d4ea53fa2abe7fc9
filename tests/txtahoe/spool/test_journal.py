"""Entries of the journal: what replaces what, who sees what, and what the disk shows."""

from __future__ import annotations

import os
import stat
from shutil import rmtree
from unittest import mock

from attrs import evolve

from tests.txtahoe.spool.case import SpoolTestCase, directory_cap, forget_processes
from txtahoe.contentcache import BLOCK
from txtahoe.errors import ExistingChild, IsADirectory, NotADirectory
from txtahoe.nodes import Link
from txtahoe.spool import Spool, State
from txtahoe.spool.entries import is_pending
from txtahoe.spool.files import Damaged

SECRET = b"the secret bytes of a file " * 50


class Entries(SpoolTestCase):
    def test_a_new_spool_makes_nothing_on_the_disk_until_a_file_comes(self) -> None:
        self.assertIsNone(self.spool.find(("a",)))
        self.assertEqual(self.spool.below(()), [])
        self.assertFalse(self.spool.discard(("a",)))
        self.assertEqual(self.spool.summary().files, 0)
        self.assertFalse(self.path.exists())

    def test_a_saved_file_is_found_by_its_path_and_below_its_directories(self) -> None:
        self.save(("a", "b", "c.txt"), b"bytes")
        self.save(("a", "d.txt"))
        entry = self.spool.find(("a", "b", "c.txt"))
        assert entry is not None
        self.assertEqual((entry.size, entry.node.size, entry.node.is_directory), (5, 5, False))
        self.assertTrue(is_pending(entry.node.cap))
        self.assertEqual(self.read(("a", "b", "c.txt")), b"bytes")
        self.assertIsNone(self.spool.find(("a", "b")))
        below = {entry.path for entry in self.spool.below(("a",))}
        self.assertEqual(below, {("a", "b", "c.txt"), ("a", "d.txt")})
        self.assertEqual(len(self.spool.below(())), 2)
        self.assertEqual(self.spool.below(("a", "d.txt")), [])

    def test_files_of_all_sizes_can_be_read_from_any_position(self) -> None:
        for size in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5):
            content = os.urandom(size)
            number = self.save(("file",), content, replaces=True)
            opened = self.spool.open(number)
            assert opened is not None
            self.addCleanup(opened.close)
            self.assertEqual(b"".join(opened.chunks()), content)
            with self.assertRaises(Damaged):
                opened.read(max(size, 1) + BLOCK, 10)
            for offset in (0, 1, BLOCK - 1, BLOCK, size - 1):
                if 0 <= offset < size:
                    found = opened.read(offset, 10)
                    self.assertTrue(found)
                    self.assertEqual(content[offset : offset + len(found)], found)

    def test_a_name_that_is_pending_is_not_taken_again(self) -> None:
        self.save(("a",), b"first")
        with self.assertRaises(ExistingChild):
            self.save(("a",), b"second")
        self.assertEqual(self.read(("a",)), b"first")
        self.assertEqual(len(self.files()), 1)

    def test_a_file_that_replaces_any_takes_the_place_of_a_pending_one(self) -> None:
        self.save(("a",), b"first")
        self.save(("a",), b"second", replaces=True)
        self.assertEqual(self.read(("a",)), b"second")
        self.assertEqual(self.spool.summary().files, 1)

    def test_only_the_expected_pending_file_is_replaced(self) -> None:
        self.save(("a",), b"first")
        first = self.spool.find(("a",))
        assert first is not None
        self.save(("a",), b"second", expected=first.node.cap)
        with self.assertRaises(ExistingChild):
            self.save(("a",), b"third", expected=first.node.cap)
        self.assertEqual(self.read(("a",)), b"second")

    def test_a_file_is_no_directory_and_a_directory_no_file(self) -> None:
        self.save(("a", "b"))
        with self.assertRaises(NotADirectory):
            self.save(("a", "b", "c", "d"))
        with self.assertRaises(IsADirectory):
            self.save(("a",), replaces=True)
        self.assertEqual(self.spool.summary().files, 1)

    def test_a_file_that_is_only_here_is_discarded(self) -> None:
        self.save(("a",))
        self.assertTrue(self.spool.discard(("a",)))
        self.assertIsNone(self.spool.find(("a",)))
        self.assertFalse(self.spool.discard(("a",)))

    def test_a_file_whose_older_version_can_be_on_the_grid_is_not_discarded(self) -> None:
        number = self.save(("a",))
        cap = Link(self.now(self.client.upload(b"x" * 100))).cap
        self.spool.journal.change_all({number: lambda entry: evolve(entry, cap=cap)})
        self.assertFalse(self.spool.discard(("a",)))
        self.save(("a",), b"newer", replaces=True)
        entry = self.spool.find(("a",))
        assert entry is not None
        self.assertEqual((entry.cap, entry.ours), (None, (cap,)))
        self.assertFalse(self.spool.discard(("a",)))

    def test_a_replaced_file_can_be_read_by_readers_who_have_just_found_it(self) -> None:
        number = self.save(("a",), b"first")
        self.save(("a",), b"second", replaces=True)
        opened = self.spool.open(number)
        assert opened is not None
        self.assertEqual(opened.read(0, 99), b"first")
        opened.close()
        self.clock.advance(11)
        self.spool.clean()
        self.assertIsNone(self.spool.open(number))
        self.assertEqual(len(self.files()), 1)

    def test_a_restart_of_the_clock_delays_nothing(self) -> None:
        self.clock.advance(10**6)
        self.save(("a",))
        with mock.patch("txtahoe.spool.journal.monotonic", lambda: 5.0):
            self.assertEqual(len(self.spool.take(9, range(100))), 1)


class OnDisk(SpoolTestCase):
    def test_the_disk_shows_no_bytes_no_names_and_no_caps(self) -> None:
        number = self.save(("a directory", "the secret name.txt"), SECRET)
        cap = self.now(self.client.upload(SECRET))
        self.spool.journal.change_all(
            {number: lambda e: evolve(e, cap=cap, problem="a secret problem")}, "a secret message"
        )
        stored = b"".join(p.read_bytes() for p in self.path.rglob("*") if p.is_file())
        self.assertGreater(len(stored), len(SECRET))
        for text in (b"secret", b"a directory", str(cap).encode(), b"URI:"):
            self.assertNotIn(text, stored)

    def test_only_the_owner_can_open_the_folder(self) -> None:
        self.save(("a",))
        for path in (self.path, self.spool.path):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o700)
        for path in self.files():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_two_roots_in_one_folder_do_not_meet(self) -> None:
        self.save(("a",))
        other = Spool(self.path, directory_cap(2), min_free=0)
        self.assertIsNone(other.find(("a",)))

    def test_a_damaged_file_is_never_given_out(self) -> None:
        number = self.save(("a",), b"x" * 1000)
        (path,) = self.files()
        stored = bytearray(path.read_bytes())
        stored[-1] ^= 1
        path.write_bytes(stored)
        opened = self.spool.open(number)
        assert opened is not None
        self.addCleanup(opened.close)
        with self.assertRaisesRegex(OSError, "damaged"):
            opened.read(0, 1000)

    def test_a_file_for_which_there_is_no_room_leaves_nothing(self) -> None:
        self.spool = self.new_spool(max_bytes=300_000)
        self.save(("a",), b"x" * 200_000)
        with self.assertRaisesRegex(OSError, "no room"):
            self.save(("b",), b"x" * 200_000)
        self.assertEqual(len(self.files()), 1)
        self.spool = self.new_spool(min_free=2**62)
        with self.assertRaisesRegex(OSError, "no room"):
            self.save(("c",), b"x")

    def test_a_file_whose_source_fails_leaves_nothing(self) -> None:
        def failing():  # type: ignore[no-untyped-def]
            yield b"x" * 10**6
            raise ValueError("the source has failed")

        with self.assertRaises(ValueError), self.spool.writing(failing()):
            self.fail("the file was not whole")
        self.assertEqual(self.files(), [])

    def test_a_save_that_is_interrupted_after_its_commit_is_whole(self) -> None:
        self.save(("a",), b"older")
        add = self.spool.journal.add

        def interrupted(*args: object) -> None:
            add(*args)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        with (
            mock.patch.object(self.spool.journal, "add", interrupted),
            self.assertRaises(KeyboardInterrupt),
        ):
            self.save(("a",), b"newer", replaces=True)
        self.assertEqual(self.read(("a",)), b"newer")

    def test_the_file_of_a_dead_process_is_swept_away(self) -> None:
        self.save(("a",))
        with self.spool.writing([b"of a living process"]):
            self.spool.sweep()
            self.assertEqual(len(self.files()), 2)
            forget_processes()  # as if it were dead
            self.spool.sweep()
            self.assertEqual(len(self.files()), 1)
        self.assertEqual(self.read(("a",)), b"content")

    def test_a_folder_that_was_removed_is_made_again_for_the_next_file(self) -> None:
        self.save(("a",))
        rmtree(self.path)
        self.assertIsNone(self.spool.find(("a",)))
        self.assertTrue(self.upload())
        self.save(("b",), b"newer")
        forget_processes()
        self.assertEqual(self.read(("b",)), b"newer")

    def test_a_folder_that_vanishes_is_no_missing_file(self) -> None:
        self.save(("a",))
        rmtree(self.path)
        with self.assertRaises(OSError) as caught:
            self.spool.journal.find(("a",))
        self.assertNotIsInstance(caught.exception, FileNotFoundError)
        with self.assertRaises(OSError) as caught:
            self.spool.journal.discard(("a",))
        self.assertNotIsInstance(caught.exception, FileNotFoundError)

    def test_what_was_linked_answers_for_a_while_and_is_then_gone(self) -> None:
        number = self.save(("a",), b"x" * 100)
        cap = self.now(self.client.upload(b"x" * 100))
        self.spool.journal.change_all(
            {
                number: lambda e: evolve(
                    e, cap=cap, state=State.LINKED, due=self.clock.seconds() + 10
                )
            }
        )
        self.spool.clean()
        entry = self.spool.find(("a",))
        assert entry is not None
        self.assertEqual((entry.node.cap, len(self.files())), (cap, 1))
        self.clock.advance(11)
        self.assertIsNone(self.spool.find(("a",)))
        self.spool.clean()
        self.assertEqual(len(self.files()), 1)  # somebody can just have found it
        self.clock.advance(11)
        self.spool.clean()
        self.assertEqual(self.files(), [])
        self.clock.advance(3700)
        self.spool.clean()
        self.assertFalse(self.spool.journal.is_known(number))
        self.assertEqual(self.spool.journal.next_due(), None)
