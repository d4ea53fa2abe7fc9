"""Uploads that reach the grid as they come in, in this process."""

from __future__ import annotations

import asyncio
import copy
import io
import pickle
import time
from base64 import b64encode
from pathlib import Path
from typing import Any
from unittest import mock

from django import forms
from django.core.exceptions import (
    ImproperlyConfigured,
    RequestDataTooBig,
    SynchronousOnlyOperation,
)
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import (
    FileUploadHandler,
    MemoryFileUploadHandler,
    SkipFile,
    StopUpload,
    TemporaryFileUploadHandler,
)
from django.db import connection, models
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.test import AsyncClient, Client
from PIL import Image

from tahoestorage.staticfiles import TahoeStaticFilesStorage
from tahoestorage.storage import TahoeStorage
from tahoestorage.uploadhandler import TahoeUploadedFile, TahoeUploadHandler
from tests.secrets.collect import Collector
from tests.tahoestorage.upload_case import END, UploadTestCase, begin
from tests.waiting import wait_until, wait_until_dropped
from txtahoe.errors import AnswerLost, GatewayUnreachable, NotEnoughServers
from txtahoe.http import transport
from txtahoe.testing.fake import ExceptionPage, FakeGateway
from txtahoe.tree.uploads import SMALL

HANDLER = "tahoestorage.uploadhandler.TahoeUploadHandler"
MEMORY = "django.core.files.uploadhandler.MemoryFileUploadHandler"
LARGE = bytes(range(256)) * 8000  # two megabytes


class Picture(models.Model):
    title = models.CharField(max_length=9)
    file = models.FileField(upload_to="files/", storage=TahoeStorage())
    image = models.ImageField(
        upload_to="images/",
        storage=TahoeStorage(),
        blank=True,
        width_field="width",
        height_field="height",
    )
    width = models.IntegerField(null=True)
    height = models.IntegerField(null=True)

    class Meta:
        app_label = "uploading"  # which is not installed


class PictureForm(forms.ModelForm):
    class Meta:
        model = Picture
        fields = ("title", "file", "image")


def uploaded(data: bytes, name: str = "a b.txt", kind: str = "text/plain") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, kind)


