"""The file that the storage opens, beside one of the local disk."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import errno
import gc
import io
import os
import random
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.request import Request, urlopen

from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.images import get_image_dimensions
from django.core.files.storage import FileSystemStorage
from django.db import models
from django.db.models.fields.files import FieldFile
from django.http import FileResponse
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image

from tahoestorage.reactor.waiting import done
from tests.seeds import given
from tests.tahoestorage.case import StorageTestCase
from tests.waiting import wait_until_dropped
from txtahoe import Cap, Download
from txtahoe.errors import IncompleteDownload

DATA = random.Random(0).randbytes(3_000_000)
TEXT = "first line\nsecond lïne\r\nthird\n\nlast"


class Reading(StorageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.storage.save("f", ContentFile(DATA))

    def test_opening_fetches_nothing_and_a_missing_file_is_missing_at_once(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        file = storage.open("f")
        self.assertEqual(file.size, len(DATA))
        file.seek(0, os.SEEK_END)
        self.assertEqual(file.tell(), len(DATA))
        self.assertEqual(proxy.requests, ["GET /uri"])
        with self.assertRaisesRegex(FileNotFoundError, "missing"):
            storage.open("missing")
        self.storage.save("d/f", ContentFile(b"x"))
        with self.assertRaisesRegex(IsADirectoryError, "'d'"):
            storage.open("d")

    def test_a_small_read_in_the_middle_fetches_little(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        with storage.open("f") as file:
            file.seek(1_500_000)
            self.assertEqual(file.read(65_536), DATA[1_500_000:1_565_536])
        self.assertLess(proxy.received, 200_000)
        self.assertEqual(len(proxy.requests), 2)

    def test_reading_a_whole_file_takes_one_request(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        storage.exists("f")
        proxy.requests.clear()
        with storage.open("f") as file:
            self.assertEqual(b"".join(file.chunks()), DATA)
        self.assertEqual(len(proxy.requests), 1)
        with storage.open("f") as file:
            self.assertEqual(file.read(), DATA)
        self.assertEqual(len(proxy.requests), 2)

        async def read() -> bytes:
            async with await storage.aopen("f") as file:
                return b"".join([chunk async for chunk in file.aiter_chunks()])

        self.assertEqual(asyncio.run(read()), DATA)
        self.assertEqual(len(proxy.requests), 3)

    def test_reading_on_takes_few_requests(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        storage.exists("f")
        proxy.requests.clear()
        with storage.open("f") as file:
            blocks = iter(lambda: file.read(50_000), b"")
            self.assertEqual(b"".join(blocks), DATA)
        self.assertEqual(len(proxy.requests), 3)  # two ranges, and the rest
        file = storage.open("f")
        file.read(1)  # as for the header of a picture
        self.assertEqual(b"".join(file.chunks()), DATA)
        self.assertEqual(len(proxy.requests), 3 + 2)  # a range, and the rest
        file.close()

    def test_the_header_of_an_image_is_enough_for_its_dimensions(self) -> None:
        picture = io.BytesIO()
        Image.frombytes("RGB", (1500, 1200), random.Random(1).randbytes(5_400_000)).save(
            picture, "PNG"
        )
        self.storage.save("i.png", ContentFile(picture.getvalue()))
        storage, proxy = self.new_storage_through_proxy()
        self.assertEqual(get_image_dimensions(storage.open("i.png")), (1500, 1200))
        self.assertLess(proxy.received, 200_000)

    def test_every_way_of_reading_works_as_with_a_local_file(self) -> None:
        self.storage.save("t", ContentFile(TEXT))
        with tempfile.NamedTemporaryFile() as local_file:
            local_file.write(TEXT.encode())
            local_file.flush()
            for mode in ("rb", "r", "rt"):
                for use in (
                    lambda file: file.read(),
                    lambda file: file.read(7) + file.read(3),
                    lambda file: file.readline(),
                    lambda file: file.readlines(),
                    lambda file: list(file),
                    lambda file: (file.seek(5), file.tell(), file.read(2)),
                    lambda file: (file.seek(0, os.SEEK_END), file.read()),
                    lambda file: (file.readable(), file.writable(), file.seekable()),
                    lambda file: (file.closed, file.mode, bool(file)),
                ):
                    encoding = None if "b" in mode else "utf-8"
                    with open(local_file.name, mode, encoding=encoding) as local:
                        with self.storage.open("t", mode) as remote:
                            self.assertEqual(use(remote), use(local), mode)

    def test_a_place_before_the_start_and_a_closed_file_are_errors(self) -> None:
        with self.storage.open("f") as file:
            with self.assertRaises(OSError) as caught:
                file.seek(-1)
            self.assertEqual(caught.exception.errno, errno.EINVAL)
            self.assertEqual(file.tell(), 0)
        self.assertRaises(ValueError, file.tell)

    @given(st.lists(st.tuples(st.integers(0, 3_100_000), st.integers(0, 300_000)), max_size=6))
    @settings(max_examples=15)
    def test_any_seeks_and_reads_give_the_slices(self, moves: list[tuple[int, int]]) -> None:
        with self.storage.open("f") as file:
            for offset, length in moves:
                file.seek(offset)
                data = file.read(length)
                self.assertEqual(data, DATA[offset : offset + length])
                self.assertEqual(file.tell(), offset + len(data))

    def test_libraries_that_read_files_read_it(self) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as made:
            made.writestr("a.csv", "1,2\n3,4\n")
            made.writestr("b", DATA)
        self.storage.save("a.zip", ContentFile(archive.getvalue()))
        with zipfile.ZipFile(self.storage.open("a.zip")) as read:
            self.assertEqual(read.read("b"), DATA)
            self.assertEqual(read.read("a.csv"), b"1,2\n3,4\n")
        self.storage.save("a.csv", ContentFile("1,2\n3,4\n"))
        with self.storage.open("a.csv", "r") as file:
            self.assertEqual(list(csv.reader(file)), [["1", "2"], ["3", "4"]])
        with self.storage.open("a.csv") as file:
            text = io.TextIOWrapper(file)
            self.assertEqual(next(csv.reader(text)), ["1", "2"])
        target = io.BytesIO()
        with self.storage.open("f") as file:
            shutil.copyfileobj(file, target)
        self.assertEqual(target.getvalue(), DATA)

    def test_a_file_response_streams_it(self) -> None:
        response = FileResponse(self.storage.open("f"), as_attachment=True, filename="é.bin")
        self.assertEqual(response["Content-Length"], str(len(DATA)))
        self.assertEqual(b"".join(response.streaming_content), DATA)
        response.close()

    def test_a_file_of_the_storage_can_be_saved_in_it(self) -> None:
        with self.storage.open("f") as file:
            name = self.storage.save("copy", file)
        self.assertEqual(self.read(name), DATA)

    def test_a_file_that_has_become_shorter_cannot_be_read_on(self) -> None:
        def put(path: str, size: int) -> str:
            request = Request(f"{self.gateway}{path}", b"x" * size, method="PUT")
            with urlopen(request, timeout=60) as answer:
                return str(answer.read().decode())

        async def read(download: Download) -> bytes:
            reads.append(download)
            self.assertLess(len(reads), 9, "the reactor reads for ever")
            return await plain(download)

        reads: list[Download] = []
        plain = Download.read
        self.patch(Download, "read", read)
        mutable = put("uri?format=mdmf", 300)
        done(self.storage._tree.run(lambda tree, _: tree.link("m", Cap.parse(mutable))))
        with self.storage.open("m") as file:
            put(f"uri/{mutable}", 100)
            with self.assertRaisesRegex(IncompleteDownload, "shorter"):
                file.read(300)

    def test_a_closed_file_does_not_read(self) -> None:
        file = self.storage.open("f")
        file.read(10)
        file.close()
        file.close()
        self.assertTrue(file.closed)
        self.assertEqual(file.size, len(DATA))
        with self.assertRaises(ValueError):
            file.read(1)


class Writing(StorageTestCase):
    def test_every_way_of_writing_works_as_with_a_local_file(self) -> None:
        uses = {
            "w": lambda file: file.write("né\n"),
            "wb": lambda file: file.write(b"bytes"),
            "wt": lambda file: file.writelines(["a", "b"]),
            "xb": lambda file: file.write(b"exclusive"),
            "a": lambda file: file.write("appended"),
            "ab": lambda file: (file.seek(2), file.write(b"appended")),
            "a+b": lambda file: (file.write(b"more"), file.seek(0), file.read()),
            "r+b": lambda file: (file.read(3), file.seek(1), file.write(b"XY"), file.read()),
            "r+": lambda file: (file.seek(4), file.write("over")),
            "w+b": lambda file: (file.write(b"abc"), file.seek(1), file.read()),
            "w+": lambda file: (file.write("é"), file.seek(0), file.read()),
        }
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        for mode, use in uses.items():
            for exists in (False, True):
                if ("x" in mode and exists) or ("r" in mode and not exists):
                    continue
                name = f"{mode}-{exists}"
                path = os.path.join(folder, name)
                if exists:
                    self.storage.save(name, ContentFile(b"0123456789"))
                    with open(path, "wb") as local:
                        local.write(b"0123456789")
                encoding = None if "b" in mode else "utf-8"
                with open(path, mode, encoding=encoding) as local:
                    with self.storage.open(name, mode) as remote:
                        self.assertEqual(use(remote), use(local), name)
                        remote.flush()
                        local.flush()
                        self.assertEqual(remote.size, os.path.getsize(path), name)
                with open(path, "rb") as local:
                    self.assertEqual(self.read(name), local.read(), name)

    def test_truncate_cuts_a_file_and_makes_it_longer(self) -> None:
        for length in (3, 50):
            name = self.storage.save("f", ContentFile(b"0123456789"))
            with self.storage.open(name, "r+b") as file:
                self.assertEqual(file.truncate(length), length)
            self.assertEqual(self.read(name), (b"0123456789" + bytes(40))[:length])

    def test_operations_that_the_mode_does_not_allow_are_refused(self) -> None:
        self.storage.save("f", ContentFile(b"x"))
        for mode, use in (
            ("wb", lambda file: file.read()),
            ("w", lambda file: file.readline()),
            ("ab", lambda file: file.readlines()),
            ("rb", lambda file: file.write(b"x")),
            ("r", lambda file: file.write("x")),
            ("rb", lambda file: file.truncate(0)),
            ("rb", lambda file: file.fileno()),
        ):
            with self.assertRaises(io.UnsupportedOperation, msg=mode):
                with self.storage.open("f", mode) as file:
                    use(file)

    def test_an_empty_file_is_saved(self) -> None:
        self.storage.open("a/f", "w").close()
        self.assertEqual(self.storage.size("a/f"), 0)

    def test_nothing_is_saved_if_an_exception_leaves_the_block(self) -> None:
        def generator(file: Any) -> Iterator[None]:
            with file:
                yield

        def thrown_into(file: Any) -> Any:
            running = generator(file)
            next(running)
            return contextlib.closing(running)

        blocks: dict[str, Callable[[Any], Any]] = {
            "the file": lambda file: file,
            "Django's File": File,
            "a File of a File": lambda file: File(File(file)),
            "a text file": io.TextIOWrapper,
            "closing": contextlib.closing,
            "an ExitStack": self.exit_stack,
            "a generator": thrown_into,
        }
        self.storage.save("old", ContentFile(b"before"))
        for mode in ("wb", "r+b", "ab"):
            for label, block in blocks.items():
                for data in (b"half", DATA):
                    file = self.storage.open("old", mode)
                    with self.assertRaises(LookupError), block(file):
                        file.write(data)
                        raise LookupError
                    self.assertTrue(file.closed, label)
                    self.assertEqual(self.read("old"), b"before", f"{label}, {mode}")
        with self.assertRaises(LookupError), self.storage.open("new", "wb") as file:
            raise LookupError
        self.assertFalse(self.storage.exists("new"))

    def exit_stack(self, file: Any) -> contextlib.ExitStack:
        stack = contextlib.ExitStack()
        stack.enter_context(File(file))
        stack.callback(file.size.__index__)
        return stack

    def test_nothing_is_saved_if_an_exception_leaves_the_block_of_a_field(self) -> None:
        field = self.field("f", b"before")
        with self.assertRaises(LookupError), field.open("wb"):
            field.write(b"half")
            raise LookupError
        self.assertTrue(field.closed)
        self.assertEqual(self.read("f"), b"before")
        with field.open("wb"):
            field.write(b"after")
        self.assertEqual(self.read("f"), b"after")

    def field(self, name: str, data: bytes) -> FieldFile:
        """The file of a model's field."""
        field = models.FileField(storage=self.storage)
        field.attname = "file"
        return FieldFile(SimpleNamespace(), field, self.storage.save(name, ContentFile(data)))

    def test_close_saves_even_while_an_exception_is_handled(self) -> None:
        def closed_in_except(file: Any) -> None:
            try:
                raise LookupError
            except LookupError:
                file.close()

        def closed_in_finally(file: Any) -> None:
            with contextlib.suppress(LookupError):
                try:
                    raise LookupError
                finally:
                    file.close()

        def opened_and_closed_in_except(name: str) -> None:
            try:
                raise LookupError
            except LookupError:
                with self.storage.open(name, "wb") as file:
                    file.write(b"report")

        class Reporting:
            def __enter__(self) -> None: ...

            def __exit__(this, *raised: object) -> None:  # noqa: N805
                with self.storage.open("report", "wb") as file:
                    file.write(b"report")
                this.late = self.storage.open("late", "wb")
                this.late.write(b"report")

        for name, use in (("a", closed_in_except), ("b", closed_in_finally)):
            file = self.storage.open(name, "wb")
            file.write(b"report")
            use(file)
            self.assertEqual(self.read(name), b"report")
        opened_and_closed_in_except("c")
        reporting = Reporting()
        with self.assertRaises(LookupError), reporting:
            raise LookupError
        reporting.late.close()
        for name in ("c", "report", "late"):
            self.assertEqual(self.read(name), b"report")

    def test_an_exception_that_is_raised_again_in_the_block_leaves_it(self) -> None:
        self.storage.save("f", ContentFile(b"before"))
        with self.assertRaises(LookupError):
            try:
                raise LookupError
            except LookupError:
                with File(self.storage.open("f", "wb")) as file:
                    file.write(b"half")
                    raise
        self.assertEqual(self.read("f"), b"before")

    def test_written_bytes_can_be_discarded(self) -> None:
        self.storage.save("f", ContentFile(b"before"))
        for name in ("f", "g"):
            file = self.storage.open(name, "w")
            file.write("half")
            file.discard()
            file.close()
            self.assertTrue(file.closed)
        self.assertEqual(file.size, 0)
        self.assertEqual(self.read("f"), b"before")
        self.assertFalse(self.storage.exists("g"))

    def test_an_unchanged_file_is_not_saved_again(self) -> None:
        self.storage.save("f", ContentFile(b"x" * 100))
        storage, proxy = self.new_storage_through_proxy()
        for mode in ("r+b", "ab"):
            with storage.open("f", mode) as file:
                file.seek(0)
        self.assertNotIn("PUT /uri", proxy.requests)

    def test_modes_that_need_or_refuse_a_file_say_so_at_once(self) -> None:
        self.storage.save("d/f", ContentFile(b"x"))
        for name, mode, expected in (
            ("g", "r+b", FileNotFoundError),
            ("d/f", "xb", FileExistsError),
            ("d", "wb", IsADirectoryError),
            ("d/f/g", "wb", NotADirectoryError),
            ("d/f", "rw", ValueError),
            ("d/f", "b", ValueError),
            ("d/f", "rbt", ValueError),
            ("d/f", "z", ValueError),
        ):
            with self.assertRaises(expected, msg=mode):
                self.storage.open(name, mode)

    def test_a_file_that_another_has_changed_meanwhile_is_not_overwritten(self) -> None:
        self.storage.save("f", ContentFile(b"first"))
        for mode, name in (("wb", "f"), ("r+b", "f"), ("wb", "new")):
            theirs = f"theirs, {mode}".encode()
            file = self.storage.open(name, mode)
            file.write(b"mine")
            with self.storage.open(name, "wb") as other:
                other.write(theirs)
            with self.assertRaises(FileExistsError):
                file.close()
            self.assertEqual(self.read(name), theirs)
            file.discard()

    def test_with_allow_overwrite_the_last_one_wins(self) -> None:
        storage = self.new_storage(allow_overwrite=True)
        storage.save("f", ContentFile(b"first"))
        with storage.open("f", "wb") as file:
            file.write(b"mine")
            storage.save("f", ContentFile(b"theirs"))
        self.assertEqual(self.read("f"), b"mine")

    def test_a_file_that_could_not_be_saved_can_be_saved_later(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        file = storage.open("f", "wb")
        file.write(b"kept" * 100)
        proxy.refuse()
        proxy.close_connections()
        with self.assertRaises(ConnectionError):
            file.close()
        self.assertFalse(file.closed)
        proxy.refuse(False)
        file.close()
        self.assertEqual(self.read("f"), b"kept" * 100)

    def test_a_file_is_opened_anew_in_another_mode(self) -> None:
        self.storage.save("f", ContentFile(b"before"))
        file = self.storage.open("f")
        self.assertEqual(file.read(), b"before")
        file.open("wb")
        file.write(b"after")
        file.open("r")
        self.assertEqual(file.read(), "after")
        file.open()
        self.assertEqual(file.read(), "after")
        file.close()
        self.assertEqual(file.open().read(), "after")

    def test_a_small_file_needs_no_temporary_folder(self) -> None:
        self.storage.save("old", ContentFile(b"0123456789"))
        self.override(FILE_UPLOAD_TEMP_DIR="/missing", FILE_UPLOAD_MAX_MEMORY_SIZE=1000)
        for mode in ("wb", "ab", "r+b"):
            with self.storage.open("old", mode) as file:
                file.write(b"x" * 300)
                file.truncate(400)
            self.assertEqual(self.storage.size("old"), 400, mode)

    def test_a_spool_larger_than_the_setting_goes_to_the_disk(self) -> None:
        for most in (0, 1000):
            self.override(FILE_UPLOAD_MAX_MEMORY_SIZE=most)
            for use in (
                lambda file: file.write(b"x" * 1001),
                lambda file: (file.write(b"x" * 500), file.write(b"x" * 501)),
                lambda file: (file.seek(1000), file.write(b"x")),
                lambda file: file.truncate(1001),
            ):
                made = self.made_temporary_files()
                with self.storage.open("f", "w+b") as file:
                    use(file)
                    file.flush()
                    self.assertEqual(len(made), 1)
                    file.seek(0)
                    data = file.read()
                self.assertEqual(len(data), 1001)
                self.assertEqual(self.read("f"), data)

    def made_temporary_files(self) -> list[Any]:
        """The temporary files that are made from now on."""
        made: list[Any] = []
        plain = tempfile.TemporaryFile

        def make(**options: Any) -> Any:
            made.append(plain(**options))
            return made[-1]

        self.patch(tempfile, "TemporaryFile", make)
        return made

    def test_a_missing_temporary_folder_is_no_missing_file(self) -> None:
        self.storage.save("f", ContentFile(b"before"))
        for path in ("/missing", __file__):
            self.override(FILE_UPLOAD_TEMP_DIR=path, FILE_UPLOAD_MAX_MEMORY_SIZE=1000)
            for mode in ("wb", "ab"):
                with self.assertRaisesRegex(OSError, "Set FILE_UPLOAD_TEMP_DIR") as caught:
                    with self.storage.open("f", mode) as file:
                        file.write(DATA)
                self.assertIs(type(caught.exception), OSError)
        self.assertEqual(self.read("f"), b"before")

    def test_a_host_without_a_temporary_folder_has_no_missing_file(self) -> None:
        def find() -> str:
            raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

        self.patch(tempfile, "tempdir", None)
        self.patch(tempfile, "_get_default_tempdir", find)
        with self.assertRaisesRegex(OSError, "Set FILE_UPLOAD_TEMP_DIR") as caught:
            with self.storage.open("f", "wb") as file:
                file.write(DATA)
        self.assertIs(type(caught.exception), OSError)

    def test_after_a_failed_write_nothing_is_saved(self) -> None:
        self.storage.save("f", ContentFile(b"before"))
        self.override(FILE_UPLOAD_MAX_MEMORY_SIZE=1000)
        for mode, size in (("wb", 2000), ("wb", 20_000), ("ab", 20_000), ("r+b", 20_000)):
            disk = self.full_disk(1500)
            file = self.storage.open("f", mode)
            with self.assertRaises(OSError) as caught:
                file.write(b"x" * size)
                file.flush()
            self.assertEqual(caught.exception.errno, errno.ENOSPC)
            disk.room = 10**6
            with self.assertRaisesRegex(OSError, "'f' is not saved.*No space left"):
                file.close()
            self.assertTrue(file.closed)
            self.assertEqual(self.read("f"), b"before")

    def test_a_disk_that_is_full_at_last_is_noticed_by_close(self) -> None:
        self.override(FILE_UPLOAD_MAX_MEMORY_SIZE=1000)
        for data in ("x" * 1200, "x" * 5000):
            self.full_disk(1100)
            file = self.storage.open("f", "w")
            file.write(data)
            with self.assertRaisesRegex(OSError, "'f' is not saved.*No space left"):
                file.close()
            self.assertFalse(self.storage.exists("f"))

    def full_disk(self, room: int) -> FullDisk:
        """Put temporary files on a disk with `room` bytes left, from now on."""
        disk = FullDisk(room)
        self.patch(tempfile, "TemporaryFile", disk.file)
        return disk

    def test_a_large_file_is_spooled_to_the_disk_and_saved(self) -> None:
        with self.storage.open("f", "wb") as file:
            for start in range(0, len(DATA), 100_000):
                file.write(DATA[start : start + 100_000])
        self.assertEqual(self.read("f"), DATA)

    def test_a_file_that_is_dropped_unsaved_is_logged_as_an_error(self) -> None:
        self.storage.save("old", ContentFile(b"before"))
        for name, mode, data in (
            ("new", "wb", b""),
            ("new", "w", "x"),
            ("old", "ab", b"a few bytes"),
            ("old", "r+b", DATA),
        ):
            with (
                self.assertLogs("tahoestorage", "ERROR") as logged,
                self.assertWarnsRegex(ResourceWarning, "was not closed") as warned,
            ):
                file = self.storage.open(name, mode)
                file.write(data)
                cycle = [file]
                cycle.append(cycle)
                del file, cycle
                wait_until_dropped(lambda: warned.warnings)
            self.assertEqual(len(logged.output), 1)
            self.assertIn(f"'{name}' was not closed", logged.output[0])
        self.assertEqual(self.read("old"), b"before")
        self.assertFalse(self.storage.exists("new"))

    def test_a_file_that_could_not_be_saved_is_logged_when_it_is_dropped(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        file = storage.open("f", "wb")
        proxy.refuse()
        proxy.close_connections()
        with self.assertRaises(ConnectionError):
            file.close()
        with self.assertLogs("tahoestorage", "ERROR") as logged:
            del file
            wait_until_dropped(lambda: logged.output)

    def test_a_file_that_was_closed_discarded_or_only_read_is_dropped_silently(self) -> None:
        with self.assertNoLogs("tahoestorage", "ERROR"):
            self.storage.open("f", "wb").close()
            self.storage.open("f", "wb").discard()
            self.storage.open("f", "r+b").read()
            self.storage.open("f", "ab")
            self.storage.open("f")
            with contextlib.suppress(LookupError), self.storage.open("f", "w") as file:
                file.write("x")
                raise LookupError
            del file
            gc.collect()

    def test_mode_x_works_as_with_a_local_file(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        for storage in (FileSystemStorage(folder), self.new_storage(allow_overwrite=True)):
            storage.save("f", ContentFile(b"x"))
            storage.save("d/f", ContentFile(b"x"))
            for name in ("f", "d"):
                for mode in ("x", "xb", "x+"):
                    with self.assertRaises(FileExistsError):
                        storage.open(name, mode)
            with self.assertRaises(NotADirectoryError):
                storage.open("f/g", "x")
            opened: list[Any] = []
            with self.assertRaises(FileExistsError):
                for _ in range(2):
                    opened.append(storage.open("new", "xb"))
                for file in opened:
                    file.write(b"x")
                    file.close()
            getattr(opened[-1], "discard", opened[-1].close)()
            with storage.open("other", "x") as file:
                file.write("x")


class FullDisk:
    """Temporary files on a disk with `room` bytes left, for all of them."""

    def __init__(self, room: int) -> None:
        self.room = room

    def file(self, **options: Any) -> io.BufferedRandom:
        disk = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                if disk.room <= 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                taken = super().write(memoryview(data)[: disk.room]) or 0
                disk.room -= taken
                return taken

        descriptor, path = tempfile.mkstemp()
        os.unlink(path)
        return io.BufferedRandom(Raw(descriptor, "r+"))
