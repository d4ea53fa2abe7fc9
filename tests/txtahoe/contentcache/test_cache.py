"""The content cache: reads, saves and damaged copies."""

from __future__ import annotations

import os
import random

from hypothesis import settings
from hypothesis import strategies as st

from tests.seeds import given
from tests.txtahoe.contentcache.case import CacheTestCase, cap_of, content_of
from txtahoe import Cap
from txtahoe.contentcache import BLOCK

SIZE = 3 * BLOCK + 1000
# A copy has a nonce, its key and a tag, and then each block with a nonce and a tag.
HEAD, SLOT = 12 + 16 + 16, 12 + BLOCK + 16


class Reading(CacheTestCase):
    def test_every_process_reads_a_kept_file(self) -> None:
        self.keep(1)
        self.assertTrue(self.is_kept(1))
        self.assertTrue(self.is_kept(1, cache=self.new_cache()))

    def test_no_file_stays_open(self) -> None:
        opened = os.listdir("/proc/self/fd")
        self.keep(1)
        self.save(2)
        self.assertTrue(self.is_kept(1))
        self.cache.forget(cap_of(1, 10_000))
        self.assertEqual(os.listdir("/proc/self/fd"), opened)

    def test_nothing_is_known_of_another_file(self) -> None:
        self.keep(1)
        self.assertEqual(self.cache.read(cap_of(2, 10_000), 0, 10_000), b"")

    def test_an_empty_folder_is_not_made_by_reading(self) -> None:
        self.assertFalse(self.is_kept(1))
        self.assertFalse(self.path.exists())

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, SIZE - 1), st.integers(1, SIZE))
    def test_any_range_is_a_part_of_the_file(self, offset: int, length: int) -> None:
        if not self.is_kept(1, SIZE):
            self.keep(1, SIZE)
        data = self.cache.read(cap_of(1, SIZE), offset, length)
        self.assertTrue(0 < len(data) <= length)
        self.assertEqual(data, content_of(1, SIZE)[offset : offset + len(data)])
        end = offset + len(data)
        is_within = len(data) == length and offset // BLOCK == end // BLOCK
        self.assertTrue(end % BLOCK == 0 or end == SIZE or is_within)

    def test_a_range_of_a_file_keeps_its_whole_blocks_alone(self) -> None:
        cap = cap_of(1, SIZE)
        writer = self.cache.writer(cap, 1000)
        writer.write(content_of(1, SIZE)[1000 : 2 * BLOCK + 5])
        writer.finish()
        self.assertEqual(self.cache.read(cap, 0, 10), b"")
        self.assertEqual(self.cache.read(cap, 2 * BLOCK, 5), b"")
        self.assertEqual(self.cache.read(cap, BLOCK, SIZE), content_of(1, SIZE)[BLOCK : 2 * BLOCK])
        self.assertLess(self.size_on_disk(), 2 * BLOCK)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.integers(1, 300_000), max_size=8), st.integers(0, SIZE - 1))
    def test_bytes_can_come_in_any_pieces(self, pieces: list[int], offset: int) -> None:
        self.cache.forget(cap_of(1, SIZE))
        writer = self.cache.writer(cap_of(1, SIZE), offset)
        position = offset
        for piece in [*pieces, SIZE]:
            writer.write(content_of(1, SIZE)[position : min(SIZE, position + piece)])
            position = min(SIZE, position + piece)
        writer.finish()
        first = -(-offset // BLOCK) * BLOCK
        self.assertEqual(
            self.cache.read(cap_of(1, SIZE), first, SIZE), content_of(1, SIZE)[first:SIZE]
        )

    def test_only_immutable_files_that_have_shares_are_kept(self) -> None:
        for text in ("URI:LIT:nbswy3dp", "URI:SSK-RO:" + "a" * 26 + ":" + "a" * 52, "unknown"):
            cap = Cap.parse(text)
            for writer in (self.cache.writer(cap), self.cache.writer()):
                writer.write(b"hello")
                writer.finish(cap)
            self.cache.forget(cap)
            self.assertEqual(self.cache.read(cap, 0, 5), b"")
        self.assertFalse(self.path.exists())

    def test_a_file_that_is_too_large_is_not_kept(self) -> None:
        cache = self.new_cache(max_file_bytes=2 * BLOCK)
        self.keep(1, SIZE, cache)
        self.save(2, SIZE, cache)
        self.assertEqual(self.files(), [])
        self.keep(3, 2 * BLOCK, cache)
        self.assertTrue(self.is_kept(3, 2 * BLOCK, cache))
        self.assertEqual(self.new_cache(max_bytes=800).max_file_bytes, 100)

    def test_a_save_leaves_the_disk_as_soon_as_it_is_too_large(self) -> None:
        cache = self.new_cache(max_file_bytes=2 * BLOCK)
        for pieces in ([BLOCK] * 9, [9 * BLOCK, BLOCK]):
            writer = cache.writer()
            for piece in pieces:
                writer.write(bytes(piece))
            self.assertEqual(self.files(), [])

    def test_a_forgotten_file_is_gone(self) -> None:
        self.keep(1)
        self.cache.forget(cap_of(1, 10_000))
        self.cache.forget(cap_of(1, 10_000))
        self.assertEqual((self.is_kept(1), self.files()), (False, []))
        self.assertEqual(self.cache.usage().bytes, 0)


class Saving(CacheTestCase):
    def test_a_file_is_kept_though_its_cap_comes_last(self) -> None:
        for number, size in enumerate((1, 10_000, BLOCK - 1, BLOCK, BLOCK + 1, SIZE)):
            self.save(number, size)
            self.assertTrue(self.is_kept(number, size))
            self.save(number, size)  # as another process does it meanwhile
            self.assertTrue(self.is_kept(number, size))
        self.assertEqual(len(self.files()), 6)

    def test_bytes_that_are_not_all_of_the_file_are_dropped(self) -> None:
        for length in (SIZE - 1, 2 * BLOCK, 5):
            writer = self.cache.writer()
            writer.write(content_of(1, SIZE)[:length])
            writer.finish(cap_of(1, SIZE))
            self.assertEqual(self.files(), [])

    def test_a_save_that_fails_leaves_nothing(self) -> None:
        for end in ("drop", "finish"):
            for size in (5, SIZE):
                writer = self.cache.writer()
                writer.write(content_of(1, SIZE)[:size])
                getattr(writer, end)()
                self.assertEqual(self.files(), [])

    def test_a_download_goes_on_with_the_copy_of_a_save(self) -> None:
        self.save(1, SIZE)
        self.damage(BLOCK)
        self.assertFalse(self.is_kept(1, SIZE))
        writer = self.cache.writer(cap_of(1, SIZE), BLOCK)
        writer.write(content_of(1, SIZE)[BLOCK : 2 * BLOCK])
        writer.finish()
        self.assertTrue(self.is_kept(1, SIZE))

    def damage(self, place: int) -> None:
        (copy,) = self.files()
        with copy.open("r+b") as file:
            file.seek(place + 1000)
            file.write(b"damage")


class Damage(CacheTestCase):
    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, SIZE + 100), st.binary(min_size=1, max_size=20))
    def test_changed_bytes_are_never_given_out(self, place: int, change: bytes) -> None:
        self.keep(1, SIZE)
        self.assertTrue(self.is_kept(1, SIZE))
        (copy,) = self.files()
        with copy.open("r+b") as file:
            file.seek(place)
            file.write(change)
        self.is_kept(1, SIZE)
        self.keep(1, SIZE)  # as the next download does
        self.assertTrue(self.is_kept(1, SIZE))

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, SIZE + 300))
    def test_a_copy_that_was_cut_off_gives_its_whole_blocks(self, length: int) -> None:
        self.keep(1, SIZE)
        (copy,) = self.files()
        is_whole = length >= copy.stat().st_size
        os.truncate(copy, length)
        whole = SIZE if is_whole else max(0, length - HEAD) // SLOT * BLOCK
        found = self.cache.read(cap_of(1, SIZE), 0, SIZE)
        self.assertEqual(found, content_of(1, SIZE)[:whole])

    def test_blocks_cannot_be_moved(self) -> None:
        self.keep(1, SIZE)
        (copy,) = self.files()
        data = copy.read_bytes()
        second = data[HEAD + SLOT : HEAD + 2 * SLOT]
        copy.write_bytes(data[:HEAD] + second + data[HEAD + SLOT :])
        self.assertEqual(self.cache.read(cap_of(1, SIZE), 0, SIZE), b"")

    def test_a_copy_of_another_file_is_worth_nothing(self) -> None:
        self.keep(1)
        (copy,) = self.files()
        data = copy.read_bytes()
        self.keep(2)
        for other in set(self.files()) - {copy}:
            other.write_bytes(data)
        self.assertFalse(self.is_kept(2))

    def test_the_folder_shows_neither_caps_nor_bytes_nor_itself_to_others(self) -> None:
        cap = self.keep(1)
        _, _, key, root, *_ = str(cap).split(":")
        (copy,) = self.files()
        self.assertEqual(copy.name, cap.storage_index)
        self.save(2, 200_000)
        every = b"".join(path.read_bytes() for path in self.path.rglob("*") if path.is_file())
        for secret in (key.encode(), root.encode(), content_of(1, 10_000)[5000:5016]):
            self.assertNotIn(secret, every)
        for path in self.path, *self.path.rglob("*"):
            self.assertEqual(path.stat().st_mode & 0o077, 0)

    def test_other_bytes_of_a_block_are_encrypted_with_another_nonce(self) -> None:
        cap = self.keep(1)
        (copy,) = self.files()
        before = copy.read_bytes()
        writer = self.cache.writer(cap)  # as if a gateway had given wrong bytes
        writer.write(bytes(10_000))
        writer.finish()
        self.assertEqual(copy.read_bytes()[:HEAD], before[:HEAD])  # the key is the same
        pairs = zip(before[-5000:], copy.read_bytes()[-5000:], strict=True)
        differences = bytes(one ^ other for one, other in pairs)
        self.assertFalse(content_of(1, 10_000)[6000:6016] in differences)

    def test_equal_copies_are_not_equal_on_the_disk(self) -> None:
        self.keep(1)
        (copy,) = self.files()
        before = copy.read_bytes()
        self.cache.forget(cap_of(1, 10_000))
        self.keep(1)
        self.assertNotEqual(copy.read_bytes()[:HEAD], before[:HEAD])
        self.assertNotEqual(copy.read_bytes()[HEAD:], before[HEAD:])


class Randomly(CacheTestCase):
    def test_many_operations_never_give_a_wrong_byte_nor_leave_the_bound(self) -> None:
        choices = random.Random(1)
        cache = self.new_cache(max_bytes=8 * SIZE, max_file_bytes=SIZE)
        sizes = [choices.choice((1, 5000, BLOCK, SIZE)) for _ in range(40)]
        for _ in range(400):
            number = choices.randrange(40)
            size = sizes[number]
            if choices.random() < 0.1:
                cache.forget(cap_of(number, size))
            elif choices.random() < 0.1:
                self.save(number, size, cache)
            elif not self.is_kept(number, size, cache):
                self.keep(number, size, cache)
            self.assertLessEqual(self.size_on_disk(), 8 * SIZE)
        self.assertLessEqual(self.size_on_disk(), cache.usage().bytes)
