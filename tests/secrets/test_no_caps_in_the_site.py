"""No cap in output of asyncio, of a site that serves and takes files, and of `manage.py tahoe`."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from io import StringIO
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import AsyncRequestFactory, RequestFactory, override_settings

from tahoestorage.serving.views import serve
from tahoestorage.storage import TahoeStorage
from tahoestorage.uploadhandler import TahoeUploadHandler
from tests.grid import strangers
from tests.grid.proxy import Proxy
from tests.secrets.test_no_caps import NOWHERE, echo
from tests.secrets.test_no_caps_in_the_storage import StorageSecretsTestCase
from txtahoe.tree.uploads import SMALL

LARGE = os.urandom(SMALL + 1000)


def awaited(storage: TahoeStorage) -> dict[str, Callable[[], Any]]:
    """A storage's operations for asyncio, each in a loop with debug output."""

    async def save_from_disk() -> Any:
        with tempfile.TemporaryFile() as file:
            file.write(LARGE)
            return await storage.asave("from disk", File(file, "f"))

    async def save_many(*names: str) -> Any:
        return await storage.asave_many([(name, ContentFile(name.encode() * 9)) for name in names])

    async def read() -> Any:
        async with await storage.aopen("here") as file:
            chunks = [chunk async for chunk in file.aiter_chunks()]
            return file, await file.aread(10), len(chunks), repr(file.file), vars(file)

    async def url(name: str) -> None:
        await storage.aurl(name)  # which is a read cap: only its errors are looked at

    async def cancelled() -> None:
        task = asyncio.create_task(storage.asave("cancelled", ContentFile(LARGE)))
        await asyncio.sleep(0.01)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            raise InterruptedError(repr(task)) from error

    coroutines: dict[str, Callable[[], Awaitable[Any]]] = {
        "asave": lambda: storage.asave("a/new", ContentFile(b"new" * 100)),
        "asave of a large file": lambda: storage.asave("large", ContentFile(LARGE)),
        "asave of a file on the disk": save_from_disk,
        "asave that is cancelled": cancelled,
        "asave_many": lambda: save_many("many/a", "many/b"),
        "asave_many of which some fail": lambda: save_many("../x", "here/below", "many/c"),
        "aopen": read,
        "aopen of what is missing": lambda: storage.aopen("missing"),
        "aopen to write": lambda: storage.aopen("here", "wb"),
        "aopen of a directory": lambda: storage.aopen("a"),
        "aexists": lambda: storage.aexists("here"),
        "alistdir": lambda: storage.alistdir(""),
        "aprefetch": lambda: storage.aprefetch(["here", "a/here", "missing"]),
        "asize": lambda: storage.asize("here"),
        "aurl": lambda: url("here"),
        "aurl of a directory": lambda: url("a"),
        "aurl of what is missing": lambda: url("missing"),
        "aget_created_time": lambda: storage.aget_created_time("here"),
        "aget_modified_time": lambda: storage.aget_modified_time("here"),
        "adelete": lambda: storage.adelete("large"),
        "adelete of a full directory": lambda: storage.adelete("a"),
        "a path that climbs": lambda: storage.aexists("../x"),
    }

    async def run(make: Callable[[], Awaitable[Any]]) -> Any:
        return await make()

    return {
        name: lambda make=make: asyncio.run(run(make), debug=True)  # type: ignore[misc]
        for name, make in coroutines.items()
    }


class Asyncio(StorageSecretsTestCase):
    def setUp(self) -> None:
        super().setUp()
        storage = self.new_storage()
        storage.save("here", ContentFile(LARGE))
        storage.save("a/here", ContentFile(b"here" * 100))

    def try_all(self, trouble: str, **options: Any) -> None:
        """Run every operation on a storage with these options, and collect the output."""
        self.attempt_all(self.new_storage(**options), trouble, awaited)

    def test_when_all_is_well(self) -> None:
        self.try_all("well")
        self.assert_no_leaks()

    def test_with_something_else_in_the_place_of_the_gateway(self) -> None:
        self.try_all("no gateway", tahoe_base_url=NOWHERE)
        for name, behave in {
            "a stranger that hangs up": strangers.hang_up,
            "a stranger that names what is asked for": echo,
        }.items():
            with strangers.stranger(behave) as url:
                self.try_all(name, tahoe_base_url=url, timeout=0.1)
        self.assert_no_leaks()

    def test_when_answers_are_lost_or_cut(self) -> None:
        attempt = self.attempt

        def attempt_in_trouble(operation: Callable[[], Any], where: str) -> None:
            proxy.lose_answer("PUT /uri")
            proxy.cut_after(400)
            attempt(operation, where)

        with Proxy(self.gateway) as proxy:
            self.patch(self, "attempt", attempt_in_trouble)
            self.try_all("lost answers", tahoe_base_url=proxy.url)
        self.assert_no_leaks()


