"""The storage's methods for asyncio."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import threading
from collections.abc import Coroutine
from contextvars import ContextVar
from datetime import timedelta
from pathlib import PurePath
from tempfile import TemporaryFile
from typing import Any, TypeVar

from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import SuspiciousFileOperation, SynchronousOnlyOperation
from django.core.files import File
from django.core.files.base import ContentFile
from django.utils import timezone

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.staticfiles import TahoeStaticFilesStorage
from tahoestorage.storage import TahoeStorage
from tests.grid.strangers import silent, stranger
from tests.tahoestorage.case import StorageTestCase, forget_links
from tests.waiting import wait_until
from txtahoe.errors import GatewayUnreachable, IsADirectory, NoSuchChild, SomeFailed

T = TypeVar("T")

asked: set[int] = set()


class CacheOfThreads(LocMemCache):
    """A cache that notes the threads of its callers."""

    def get_many(self, *arguments: Any, **options: Any) -> Any:
        asked.add(threading.get_ident())
        return super().get_many(*arguments, **options)

    def set_many(self, *arguments: Any, **options: Any) -> Any:
        asked.add(threading.get_ident())
        return super().set_many(*arguments, **options)


class AsyncTestCase(StorageTestCase):
    def await_(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(asyncio.wait_for(coroutine, 300))


class Methods(AsyncTestCase):
    def test_every_method_has_a_twin(self) -> None:
        storage = self.storage

        async def use() -> None:
            self.assertFalse(await storage.aexists("a/f"))
            self.assertEqual(await storage.asave("a/f", ContentFile(b"x" * 100)), "a/f")
            self.assertTrue(await storage.aexists("a/f"))
            self.assertEqual(await storage.asize("a/f"), 100)
            self.assertEqual(await storage.alistdir("a"), ([], ["f"]))
            self.assertEqual(await storage.aurl("a/f"), await sync_to_async(storage.url)("a/f"))
            for time in (storage.aget_created_time, storage.aget_modified_time):
                self.assertLess(timezone.now() - await time("a/f"), timedelta(minutes=5))
            with self.assertRaises(NotImplementedError):
                await storage.aget_accessed_time("a/f")
            files = [(f"a/{n}", ContentFile(b"%d" % n)) for n in range(3)]
            told: list[int] = []
            names = await storage.asave_many(files, progress=told.append)
            self.assertEqual((names, sum(told)), (["a/0", "a/1", "a/2"], 3))
            self.assertEqual(await storage.aprefetch(["a/0", "a/9"]), {"a/0"})
            await storage.adelete("a/0")
            await storage.adelete("a/0")
            self.assertFalse(await storage.aexists("a/0"))

        self.await_(use())
        self.assertEqual(self.read("a/f"), b"x" * 100)

    def test_errors_are_those_of_the_blocking_methods(self) -> None:
        storage = self.storage

        async def use() -> None:
            await storage.asave("a/f", ContentFile(b"x" * 100))
            for attempt, error in (
                (storage.aopen("missing"), NoSuchChild),
                (storage.aopen("a"), IsADirectory),
                (storage.aopen("a/f", "wb"), ValueError),
                (storage.asize("missing"), NoSuchChild),
                (storage.aget_modified_time("missing"), NoSuchChild),
                (storage.adelete(""), ValueError),
                (storage.asave("../f", ContentFile(b"")), SuspiciousFileOperation),
                (storage.asave_many([("a/f/g", ContentFile(b""))]), SomeFailed),
            ):
                with self.assertRaises(error):
                    await attempt

        self.await_(use())

    def test_a_missing_file_is_named(self) -> None:
        with self.assertRaises(FileNotFoundError) as caught:
            self.await_(self.storage.aopen("a/missing.txt"))
        self.assertEqual(caught.exception.filename, "a/missing.txt")

    def test_a_taken_name_gets_an_alternative(self) -> None:
        async def use() -> list[str]:
            save = self.storage.asave
            return await asyncio.gather(*(save("f.txt", ContentFile(b"x")) for _ in range(5)))

        names = self.await_(use())
        self.assertEqual(len(set(names)), 5)
        self.assertEqual(set(self.storage.listdir("")[1]), set(names))

    def test_two_hundred_at_once_need_one_thread(self) -> None:
        async def use() -> tuple[list[str], set[threading.Thread]]:
            saving = [
                self.storage.asave(f"d{n % 4}/{n}", ContentFile(b"%d" % n * 50)) for n in range(200)
            ]
            return await asyncio.gather(*saving), set(threading.enumerate()) - before

        self.storage.exists("")
        before = set(threading.enumerate())
        self.assertEqual([thread.name for thread in before].count("CrochetReactor"), 1)
        names, started = self.await_(use())
        self.assertEqual(started, set())
        self.assertEqual(len(set(names)), 200)
        for number in (0, 77, 199):
            self.assertEqual(self.read(f"d{number % 4}/{number}"), b"%d" % number * 50)

    def test_cancelling_the_task_cancels_the_request(self) -> None:
        async def use(storage: TahoeStorage) -> None:
            for operation in (
                storage.aexists("f"),
                storage.asave("f", ContentFile(b"x" * 3_000_000)),
            ):
                task = asyncio.create_task(operation)
                await asyncio.to_thread(wait_until, lambda: connections)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                await asyncio.to_thread(wait_until, lambda: not connections)

        def behave(connection: socket.socket) -> None:
            connections.add(connection)
            try:
                silent(connection)
            finally:
                connections.remove(connection)

        connections: set[socket.socket] = set()
        with stranger(behave) as nowhere:
            self.await_(use(self.new_storage(tahoe_base_url=nowhere)))

    def test_blocking_methods_in_an_event_loop_raise_and_name_their_twins(self) -> None:
        async def use() -> None:
            self.storage.exists("f")

        with self.assertRaises(SynchronousOnlyOperation) as caught:
            self.await_(use())
        self.assertIn("asave()", str(caught.exception))

    def test_blocking_methods_raise_even_if_the_answer_is_in_memory(self) -> None:
        self.storage.save("a/f", ContentFile(b"x" * 100))
        caps = TahoeCapStorage(**self.storage.options)
        static = TahoeStaticFilesStorage(**self.storage.options)
        self.addCleanup(forget_links)
        name = caps.save("f", ContentFile(b"x" * 100))

        async def use() -> None:
            for storage, known in ((self.storage, "a/f"), (caps, name), (static, "a/f")):
                for attempt in (
                    lambda: storage.exists(known),  # noqa: B023 - they are called at once
                    lambda: storage.size(known),  # noqa: B023
                    lambda: storage.open(known),  # noqa: B023
                    lambda: storage.prefetch([known]),  # noqa: B023
                    lambda: next(storage.walk("")),  # noqa: B023
                    lambda: storage.save(known, ContentFile(b"")),  # noqa: B023
                    lambda: storage.delete(known),  # noqa: B023
                ):
                    self.assertRaises(SynchronousOnlyOperation, attempt)
            for attempt in (
                lambda: self.storage.url("a/f"),
                lambda: self.storage.get_modified_time("a/f"),
                static.flush,
                caps.flush,
            ):
                self.assertRaises(SynchronousOnlyOperation, attempt)

        for storage in (self.storage, static):
            self.assertTrue(storage.exists("a/f"))
            self.assertTrue(storage.url("a/f"))
        self.await_(use())

    def test_urls_that_need_no_request_are_made_in_any_thread(self) -> None:
        caps = TahoeCapStorage(**self.storage.options)
        self.addCleanup(forget_links)
        name = caps.save("f", ContentFile(b"x" * 100))
        options = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap}
        backend = "tahoestorage.storage.TahoeStorage"
        self.override(
            STORAGES={"default": {"BACKEND": backend, "OPTIONS": options}},
            ROOT_URLCONF="tests.tahoestorage.serving.one_url",
        )
        served = TahoeStorage(**options)

        async def use() -> list[str]:
            return [caps.url(name), await caps.aurl(name), served.url("f"), await served.aurl("f")]

        url = caps.url(name)
        self.assertEqual(self.await_(use()), [url, url, "/files/f", "/files/f"])

    def test_several_loops_one_after_another_and_side_by_side(self) -> None:
        saved: list[str] = []

        def work(number: int) -> None:
            for turn in range(3):
                content = ContentFile(b"x" * 100)
                saved.append(self.await_(self.storage.asave(f"{number}-{turn}", content)))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(saved)), 9)

    def test_a_gateway_that_is_away(self) -> None:
        storage = self.new_storage(tahoe_base_url="http://127.0.0.1:1/")
        with self.assertRaises(GatewayUnreachable):
            self.await_(storage.aexists("f"))


class Files(AsyncTestCase):
    def test_a_file_is_read_from_its_position_and_as_a_whole(self) -> None:
        data = os.urandom(3_000_000)
        self.storage.save("f", ContentFile(data))

        async def use() -> None:
            async with await self.storage.aopen("f") as file:
                self.assertEqual(file.size, len(data))
                self.assertEqual(await file.aread(10), data[:10])
                self.assertEqual(await file.aread(10), data[10:20])
                file.seek(2_000_000)
                self.assertEqual(await file.aread(300_000), data[2_000_000:2_300_000])
                self.assertEqual(file.tell(), 2_300_000)
                self.assertEqual(await file.aread(), data[2_300_000:])
                self.assertEqual(await file.aread(), b"")
                chunks = [chunk async for chunk in file.aiter_chunks()]
                self.assertEqual(b"".join(chunks), data)
                self.assertLessEqual(max(map(len, chunks)), file.DEFAULT_CHUNK_SIZE)
            self.assertTrue(file.closed)
            with self.assertRaises(ValueError):
                await file.aread(1)

        self.await_(use())

    def test_tasks_can_read_one_file_together(self) -> None:
        data = os.urandom(2_000_000)
        self.storage.save("f", ContentFile(data))

        async def use() -> None:
            file = await self.storage.aopen("f")
            parts = range(0, len(data), 250_000)
            reader = file._binary_reader()
            found = await asyncio.gather(*(reader.aread_at(part, 1000) for part in parts))
            for part, read in zip(parts, found, strict=True):
                self.assertEqual(read, data[part : part + len(read)])
                self.assertGreater(len(read), 0)
            await file.aclose()

        self.await_(use())

    def test_blocking_and_awaited_reading_take_turns(self) -> None:
        data = os.urandom(1_000_000)
        self.storage.save("f", ContentFile(data))

        async def use() -> None:
            file = await self.storage.aopen("f")
            read = sync_to_async(file.read)
            self.assertEqual(await read(100), data[:100])
            self.assertEqual(await file.aread(700_000), data[100:700_100])
            self.assertEqual(await read(), data[700_100:])
            await file.aclose()

        self.await_(use())

    def test_only_a_binary_file_opened_for_reading_can_be_awaited(self) -> None:
        self.storage.save("f", ContentFile(b"text"))

        async def use() -> None:
            with await self.storage.aopen("f", "r") as file:
                with self.assertRaises(io.UnsupportedOperation):
                    await file.aread()

        self.await_(use())

    def test_files_of_the_disk_and_of_a_storage_are_read_in_another_thread(self) -> None:
        data = os.urandom(2_500_000)
        loops_thread = threading.get_ident()
        read_in: set[int] = set()

        class Watched(File):  # type: ignore[type-arg]
            def chunks(self, chunk_size: int | None = None) -> Any:
                for chunk in super().chunks(chunk_size):
                    read_in.add(threading.get_ident())
                    yield chunk

        async def use() -> None:
            with TemporaryFile() as source:
                source.write(data)
                await self.storage.asave("disk", Watched(source, "disk"))
            self.assertNotIn(loops_thread, read_in)
            copied = await self.storage.aopen("disk")
            await self.storage.asave("copy", copied)
            await self.storage.asave_many([("many", copied), ("memory", ContentFile(b"x"))])

        self.await_(use())
        for name in ("disk", "copy", "many"):
            self.assertEqual(self.read(name), data)


request: ContextVar[str] = ContextVar("request", default="nobody's")


class Noted(ContentFile):  # type: ignore[type-arg]
    """Content that blocks its reader, and notes which thread reads it for which request."""

    def __init__(self, data: bytes, read: set[tuple[int, str]]) -> None:
        super().__init__(data)
        self.file = io.BufferedReader(self.file)  # which is not known to be in memory
        self._read = read

    def chunks(self, chunk_size: int | None = None) -> Any:
        for chunk in super().chunks(chunk_size):
            self._read.add((threading.get_ident(), request.get()))
            yield chunk
        request.set("read")


class Requests(AsyncTestCase):
    """Django gives each request a thread for blocking calls, and a context."""

    async def use(self, name: str) -> set[tuple[int, str]]:
        """Save small and large files, one by one and many; tell where they were read."""
        read: set[tuple[int, str]] = set()
        told: set[str] = set()
        for size in (10, 3_000_000):
            request.set(name)
            await self.storage.asave(f"{name}/f", Noted(bytes(size), read))
            self.assertEqual(request.get(), "read")
            request.set(name)
            await self.storage.asave_many(
                [(f"{name}/m", Noted(bytes(size), read))],
                progress=lambda count: told.add(request.get()),
            )
            self.assertEqual(request.get(), "read")
        self.assertLessEqual(told, {name, "read"})
        return read

    def test_files_are_read_in_the_thread_and_the_context_of_the_request(self) -> None:
        async def handle(name: str) -> int:
            async with ThreadSensitiveContext():
                thread = await sync_to_async(threading.get_ident)()
                self.assertEqual(await self.use(name), {(thread, name)})
                return thread

        async def use() -> list[int]:
            return await asyncio.gather(handle("one"), handle("two"))

        one, two = self.await_(use())
        self.assertNotEqual(one, two)

    def test_below_async_to_sync_files_are_read_in_the_thread_that_waits(self) -> None:
        read = async_to_sync(self.use)("one")
        self.assertEqual(read, {(threading.get_ident(), "one")})


class OwnMethods(AsyncTestCase):
    """A blocking method that a subclass overrides also serves tasks."""

    def test_an_overridden_method_is_called_in_a_thread(self) -> None:
        called: list[str] = []

        class Own(TahoeStorage):
            def _save(self, name: str, content: Any) -> str:
                called.append("save")
                return super()._save(f"own/{name}", content)

            def exists(self, name: Any) -> bool:
                called.append("exists")
                return super().exists(name)

        storage = Own(tahoe_base_url=self.gateway, tahoe_base_cap=self.cap)

        async def use() -> None:
            self.assertEqual(await storage.asave("f", ContentFile(b"x")), "own/f")
            self.assertTrue(await storage.aexists("own/f"))

        self.await_(use())
        self.assertEqual(called, ["exists", "save", "exists"])

    def test_an_overridden_method_gets_names_as_text(self) -> None:
        class Own(TahoeStorage):
            def exists(self, name: Any) -> bool:
                return isinstance(name, str)

            def get_accessed_time(self, name: Any) -> Any:
                return isinstance(name, str)

        async def use(storage: TahoeStorage, name: PurePath) -> list[Any]:
            calls = storage.aexists(name), storage.aexists(name=name)
            return await asyncio.gather(*calls, storage.aget_accessed_time(name))

        storage = Own(tahoe_base_url=self.gateway, tahoe_base_cap=self.cap)
        self.assertEqual(self.await_(use(storage, PurePath("f"))), [True, True, True])

    def test_a_task_below_a_blocking_method_does_not_block_its_loop(self) -> None:
        other_storage = self.storage

        async def ask() -> bool:
            other = asyncio.create_task(asyncio.sleep(0))
            await other_storage.aexists("g")
            return other.done()

        class Own(TahoeStorage):
            def get_alternative_name(self, root: str, extension: str) -> str:
                went_on.append(asyncio.run(ask()))
                return super().get_alternative_name(root, extension)

        went_on: list[bool] = []
        storage = Own(tahoe_base_url=self.gateway, tahoe_base_cap=self.cap)
        for _ in range(2):
            storage.save("f", ContentFile(b"x"))
        self.assertEqual(went_on, [True])

    def test_static_files_stay_pending(self) -> None:
        storage = TahoeStaticFilesStorage(tahoe_base_url=self.gateway, tahoe_base_cap=self.cap)

        async def use() -> None:
            await storage.asave("s/f.css", ContentFile(b"x"))
            self.assertTrue(await storage.aexists("s/f.css"))
            self.assertEqual(await storage.asize("s/f.css"), 1)

        self.await_(use())
        self.assertFalse(self.storage.exists("s/f.css"))
        storage.flush()
        self.assertTrue(self.new_storage().exists("s/f.css"))


class SharedCache(AsyncTestCase):
    def test_the_cache_is_asked_without_blocking_the_loop(self) -> None:
        cache = {"BACKEND": "tests.tahoestorage.test_async.CacheOfThreads"}
        self.override(CACHES={"default": cache})
        self.storage = self.new_storage(cache="default")

        async def use() -> None:
            await self.storage.asave("a/f", ContentFile(b"x" * 100))
            self.assertTrue(await self.new_storage(cache="default").aexists("a/f"))
            await self.storage.adelete("a/f")

        self.await_(use())
        self.assertGreater(len(asked), 0)
        self.assertNotIn(threading.get_ident(), asked)
