"""The storage contract, on a real grid."""

from __future__ import annotations

import asyncio
import copy
import io
import pickle
import shutil
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from django.conf import settings
from django.contrib.admin.utils import display_for_field
from django.contrib.admin.widgets import AdminFileWidget
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, storages
from django.core.files.uploadedfile import InMemoryUploadedFile, TemporaryUploadedFile
from django.db.migrations.writer import MigrationWriter
from django.db.models.fields.files import FieldFile, FileField
from django.forms.renderers import DjangoTemplates
from django.template import Context, Template
from django.utils import timezone

from tahoestorage import conf
from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.staticfiles import TahoeStaticFilesStorage
from tahoestorage.storage import TahoeStorage
from tests.processes import apart
from tests.tahoestorage.case import StorageTestCase
from txtahoe import Cap

NAMES = [
    "a b.txt",
    "what?.txt",
    "#1.txt",
    "100%.txt",
    "%2F.txt",
    "quo\"te's.txt",
    "semi;colon=&+.txt",
    "emoji 😀.txt",
    "é.txt",
    ".hidden",
    "new\nline.txt",
    "x" * 251 + ".txt",
    "😀" * 255,
]


class Slots:
    """Content that is no File, and has nothing but what FileSystemStorage needs."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        for start in range(0, len(self.data), 2**16):
            yield self.data[start : start + 2**16]


class BesideTheLocalDisk(StorageTestCase):
    """The same use of this storage and of Django's own gives the same results."""

    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.local = FileSystemStorage(folder)

    def field(self, storage: Any, data: bytes) -> FieldFile:
        """The file of a model's field."""
        field = FileField(storage=storage)
        field.attname = "file"
        return FieldFile(SimpleNamespace(), field, storage.save("field", ContentFile(data)))

    def test_content_needs_only_chunks(self) -> None:
        for storage in (self.local, self.storage):
            for size in (10, 3_000_000):
                name = storage.save("f", Slots(b"x" * size))
                self.assertEqual(storage.size(name), size)
        for size in (10, 3_000_000):
            [name] = self.storage.save_many([("f", Slots(b"x" * size))])
            self.assertEqual(self.storage.size(name), size)
            name = asyncio.run(self.storage.asave("f", Slots(b"x" * size)))
            self.assertEqual(self.storage.size(name), size)

    def test_a_closed_file_cannot_be_saved(self) -> None:
        for storage in (self.local, self.storage):
            for data in (b"x", b"x" * 3_000_000):
                field = self.field(storage, data)
                self.assertEqual(storage.size(storage.save("f", File(field))), len(data))
                field.close()
                for content in (field, File(field), File(File(field)), File(field.file)):
                    with self.assertRaisesRegex(ValueError, "closed file"):
                        storage.save("closed", content)
        self.assertFalse(self.storage.exists("closed"))

    def test_a_slash_at_the_end_of_a_name_makes_no_difference(self) -> None:
        for storage in (self.local, self.storage):
            storage.save("a.txt", ContentFile(b"x"))
            for name in ("a.txt/", "a.txt/.", "./a.txt"):
                self.assertTrue(storage.exists(name))
                self.assertEqual(storage.size(name), 1)
                with storage.open(name) as file:
                    self.assertEqual(file.read(), b"x")
            storage.delete("a.txt/")
            self.assertFalse(storage.exists("a.txt"))


