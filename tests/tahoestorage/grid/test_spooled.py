"""Storages with a spool: a save does not wait for the grid, and shows at once."""

from __future__ import annotations

import asyncio
import errno
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from attrs import evolve
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.test import RequestFactory
from twisted.internet.task import deferLater

from tahoestorage.grid.file import TahoeFile
from tahoestorage.grid.reader import Reader, reads_grid
from tahoestorage.grid.spooled import SpooledTree
from tahoestorage.reactor.loop import current_loop
from tahoestorage.reactor.waiting import Caller, done
from tahoestorage.serving.views import serve
from tahoestorage.storage import TahoeStorage
from tests.needs import TIME, needs
from tests.processes import apart, forget_trees
from tests.tahoestorage.case import StorageTestCase
from txtahoe.caps import Cap
from txtahoe.errors import (
    ExistingChild,
    GatewayUnreachable,
    IsADirectory,
    NoSuchChild,
    NotADirectory,
    RequestTimeout,
    UnknownOutcome,
)
from txtahoe.nodes import Node
from txtahoe.spool import Entry, Spool, State, Uploader
from txtahoe.spool.files import SealedFile
from txtahoe.tree.tree import Tree

LARGE = bytes(range(256)) * 2**13 + b"the end"  # two megabytes


class SpoolTestCase(StorageTestCase):
    """A test with a storage whose uploader works when the test says so."""

    def setUp(self) -> None:
        super().setUp()
        folder = TemporaryDirectory(ignore_cleanup_errors=True)  # an uploader can be at work
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "spool"
        self.others = self.new_storage(max_age=0, base_url=None)
        self.wakes = mock.patch.object(Uploader, "wake").start()
        self.addCleanup(mock.patch.stopall)
        self.storage, self.proxy = self.new_storage_through_proxy(**self.options)

    @property
    def options(self) -> dict[str, Any]:
        return {"spool": self.folder, "base_url": None, "spool_min_free": 0}

    @property
    def tree(self) -> SpooledTree:
        tree = self.storage._tree
        assert isinstance(tree, SpooledTree)
        return tree

    @property
    def spool(self) -> Spool:
        return self.tree.spool

    def upload(self) -> None:
        """Bring all that is pending to the grid."""
        loop = current_loop()
        done(self.tree.run(lambda tree, caller: self.tree.uploader(loop).upload()))

    @contextmanager
    def no_request(self) -> Iterator[None]:
        before = len(self.proxy.requests)
        yield
        self.assertEqual(self.proxy.requests[before:], [])

    def on_grid(self, name: str) -> bytes:
        with self.others.open(name) as file:
            data: bytes = file.read()
            return data


