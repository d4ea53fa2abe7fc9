"""The folder of a content cache: its bound, its failures, and the processes that share it."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

from tests.txtahoe.contentcache.case import CacheTestCase, cap_of, content_of
from tests.txtahoe.contentcache.stress import COPY, Stress
from txtahoe.contentcache import BLOCK, ContentCache, cache, ledger
from txtahoe.contentcache.ledger import Folder, Usage


@contextmanager
def failing(function: str, number: int) -> Iterator[None]:
    """For this block, changes of the folder fail with this error."""
    error = OSError(number, os.strerror(number))
    if function == "open":
        really = os.open

        def open_to_read(path: Any, flags: int, mode: int) -> int:
            if flags & os.O_RDWR:
                raise error
            return really(path, flags, mode)

        with mock.patch.object(ledger.os, "open", open_to_read):
            yield
        return

    class Full(ledger.BufferedRandom):
        def write(self, data: Any) -> int:
            raise error

    def opened(number: int, mode: str) -> Any:
        return Full(open(number, mode, buffering=0))

    with mock.patch.object(ledger, "open", opened, create=True):
        yield


class Bound(CacheTestCase):
    def age(self, number: int, seconds: float) -> None:
        name = cap_of(number, 10_000).storage_index
        (copy,) = self.path.glob(f"*/{name}")
        os.utime(copy, (time.time() - seconds,) * 2)

    def kept(self, numbers: range) -> list[int]:
        return [number for number in numbers if self.is_kept(number)]

    def test_the_least_recently_used_copies_go_first(self) -> None:
        cache = self.new_cache(max_bytes=10 * COPY, max_file_bytes=10_000)
        for number in range(10):
            self.keep(number, cache=cache)
            self.age(number, 100 - number)
        self.assertTrue(self.is_kept(0))  # it is not the oldest one any more
        self.keep(10, cache=cache)
        self.assertEqual(self.kept(range(11)), [0, 2, 3, 4, 5, 6, 7, 8, 9, 10])

    def test_the_folder_never_grows_larger(self) -> None:
        cache = self.new_cache(max_bytes=20 * COPY)
        for number in range(200):
            self.keep(number, 10_000, cache)
            self.assertLessEqual(self.size_on_disk(), 20 * COPY)
        self.assertGreaterEqual(len(self.files()), 17)

    def test_one_large_file_takes_the_place_of_many(self) -> None:
        cache = self.new_cache(max_bytes=4 * BLOCK + 100_000, max_file_bytes=4 * BLOCK)
        for number in range(150):
            self.keep(number, 1, cache)
        self.keep(150, 4 * BLOCK, cache)
        self.assertTrue(self.is_kept(150, 4 * BLOCK))
        self.assertLessEqual(self.size_on_disk(), 4 * BLOCK + 100_000)

    def test_a_smaller_bound_is_reached_by_and_by(self) -> None:
        for number in range(300):
            self.keep(number)
        self.keep(300, cache=self.new_cache(max_bytes=300 * COPY, max_file_bytes=10_000))
        self.assertGreater(len(self.files()), 280)  # few go at a time
        cache = self.new_cache(max_bytes=50 * COPY, max_file_bytes=3 * BLOCK)
        self.save(999, 3 * BLOCK, cache)
        self.assertEqual(cache.read(cap_of(999, 3 * BLOCK), BLOCK, BLOCK), b"")
        sizes = []
        for number in range(301, 321):
            before = self.size_on_disk()
            self.keep(number, cache=cache)
            sizes.append(self.size_on_disk())
            self.assertLess(sizes[-1], max(before, 50 * COPY + 1))
            self.assertFalse(sizes[-1] > 50 * COPY and self.is_kept(number))
        self.assertLessEqual(sizes[-1], 50 * COPY)
        self.assertTrue(self.is_kept(320))

    def test_a_time_to_come_does_not_keep_a_copy_for_ever(self) -> None:
        cache = self.new_cache(max_bytes=10 * COPY, max_file_bytes=10_000)
        for number in range(10):
            self.keep(number, cache=cache)
            self.age(number, 100)
        self.age(3, -1e6)
        self.keep(10, cache=cache)
        self.assertFalse(self.is_kept(3))
        self.age(4, -1e6)
        self.assertTrue(self.is_kept(4))  # that was its last use
        self.keep(11, cache=cache)
        self.assertTrue(self.is_kept(4))

    def test_a_copy_of_which_a_part_is_read_is_used(self) -> None:
        cache = self.new_cache(max_bytes=2 * BLOCK, max_file_bytes=2 * BLOCK)
        cap = cap_of(1, 2 * BLOCK)
        cache.writer(cap).write(bytes(BLOCK))
        (copy,) = self.files()
        os.utime(copy, (0, 0))
        self.assertEqual(cache.read(cap, BLOCK, BLOCK), b"")
        self.assertGreater(copy.stat().st_mtime, 0)

    def test_the_ledger_never_counts_too_little(self) -> None:
        # The first copy fills a page of the disk, and the second one needs another one. The others
        # begin with a hole.
        for offset, size in (0, 4024), (0, 4025), (BLOCK, BLOCK + 1), (5 * BLOCK, 6 * BLOCK):
            writer = self.cache.writer(cap_of(size, size), offset)
            writer.write(bytes(size - offset))
            writer.finish()
            self.assertLessEqual(self.size_on_disk(), self.cache.usage().bytes, size)

    def test_a_large_file_that_is_saved_twice_counts_once(self) -> None:
        self.save(1, 2 * BLOCK)
        once = self.cache.usage().bytes
        self.save(1, 2 * BLOCK)
        # A page that two blocks share counts twice until a look at the shelf.
        self.assertLess(self.cache.usage().bytes, 1.5 * once)

    def test_a_save_whose_last_block_has_no_room_keeps_nothing(self) -> None:
        writer = self.cache.writer()
        writer.write(bytes(BLOCK + 1))
        no_room = mock.patch.object(ledger.Ledger, "open", return_value=None)
        with no_room, self.assertNoLogs("txtahoe"):
            writer.finish(cap_of(1, BLOCK + 1))
        self.assertEqual(self.files(), [])

    def test_copies_that_a_full_disk_left_empty_go_in_their_turn(self) -> None:
        cache = self.new_cache(max_bytes=10 * COPY, max_file_bytes=10_000)
        with self.assertLogs("txtahoe"), failing("write", errno.ENOSPC):
            for number in range(200):
                self.keep(number, cache=cache)
        self.assertLess(len(self.files()), 31)

    def test_a_bound_can_be_any_number(self) -> None:
        cache = self.new_cache(max_bytes=2**80)
        self.keep(1, cache=cache)
        self.assertTrue(self.is_kept(1, cache=cache))

    def test_a_copy_whose_save_never_ended_goes_in_its_turn(self) -> None:
        cache = self.new_cache(max_bytes=4 * BLOCK, max_file_bytes=3 * BLOCK)
        cache.writer().write(bytes(2 * BLOCK))  # the process is killed here
        (draft,) = self.files()
        os.utime(draft, (0, 0))
        self.keep(1, 2 * BLOCK, cache)
        self.assertFalse(draft.exists())
        self.assertTrue(self.is_kept(1, 2 * BLOCK))

    def test_a_save_whose_copy_goes_meanwhile_keeps_nothing_wrong(self) -> None:
        writer = self.cache.writer()
        writer.write(bytes(2 * BLOCK))
        self.cache.clear()
        writer.write(bytes(BLOCK + 1))
        writer.finish(cap_of(1, 3 * BLOCK + 1))
        self.assertEqual(self.cache.read(cap_of(1, 3 * BLOCK + 1), 0, 3 * BLOCK), b"")

    def test_the_ledger_counts_what_is_there_after_it_was_destroyed(self) -> None:
        cache = self.new_cache(max_bytes=30 * COPY, max_file_bytes=10_000)
        for number in range(30):
            self.keep(number, cache=cache)
        version = ledger._THIS_VERSION.to_bytes(8, "little")
        huge = (2**63 - 1).to_bytes(8, "little") * 258
        contents = (
            b"",
            b"nonsense",
            bytes(3000),
            bytes(2072),
            version + b"\xfe" * 2064,
            version + huge,
        )
        for start, content in enumerate(contents, 1):
            (self.path / "tahoe-content-cache").write_bytes(content)
            for number in range(100 * start, 100 * start + 20):
                self.keep(number, cache=cache)
                self.assertLessEqual(self.size_on_disk(), 30 * COPY)
            self.assertTrue(self.is_kept(number))
            self.assertLessEqual(self.size_on_disk(), cache.usage().bytes)
            self.assertLessEqual(cache.usage().bytes, 30 * COPY)


class Counts(CacheTestCase):
    def test_looking_at_a_new_cache_makes_no_folder(self) -> None:
        for make in (lambda: None, self.path.mkdir):
            make()
            self.assertEqual(self.cache.usage(), Usage(0, 2**30, 0, 0))
            self.cache.clear()
        self.assertEqual(list(self.path.iterdir()), [])

    def test_the_ledger_has_size_hits_and_misses_of_all_processes(self) -> None:
        self.is_kept(1)
        self.keep(1)
        self.is_kept(1)
        self.is_kept(1)
        other = self.new_cache()
        self.is_kept(2, cache=other)
        other.forget(cap_of(3, 10_000))
        used = self.cache.usage()
        self.assertEqual((used.bytes, used.hits, used.misses), (COPY, 2, 2))
        self.assertEqual(used.max_bytes, 2**30)

    def test_clearing_removes_copies_and_counts(self) -> None:
        self.keep(1)
        self.is_kept(1)
        self.is_kept(2)
        self.cache.clear()
        used = self.cache.usage()
        self.assertEqual((used.bytes, used.hits, used.misses), (0, 0, 0))
        self.assertEqual(self.files(), [])
        self.keep(1)
        self.assertTrue(self.is_kept(1))


class Failures(CacheTestCase):
    """A folder that fails costs speed and a line in the log, and raises nothing."""

    def assert_useless(self, reason: str, cache: ContentCache | None = None) -> None:
        with self.assertLogs("txtahoe", "WARNING") as logs:
            for number in range(3):
                self.keep(number, cache=cache)
                self.save(number, 3 * BLOCK, cache)
                self.assertFalse(self.is_kept(number, cache=cache))
            (cache or self.cache).forget(cap_of(1, 10_000))
        self.assertEqual(len(logs.output), 1)
        self.assertIn(reason, logs.output[0])
        self.assertIn(str(self.path), logs.output[0])

    def test_a_folder_whose_parent_is_missing(self) -> None:
        shutil.rmtree(self.path.parent)
        self.assert_useless("No such file")
        self.path.parent.mkdir()  # for the end of this test

    def test_a_file_in_place_of_the_folder(self) -> None:
        self.path.write_text("mine")
        self.assert_useless("Not a directory")
        self.assertEqual(self.path.read_text(), "mine")

    def test_a_folder_with_files_of_somebody_else(self) -> None:
        name = cap_of(0, 10_000).storage_index or ""
        mine = self.path / "00" / name
        mine.parent.mkdir(parents=True)
        mine.write_text("mine")
        self.assert_useless("has other files")
        self.assertRaises(FileExistsError, self.cache.clear)
        self.assertEqual(self.files(), [mine])

    def test_other_files_in_the_folder_of_a_cache_stay(self) -> None:
        self.keep(1)
        (copy,) = self.files()
        mine = copy.with_name("notes.txt")
        mine.write_text("mine")
        self.cache.clear()
        self.assertEqual(self.files(), [mine])

    def test_a_full_disk(self) -> None:
        with failing("write", errno.ENOSPC):
            self.assert_useless("No space left")
        self.assertTrue(all(not self.is_kept(number) for number in range(3)))

    def test_a_disk_that_becomes_full_within_a_block(self) -> None:
        pid = os.fork()
        if pid == 0:
            status = 1
            logging.disable()
            try:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (BLOCK + 1000, BLOCK + 1000))
                self.keep(1, 3 * BLOCK)
                status = 0
            finally:
                os._exit(status)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        found = self.cache.read(cap_of(1, 3 * BLOCK), 0, 3 * BLOCK)
        self.assertEqual(len(found), BLOCK)
        self.keep(1, 3 * BLOCK)
        self.assertTrue(self.is_kept(1, 3 * BLOCK))

    def test_a_read_only_folder_still_answers(self) -> None:
        self.keep(7)
        (copy,) = self.files()
        os.utime(copy, (0, 0))
        with mock.patch.object(cache.os, "utime", side_effect=OSError(errno.EROFS, "Read-only")):
            with failing("open", errno.EROFS):
                self.assert_useless("Read-only")
                self.assertTrue(self.is_kept(7))

    def test_a_folder_that_vanishes_is_made_anew(self) -> None:
        self.keep(1)
        shutil.rmtree(self.path)
        self.assertFalse(self.is_kept(1))
        self.keep(1)
        self.assertTrue(self.is_kept(1))

    def test_a_folder_that_works_again_is_used_again(self) -> None:
        self.path.write_text("mine")
        with self.assertLogs("txtahoe"):
            self.keep(1)
        self.path.unlink()
        self.keep(1)
        self.assertTrue(self.is_kept(1))

    def test_a_download_keeps_the_blocks_after_one_that_failed(self) -> None:
        cap, data = cap_of(1, 2 * BLOCK), content_of(1, 2 * BLOCK)
        writer = self.cache.writer(cap)
        with self.assertLogs("txtahoe"), failing("open", errno.EIO):
            writer.write(data[:BLOCK])
        writer.write(data[BLOCK : 2 * BLOCK])
        self.assertEqual(self.cache.read(cap, BLOCK, BLOCK), data[BLOCK : 2 * BLOCK])

    def test_a_process_that_stands_still_under_the_lock_holds_nobody_up(self) -> None:
        self.keep(7)
        with (self.path / "tahoe-content-cache").open() as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with mock.patch.object(ledger, "monotonic", count().__next__):
                self.assert_useless("another process has locked it")
                self.assertTrue(self.is_kept(7))


class Others(CacheTestCase):
    """Other users, who can write to the folder or to the one above, can only make it useless."""

    def setUp(self) -> None:
        super().setUp()
        self.mine = self.path.with_name("mine")
        self.mine.write_text("mine")

    def test_links_lead_to_no_other_file(self) -> None:
        self.keep(1)
        (copy,) = self.files()
        for place in (copy, self.path / "tahoe-content-cache"):
            place.unlink()
            place.symlink_to(self.mine)
            with self.assertLogs("txtahoe"):
                self.keep(1, cache=self.new_cache())
            self.assertEqual(self.mine.read_text(), "mine")
            self.assertTrue(place.is_symlink())

    def test_a_link_that_leads_nowhere_is_cleared_as_a_copy(self) -> None:
        self.keep(1)
        (copy,) = self.files()
        copy.unlink()
        copy.symlink_to("missing")
        self.cache.clear()
        self.assertFalse(copy.is_symlink())

    def test_a_pipe_lets_nobody_wait(self) -> None:
        self.keep(1)
        (copy,) = self.files()
        for place in (copy, self.path / "tahoe-content-cache"):
            place.unlink()
            os.mkfifo(place)
            # It can be opened, and gives nothing.
            self.addCleanup(os.close, os.open(place, os.O_RDWR))
            with self.assertLogs("txtahoe"):
                self.keep(1, cache=self.new_cache())
            with self.assertLogs("txtahoe"):
                self.assertFalse(self.is_kept(1, cache=self.new_cache()))

    def test_files_of_another_user_are_not_used(self) -> None:
        self.keep(1)
        files = {path: path.read_bytes() for path in self.path.rglob("*") if path.is_file()}
        opened = len(os.listdir("/proc/self/fd"))
        with mock.patch.object(ledger.os, "geteuid", return_value=os.geteuid() + 1):
            cache = self.new_cache()
            with self.assertLogs("txtahoe") as logs:
                self.assertFalse(self.is_kept(1, cache=cache))
                self.keep(2, cache=cache)
            self.assertIn("another user", logs.output[0])
            self.assertRaises(PermissionError, cache.usage)
        self.assertEqual(len(os.listdir("/proc/self/fd")), opened)
        self.assertEqual(files, {path: path.read_bytes() for path in files})
        self.assertEqual(len(self.files()), 1)

    def test_nothing_is_put_into_an_empty_folder_of_another_user(self) -> None:
        self.path.mkdir()
        with mock.patch.object(ledger.os, "geteuid", return_value=os.geteuid() + 1):
            with self.assertLogs("txtahoe"):
                self.keep(1)
        self.assertEqual(list(self.path.iterdir()), [])


class Processes(CacheTestCase):
    def test_a_process_that_is_forked_under_the_lock_does_not_keep_it(self) -> None:
        self.keep(1)
        with Folder(self.path, 2**30).locked() as locked:
            self.addCleanup(os.close, os.dup(locked._opened))  # as a child has it
        self.keep(2)
        self.assertTrue(self.is_kept(2))

    def test_another_process_can_make_the_folder_meanwhile(self) -> None:
        self.keep(1)
        made = self.path.rename(self.path.with_name("made"))

        def mkdir(path: Path, mode: int) -> None:
            made.rename(path)
            raise FileExistsError

        with mock.patch.object(Path, "mkdir", mkdir):
            self.keep(2)
        self.assertTrue(self.is_kept(1) and self.is_kept(2))

    def test_a_change_waits_for_the_lock(self) -> None:
        self.keep(1)
        with (self.path / "tahoe-content-cache").open() as other:
            fcntl.flock(other, fcntl.LOCK_EX)

            def sleep(_: float) -> None:
                fcntl.flock(other, fcntl.LOCK_UN)

            with mock.patch.multiple(ledger, monotonic=lambda: 0.0, sleep=sleep):
                self.keep(2)
        self.assertTrue(self.is_kept(2))

    def test_a_read_does_not_wait_for_the_lock(self) -> None:
        self.keep(1)
        with Folder(self.path, 2**30).locked():
            with mock.patch.object(ledger, "sleep", side_effect=AssertionError):
                self.assertTrue(self.is_kept(1))
        self.cache._told = 0.0
        self.assertTrue(self.is_kept(1))
        self.assertEqual(self.new_cache().usage().hits, 2)

    def test_processes_that_are_killed_leave_nothing_wrong(self) -> None:
        found = Stress(self.path, files=200).run(2000, processes=4, kills=30)
        self.assertEqual(found.wrong, 0)
        self.assertLessEqual(found.largest, found.bound + COPY)
        self.assertGreater(found.killed, 0)
        # Other processes use it as before.
        self.keep(1000, cache=self.new_cache(max_bytes=found.bound))
        self.assertTrue(self.is_kept(1000))
