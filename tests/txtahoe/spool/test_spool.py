"""Entries of a spool: what replaces what, who sees what, and what the disk shows."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path as FolderPath
from shutil import rmtree
from sqlite3 import Connection
from time import time
from typing import Any
from unittest import mock

from attrs import evolve

from tests.txtahoe.spool.case import SpoolTestCase, directory_cap, forget_processes
from txtahoe.contentcache import BLOCK
from txtahoe.errors import ExistingChild, IsADirectory, NoSuchChild, NotADirectory
from txtahoe.nodes import Node
from txtahoe.spool import Entry, Spool, State, Summary
from txtahoe.spool.database import _inherited
from txtahoe.spool.files import Damaged
from txtahoe.spool.uploader import after

SECRET = b"the secret bytes of a file " * 50


class Entries(SpoolTestCase):
    def test_a_new_spool_makes_nothing_on_the_disk_until_a_file_comes(self) -> None:
        self.assertIsNone(self.spool.find(("a",)))
        self.assertEqual(self.spool.below(()), [])
        self.assertEqual(self.spool.summary(), Summary())
        self.spool.tidy()
        self.spool.again()
        self.spool.forget_notes()
        self.assertFalse(self.path.exists())

    def test_a_saved_file_is_found_by_its_path_and_below_its_directories(self) -> None:
        self.save(("a", "b", "c.txt"), b"bytes")
        self.save(("a", "d.txt"))
        entry = self.entry(("a", "b", "c.txt"))
        self.assertEqual((entry.size, entry.node.size, entry.node.is_directory), (5, 5, False))
        self.assertFalse(entry.node.cap.is_known)
        self.assertEqual(self.read(("a", "b", "c.txt")), b"bytes")
        self.assertIsNone(self.spool.find(("a", "b")))
        below = {entry.path for entry in self.spool.below(("a",))}
        self.assertEqual(below, {("a", "b", "c.txt"), ("a", "d.txt")})
        self.assertEqual(len(self.spool.below(())), 2)
        self.assertEqual(self.spool.below(("a", "d.txt")), [])

    def test_files_of_all_sizes_can_be_read_from_any_position(self) -> None:
        for size in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5):
            content = os.urandom(size)
            self.save(("file",), content, over=True)
            opened, _ = self.spool.open(self.entry(("file",)).node)
            assert opened is not None
            self.addCleanup(opened.close)
            self.assertEqual(b"".join(opened.chunks()), content)
            for offset in (size, max(size, 1) + BLOCK):
                with self.assertRaises(Damaged):
                    opened.read(offset, 10)
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
        self.save(("a",), b"second", over=True)
        self.assertEqual(self.read(("a",)), b"second")
        self.assertEqual(self.spool.summary().files, 1)

    def test_only_the_expected_pending_file_is_replaced(self) -> None:
        self.save(("a",), b"first")
        first = self.entry(("a",)).node
        self.save(("a",), b"second", expected=first)
        with self.assertRaises(ExistingChild):
            self.save(("a",), b"third", expected=first)
        self.assertEqual(self.read(("a",)), b"second")

    def test_the_summary_tells_the_problem_that_came_last(self) -> None:
        for name, due, tries in (("often", 5.0, 9), ("last", 6.0, 1)):
            self.save((name,))
            entry = evolve(self.entry((name,)), due=due, tries=tries, problem=name)
            self.spool.update([entry])
        self.assertEqual(self.spool.summary().problem, "last")

    def test_a_file_is_no_directory_and_a_directory_no_file(self) -> None:
        self.save(("a", "b"))
        self.save(("file",))
        for below in (("a", "b", "c", "d"), ("file", "below")):
            with self.assertRaises(NotADirectory):
                self.save(below)
        with self.assertRaises(IsADirectory):
            self.save(("a",), over=True)
        self.assertEqual(self.spool.summary().files, 2)

    def test_a_file_whose_bytes_are_on_the_grid_can_be_the_first_one(self) -> None:
        cap = self.now(self.client.upload(b"x" * 100))
        self.spool.add(Entry(("a",), size=100, cap=cap, state=State.UPLOADED))
        self.assertEqual(self.entry(("a",)).node.cap, cap)
        self.upload()
        self.assertEqual(self.on_grid(), {("a",): b"x" * 100})

    def test_a_file_that_is_only_here_is_discarded(self) -> None:
        self.save(("a",))
        entry = self.entry(("a",))
        self.assertTrue(self.spool.discard(entry))
        self.assertIsNone(self.spool.find(("a",)))
        self.assertEqual(self.files(), [])
        self.assertFalse(self.spool.discard(entry))

    def test_a_file_that_can_be_on_the_grid_is_discarded_only_when_it_is_not_there_any_more(
        self,
    ) -> None:
        self.save(("a",))
        before = self.entry(("a",))
        cap = self.uploaded(("a",), b"x" * 100)
        self.assertFalse(self.spool.discard(before))
        self.save(("a",), b"newer", expected=self.entry(("a",)).node)
        entry = self.entry(("a",))
        self.assertEqual((entry.cap, entry.over), (None, (cap,)))
        self.assertFalse(self.spool.discard(entry))
        self.assertTrue(self.spool.discard(entry, is_linked=True))

    def test_versions_that_can_be_on_the_grid_are_taken_over(self) -> None:
        grid = Node("filenode", self.now(self.client.upload(b"on the grid" * 9)))
        self.save(("a",), b"one", expected=grid)
        self.save(("a",), b"two", expected=self.entry(("a",)).node)
        self.assertEqual(self.entry(("a",)).over, (grid.cap,))
        cap = self.uploaded(("a",), b"two" * 20)
        self.save(("a",), b"three", expected=self.entry(("a",)).node)
        self.assertEqual(self.entry(("a",)).over, (grid.cap, cap))
        self.save(("a",), b"four", over=True)
        self.save(("a",), b"five", expected=self.entry(("a",)).node)
        self.assertIs(self.entry(("a",)).over, True)
        self.uploaded(("a",), b"five" * 20)
        self.save(("a",), b"six", expected=self.entry(("a",)).node)
        self.assertIs(self.entry(("a",)).over, True)

    def test_versions_that_were_replaced_are_not_taken_over(self) -> None:
        for over in (True, (self.root,)):
            self.save(("a",), b"one", over=over)
            cap = self.uploaded(("a",), b"one" * 30)
            self.spool.update([after(self.entry(("a",)), State.LINKED)])
            self.save(("a",), b"two", expected=self.entry(("a",)).node)
            self.assertEqual(self.entry(("a",)).over, (cap,))

    def test_a_replaced_file_leaves_nothing_but_can_be_read_to_its_end(self) -> None:
        self.save(("a",), b"first")
        node = self.entry(("a",)).node
        opened, _ = self.spool.open(node)
        self.save(("a",), b"second", over=True)
        assert opened is not None
        self.addCleanup(opened.close)
        self.assertEqual(opened.read(0, 99), b"first")
        with self.assertRaises(NoSuchChild):
            self.spool.open(node)
        self.assertEqual(len(self.files()), 1)

    def test_entries_that_threads_add_at_a_time_are_synced_together(self) -> None:
        self.save(("first",))
        turn, waiting = self.spool._adding[os.getpid()]
        with mock.patch("txtahoe.spool.spool.sync_folder") as sync, ThreadPoolExecutor(16) as pool:
            with turn:
                saves = [pool.submit(self.save, (f"{n % 15}",), b"%d" % n) for n in range(16)]
                while len(waiting) < 16:
                    pass
            errors = [save.exception() for save in saves]
        self.assertEqual(sync.call_count, 1)
        (refused,) = [error for error in errors if error is not None]
        self.assertIsInstance(refused, ExistingChild)
        self.assertEqual(self.spool.summary().files, 16)
        self.assertEqual(len(self.files()), 16)

    def test_each_thread_is_told_why_its_entry_is_not_saved(self) -> None:
        self.save(("taken",))
        use = self.spool._database.use

        @contextmanager
        def failing(*, changes: bool = False) -> Iterator[Connection]:
            with use(changes=changes) as connection:
                yield connection
                if changes:
                    raise OSError(errno.EIO, "the disk is broken")

        turn, waiting = self.spool._adding[os.getpid()]
        broken = mock.patch.object(self.spool._database, "use", failing)
        with broken, ThreadPoolExecutor(3) as pool:
            with turn:
                saves = [pool.submit(self.save, (name,)) for name in ("taken", "b", "c")]
                while len(waiting) < 3:
                    pass
            taken, *others = [save.exception() for save in saves]
        self.assertIsInstance(taken, ExistingChild)
        self.assertEqual([str(error) for error in others], ["[Errno 5] the disk is broken"] * 2)
        self.assertIsNot(*others)  # each thread adds its frames to it
        self.assertEqual(self.spool.summary().files, 1)
        self.assertEqual(len(self.files()), 1)

    def test_a_restart_of_the_clock_delays_nothing(self) -> None:
        self.clock.advance(10**6)
        self.save(("a",))
        with mock.patch("txtahoe.spool.spool.monotonic", lambda: 5.0):
            self.assertEqual(len(self.spool.due(range(100), 9)), 1)


class OnDisk(SpoolTestCase):
    def test_the_disk_shows_no_bytes_no_names_and_no_caps(self) -> None:
        path = "a directory", "the secret name.txt"
        self.save(path, SECRET)
        cap = self.uploaded(path, SECRET)
        entry = evolve(self.entry(path), problem="a secret problem", note="a secret note")
        self.spool.update([entry])
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

    def test_the_bytes_are_synced_before_the_journal_tells_of_them(self) -> None:
        steps: list[str] = []
        fsync, insert = os.fsync, self.spool._insert

        def synced(opened: int) -> None:
            fsync(opened)
            told = os.fstat(opened)
            is_folder = stat.S_ISDIR(told.st_mode)
            steps.append("folder" if is_folder else f"file of {told.st_size}")

        def inserted(*args: Any) -> Any:
            steps.append("journal")
            return insert(*args)

        with (
            mock.patch.object(os, "fsync", synced),
            mock.patch.object(self.spool, "_insert", inserted),
        ):
            self.save(("first",))
            self.save(("second",))
        made = ["folder"] * 2
        each = [[f"file of {path.stat().st_size}", "folder", "journal"] for path in self.files()]
        self.assertEqual(steps, [*made, *each[0], *each[1]])
        with self.spool._database.use() as connection:
            for name, value in (("journal_mode", "wal"), ("synchronous", 2)):
                self.assertEqual(connection.execute(f"PRAGMA {name}").fetchone(), (value,))

    def test_two_processes_can_make_the_journal_at_a_time(self) -> None:
        self.save(("a",))
        self.spool._database.make()
        self.assertEqual(self.read(("a",)), b"content")
        names = {path.name for path in self.spool.path.glob("journal.*")}
        self.assertLessEqual(names, {f"journal.sqlite3{suffix}" for suffix in ("", "-wal", "-shm")})

    def test_a_journal_that_cannot_be_made_is_an_os_error_and_leaves_nothing(self) -> None:
        schema = "PRAGMA journal_mode = WAL; CREATE TABLE a (b); as on a full disk"
        with (
            mock.patch("txtahoe.spool.database._SCHEMA", schema),
            self.assertRaisesRegex(OSError, "the journal of the spool .* cannot be used"),
        ):
            self.save(("a",))
        self.assertEqual(list(self.spool.path.iterdir()), [])
        self.save(("a",))

    def test_two_roots_in_one_folder_do_not_meet(self) -> None:
        self.save(("a",))
        self.root = directory_cap(2)
        self.spool = self.new_spool()
        self.assertIsNone(self.spool.find(("a",)))
        self.save(("b",))
        self.assertEqual([entry.path for entry in self.spool.below(())], [("b",)])

    def test_later_releases_find_the_files_of_earlier_ones(self) -> None:
        spool = Spool(self.path, directory_cap(2))
        self.assertEqual(spool.path.name, "259afeebb5880814")
        self.assertEqual(spool._place(("d", "é.txt")).hex(), "9524b506c2a00deb8d54666706821e30")

    def test_a_damaged_file_is_never_given_out(self) -> None:
        self.save(("a",), b"x" * 1000)
        (path,) = self.files()
        stored = bytearray(path.read_bytes())
        stored[-1] ^= 1
        path.write_bytes(stored)
        opened, _ = self.spool.open(self.entry(("a",)).node)
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

    def test_some_of_the_disk_stays_free(self) -> None:
        self.spool = self.new_spool(min_free=100_000)
        disk = mock.Mock(f_bavail=100, f_frsize=1000)
        with mock.patch("os.statvfs", return_value=disk):
            self.save(("a",))
            disk.f_bavail = 99
            with self.assertRaisesRegex(OSError, "no room"):
                self.save(("b",))
        self.assertEqual(len(self.files()), 1)

    def test_a_file_whose_source_fails_leaves_nothing(self) -> None:
        def failing():  # type: ignore[no-untyped-def]
            yield b"x" * 10**6
            raise ValueError("the source has failed")

        with self.assertRaises(ValueError):
            self.spool.write(Entry(("a",)), failing())
        self.assertEqual(self.files(), [])

    def test_a_save_that_is_interrupted_after_its_commit_is_whole(self) -> None:
        self.save(("a",), b"older")
        remove = mock.patch.object(self.spool, "remove", side_effect=KeyboardInterrupt)
        with remove, self.assertRaises(KeyboardInterrupt):
            self.save(("a",), b"newer", over=True)
        self.assertEqual(self.read(("a",)), b"newer")
        self.save(("b",), b"another")
        self.assertEqual(self.read(("a",)), b"newer")
        self.assertEqual(self.spool.summary().files, 2)

    def test_a_save_that_is_interrupted_is_not_made_later_over_a_newer_file(self) -> None:
        older = self.spool.write(Entry(("a",), over=True), [b"older"])
        interrupt = mock.patch.object(self.spool, "_add", side_effect=KeyboardInterrupt)
        with interrupt, self.assertRaises(KeyboardInterrupt):
            self.spool.add(older)
        process = self.new_spool()
        process.add(process.write(Entry(("a",), over=True), [b"newer"]))
        self.save(("b",), b"another")
        self.assertEqual(self.read(("a",)), b"newer")

    def test_a_pending_file_whose_bytes_are_gone_is_damaged(self) -> None:
        self.save(("a",))
        (path,) = self.files()
        path.unlink()
        with self.assertRaises(Damaged):
            self.read(("a",))

    def test_files_that_somebody_has_exchanged_are_damaged(self) -> None:
        self.save(("a",), b"of a")
        self.save(("b",), b"of b")
        one, two = self.files()
        one.rename(self.spool.path / "other")
        two.rename(one)
        (self.spool.path / "other").rename(two)
        self.entry(("a",))
        before = len(os.listdir("/dev/fd"))
        for name in ("a", "b"):
            with self.assertRaises(Damaged):
                self.read((name,))
        self.assertEqual(len(os.listdir("/dev/fd")), before)

    def test_a_file_that_cannot_be_removed_is_no_failure_of_a_save(self) -> None:
        self.save(("a",), b"older")
        problem = PermissionError("the folder is read-only")
        with mock.patch("pathlib.Path.unlink", side_effect=problem):
            self.save(("a",), b"newer", over=True)
        self.assertEqual(self.read(("a",)), b"newer")

    def test_files_that_are_not_of_the_spool_stay(self) -> None:
        self.save(("a",))
        others = [self.spool.path / name for name in ("notes.file", "cafe.txt")]
        for path in others:
            path.touch()
            os.utime(path, (0, 0))
        self.spool.tidy()
        for path in others:
            self.assertTrue(path.exists(), path)

    def test_files_that_are_removed_while_the_folder_is_tidied_are_no_failure(self) -> None:
        self.save(("a",))
        file = mock.Mock(stat=mock.Mock(side_effect=FileNotFoundError))
        file.name = "00.file"
        with mock.patch("os.scandir") as scandir:
            scandir.return_value.__enter__.return_value = [file]
            self.spool.tidy()

    def test_a_damaged_entry_can_be_replaced(self) -> None:
        self.save(("a",), b"older")
        with self.spool._database.use(changes=True) as connection:
            connection.execute("UPDATE entries SET sealed = x'00'")
        self.assertFalse(self.spool.has_work())
        self.save(("a",), b"newer", over=True)
        self.assertEqual(self.read(("a",)), b"newer")

    def test_a_process_that_was_forked_without_python_uses_no_connection_of_its_parent(
        self,
    ) -> None:
        self.save(("a",))
        with self.spool._database.use() as connection:
            of_parent = connection
        with self.spool._database.use() as connection:
            self.assertIs(connection, of_parent)
        with mock.patch("os.getpid", return_value=-1):
            with self.spool._database.use() as connection:
                self.assertIsNot(connection, of_parent)
            self.assertEqual(self.read(("a",)), b"content")
        of_parent.execute("SELECT 1")  # it is not closed
        self.assertIn(of_parent, _inherited)  # Python does not close it either

    def test_a_file_without_an_entry_is_removed_when_it_was_left_alone_for_an_hour(self) -> None:
        self.save(("a",))
        entry = self.spool.write(Entry(("b",)), [b"of a process that died"])
        self.spool.tidy()
        self.assertEqual(len(self.files()), 2)
        for path in self.files():
            os.utime(path, (0, time() - 3700))
        self.spool.tidy()
        self.assertEqual(len(self.files()), 1)
        self.assertEqual(self.read(("a",)), b"content")
        with self.assertRaises(Damaged):  # its process has only slept
            self.spool.add(entry)
        self.assertIsNone(self.spool.find(("b",)))

    def test_a_file_that_gets_its_entry_while_the_folder_is_tidied_keeps_its_bytes(self) -> None:
        self.save(("a",))
        entry = self.spool.write(Entry(("b",)), [b"of a process that has slept"])
        os.utime(self.spool._file(entry.number), (0, 0))
        scandir = os.scandir
        adding: list[Future[None]] = []

        def late(path: FolderPath) -> Any:
            adding.append(pool.submit(self.new_spool().add, entry))
            wait(adding, 0.1)  # it waits for the end of this, and so does not end here
            return scandir(path)

        with ThreadPoolExecutor(1) as pool, mock.patch("os.scandir", late):
            self.spool.tidy()
        self.assertIsInstance(adding[0].exception(), Damaged)
        self.assertIsNone(self.spool.find(("b",)))

    def test_a_folder_that_was_removed_is_made_again_for_the_next_file(self) -> None:
        self.save(("a",))
        entry = self.entry(("a",))
        rmtree(self.path)
        self.assertIsNone(self.spool.find(("a",)))
        self.assertFalse(self.spool.discard(entry))
        self.assertTrue(self.upload())
        self.save(("b",), b"newer")
        forget_processes()
        self.assertEqual(self.read(("b",)), b"newer")
        self.spool = self.new_spool()  # as another process, which has not the folder of before
        self.assertEqual(self.read(("b",)), b"newer")

    def test_a_folder_that_vanishes_is_no_missing_file(self) -> None:
        self.save(("a",))
        rmtree(self.path)
        with self.assertRaises(OSError) as caught:
            with self.spool._database.use():
                pass
        self.assertNotIsInstance(caught.exception, FileNotFoundError)

    def test_a_linked_file_answers_for_a_while_and_tells_its_cap_for_an_hour(self) -> None:
        self.clock.advance(1000)
        self.save(("a",), b"x" * 100)
        opened = self.entry(("a",)).node
        cap = self.uploaded(("a",), b"x" * 100)
        self.spool.update([after(self.entry(("a",)), State.LINKED)])
        self.assertEqual(self.files(), [])
        self.assertEqual(self.entry(("a",)).node.cap, cap)
        self.assertEqual(self.spool.open(opened), (None, cap))
        self.assertEqual(self.spool.open(self.entry(("a",)).node), (None, cap))
        self.assertEqual([entry.path for entry in self.spool.below(())], [("a",)])
        self.clock.advance(10)
        self.spool.tidy()
        self.assertIsNone(self.spool.find(("a",)))
        self.assertEqual(self.spool.below(()), [])
        self.clock.advance(3000)
        self.spool.tidy()
        self.save(("a",), b"newer", expected=opened)
        self.assertEqual(self.entry(("a",)).over, (cap,))

    def test_files_that_were_linked_long_ago_do_not_slow_the_list_of_a_directory(self) -> None:
        for number in range(5):
            self.save(("d", f"{number}"))
        self.upload()
        self.clock.advance(11)
        self.save(("d", "new"))
        with mock.patch.object(self.spool, "_entry", wraps=self.spool._entry) as opened:
            self.assertEqual([entry.path for entry in self.spool.below(("d",))], [("d", "new")])
        self.assertEqual(opened.call_count, 1)

    def test_after_an_hour_nothing_is_left_of_a_file(self) -> None:
        self.save(("a",), b"x" * 100)
        opened = self.entry(("a",)).node
        self.uploaded(("a",), b"x" * 100)
        self.spool.update([after(self.entry(("a",)), State.LINKED)])
        self.clock.advance(3700)
        self.spool.tidy()
        with self.assertRaises(NoSuchChild):
            self.spool.open(opened)
        with self.assertRaises(ExistingChild):
            self.save(("a",), b"newer", expected=opened)

    def test_a_damaged_entry_is_no_missing_file_and_hinders_no_other(self) -> None:
        number = self.save(("a",))
        self.save(("b",))
        with self.spool._database.use(changes=True) as connection:
            connection.execute("UPDATE entries SET sealed = x'00' WHERE number = ?", (number,))
        with self.assertRaisesRegex(OSError, "damaged"):
            self.spool.find(("a",))
        with self.assertLogs("txtahoe", "ERROR"):
            self.assertTrue(self.upload())
        self.assertEqual(list(self.on_grid()), [("b",)])