class Saving(StorageTestCase):
    def test_a_saved_file_comes_back(self) -> None:
        name = self.storage.save("a/b/c.txt", ContentFile(b"hello"))
        self.assertEqual(name, "a/b/c.txt")
        self.assertEqual(self.read(name), b"hello")

    def test_a_save_into_a_known_directory_is_two_requests(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        storage.save("a/first", ContentFile(b"1" * 100))
        proxy.requests.clear()
        storage.save("a/second", ContentFile(b"2" * 100))
        self.assertEqual(proxy.requests, ["PUT /uri", "POST /uri"])

    def test_a_taken_name_is_left_alone_and_the_bytes_are_uploaded_once(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        storage.save("f.tar.gz", ContentFile(b"first" * 100))
        proxy.requests.clear()
        name = storage.save("f.tar.gz", ContentFile(b"second" * 100))
        self.assertRegex(name, r"^f_\w{7}\.tar\.gz$")
        self.assertEqual(self.read("f.tar.gz"), b"first" * 100)
        self.assertEqual(self.read(name), b"second" * 100)
        self.assertEqual(proxy.requests.count("PUT /uri"), 1)

    def test_equal_files_of_one_name_are_two_files(self) -> None:
        names = [self.storage.save("f", ContentFile(b"the same")) for _ in range(3)]
        self.assertEqual(len(set(names)), 3)
        self.storage.delete(names[0])
        self.assertEqual(self.read(names[1]), b"the same")

    def test_threads_that_save_one_name_lose_no_file(self) -> None:
        saved: dict[str, bytes] = {}

        def save(number: int) -> None:
            data = b"%d" % (number // 2) * 100  # pairs of equal ones
            saved[self.storage.save("d/f", ContentFile(data))] = data

        threads = [threading.Thread(target=save, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(saved), 12)
        for name, data in saved.items():
            self.assertEqual(self.read(name), data)

    def test_any_name_is_kept(self) -> None:
        for name in NAMES:
            self.assertEqual(self.storage.save(name, ContentFile(name.encode())), name)
        for name in NAMES:
            self.assertEqual(self.read(name), name.encode())
            with urlopen(self.storage.url(name)) as answer:
                self.assertEqual(answer.read(), name.encode())
        self.assertEqual(set(self.storage.listdir("")[1]), set(NAMES))

    def test_decomposed_accents_are_composed(self) -> None:
        name = self.storage.save("cafe\u0301/e\u0301", ContentFile(b"x"))
        self.assertEqual(name, "caf\u00e9/\u00e9")
        self.assertTrue(self.storage.exists("cafe\u0301/e\u0301"))

    def test_the_name_can_be_a_path(self) -> None:
        self.assertEqual(self.storage.save(Path("a/b"), ContentFile(b"x")), "a/b")
        self.assertTrue(self.storage.exists(Path("a/b")))

    def test_backslashes_are_slashes(self) -> None:
        self.assertEqual(self.storage.save("a\\b", ContentFile(b"x")), "a/b")

    def test_a_name_is_cut_to_max_length_with_its_alternatives(self) -> None:
        content = ContentFile(b"x")
        name = self.storage.save("a/longname.txt", content, max_length=16)
        self.assertEqual(name, "a/longname.txt")
        name = self.storage.save("a/longname.txt", content, max_length=16)
        self.assertRegex(name, r"^a/lo_\w{7}\.txt$")
        with self.assertRaises(SuspiciousFileOperation):
            self.storage.save("a/long.extension", content, max_length=5)

    def test_content_of_every_kind_is_saved_whole_and_left_open(self) -> None:
        class Unseekable(io.RawIOBase):
            data = io.BytesIO(b"unseekable" * 300_000)

            def readable(self) -> bool:
                return True

            def readinto(self, buffer) -> int:
                return self.data.readinto(buffer)

        class OnlyChunks:
            name = "only chunks"

            def chunks(self):
                yield "é"
                yield b"x" * 2_000_000

        moved = io.BytesIO(b"moved" * 300_000)
        moved.seek(100)
        temporary = TemporaryUploadedFile("f", "text/plain", 5, "utf-8")
        temporary.write(b"temporary")
        text = InMemoryUploadedFile(io.StringIO("é"), "", "f", "text/plain", 1, "utf-8")
        for content, expected in (
            (ContentFile("é"), "é".encode()),
            (ContentFile(b""), b""),
            (io.StringIO("text"), b"text"),
            (File(Unseekable()), b"unseekable" * 300_000),
            (OnlyChunks(), "é".encode() + b"x" * 2_000_000),
            (moved, b"moved" * 300_000),
            (temporary, b"temporary"),
            (text, "é".encode()),
        ):
            name = self.storage.save("f", content)
            self.assertEqual(self.read(name), expected)
            self.assertFalse(getattr(content, "closed", False))

    def test_a_large_file_is_read_in_the_thread_that_saves_it(self) -> None:
        threads = set()

        class Content(ContentFile):
            def read(self, *args):
                threads.add(threading.get_ident())
                return super().read(*args)

        self.storage.save("f", Content(b"x" * 3_000_000))
        self.assertEqual(threads, {threading.get_ident()})

    def test_a_large_upload_is_repeated_when_its_answer_is_lost(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        proxy.lose_answer("PUT /uri")
        storage.save("f", ContentFile(b"0123456789" * 300_000))
        self.assertEqual(self.read("f"), b"0123456789" * 300_000)
        self.assertEqual(proxy.requests.count("PUT /uri"), 2)

    def test_an_error_of_the_content_is_the_error_of_save(self) -> None:
        def failing(first: bytes):
            yield first
            raise LookupError("the content is broken")

        for first in (b"", b"x" * 2_000_000):
            content = ContentFile(b"x")
            content.chunks = lambda: failing(first)  # noqa: B023
            with self.assertRaisesRegex(LookupError, "broken"):
                self.storage.save("f", content)
        self.assertEqual(self.storage.listdir(""), ([], []))

    def test_a_lost_answer_to_the_link_is_settled(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        storage.save("first", ContentFile(b"1"))
        proxy.lose_answer("POST /uri")
        self.assertEqual(storage.save("f", ContentFile(b"x")), "f")
        self.assertEqual(self.storage.listdir("")[1], ["f", "first"])

    def test_allow_overwrite_replaces_files_and_never_directories(self) -> None:
        storage = self.new_storage(allow_overwrite=True)
        for data in (b"a longer text", b"short"):
            self.assertEqual(storage.save("d/f", ContentFile(data)), "d/f")
            self.assertEqual(self.read("d/f"), data)
        with self.assertRaises(IsADirectoryError):
            storage.save("d", ContentFile(b"x"))
        self.assertTrue(storage.exists("d/f"))

    def test_save_alone_takes_another_name(self) -> None:
        self.assertEqual(self.storage._save("f", ContentFile(b"1")), "f")
        self.assertRegex(self.storage._save("f", ContentFile(b"2")), r"^f_\w{7}$")

    def test_a_subclass_can_choose_names(self) -> None:
        class Numbered(TahoeStorage):
            def get_available_name(self, name, max_length=None):
                number = 2
                while self.exists(name):
                    name, number = f"{name.split('.')[0]}.{number}", number + 1
                return name

        storage = Numbered(tahoe_base_url=self.gateway, tahoe_base_cap=self.cap)
        saved = [storage.save("f", ContentFile(b"x")) for _ in range(3)]
        self.assertEqual(saved, ["f", "f.2", "f.3"])

    def test_a_subclass_that_proposes_a_taken_name_again_raises(self) -> None:
        class Stubborn(TahoeStorage):
            def get_available_name(self, name, max_length=None):
                return name

        storage = Stubborn(tahoe_base_url=self.gateway, tahoe_base_cap=self.cap)
        storage.save("f", ContentFile(b"first"))
        with self.assertRaisesRegex(FileExistsError, "allow_overwrite"):
            storage.save("f", ContentFile(b"second"))
        self.assertEqual(self.read("f"), b"first")

    def test_a_file_in_the_place_of_a_directory_raises_not_a_directory(self) -> None:
        self.storage.save("f", ContentFile(b"x"))
        for expected in (NotADirectoryError, FileExistsError):
            with self.assertRaises(expected):
                self.storage.save("f/g", ContentFile(b"x"))


class Asking(StorageTestCase):
    def test_exists_is_true_of_files_directories_and_the_root(self) -> None:
        self.storage.save("a/f", ContentFile(b"x"))
        for name in ("a/f", "a", "a/", "", ".", "./a", "a/../a/f"):
            self.assertTrue(self.storage.exists(name), name)
        for name in ("b", "a/g", "a/f/g", "b/c/d"):
            self.assertFalse(self.storage.exists(name), name)
        self.assertTrue(self.new_storage(allow_overwrite=True).exists("a/f"))

    def test_listdir_tells_directories_from_files(self) -> None:
        self.assertEqual(self.storage.listdir(""), ([], []))
        self.storage.save("a/f", ContentFile(b"x"))
        self.storage.save("g", ContentFile(b"x"))
        self.assertEqual(self.storage.listdir(""), (["a"], ["g"]))
        self.assertEqual(self.storage.listdir("a"), ([], ["f"]))
        with self.assertRaises(FileNotFoundError):
            self.storage.listdir("b")
        with self.assertRaises(NotADirectoryError):
            self.storage.listdir("g")

    def test_size_counts_bytes(self) -> None:
        for data in ("é", b"x" * 5000):
            self.assertEqual(
                self.storage.size(self.storage.save("f", ContentFile(data))),
                len(data.encode() if isinstance(data, str) else data),
            )
        with self.assertRaises(FileNotFoundError):
            self.storage.size("g")
        self.storage.save("d/f", ContentFile(b"x"))
        with self.assertRaises(IsADirectoryError):
            self.storage.size("d")

    def test_times_are_those_of_the_link(self) -> None:
        self.storage.save("f", ContentFile(b"x"))
        for get in (self.storage.get_created_time, self.storage.get_modified_time):
            self.override(USE_TZ=True)
            self.assertLess(abs(get("f") - timezone.now()), timedelta(seconds=60))
            self.assertEqual(get("f").tzinfo, UTC)
            self.override(USE_TZ=False)
            self.assertLess(abs(get("f") - datetime.now()), timedelta(seconds=60))
            self.assertIsNone(get("f").tzinfo)
            with self.assertRaises(FileNotFoundError):
                get("g")
        with self.assertRaises(NotImplementedError):
            self.storage.get_accessed_time("f")

    def test_an_overwritten_file_is_modified_later_than_created(self) -> None:
        storage = self.new_storage(allow_overwrite=True)
        storage.save("f", ContentFile(b"1"))
        created = storage.get_created_time("f")
        storage.save("f", ContentFile(b"2"))
        self.assertEqual(storage.get_created_time("f"), created)
        self.assertGreater(storage.get_modified_time("f"), created)

    def test_path_is_not_implemented(self) -> None:
        with self.assertRaises(NotImplementedError):
            self.storage.path("f")

    def test_a_url_reads_the_file_and_gives_no_other_right(self) -> None:
        for data in (b"short", b"long" * 100):
            name = self.storage.save("a/the file?.txt", ContentFile(data))
            url = self.storage.url(name)
            self.assertTrue(url.startswith(f"{self.gateway}named/URI:"), url)
            self.assertNotIn("URI:DIR2", url)
            with urlopen(url) as answer:
                self.assertEqual(answer.read(), data)
                self.assertEqual(answer.headers["Content-Type"], "text/plain")
        with self.assertRaises(HTTPError):
            urlopen(f"{self.gateway}named/no-cap/f")

    def test_the_url_of_a_missing_file_is_not_found(self) -> None:
        self.storage.save("a/f", ContentFile(b"f" * 100))
        for name in ("missing", "a/missing ü?.txt", "a/f/below", "a", ""):
            with self.assertLogs("tahoestorage", "WARNING") as logged:
                url = self.storage.url(name)
                self.assertEqual(asyncio.run(self.storage.aurl(name)), url)
            self.assertEqual(len(logged.output), 2)
            self.assertIn(repr(name), logged.output[0])
            with self.assertRaises(HTTPError) as caught:
                urlopen(url)
            self.assertEqual(caught.exception.code, 404)

    def test_pages_with_a_missing_file_are_shown(self) -> None:
        self.override(INSTALLED_APPS=["django.contrib.admin", *settings.INSTALLED_APPS])
        field = FileField(storage=self.storage)
        file = FieldFile(None, field, "a/missing.txt")
        template = Template('<a href="{{ file.url }}">')
        for page in (
            lambda: template.render(Context({"file": file})),
            lambda: display_for_field(file, field, ""),
            lambda: AdminFileWidget().render("file", file, renderer=DjangoTemplates()),
        ):
            with self.assertLogs("tahoestorage", "WARNING"):
                self.assertIn(f'<a href="{self.gateway}missing/missing.txt">', page())

    def test_a_grid_that_is_away_has_no_missing_files(self) -> None:
        away = self.new_storage(tahoe_base_url="http://127.0.0.1:1/")
        self.assertRaises(ConnectionRefusedError, away.url, "f")
        self.assertRaises(ConnectionRefusedError, lambda: asyncio.run(away.aurl("f")))

    def test_without_a_base_url_there_are_no_urls(self) -> None:
        storage = self.new_storage(base_url=None)
        with self.assertRaises(ValueError):
            storage.url("f")


class Deleting(StorageTestCase):
    def test_a_file_is_deleted(self) -> None:
        self.storage.save("a/f", ContentFile(b"x"))
        self.storage.delete("a/f")
        self.assertFalse(self.storage.exists("a/f"))
        self.assertTrue(self.storage.exists("a"))

    def test_deleting_a_missing_file_does_nothing(self) -> None:
        self.storage.delete("f")
        self.storage.delete("a/b/f")

    def test_an_empty_name_is_refused(self) -> None:
        for name in ("", None):
            with self.assertRaisesRegex(ValueError, "must be given"):
                self.storage.delete(name)

    def test_a_directory_is_deleted_when_it_is_empty(self) -> None:
        self.storage.save("a/f", ContentFile(b"x"))
        with self.assertRaises(OSError):
            self.storage.delete("a")
        self.storage.delete("a/f")
        self.storage.delete("a")
        self.assertFalse(self.storage.exists("a"))
        self.storage.save("a/f", ContentFile(b"again"))
        self.assertEqual(self.read("a/f"), b"again")

    def test_a_file_saved_while_another_process_deletes_its_directory_is_kept(self) -> None:
        other = apart(self.new_storage())
        self.storage.save("d/x", ContentFile(b"1"))
        other.delete("d/x")
        other.delete("d")
        self.assertFalse(apart(self.new_storage()).exists("d"))
        name = self.storage.save("d/y", ContentFile(b"2"))
        self.assertTrue(other.exists(name))
        self.assertEqual(other.listdir(""), (["d"], []))


class Traversal(StorageTestCase):
    def test_names_that_climb_out_are_refused_everywhere(self) -> None:
        outside = self.new_storage(location="a/b")
        for storage in (self.storage, outside):
            for name in (
                "..",
                "../f",
                "a/../../f",
                "/etc/passwd",
                "\\etc\\passwd",
                "..\\f",
                "\udc80",
                "d/" * 1900 + "f",
            ):
                for use in (
                    storage.open,
                    storage.exists,
                    storage.delete,
                    storage.listdir,
                    storage.size,
                    storage.url,
                    storage.get_created_time,
                    lambda name: storage.save(name, ContentFile(b"x")),  # noqa: B023
                    lambda name: storage._save(name, ContentFile(b"x")),  # noqa: B023
                ):
                    with self.assertRaises(SuspiciousFileOperation, msg=name):
                        use(name)
        self.assertEqual(self.storage.listdir(""), ([], []))

    def test_location_is_where_names_begin(self) -> None:
        for location in ("a/b", "/a/b/", "a//b/.", "a\\b"):
            inner = self.new_storage(location=location)
            name = inner.save("c/f", ContentFile(b"x"))
            self.assertTrue(name.startswith("c/f"))
            self.assertTrue(self.storage.exists(f"a/b/{name}"))
            self.assertTrue(inner.exists(f"/a/b/{name}"))
            self.assertTrue(inner.exists(""))
        self.assertFalse(self.new_storage(location="nowhere").exists(""))

    def test_location_can_be_set_as_in_filesystemstorage(self) -> None:
        storage = self.new_storage()
        storage.location = "a/b"
        storage.save("f", ContentFile(b"x"))
        self.assertEqual(storage.listdir(""), ([], ["f"]))
        self.assertTrue(self.new_storage().exists("a/b/f"))

    def test_a_location_in_which_nothing_was_saved_is_empty(self) -> None:
        for kind in (TahoeStorage, TahoeCapStorage, TahoeStaticFilesStorage):
            for options in ({"location": "not/made"}, {}):
                storage = kind(**{**self.storage.options, **options})
                self.assertEqual(storage.listdir(""), ([], []))
                self.assertEqual(asyncio.run(storage.alistdir("")), ([], []))
                self.assertEqual(list(storage.walk()), [("", [], [])])
                for missing in ("a", "a/b"):
                    with self.assertRaises(FileNotFoundError):
                        storage.listdir(missing)
                    with self.assertRaises(FileNotFoundError):
                        list(storage.walk(missing))

    def test_an_unavailable_location_does_not_look_empty(self) -> None:
        self.storage.save("file", ContentFile(b"x"))
        storage = self.new_storage(location="file/below")
        with self.assertRaises(NotADirectoryError):
            storage.listdir("")
        storage = self.new_storage(location="media", tahoe_base_url="http://127.0.0.1:1/")
        with self.assertRaises(ConnectionError):
            storage.listdir("")
        with self.assertRaises(ConnectionError):
            list(storage.walk())


class Configuration(StorageTestCase):
    def test_options_win_over_settings(self) -> None:
        self.override(
            TAHOE_STORAGE_BASE_URL=self.gateway,
            TAHOE_STORAGE_BASE_CAP=self.cap,
            TAHOE_PUBLIC_BASE_URL="https://files.example.com",
        )
        storage = TahoeStorage()
        storage.save("f", ContentFile(b"x" * 100))
        self.assertTrue(storage.url("f").startswith("https://files.example.com/named/URI:CHK:"))
        other = TahoeStorage(base_url="http://other/")
        self.assertTrue(other.url("f").startswith("http://other/named/URI:CHK:"))

    def test_settings_can_change(self) -> None:
        self.override(TAHOE_STORAGE_BASE_URL="http://127.0.0.1:1/", TAHOE_STORAGE_BASE_CAP=self.cap)
        storage = TahoeStorage()
        with self.assertRaises(ConnectionError):
            storage.exists("f")
        self.override(TAHOE_STORAGE_BASE_URL=[self.gateway])
        self.assertFalse(storage.exists("f"))

    def test_storages_takes_options(self) -> None:
        backend = "tahoestorage.storage.TahoeStorage"
        options = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap, "location": "a"}
        self.override(STORAGES={"tahoe": {"BACKEND": backend, "OPTIONS": options}})
        self.assertEqual(storages["tahoe"].save("f", ContentFile(b"x")), "f")
        self.assertEqual(self.read("a/f"), b"x")

    def test_an_unknown_option_is_refused_by_name(self) -> None:
        with self.assertRaisesRegex(ImproperlyConfigured, "'locaton'.*'location'"):
            TahoeStorage(locaton="a")

    def test_missing_or_wrong_settings_raise_at_the_first_use(self) -> None:
        file_cap = "URI:CHK:aaaqeayeaudaocajbifqydiob4:" + "a" * 52 + ":2:3:1000"
        for wrong, expected in (
            ({"tahoe_base_url": ""}, "TAHOE_STORAGE_BASE_URL.*missing"),
            ({"tahoe_base_url": "localhost:3456"}, "TAHOE_STORAGE_BASE_URL.*http://"),
            ({"tahoe_base_url": []}, "TAHOE_STORAGE_BASE_URL.*missing"),
            ({"tahoe_base_cap": ""}, "TAHOE_STORAGE_BASE_CAP.*missing"),
            ({"tahoe_base_cap": "URI:DIR2:oops"}, "TAHOE_STORAGE_BASE_CAP.*malformed"),
            ({"tahoe_base_cap": file_cap}, "TAHOE_STORAGE_BASE_CAP.*directory"),
            ({"tahoe_base_cap": 5}, "TAHOE_STORAGE_BASE_CAP"),
            ({"tahoe_base_url": "http://user:secret@host/"}, "password is not supported"),
            ({"timeout": 0}, "timeout"),
            ({"location": "../a"}, "location"),
        ):
            storage = self.new_storage(**wrong)
            with self.assertRaisesRegex(ImproperlyConfigured, expected):
                storage.exists("f")

    def test_a_read_cap_reads_and_does_not_write(self) -> None:
        self.storage.save("f", ContentFile(b"x"))
        reader = self.new_storage(tahoe_base_cap=str(Cap.parse(self.cap).reader))
        self.assertEqual(reader.open("f").read(), b"x")
        for attempt in (lambda: reader.save("g", ContentFile(b"x")), lambda: reader.delete("f")):
            with self.assertRaises(PermissionError):
                attempt()

    def test_an_unreachable_grid_raises_and_never_looks_empty(self) -> None:
        storage = self.new_storage(tahoe_base_url="http://127.0.0.1:1/")
        for attempt in (
            storage.exists,
            storage.listdir,
            storage.size,
            storage.open,
            storage.delete,
        ):
            with self.assertRaisesRegex(ConnectionError, "'f'.*http://127.0.0.1:1"):
                attempt("f")


class Secrets(StorageTestCase):
    """The cap is shown nowhere."""

    def assert_hidden(self, shown: object) -> None:
        secret = self.cap.split(":")[2]
        self.assertNotIn(secret, shown if isinstance(shown, str) else repr(shown))

    def test_repr_and_variables_show_no_cap(self) -> None:
        self.storage.exists("f")
        self.assert_hidden(self.storage)
        self.assert_hidden(vars(self.storage))
        self.assert_hidden(vars(self.new_storage(tahoe_base_cap=self.cap[:-5])))

    def test_a_migration_has_no_cap(self) -> None:
        path, args, kwargs = self.storage.deconstruct()
        self.assertEqual(path, "tahoestorage.storage.TahoeStorage")
        self.assertEqual(kwargs["tahoe_base_cap"], repr(Cap.parse(self.cap)))
        self.assertEqual(kwargs["tahoe_base_url"], self.gateway)
        self.assert_hidden(MigrationWriter.serialize(self.storage)[0])

    def test_a_pickle_has_no_cap_and_finds_it_among_the_settings(self) -> None:
        self.storage.save("f", ContentFile(b"x"))
        pickled = pickle.dumps(self.storage)
        self.assertNotIn(self.cap.split(":")[2].encode(), pickled)
        self.assertTrue(pickle.loads(pickled).exists("f"))
        conf.basecap._remembered.clear()  # as in another process
        with self.assertRaisesRegex(pickle.UnpicklingError, "not among the settings"):
            pickle.loads(pickled)
        self.override(TAHOE_STORAGE_BASE_CAP=self.cap)
        self.assertTrue(pickle.loads(pickled).exists("f"))

    def test_a_copy_is_the_same_storage(self) -> None:
        self.assertIs(copy.copy(self.storage), self.storage)
        self.assertIs(copy.deepcopy(self.storage), self.storage)

    def test_errors_show_no_cap(self) -> None:
        for attempt in (self.storage.open, self.storage.size, self.storage.listdir):
            with self.assertRaises(OSError) as raised:
                attempt("missing")
            self.assertNotIn("URI:", str(raised.exception) + repr(raised.exception))
            self.assertIn("missing", str(raised.exception))

    def test_errors_show_no_cap_of_a_name_that_carries_one(self) -> None:
        # A field that has changed from TahoeCapStorage to this one still has such names.
        name = f"docs/URI:CHK:{'a' * 26}:{'a' * 52}:2:3:60/missing"
        for attempt in (self.storage.open, self.storage.size, self.storage.listdir):
            with self.assertRaises(OSError) as raised:
                attempt(name)
            self.assertNotIn("a" * 26, f"{raised.exception} {raised.exception!r}")
            self.assertIn("missing", str(raised.exception))