class Arriving(UploadTestCase):
    def test_files_of_every_size_come_back(self) -> None:
        sizes = [0, 1, 55, 56, 10_000, SMALL - 1, SMALL, SMALL + 1, len(LARGE)]
        request = self.post(**{str(size): uploaded(LARGE[:size]) for size in sizes})
        for size in sizes:
            file = request.FILES[str(size)]
            self.assertIsInstance(file, TahoeUploadedFile)
            self.assertEqual((file.name, file.size, len(file)), ("a b.txt", size, size))
            self.assertEqual((file.content_type, file.charset), ("text/plain", None))
            self.assertEqual(b"".join(file.chunks()), LARGE[:size])
            self.assertFalse(hasattr(file, "temporary_file_path"))
        self.assertEqual(self.storage.listdir(""), ([], []))

    def test_an_uploaded_file_is_read_as_any_file(self) -> None:
        file = self.post(file=uploaded(b"one\ntwo\n" * 1000)).FILES["file"]
        self.assertEqual(file.readline(), b"one\n")
        file.seek(4)
        self.assertEqual(file.read(3), b"two")
        self.assertEqual(len(list(file)), 2000)
        self.assertTrue(file.seekable())
        self.assertTrue(file.multiple_chunks(100))
        with file.open() as again:
            self.assertEqual(again.tell(), 0)
        self.assertTrue(file.closed)
        self.assertEqual(file.open("rb").read(), b"one\ntwo\n" * 1000)
        self.assertRaises(io.UnsupportedOperation, file.write, b"x")

    def test_the_fields_of_the_form_are_there(self) -> None:
        request = self.browse(
            begin("é.txt", kind="text/plain; charset=latin-1"),
            b"x" * 100,
            b"\r\n" + begin("2"),
            b"y" * 100 + b"\r\n",
            b'--boundary\r\nContent-Disposition: form-data; name="title"\r\n\r\nT\r\n' + END,
        )
        self.assertEqual(request.POST["title"], "T")
        first, second = request.FILES.getlist("file")
        self.assertEqual((first.name, second.name), ("é.txt", "2"))
        self.assertEqual(first.charset, b"latin-1")
        self.assertEqual(first.content_type_extra, {"charset": b"latin-1"})

    def test_a_slow_browser_gets_its_file_saved(self) -> None:
        # The deadline of what was sent is longer by the time that its encoding may take.
        self.patch(transport, "_PUSH_RATE", 2**40)
        backend = "tahoestorage.storage.TahoeStorage"
        self.override(STORAGES={"default": {"BACKEND": backend, "OPTIONS": {"timeout": 1.5}}})
        fake = FakeGateway()
        with fake.listening() as url:
            self.override(TAHOE_STORAGE_BASE_URL=url)
            request = self.browse(begin(), LARGE, lambda: time.sleep(2.5), b"end", b"\r\n" + END)
            self.assertEqual(b"".join(request.FILES["file"].chunks()), LARGE + b"end")
        self.assertEqual(fake.requests[0], "PUT /uri")

    def test_handlers_behind_it_get_nothing_and_those_before_it_come_first(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.override(FILE_UPLOAD_TEMP_DIR=str(folder))
        handlers = (MemoryFileUploadHandler, TahoeUploadHandler, TemporaryFileUploadHandler)
        small = self.post(*handlers, file=uploaded(b"x"))
        self.assertEqual(type(small.FILES["file"]).__name__, "InMemoryUploadedFile")
        large = self.post(*handlers, file=uploaded(LARGE * 2))
        self.assertIsInstance(large.FILES["file"], TahoeUploadedFile)
        self.assertEqual(list(folder.iterdir()), [])

    def test_an_uploaded_file_never_shows_its_cap(self) -> None:
        file = self.post(file=uploaded(b"x" * 100)).FILES["file"]
        for shown in (repr(file), str(file), repr(vars(file)), repr(file.file)):
            self.assertNotIn("URI:", shown)
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with self.assertRaisesRegex(TypeError, "save it"):
                way(file)


class Saving(UploadTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.proxy = self.use_proxy()

    def arrived(self, data: bytes = LARGE) -> TahoeUploadedFile:
        file = self.post(file=uploaded(data)).FILES["file"]
        self.proxy.requests.clear()
        return file

    def assert_only_linked(self, *names: str) -> None:
        self.assertNotIn("PUT /uri", self.proxy.requests)
        for name in names:
            self.assertEqual(self.read(name), LARGE)

    def test_a_save_only_links(self) -> None:
        self.storage.exists("x")
        file = self.arrived()
        self.assertEqual(self.storage.save("a.bin", file), "a.bin")
        self.assertEqual(self.proxy.requests, ["POST /uri"])
        self.assert_only_linked("a.bin")

    def test_every_way_to_save_only_links(self) -> None:
        file = self.arrived()
        first = self.storage.save(None, file)
        self.assertEqual(first, "a b.txt")
        second = self.storage.save("a b.txt", file)
        self.assertRegex(second, r"^a b_\w{7}\.txt$")
        many = self.storage.save_many([("many/1", file), ("a b.txt", file)])
        self.assertEqual(many[0], "many/1")
        later = asyncio.run(self.storage.asave("later", file))
        replacing = TahoeStorage(allow_overwrite=True)
        replacing.save("small", ContentFile(b"small"))
        self.proxy.requests.clear()
        self.assertEqual(replacing.save("small", file), "small")
        self.assert_only_linked(first, second, *many, later, "small")

    def test_an_uploaded_file_that_was_read_is_saved_whole(self) -> None:
        file = self.arrived()
        file.read(10)
        self.storage.save("read", file)
        file.close()
        self.storage.save("closed", file)
        self.assert_only_linked("read", "closed")

    def test_a_replaced_file_is_saved_instead(self) -> None:
        file = self.arrived()
        file.file = io.BytesIO(b"other")
        self.storage.save("other", file)
        self.assertEqual(self.read("other"), b"other")

    def test_other_storages_save_an_uploaded_file_as_any_file(self) -> None:
        file = self.arrived()
        fake = FakeGateway()  # another grid
        with fake.listening() as url:
            options: Any = {"tahoe_base_url": url, "tahoe_base_cap": str(fake.make_directory())}
            static = TahoeStaticFilesStorage(location="static")
            for storage in (
                FileSystemStorage(self.mktemp()),
                InMemoryStorage(),
                TahoeStorage(**options),
                static,
            ):
                with storage.open(storage.save("copy", file)) as copied:
                    self.assertEqual(copied.read(), LARGE)
            static.flush()

    def test_a_model_form_links_it_once_it_is_valid(self) -> None:
        with connection.schema_editor() as editor:
            editor.create_model(Picture)
        self.addCleanup(self.drop)
        png = io.BytesIO()
        Image.new("RGB", (30, 20)).save(png, "PNG")

        def files() -> dict[str, SimpleUploadedFile]:
            image = uploaded(png.getvalue(), "i.png", "image/png")
            return {"file": uploaded(LARGE, "f.bin"), "image": image}

        request = self.post(**files())
        invalid = PictureForm(request.POST, request.FILES)
        self.assertEqual(set(invalid.errors), {"title"})
        self.assertEqual(self.storage.listdir(""), ([], []))

        request = self.post(title="T", **files())
        form = PictureForm(request.POST, request.FILES)
        self.assertTrue(form.is_valid(), form.errors)
        self.proxy.requests.clear()
        saved = form.save()
        self.assert_only_linked()
        self.assertEqual((saved.width, saved.height), (30, 20))
        self.assertEqual(saved.file.read(), LARGE)
        request.close()
        again = Picture.objects.get()
        self.assertEqual(self.storage.listdir("files"), ([], ["f.bin"]))
        self.assertEqual((again.file.size, again.image.name), (len(LARGE), "images/i.png"))

    def drop(self) -> None:
        with connection.schema_editor() as editor:
            editor.delete_model(Picture)

    def test_an_empty_file_or_a_file_that_is_no_image_makes_a_form_invalid(self) -> None:
        request = self.post(title="T", file=uploaded(b""), image=uploaded(b"no image", "i.png"))
        form = PictureForm(request.POST, request.FILES)
        self.assertEqual(
            {
                name: [error.code for error in errors]
                for name, errors in form.errors.as_data().items()
            },
            {"file": ["empty"], "image": ["invalid_image"]},
        )


class Before(FileUploadHandler):
    """A handler before ours, such as one for quotas; it acts at the second megabyte."""

    def act(self) -> None:
        raise NotImplementedError

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        if start > 2**21:
            self.act()
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


class Small(TahoeUploadHandler):
    max_size = 3_000_000


class Ending(UploadTestCase):
    """Uploads that end before their end: nothing goes on when the request is over."""

    def setUp(self) -> None:
        super().setUp()
        self.proxy = self.use_proxy()

    def begun(self) -> None:
        """The upload has begun, and goes on."""
        wait_until(lambda: self.proxy.requests)
        self.assertEqual(self.proxy.connections, 1)

    def pieces(self, *last: Any) -> list[Any]:
        return [begin(), LARGE, self.begun, LARGE, *last]

    def assert_ended(self) -> None:
        wait_until(lambda: not self.proxy.connections)
        self.assertEqual(self.proxy.requests, ["PUT /uri"])
        self.assertEqual(self.new_storage().listdir(""), ([], []))

    def handler_that(self, act: Any) -> tuple[type[Before], type[TahoeUploadHandler]]:
        return type("Acting", (Before,), {"act": act}), TahoeUploadHandler

    def test_a_browser_that_goes_away_ends_the_upload(self) -> None:
        request = self.browse(*self.pieces())
        self.assertEqual(request.FILES, {})
        self.assert_ended()

    def test_a_broken_connection_ends_the_upload(self) -> None:
        request = self.browse(*self.pieces(mock.Mock(side_effect=ConnectionResetError)))
        self.assertRaises(UnreadablePostError, lambda: request.FILES)
        request.close()
        self.assert_ended()

    def test_a_file_over_max_size_ends_the_upload(self) -> None:
        request = self.browse(*self.pieces(LARGE, LARGE), handlers=[Small])
        with self.assertRaisesRegex(RequestDataTooBig, "'film.mp4' has more than 3000000 bytes"):
            request.FILES
        self.assert_ended()

    def test_a_body_that_django_refuses_ends_the_upload(self) -> None:
        head, *encoded = begin(encoding="base64"), b64encode(LARGE), self.begun, b64encode(LARGE)
        request = self.browse(head, *encoded, b"A\r\n" + END)
        self.assertRaises(MultiPartParserError, lambda: request.FILES)
        request.close()
        self.assert_ended()

    def test_another_handler_that_skips_the_file_ends_the_upload(self) -> None:
        def skip(handler: Before) -> None:
            raise SkipFile

        request = self.browse(
            *self.pieces(LARGE, self.assert_ended, b"\r\n" + begin("next"), b"x" * 100),
            b"\r\n" + END,
            handlers=self.handler_that(skip),
        )
        self.assertEqual([file.name for file in request.FILES.getlist("file")], ["next"])

    def test_another_handler_that_stops_all_uploads_ends_the_upload(self) -> None:
        for reset in (True, False):

            def stop(handler: Before) -> None:
                raise StopUpload(connection_reset=reset)

            self.proxy.requests.clear()
            request = self.browse(*self.pieces(LARGE), handlers=self.handler_that(stop))
            self.assertEqual(request.FILES, {})
            self.assert_ended()

    def test_another_handler_that_fails_ends_the_upload(self) -> None:
        def fail(handler: Before) -> None:
            raise ZeroDivisionError

        request = self.browse(*self.pieces(LARGE), handlers=self.handler_that(fail))
        self.assertRaises(ZeroDivisionError, lambda: request.FILES)
        request.close()
        self.assert_ended()

    def test_a_handler_that_is_dropped_ends_the_upload(self) -> None:
        request = self.browse(*self.pieces(mock.Mock(side_effect=ZeroDivisionError)))
        parser = MultiPartParser(request.META, request, [TahoeUploadHandler()])
        self.assertRaises(ZeroDivisionError, parser.parse)
        del parser
        wait_until_dropped(lambda: not self.proxy.connections)
        self.assert_ended()

    def test_an_interrupt_ends_the_upload(self) -> None:
        request = self.browse(*self.pieces(mock.Mock(side_effect=KeyboardInterrupt)))
        self.assertRaises(KeyboardInterrupt, lambda: request.FILES)
        request.close()
        self.assert_ended()


class Failing(UploadTestCase):
    """The grid fails: the view is told with an error of txtahoe."""

    def error_of(self, request: HttpRequest, kind: type[OSError]) -> OSError:
        with self.assertRaises(kind) as caught:
            request.FILES
        self.assertIn("'film.mp4'", str(caught.exception))
        self.assertEqual(len(request.FILES), 0)
        return caught.exception

    def test_a_lost_connection_to_the_gateway_raises(self) -> None:
        proxy = self.use_proxy()

        def lose() -> None:
            wait_until(lambda: proxy.requests)
            proxy.close_connections()

        small = (begin("small"), b"x" * 100, b"\r\n", proxy.requests.clear)
        with Collector() as said:
            for rest in (LARGE * 8, b"\r\n" + END):
                request = self.browse(*small, begin(), LARGE, lose, rest)
                said.exception(self.error_of(request, AnswerLost), "an upload")
        self.assertTrue(said.secrets)
        self.assertEqual(said.leaks(), [])

    def test_a_gateway_that_is_away_raises(self) -> None:
        self.override(TAHOE_STORAGE_BASE_URL="http://127.0.0.1:1/")
        error = self.error_of(self.browse(begin(), LARGE * 8), GatewayUnreachable)
        self.assertIn("Is the node running", str(error))

    def test_too_few_servers_raise(self) -> None:
        fake = FakeGateway()
        unhappy = ExceptionPage("allmydata.interfaces.UploadUnhappinessError", "too few")
        fake.fail_next("PUT /uri", unhappy)
        with fake.listening() as url:
            self.override(TAHOE_STORAGE_BASE_URL=url)
            self.error_of(self.browse(begin(), LARGE, b"\r\n" + END), NotEnoughServers)

    def test_a_small_file_is_sent_again_after_a_transient_error(self) -> None:
        proxy = self.use_proxy()
        proxy.lose_answer("PUT /uri")
        request = self.browse(begin(), b"x" * 100, b"\r\n" + END)
        self.assertEqual(request.FILES["file"].size, 100)
        self.assertEqual(proxy.requests, ["PUT /uri", "PUT /uri"])


class Choosing(UploadTestCase):
    """The storage whose grid it is."""

    def setUp(self) -> None:
        super().setUp()
        self.override(TAHOE_STORAGE_BASE_URL="http://127.0.0.1:1/")
        options = {"tahoe_base_url": self.gateway}
        self.tahoe = {"BACKEND": "tahoestorage.storage.TahoeStorage", "OPTIONS": options}
        self.disk = {"BACKEND": "django.core.files.storage.FileSystemStorage"}

    def test_the_default_storage_is_chosen_if_it_is_on_a_grid(self) -> None:
        self.override(STORAGES={"default": self.tahoe})
        self.assertEqual(self.post(file=uploaded(b"x" * 100)).FILES["file"].size, 100)

    def test_else_the_storage_of_the_settings_is_chosen(self) -> None:
        self.override(STORAGES={"default": self.disk})
        request = self.post(file=uploaded(LARGE))
        self.assertRaises(GatewayUnreachable, lambda: request.FILES)

    def test_a_subclass_can_name_another_storage(self) -> None:
        class Named(TahoeUploadHandler):
            storage = "grid"

        self.override(STORAGES={"default": self.disk, "grid": self.tahoe})
        self.assertEqual(self.post(Named, file=uploaded(b"x" * 100)).FILES["file"].size, 100)
        self.override(STORAGES={"default": self.disk, "grid": self.disk})
        with self.assertRaisesRegex(ImproperlyConfigured, r"STORAGES\['grid'\]"):
            self.post(Named, file=uploaded(b"x")).FILES


class Answering(UploadTestCase):
    """The answers of a site under WSGI and ASGI."""

    def setUp(self) -> None:
        super().setUp()
        self.override(
            ROOT_URLCONF="tests.tahoestorage.upload_site",
            FILE_UPLOAD_HANDLERS=[
                HANDLER,
                "django.core.files.uploadhandler.MemoryFileUploadHandler",
            ],
        )

    def apost(self, url: str, **files: Any) -> Any:
        return asyncio.run(AsyncClient().post(url, files))

    def test_uploads_arrive_under_wsgi(self) -> None:
        answer = Client().post("/", {"a": uploaded(LARGE, "1"), "b": uploaded(b"x", "2")})
        told = {"a": ["TahoeUploadedFile", len(LARGE), "1"], "b": ["TahoeUploadedFile", 1, "2"]}
        self.assertEqual(answer.json()["files"], told)
        self.assertEqual(self.read("1"), LARGE)

    def test_uploads_arrive_under_asgi_in_a_thread(self) -> None:
        answer = self.apost("/", a=uploaded(LARGE, "1"))
        self.assertEqual(answer.json()["files"], {"a": ["TahoeUploadedFile", len(LARGE), "1"]})
        self.assertEqual(self.apost("/save_later", a=uploaded(LARGE, "2")).json(), {"a": "2"})
        self.assertEqual(self.read("2"), LARGE)

    def test_in_an_event_loop_it_leaves_the_files_to_the_handlers_behind_it(self) -> None:
        answer = self.apost("/parse", a=uploaded(b"x" * 100))
        self.assertEqual(answer.json(), {"a": "InMemoryUploadedFile"})
        self.override(FILE_UPLOAD_HANDLERS=[HANDLER])
        with self.assertRaisesRegex(SynchronousOnlyOperation, "FILE_UPLOAD_HANDLERS"):
            self.apost("/parse", a=uploaded(b"x" * 100))

    def test_a_file_over_max_size_is_a_bad_request(self) -> None:
        self.patch(TahoeUploadHandler, "max_size", 99)
        answer = Client().post("/", {"a": uploaded(b"x" * 100)})
        self.assertEqual(answer.status_code, 400)
        self.assertEqual(Client().post("/", {"a": uploaded(b"x" * 99)}).status_code, 200)