class Saving(SpoolTestCase):
    def test_a_save_makes_no_request_and_can_be_read_at_once(self) -> None:
        for content in (b"", b"s" * 10_000, LARGE):
            with self.no_request():
                name = self.storage.save("a/b/c.bin", ContentFile(content))
                self.assertEqual(self.read(name), content)
                self.assertEqual(self.storage.size(name), len(content))
            self.assertFalse(self.others.exists(name))
            self.upload()
            self.assertEqual(self.on_grid(name), content)
            self.assertEqual(self.read(name), content)

    def test_a_saved_name_has_a_random_suffix_because_the_grid_is_not_asked(self) -> None:
        names = {self.storage.save("a/b.tar.gz", ContentFile(b"x")) for _ in range(3)}
        self.assertEqual(len(names), 3)
        for name in names:
            self.assertRegex(name, r"a/b(\.tar)?_\w{7}(\.tar)?\.gz")

    def test_with_overwriting_a_name_stays_and_its_newest_content_wins(self) -> None:
        self.storage = self.new_storage(**self.options, allow_overwrite=True)
        self.others.save("a.txt", ContentFile(b"on the grid"))
        for content in (b"one", b"two"):
            self.assertEqual(self.storage.save("a.txt", ContentFile(content)), "a.txt")
            self.assertEqual(self.read("a.txt"), content)
        self.upload()
        self.assertEqual(self.on_grid("a.txt"), b"two")
        self.assertEqual(self.others.listdir("")[1], ["a.txt"])

    def test_many_files_are_saved_at_once(self) -> None:
        files = [(f"d/{number}.txt", ContentFile(b"%d" % number)) for number in range(9)]
        with self.no_request():
            names = self.storage.save_many(files)
        self.upload()
        self.assertEqual([self.on_grid(name) for name in names], [b"%d" % n for n in range(9)])

    def test_tasks_save_and_read_too(self) -> None:
        async def run() -> bytes:
            name = await self.storage.asave("a.txt", ContentFile(b"asynchronous"))
            self.assertTrue(await self.storage.aexists(name))
            async with await self.storage.aopen(name) as file:
                return await file.aread()

        with self.no_request():
            self.assertEqual(asyncio.run(run()), b"asynchronous")

    def test_a_task_that_is_cancelled_while_its_file_is_read_saves_nothing(self) -> None:
        begun, goes_on = Event(), Event()

        class Slow(File):  # type: ignore[type-arg]
            def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
                begun.set()
                goes_on.wait(10)
                yield b"x" * 100

        async def run() -> None:
            saving = asyncio.ensure_future(self.storage.asave("a.txt", Slow(BytesIO(), "a")))
            await asyncio.to_thread(begun.wait, 10)
            saving.cancel()
            await asyncio.sleep(0.01)
            goes_on.set()
            with self.assertRaises(asyncio.CancelledError):
                await saving
            await sync_to_async(bool)()  # in the same thread, after it

        asyncio.run(run())
        self.assertEqual(self.spool.summary().files, 0)
        self.assertEqual(self.storage.listdir(""), ([], []))

    def test_a_save_wakes_the_uploader_of_its_process(self) -> None:
        mock.patch.stopall()
        name = self.storage.save("a.txt", ContentFile(b"x"))
        for _ in range(500):
            if self.others.exists(name):
                break
        self.assertEqual(self.on_grid(name), b"x")

    def test_two_spools_of_one_root_are_both_uploaded(self) -> None:
        self.storage.save("a.txt", ContentFile(b"one"))
        self.upload()
        options = {**self.options, "spool": self.folder.with_name("2")}
        self.storage = self.new_storage(tahoe_base_url=self.proxy.url, **options)
        name = self.storage.save("b.txt", ContentFile(b"two"))
        self.upload()
        self.assertEqual(self.on_grid(name), b"two")

    def test_any_use_of_a_storage_has_the_uploader_begin_in_its_process(self) -> None:
        self.storage.exists("a.txt")
        self.wakes.assert_not_called()  # nothing was ever saved in the spool
        self.storage.save("a.txt", ContentFile(b"x"))
        self.settle()
        forget_trees()  # as after a restart
        self.wakes.reset_mock()
        for _ in range(3):
            self.storage.exists("another.txt")
        self.settle()
        self.wakes.assert_called_once()
        # Another process can have saved a file, and ended.
        current_loop().kept.get(self.tree._uploaders_key).woken -= 60
        self.storage.exists("another.txt")
        self.settle()
        self.assertEqual(self.wakes.call_count, 2)
        current_loop().kept.get(self.tree._uploaders_key).woken += 60
        self.storage.save("b.txt", ContentFile(b"x"))
        self.settle()
        self.assertEqual(self.wakes.call_count, 3)

    def test_a_save_at_the_end_of_the_process_is_left_to_others(self) -> None:
        ends = mock.patch(
            "tahoestorage.grid.spooled.current_loop", side_effect=ConnectionAbortedError
        )
        with ends:
            name = self.storage.save("a.txt", ContentFile(b"the last one"))
        self.upload()
        self.assertEqual(self.on_grid(name), b"the last one")

    def settle(self) -> None:
        """Wait until the reactor has called what it was told to call soon."""
        done(self.tree.run(lambda *_: deferLater(current_loop().reactor, 0)))

    def test_another_process_of_the_host_sees_a_file_at_once(self) -> None:
        name = self.storage.save("a.txt", ContentFile(b"of the parent"))
        told, tell = os.pipe()
        process = os.fork()
        if not process:
            try:
                os.write(tell, self.read(name))
            finally:
                os._exit(0)
        os.waitpid(process, 0)
        os.close(tell)
        with open(told, "rb") as pipe:
            self.assertEqual(pipe.read(), b"of the parent")

    @needs(TIME)
    def test_another_process_sees_each_of_a_thousand_files_before_during_and_after_its_upload(
        self,
    ) -> None:
        mock.patch.stopall()  # both processes upload
        (names, tell), (told, answer) = os.pipe(), os.pipe()
        process = os.fork()
        if not process:
            os.close(tell)
            try:
                seen: list[str] = []
                with open(names) as pipe:
                    for line in pipe:
                        seen.append(line.strip())
                        for name in (seen[-1], seen[len(seen) // 2], seen[max(0, len(seen) - 40)]):
                            self.assertEqual(self.read(name), name[:4].encode())
                            self.assertTrue(self.storage.exists(name))
                        os.write(answer, b".")
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(answer)
        saved: list[str] = []
        with open(tell, "w") as pipe:
            for number in range(1000):
                content = b"%04d" % number
                saved.append(self.storage.save(f"{number:04d}.txt", ContentFile(content)))
                print(saved[-1], file=pipe, flush=True)
                self.assertEqual(os.read(told, 1), b".", f"file {number}")
        os.waitpid(process, 0)
        self.upload()
        while self.spool.summary().files:  # the child had begun with some
            self.upload()
        self.assertEqual(set(self.others.listdir("")[1]), set(saved))

    def test_a_read_only_storage_has_no_spool(self) -> None:
        self.assertIsNone(self.new_storage(**self.options, read_only=True).connection.spool)


class OnePicture(SpoolTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.others.save("grid/there.txt", ContentFile(b"on the grid"))
        self.name = self.storage.save("new/deep/file.txt", ContentFile(b"pending"))
        self.beside = self.storage.save("grid/beside.txt", ContentFile(b"pending too"))

    def test_directories_show_pending_files(self) -> None:
        self.assertEqual(sorted(self.storage.listdir("")[0]), ["grid", "new"])
        self.assertEqual(self.storage.listdir("new"), (["deep"], []))
        self.assertEqual(self.storage.listdir("new/deep"), ([], [self.name[9:]]))
        _, files = self.storage.listdir("grid")
        self.assertEqual(sorted(files), sorted(["there.txt", self.beside[5:]]))
        for name in ("new", "new/deep", "grid", self.name, "grid/there.txt"):
            self.assertTrue(self.storage.exists(name), name)
        self.assertFalse(self.storage.exists("new/other"))
        with self.assertRaises(FileNotFoundError):
            self.storage.listdir("missing")
        with self.assertRaises(NoSuchChild):
            list(self.tree.walk(("missing",)))

    def test_a_walk_is_the_same_before_and_after_the_upload(self) -> None:
        def walk(start: str) -> list[tuple[str, list[str], list[str]]]:
            found = self.storage.walk(start)
            return sorted((path, sorted(below), sorted(files)) for path, below, files in found)

        before = {start: walk(start) for start in ("", "new", "grid")}
        self.assertEqual([path for path, _, _ in before[""]], ["", "grid", "new", "new/deep"])
        self.upload()
        self.assertEqual({start: walk(start) for start in before}, before)

    def test_a_walk_of_a_new_storage_shows_pending_files(self) -> None:
        storage = self.new_storage(**self.options, location="elsewhere")
        name = storage.save("a.txt", ContentFile(b"x"))
        self.assertEqual(list(storage.walk()), [("", [], [name])])

    def test_a_walk_goes_through_a_directory_that_has_the_name_of_a_pending_file(self) -> None:
        self.others.save(f"{self.name}/below.txt", ContentFile(b"of another host"))
        self.assertIn((self.name, [], ["below.txt"]), list(self.storage.walk()))
        self.assertIn((self.name, [], ["below.txt"]), list(self.storage.walk("new")))

    def test_times_and_prefetch_know_pending_files(self) -> None:
        with self.no_request():
            created = self.storage.get_created_time(self.name)
            self.assertEqual(self.storage.get_modified_time(self.name), created)
        names = [self.name, "grid/there.txt", "missing.txt"]
        self.assertEqual(self.storage.prefetch(names), set(names[:2]))

    def test_the_site_serves_a_pending_file(self) -> None:
        self.override(STORAGES={"default": {"BACKEND": "x"}, "spooled": {"BACKEND": "x"}})
        with mock.patch("tahoestorage.serving.views.storage_of", return_value=self.storage):
            request = RequestFactory().get("/", headers={"Range": "bytes=2-4"})
            with self.no_request():
                response = serve(request, self.name)
                self.assertEqual(b"".join(response), b"ndi")  # type: ignore[arg-type]
            self.assertEqual(response.status_code, 206)

    def test_the_site_serves_the_newer_one_of_a_file_that_is_replaced_while_it_is_served(
        self,
    ) -> None:
        self.override(STORAGES={"default": {"BACKEND": "x"}, "spooled": {"BACKEND": "x"}})
        newer = iter([b"newer"])

        def etag(cap: Cap) -> str:
            for content in newer:
                with self.storage.open(self.name, "wb") as file:
                    file.write(content)
            return f'"{cap.fingerprint}"'

        views = "tahoestorage.serving.views"
        with (
            mock.patch(f"{views}.storage_of", return_value=self.storage),
            mock.patch(f"{views}._etag", etag),
        ):
            response = serve(RequestFactory().get("/"), self.name)
        self.assertEqual(b"".join(response), b"newer")  # type: ignore[arg-type]
        self.assertEqual(response.headers["Content-Length"], "5")

    def test_no_metadata_that_another_client_has_written_makes_a_file_look_pending(self) -> None:
        async def link(tree: Tree, caller: Caller) -> None:
            cap = await tree.client.upload(b"on the grid")
            await tree.link("a.txt", cap, metadata={"txtahoe-pending": 77})

        done(self.others._tree.run(link))
        self.assertEqual(self.read("a.txt"), b"on the grid")
        self.assertEqual(self.on_grid("a.txt"), b"on the grid")

    def test_a_deleted_pending_file_never_gets_to_the_grid(self) -> None:
        with self.no_request():
            self.storage.delete(self.name)
            self.assertEqual(self.spool.summary().files, 1)
        self.assertFalse(self.storage.exists(self.name))
        self.assertFalse(self.storage.exists("new"))
        self.upload()
        self.assertFalse(self.others.exists(self.name))
        self.assertTrue(self.others.exists(self.beside))

    def test_a_file_is_deleted_from_spool_and_grid_after_its_upload(self) -> None:
        self.upload()
        self.storage.delete(self.name)
        self.assertFalse(self.storage.exists(self.name))
        self.assertFalse(self.others.exists(self.name))
        self.storage.delete(self.name)

    def test_a_deletion_that_the_spool_cannot_note_is_in_doubt(self) -> None:
        self.upload()
        discard = self.spool.discard

        def full(entry: Entry, *, is_linked: bool = False) -> bool:
            if is_linked:
                raise OSError(errno.EIO, "the disk is full")
            return discard(entry)

        with mock.patch.object(Spool, "discard", side_effect=full):
            self.assertRaises(UnknownOutcome, self.storage.delete, self.name)
        self.assertFalse(self.others.exists(self.name))

    def test_a_directory_with_a_pending_file_is_not_empty(self) -> None:
        for name in ("new", "grid"):
            with self.assertRaises(OSError):
                self.storage.delete(name)

    def test_an_open_file_can_be_read_to_its_end_while_it_is_uploaded_and_deleted(self) -> None:
        name = self.storage.save("large.bin", ContentFile(LARGE))
        with self.storage.open(name) as file:
            start = file.read(1000)
            self.upload()
            self.storage.delete(name)
            self.assertEqual(start + file.read(), LARGE)

    def test_a_file_that_is_linked_while_it_is_opened_is_read_from_the_grid(self) -> None:
        node = done(self.storage.operations.file(self.name))
        self.upload()
        with Reader(self.tree, node) as reader:
            self.assertEqual(reader.read(), b"pending")

    def test_a_reader_closes_the_file_of_the_spool_once(self) -> None:
        reader = Reader(self.tree, done(self.storage.operations.file(self.name)))
        close = SealedFile.close
        with mock.patch.object(SealedFile, "close", autospec=True, side_effect=close) as closing:
            for _ in range(2):
                reader.close()
                self.assertEqual(closing.call_count, 1)

    def test_the_bytes_of_the_grid_are_read_if_they_are_there_and_wanted(self) -> None:
        def read(node: Node) -> bytes:
            with Reader(self.tree, node) as reader:
                return reader.read()

        pending = done(self.storage.operations.file(self.name))
        cap = done(self.others.operations.file("grid/there.txt")).cap
        uploaded = evolve(pending, cap=cap)  # and not linked, as if these were the same bytes
        self.assertEqual([read(pending), read(uploaded)], [b"pending", b"pending"])
        self.addCleanup(reads_grid.reset, reads_grid.set(True))
        self.assertEqual([read(pending), read(uploaded)], [b"pending", b"on the "])

    def test_a_file_that_is_replaced_while_it_is_opened_is_the_newer_one(self) -> None:
        node = done(self.storage.operations.file(self.name))
        with self.storage.open(self.name, "wb") as file:
            file.write(b"newer")
        path = self.storage._location.path_of(self.name)
        self.assertEqual(TahoeFile(self.tree, path, self.name, found=node).read(), b"newer")

    def test_a_file_that_is_deleted_while_it_is_opened_is_missing(self) -> None:
        node = done(self.storage.operations.file(self.name))
        self.storage.delete(self.name)
        path = self.storage._location.path_of(self.name)
        with self.assertRaises(NoSuchChild):
            TahoeFile(self.tree, path, self.name, found=node)

    def test_a_pending_file_whose_bytes_somebody_has_removed_is_damaged(self) -> None:
        for path in self.spool.path.glob("*.file"):
            path.unlink()
        with self.assertRaisesRegex(OSError, "gone or damaged"):
            self.storage.open(self.name)

    def test_to_delete_a_newer_version_waits_until_it_is_on_the_grid(self) -> None:
        with self.storage.open("grid/there.txt", "ab") as file:
            file.write(b" and more")

        def upload(_: float) -> None:
            self.spool.again()
            self.upload()

        with mock.patch("tahoestorage.grid.spooled.sleep", upload):
            self.storage.delete("grid/there.txt")
        self.assertFalse(self.storage.exists("grid/there.txt"))
        self.assertFalse(self.others.exists("grid/there.txt"))

    def test_to_delete_a_version_that_is_replaced_meanwhile_deletes_the_newer_one(self) -> None:
        def write(text: str) -> None:
            with self.storage.open("grid/there.txt", "a") as file:
                file.write(text)

        def upload() -> None:
            self.spool.again()
            self.upload()

        write("one")
        steps = iter([lambda: write("two"), upload])
        with mock.patch("tahoestorage.grid.spooled.sleep", lambda _: next(steps)()):
            self.storage.delete("grid/there.txt")
        self.assertFalse(self.storage.exists("grid/there.txt"))
        self.assertFalse(self.others.exists("grid/there.txt"))

    def test_to_delete_a_file_whose_name_another_host_takes_leaves_the_file_of_that_host(
        self,
    ) -> None:
        with self.storage.open("a.txt", "wb") as file:
            file.write(b"of this host")
        entry = self.spool.find(("a.txt",))
        assert entry is not None
        cap = done(self.others._tree.upload(ContentFile(b"of this host"), None))
        self.spool.update([evolve(entry, cap=cap, state=State.UPLOADED)])
        self.others.save("a.txt", ContentFile(b"of another host"))
        with mock.patch("tahoestorage.grid.spooled.sleep", lambda _: self.upload()):
            self.storage.delete("a.txt")
        self.assertEqual(self.on_grid("a.txt"), b"of another host")
        self.assertNotIn("a_", "".join(self.others.listdir("")[1]))

    def test_a_file_that_was_set_aside_can_be_deleted(self) -> None:
        self.others.save("file", ContentFile(b"a file"))
        self.others.save("directory/file", ContentFile(b"a file"))
        self.storage = self.new_storage(**self.options, allow_overwrite=True)
        for name in ("file/a.txt", "directory"):
            self.storage.save(name, ContentFile(b"x"))
            self.upload()
            self.assertEqual(list(self.spool.summary().aside), [name])
            self.storage.delete(name)
            self.assertEqual(self.spool.summary().aside, {})
        self.assertEqual(self.on_grid("directory/file"), b"a file")

    def test_to_delete_a_file_that_was_set_aside_leaves_an_empty_directory_of_the_name(
        self,
    ) -> None:
        self.storage = self.new_storage(**self.options, allow_overwrite=True)
        done(self.others._tree.run(lambda tree, _: tree.make_directories("directory")))
        self.storage.save("directory", ContentFile(b"x"))
        self.upload()
        self.storage.delete("directory")
        self.assertIn("directory", self.others.listdir("")[0])

    def test_a_newer_version_that_does_not_get_to_the_grid_cannot_be_deleted(self) -> None:
        with self.storage.open("grid/there.txt", "ab") as file:
            file.write(b" and more")
        minutes = mock.patch("tahoestorage.grid.spooled.monotonic", count(0, 60).__next__)
        with minutes, self.assertRaisesRegex(RequestTimeout, "not on the grid yet"):
            self.storage.delete("grid/there.txt")
        self.assertEqual(self.read("grid/there.txt"), b"on the grid and more")


class Writing(SpoolTestCase):
    def test_files_that_are_written_through_open_make_no_request_once_they_are_pending(
        self,
    ) -> None:
        with self.storage.open("log.txt", "w") as file:
            file.write("one\n")
        with self.no_request():
            for line in ("two\n", "three\n"):
                with self.storage.open("log.txt", "a") as file:
                    file.write(line)
            self.assertEqual(self.read("log.txt"), b"one\ntwo\nthree\n")
            with self.storage.open("log.txt", "r+") as file:
                file.write("ONE")
        self.assertEqual(self.read("log.txt"), b"ONE\ntwo\nthree\n")

    def test_a_file_that_is_appended_to_is_uploaded_when_it_is_left_alone(self) -> None:
        for number in range(20):
            with self.storage.open("upload.part", "ab") as file:
                file.write(bytes([number]) * 1000)
            self.upload()
        self.assertFalse(self.others.exists("upload.part"))
        self.assertEqual(sum(request.startswith("PUT") for request in self.proxy.requests), 0)
        self.spool.again()
        self.upload()
        self.assertEqual(len(self.on_grid("upload.part")), 20_000)
        self.assertEqual(self.others.listdir("")[1], ["upload.part"])

    def test_a_version_of_the_grid_is_replaced_by_a_later_one(self) -> None:
        self.others.save("a.txt", ContentFile(b"older"))
        with self.storage.open("a.txt", "ab") as file:
            file.write(b" and newer")
        self.spool.again()
        self.upload()
        self.assertEqual(self.on_grid("a.txt"), b"older and newer")
        self.assertEqual(self.others.listdir("")[1], ["a.txt"])

    def test_a_file_that_another_program_of_the_host_has_changed_is_not_replaced(self) -> None:
        name = self.storage.save("a.txt", ContentFile(b"one"))
        file = self.storage.open(name, "r+b")
        with self.storage.open(name, "wb") as other:
            other.write(b"two")
        file.write(b"three")
        with self.assertRaises(ExistingChild):
            file.close()
        file.discard()
        self.assertEqual(self.read(name), b"two")

    def test_with_overwriting_a_file_that_another_program_has_changed_is_replaced(self) -> None:
        self.storage = self.new_storage(**self.options, allow_overwrite=True)
        name = self.storage.save("a.txt", ContentFile(b"one"))
        with self.storage.open(name, "r+b") as file:
            with self.storage.open(name, "wb") as other:
                other.write(b"two")
            file.write(b"three")
        self.assertEqual(self.read(name), b"three")

    def test_a_taken_name_is_refused_or_another_one_is_used(self) -> None:
        name = self.storage.save("a.txt", ContentFile(b"one"))
        with self.assertRaises(ExistingChild):
            done(self.tree.save((name,), ContentFile(b"two"), name))
        done(self.tree.save((name,), ContentFile(b"two"), name, otherwise=lambda: ("other.txt",)))
        self.assertEqual((self.read(name), self.read("other.txt")), (b"one", b"two"))

    def test_a_file_that_is_refused_leaves_nothing_on_the_disk(self) -> None:
        name = self.storage.save("d/a.txt", ContentFile(b"one"))
        file = self.storage.open(name, "r+b")
        with self.storage.open(name, "wb") as other:
            other.write(b"two")
        with self.assertRaises(ExistingChild):
            file.write(b"x" * 1000)
            file.close()
        file.discard()
        for taken in ("d", f"{name}/below"):
            with self.assertRaises((IsADirectory, NotADirectory)), self.storage.open(taken, "wb"):
                pass
        self.assertEqual(len(list(self.spool.path.glob("*.file"))), 1)

    def test_a_save_for_which_no_other_name_is_found_leaves_nothing_on_the_disk(self) -> None:
        name = self.storage.save("a.txt", ContentFile(b"one"))
        no_name = SuspiciousFileOperation("no other name is short enough")
        path, other = (name,), mock.Mock(side_effect=no_name)
        with self.assertRaises(SuspiciousFileOperation):
            done(self.tree.save(path, ContentFile(b"two"), name, otherwise=other))
        other.assert_called_once()
        self.assertEqual(len(list(self.spool.path.glob("*.file"))), 1)

    def test_save_many_tells_its_progress_file_by_file(self) -> None:
        progress = mock.Mock()
        self.storage.save_many(
            [(f"{n}.txt", ContentFile(b"x")) for n in range(3)], progress=progress
        )
        self.assertEqual(progress.mock_calls, [mock.call(1)] * 3)

    def test_an_exclusive_mode_finds_pending_files(self) -> None:
        name = self.storage.save("a.txt", ContentFile(b"one"))
        with self.assertRaises(FileExistsError):
            self.storage.open(name, "x")


class SharedNames(SpoolTestCase):
    def test_hosts_that_share_a_cache_see_a_newer_version_when_it_is_on_the_grid(self) -> None:
        locmem = "django.core.cache.backends.locmem.LocMemCache"
        self.override(CACHES={"default": {"BACKEND": locmem, "LOCATION": "spooled"}})

        def seen_by_another_host() -> bytes:
            host = apart(self.new_storage(cache="default", base_url=None))
            with host.open("a.txt") as file:
                data: bytes = file.read()
                return data

        self.others.save("a.txt", ContentFile(b"older"))
        self.assertEqual(seen_by_another_host(), b"older")
        self.storage = self.new_storage(**self.options, cache="default", allow_overwrite=True)
        self.storage.save("a.txt", ContentFile(b"newer"))
        self.assertEqual(seen_by_another_host(), b"older")
        self.upload()
        self.assertEqual(seen_by_another_host(), b"newer")


class Limits(SpoolTestCase):
    def full(self, **options: Any) -> TahoeStorage:
        self.storage = self.new_storage(**{**self.options, "spool_max_bytes": 100_000, **options})
        return self.storage

    def test_a_file_for_which_there_is_no_room_goes_to_the_grid_directly(self) -> None:
        self.full()
        with self.assertLogs("tahoestorage", "WARNING"):
            name = self.storage.save("a.bin", ContentFile(LARGE))
        self.assertEqual(self.on_grid(name), LARGE)
        self.assertEqual(self.spool.summary().files, 0)

    def test_a_file_goes_to_the_grid_directly_if_the_folder_is_of_another_user(self) -> None:
        with (
            mock.patch("os.geteuid", return_value=os.geteuid() + 1),
            self.assertLogs("tahoestorage", "WARNING") as logged,
        ):
            name = self.storage.save("a.txt", ContentFile(b"content"))
        self.assertIn("the spool takes no file: ", logged.output[0])
        self.assertIn("belongs to another user", logged.output[0])
        self.assertEqual(self.on_grid(name), b"content")

    def test_a_file_that_can_be_read_once_only_is_refused_whole(self) -> None:
        class Once(BytesIO):
            def seekable(self) -> bool:
                return False

        self.full()
        with self.assertRaisesRegex(OSError, r"no room.*'a_\w{7}\.bin'"):
            self.storage.save("a.bin", File(Once(LARGE)))
        with self.assertRaisesRegex(OSError, "no room"):
            done(self.tree.save(("a.bin",), File(Once(LARGE)), None))
        self.assertEqual(self.storage.listdir(""), ([], []))
        with self.assertRaisesRegex(OSError, "no room") as caught:
            done(self.tree.save(("a.bin",), File(Once(LARGE)), f"{self.cap}.bin"))
        self.assertNotIn(str(self.cap), str(caught.exception))

    def test_without_room_no_file_goes_past_a_pending_one_of_its_name(self) -> None:
        self.full(allow_overwrite=True)
        self.storage.save("a.bin", ContentFile(b"pending"))
        with self.assertRaisesRegex(OSError, "no room"):
            self.storage.save("a.bin", ContentFile(LARGE))
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        text = "the spool takes no file: No space left on device: 'a.bin'"
        with (
            mock.patch("txtahoe.spool.files.os.fsync", side_effect=full),
            self.assertRaisesRegex(OSError, text),
        ):
            self.storage.save("a.bin", ContentFile(b"newer"))
        self.assertFalse(self.others.exists("a.bin"))
        self.assertEqual(self.read("a.bin"), b"pending")

    def test_a_content_that_cannot_be_read_is_not_read_again(self) -> None:
        class Broken(File):  # type: ignore[type-arg]
            times = 0

            def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
                self.times += 1
                if self.times == 1:
                    yield b"x" * 1000
                    raise problem

        for problem in (
            OSError("the client has gone"),
            OSError(errno.EIO, "the client has gone", "a temporary file"),
        ):
            text = str(problem)
            with self.no_request(), self.assertRaises(OSError) as caught:
                self.storage.save("a.bin", Broken(BytesIO()))
            self.assertEqual(str(caught.exception), text)
        self.assertEqual(list(self.spool.path.glob("*.file")), [])

    def test_without_room_and_without_a_grid_the_disk_is_full(self) -> None:
        self.full(tahoe_base_url="http://127.0.0.1:9/", timeout=1)
        with self.assertLogs("tahoestorage", "WARNING"), self.assertRaisesRegex(OSError, "no room"):
            self.storage.save("a.bin", ContentFile(LARGE))

    def test_without_a_grid_files_are_saved_and_read_and_uploaded_later(self) -> None:
        self.proxy.__exit__()
        names = [self.storage.save(f"{n}.txt", ContentFile(b"%d" % n)) for n in range(5)]
        self.assertEqual([self.read(name) for name in names], [b"%d" % n for n in range(5)])
        with self.assertRaises(GatewayUnreachable):
            self.storage.exists("another.txt")
        self.storage = self.new_storage(**self.options)  # the gateway is there again
        self.upload()
        self.assertEqual([self.on_grid(name) for name in names], [b"%d" % n for n in range(5)])


class Links(SpoolTestCase):
    @property
    def options(self) -> dict[str, Any]:
        return {**super().options, "base_url": "https://files.example.com/"}

    def test_without_a_view_of_the_site_a_save_waits_for_the_cap_but_not_for_the_link(self) -> None:
        name = self.storage.save("a.txt", ContentFile(b"x" * 100))
        self.assertEqual([label.split()[0] for label in self.proxy.requests], ["PUT"])
        url = self.storage.url(name)
        self.assertIn("URI:CHK:", url)
        self.assertEqual(self.read(name), b"x" * 100)
        self.upload()
        self.assertEqual(self.on_grid(name), b"x" * 100)
        self.assertEqual(self.storage.url(name), url)

    def test_an_empty_file_has_no_bytes(self) -> None:
        self.assertEqual(self.storage.size(self.storage.save("a.txt", ContentFile(b""))), 0)

    def test_a_save_that_waits_for_the_cap_fails_without_a_grid(self) -> None:
        self.proxy.__exit__()
        with self.assertRaises(GatewayUnreachable):
            self.storage.save("a.txt", ContentFile(b"x" * 100))
        self.assertEqual(self.spool.summary().files, 0)

    def test_with_a_view_of_the_site_a_pending_file_has_its_address_there(self) -> None:
        with mock.patch("tahoestorage.storage.mount_of") as mount_of:
            mount_of.return_value.url.return_value = "/media/a.txt"
            with self.no_request():
                name = self.storage.save("a.txt", ContentFile(b"x" * 100))
                self.assertEqual(self.storage.url(name), "/media/a.txt")
            self.upload()
            self.assertIn("URI:CHK:", self.storage.url(name))