class Site(Asyncio):
    """Views and handlers that use the storage of the settings."""

    def try_all(self, trouble: str, **options: Any) -> None:
        options = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap, **options}
        backend = f"{TahoeStorage.__module__}.{TahoeStorage.__name__}"
        with override_settings(
            ROOT_URLCONF="tests.tahoestorage.serving.one_url",
            STORAGES={"default": {"BACKEND": backend, "OPTIONS": options}},
        ):
            for name, operation in self.operations().items():
                self.attempt(operation, f"{name}, {trouble}")

    def operations(self) -> dict[str, Callable[[], Any]]:
        return self.served() | self.uploaded()

    def served(self) -> dict[str, Callable[[], Any]]:
        def ask(name: str, **headers: Any) -> Any:
            response = serve(RequestFactory().get("/", headers=headers), name)
            body = b"".join(response) if response.streaming else response.content
            return response, response.headers, vars(response), len(body)

        async def ask_later(name: str) -> Any:
            response = serve(AsyncRequestFactory().get("/"), name)
            read = response.streaming and [len(block) async for block in response]
            return response, vars(response), read

        def leave(name: str) -> Any:
            response: Any = serve(RequestFactory().get("/"), name)
            next(iter(response))
            response.close()
            return response

        def refuse(*arguments: Any) -> bool:
            raise PermissionDenied(repr(arguments))

        return {
            "a file": lambda: ask("here"),
            "a part of a file": lambda: ask("here", range="bytes=5-1000"),
            "no part of a file": lambda: ask("here", range="bytes=5000000-"),
            "a file for asyncio": lambda: asyncio.run(ask_later("here")),
            "a file that is left": lambda: leave("here"),
            "a directory": lambda: ask("a"),
            "a missing file": lambda: ask("missing"),
            "a name that climbs": lambda: ask("../x"),
            "a file that is not for all": lambda: serve(
                RequestFactory().get("/"), "here", permission=refuse
            ),
            "a storage that is not there": lambda: serve(
                RequestFactory().get("/"), "here", storage="x"
            ),
        }

    def uploaded(self) -> dict[str, Callable[[], Any]]:
        class Small(TahoeUploadHandler):
            max_size = 1000

        def upload(data: bytes, kind: type[TahoeUploadHandler] = TahoeUploadHandler) -> Any:
            request = RequestFactory().post("/", {"file": SimpleUploadedFile("f", data)})
            handler = kind(request)
            request.upload_handlers = [handler]
            try:
                file: Any = request.FILES["file"]
                storage = TahoeStorage(tahoe_base_url=self.gateway, tahoe_base_cap=self.cap)
                saved = storage.save("uploaded", file)
                return file, vars(file), file.file, len(file.read()), saved, request.FILES
            finally:
                self.collector.value(handler, "handler")
                self.collector.value(vars(handler), "variables of the handler")
                self.collector.value(vars(handler.file), "variables of the upload")
                request.close()

        return {
            "an upload": lambda: upload(LARGE),
            "a small upload": lambda: upload(b"small" * 100),
            "an upload that is too large": lambda: upload(LARGE, Small),
        }


class Commands(StorageSecretsTestCase):
    def test_commands_print_no_caps(self) -> None:
        options = {"TAHOE_STORAGE_BASE_URL": self.gateway, "TAHOE_STORAGE_BASE_CAP": self.cap}
        for arguments in (
            ["proxy", "nginx"],
            ["proxy", "nginx", "--storage=missing"],
            ["proxy", "nginx", f"--gateway={self.cap}"],
            ["proxy", "nginx", f"--server-name={self.cap}"],
        ):
            printed = StringIO()
            try:
                with override_settings(**options):
                    call_command("tahoe", *arguments, stdout=printed, stderr=printed)
            except CommandError as error:
                # A cap on the command line is in variables of Django, too.
                self.collector.message(error, "an error")
            self.collector.text(printed.getvalue(), "what is printed: text")
        self.assert_no_leaks()
