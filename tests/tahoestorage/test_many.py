"""Many files at once, and look-ups whose answers are known, on a real grid."""

from __future__ import annotations

import threading
from typing import Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File

from tests.tahoestorage.case import StorageTestCase
from txtahoe.errors import IsADirectory, NotWriteable, SomeFailed


def contents(*names: str) -> list[tuple[str, File[Any]]]:
    return [(name, ContentFile(name.encode() * 50)) for name in names]


class SavingMany(StorageTestCase):
    def test_many_files_are_one_write_in_each_directory(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        storage.save("a/there", ContentFile(b"1"))
        proxy.requests.clear()
        names = [f"a/{number}" for number in range(20)]
        self.assertEqual(storage.save_many(contents(*names)), names)
        self.assertEqual(proxy.requests, ["PUT /uri"] * 20 + ["POST /uri"])
        for name in names:
            self.assertEqual(self.read(name), name.encode() * 50)

    def test_taken_names_are_chosen_anew(self) -> None:
        self.storage.save("a/f.txt", ContentFile(b"first"))
        saved = self.storage.save_many(contents("a/f.txt", "a/g.txt", "a/f.txt"))
        self.assertRegex(saved[0], r"^a/f_\w{7}\.txt$")
        self.assertEqual(saved[1], "a/g.txt")
        self.assertEqual(len({"a/f.txt", *saved}), 4)
        self.assertEqual(self.read("a/f.txt"), b"first")
        for name in (saved[0], saved[2]):
            self.assertEqual(self.read(name), b"a/f.txt" * 50)

    def test_with_allow_overwrite_they_are_replaced(self) -> None:
        storage = self.new_storage(allow_overwrite=True)
        storage.save("f", ContentFile(b"first"))
        self.assertEqual(storage.save_many(contents("f", "g")), ["f", "g"])
        self.assertEqual(self.read("f"), b"f" * 50)

    def test_a_file_that_fails_does_not_lose_the_others(self) -> None:
        class Broken(ContentFile):  # type: ignore[type-arg]
            def chunks(self, chunk_size: int | None = None) -> Any:
                raise OSError("the disk is broken")

        self.storage.save("file", ContentFile(b"x"))
        files = [*contents("a", "../b", "file/c"), ("d", Broken(b"")), *contents("e")]
        with self.assertRaises(SomeFailed) as caught:
            self.storage.save_many(files)
        saved = [result for result in caught.exception.results if isinstance(result, str)]
        kinds = [type(error).__name__ for error in caught.exception.errors]
        self.assertEqual(saved, ["a", "e"])
        self.assertEqual(kinds, [SuspiciousFileOperation.__name__, "NotADirectory", "OSError"])
        self.assertIn("3 of 5 failed", str(caught.exception))
        self.assertEqual(set(self.storage.listdir("")[1]), {"a", "e", "file"})

    def test_files_are_read_and_progress_told_in_the_calling_thread(self) -> None:
        threads = []
        done: list[int] = []

        class Watched(ContentFile):  # type: ignore[type-arg]
            def chunks(self, chunk_size: int | None = None) -> Any:
                threads.append(threading.current_thread())
                return super().chunks(chunk_size)

        def progress(count: int) -> None:
            threads.append(threading.current_thread())
            done.append(count)

        files = ((str(number), Watched(b"%d" % number * 60)) for number in range(7))
        self.storage.save_many(files, progress=progress)
        self.assertEqual(set(threads), {threading.current_thread()})
        self.assertEqual(sum(done), 7)

    def test_a_file_can_save_files_while_it_is_opened(self) -> None:
        storage = self.new_storage(concurrency=1)

        class Made(ContentFile):  # type: ignore[type-arg]
            def chunks(self, chunk_size: int | None = None) -> Any:
                saved.append(storage.save("part", ContentFile(b"1" * 100)))
                return super().chunks(chunk_size)

        def save() -> None:
            saved.extend(storage.save_many([("whole", Made(b"2" * 100))]))

        saved: list[str] = []
        thread = threading.Thread(target=save, daemon=True)
        thread.start()
        thread.join(10)
        self.assertEqual([self.read(name)[:1] for name in saved], [b"1", b"2"])

    def test_saving_no_files_makes_no_request(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        self.assertEqual(storage.save_many([]), [])
        self.assertEqual(storage.prefetch([]), set())
        self.assertEqual(proxy.requests, [])

    def test_a_read_only_storage_raises_before_it_reads_files(self) -> None:
        reader = self.new_storage(tahoe_base_cap=self.storage.options["tahoe_base_cap"].reader)
        self.assertRaises(NotWriteable, reader.save_many, contents("f"))


class SavingByThreads(StorageTestCase):
    def test_threads_share_the_writes_of_a_directory(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        storage.save("d/there", ContentFile(b"1"))
        proxy.requests.clear()
        failures = []

        def save(thread: int) -> None:
            for number in range(3):
                data = b"%d-%d " % (thread, number) * 100
                try:
                    name = storage.save(f"d/{thread}-{number}", ContentFile(data))
                    with storage.open(name) as file:
                        assert file.read() == data
                except Exception as error:
                    failures.append(error)

        threads = [threading.Thread(target=save, args=(number,)) for number in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(self.storage.listdir("d")[1]), 25)
        self.assertEqual(proxy.requests.count("PUT /uri"), 24)
        # How many share one depends on the machine; tests.txtahoe.tree.test_commits has a clock.
        self.assertLess(proxy.requests.count("POST /uri"), 24)


class Knowing(StorageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.names = [f"album{number % 3}/{number}" for number in range(12)]
        self.storage.save_many((name, ContentFile(b"x" * 60)) for name in self.names)

    def test_one_listing_answers_for_all_names_in_a_directory(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        storage.listdir("album1")
        proxy.requests.clear()
        for name in self.names:
            if name.startswith("album1"):
                self.assertTrue(storage.exists(name))
                self.assertEqual(storage.size(name), 60)
                self.assertIn("/named/URI:CHK:", storage.url(name))
                storage.get_modified_time(name)
        self.assertEqual(proxy.requests, [])

    def test_a_missing_name_in_a_known_directory_is_one_request(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        storage.save("a/b/c/f", ContentFile(b"x" * 60))
        proxy.requests.clear()
        self.assertFalse(storage.exists("a/b/c/missing"))
        self.assertEqual(proxy.requests, ["GET /uri"])
        storage.delete("a/b/c/missing")
        self.assertEqual(proxy.requests, ["GET /uri"] * 2)

    def test_a_file_saved_by_this_process_is_opened_with_one_request(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        name = storage.save("f", ContentFile(b"y" * 60))
        proxy.requests.clear()
        with storage.open(name) as file:
            self.assertEqual(file.read(), b"y" * 60)
        self.assertEqual(proxy.requests, ["GET /uri"])
        storage.url(name)
        storage.size(name)
        self.assertEqual(proxy.requests, ["GET /uri"])
        # The gateway tells the times of a link.
        storage.get_modified_time(name)
        storage.get_created_time(name)
        self.assertEqual(proxy.requests, ["GET /uri"] * 2)

    def test_prefetch_asks_each_directory_once(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        found = storage.prefetch([*self.names, "album1/missing", "missing/f"])
        self.assertEqual(found, set(self.names))
        self.assertLessEqual(len(proxy.requests), 5)
        proxy.requests.clear()
        for name in self.names:
            storage.url(name)
        self.assertEqual(proxy.requests, [])

    def test_prefetch_returns_every_name_of_a_file_that_is_given_two(self) -> None:
        names = {"album1/1", "album1//1", "album1\\1"}
        self.assertEqual(self.storage.prefetch(names), names)

    def test_with_max_age_zero_every_look_up_is_a_request(self) -> None:
        storage, proxy = self.new_storage_through_proxy(max_age=0)
        storage.exists("album0/0")
        proxy.requests.clear()
        self.storage.delete("album0/0")
        self.assertFalse(storage.exists("album0/0"))
        self.assertNotEqual(proxy.requests, [])

    def test_walk_gives_what_os_walk_gives(self) -> None:
        storage = self.new_storage(location="album1")
        self.storage.save("album1/deep/er/f", ContentFile(b"z"))
        walked = list(storage.walk())
        self.assertEqual(walked[0][:2], ("", ["deep"]))
        self.assertEqual(set(walked[0][2]), {"1", "4", "7", "10"})
        self.assertEqual(walked[1:], [("deep", ["er"], []), ("deep/er", [], ["f"])])
        self.assertEqual(list(storage.walk("deep/er")), walked[2:])
        self.assertRaises(FileNotFoundError, list, storage.walk("nothing"))

    def test_a_walk_that_is_left_early_does_no_harm(self) -> None:
        for path, _, _ in self.storage.walk():
            self.assertEqual(path, "")
            break
        self.assertEqual(len(list(self.storage.walk())), 4)

    def test_replacing_a_directory_is_refused(self) -> None:
        storage = self.new_storage(allow_overwrite=True)
        with self.assertRaises(SomeFailed) as caught:
            storage.save_many(contents("album1", "new"))
        self.assertEqual(caught.exception.results[1], "new")
        self.assertIsInstance(caught.exception.results[0], IsADirectory)
        self.assertIn("'album1'", str(caught.exception))
