"""The client's operations, on a real gateway."""

from __future__ import annotations

import io
import threading
from urllib.request import urlopen

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from tests.grid.case import GatewayTestCase
from txtahoe import BlockingSource, Cap, Client, IteratorSource, Link
from txtahoe.errors import (
    BadRequest,
    ExistingChild,
    IsADirectory,
    NoSuchChild,
    NotADirectory,
    NotEnoughServers,
    NotWriteable,
    TahoeError,
    UnknownOutcome,
)

DATA = bytes(range(256)) * 40
NAMES = [
    "a b",
    "?",
    "#",
    "100%",
    "%2F",
    "quo\"te's",
    "back\\slash",
    "emoji 😀",
    "é",
    "semi;colon=&+",
    "new\nline",
    "with/slash",
    ".",
    "..",
    "x" * 255,
]


class Uploads(GatewayTestCase):
    async def test_bytes_of_every_size_come_back(self) -> None:
        for size in (0, 1, 55, 56, 10_000, 2**17, 2**17 + 1):
            data = (DATA * 14)[:size]
            cap = await self.client.upload(data)
            self.assertEqual(cap.size, size)
            self.assertEqual(await self.client.read(cap), data)

    async def test_the_same_bytes_have_the_same_cap(self) -> None:
        self.assertEqual(await self.client.upload(DATA), await self.client.upload(DATA))

    async def test_a_file_is_read_from_its_position_in_a_thread_and_stays_open(self) -> None:
        threads = set()

        class File(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                threads.add(threading.get_ident())
                return super().read(size)

        file = File(DATA)
        file.seek(100)
        cap = await self.client.upload(file)
        self.assertEqual(await self.client.read(cap), DATA[100:])
        self.assertFalse(file.closed)
        self.assertNotIn(threading.get_ident(), threads)

    async def test_an_asynchronous_iterable_is_uploaded(self) -> None:
        async def chunks():
            yield b"one "
            yield b""
            yield b"two"

        cap = await self.client.upload(chunks())
        self.assertEqual(await self.client.read(cap), b"one two")
        cap = await self.client.upload(IteratorSource(chunks()))
        self.assertEqual(await self.client.read(cap), b"one two")

    async def test_str_of_a_blocking_source_is_sent_as_utf_8(self) -> None:
        async def at_once(function):
            return function()

        cap = await self.client.upload(BlockingSource(lambda: ["é" * 50, b" bytes"], at_once))
        self.assertEqual(await self.client.read(cap), ("é" * 50).encode() + b" bytes")

    async def test_an_upload_raises_the_error_of_its_source(self) -> None:
        async def chunks():
            yield b"some"
            raise LookupError("the source is broken")

        error = await self.assertFailure(
            Deferred.fromCoroutine(self.client.upload(chunks())), LookupError
        )
        self.assertEqual(str(error), "the source is broken")

    async def test_progress_counts_every_byte(self) -> None:
        told: list[int] = []
        await self.client.upload(io.BytesIO(DATA * 100), progress=told.append)
        self.assertEqual(sum(told), len(DATA) * 100)
        self.assertGreater(len(told), 1)

    async def test_uploading_something_else_raises_type_error(self) -> None:
        for wrong in ("text", 5, None, ["list"]):
            await self.assertFailure(Deferred.fromCoroutine(self.client.upload(wrong)), TypeError)

    async def test_an_upload_is_repeated_when_its_answer_is_lost(self) -> None:
        client, proxy = self.connect_through_proxy()
        proxy.lose_answer("PUT /uri")
        cap = await client.upload(io.BytesIO(DATA * 30))
        self.assertEqual(await self.client.read(cap), DATA * 30)
        self.assertEqual(proxy.requests, ["PUT /uri"] * 2)

    async def test_a_source_that_can_be_read_once_is_not_uploaded_again(self) -> None:
        async def chunks():
            yield DATA

        client, proxy = self.connect_through_proxy()
        proxy.lose_answer("PUT /uri")
        await self.assertFailure(
            Deferred.fromCoroutine(client.upload(chunks())), ConnectionResetError
        )
        self.assertEqual(proxy.requests, ["PUT /uri"])


class Downloads(GatewayTestCase):
    async def test_a_range_gives_that_slice_of_the_file(self) -> None:
        cap = await self.client.upload(DATA)
        for offset, length in ((0, 1), (5, 0), (100, 300), (10_000, 500), (10_240, 5), (20_000, 5)):
            self.assertEqual(
                await self.client.read(cap, offset, length), DATA[offset : offset + length]
            )

    async def test_negative_numbers_are_refused(self) -> None:
        cap = await self.client.upload(DATA)
        for wrong in ((-1, None), (0, -1)):
            await self.assertFailure(
                Deferred.fromCoroutine(self.client.download(cap, *wrong)), ValueError
            )

    async def test_no_byte_is_fetched_before_the_first_is_read(self) -> None:
        client, proxy = self.connect_through_proxy()
        cap = await self.client.upload(DATA)
        download = await client.download(cap)
        self.assertEqual(proxy.requests, [])
        self.assertEqual(await download.rest(), DATA)
        self.assertEqual(proxy.requests, ["GET /uri"])

    async def test_a_directory_is_not_downloaded(self) -> None:
        directory = await self.client.mkdir()
        await self.assertFailure(
            Deferred.fromCoroutine(self.client.download(directory)), IsADirectory
        )


class Directories(GatewayTestCase):
    async def test_any_name_is_linked_listed_and_unlinked(self) -> None:
        directory = await self.client.mkdir()
        cap = await self.client.upload(DATA)
        for name in NAMES:
            await self.client.link(directory, name, cap)
        children = await self.client.list(directory)
        self.assertEqual(set(children), set(NAMES))
        for name in NAMES:
            node = await self.client.child(directory, name)
            self.assertEqual((node.type, node.cap, node.size), ("filenode", cap, len(DATA)))
            self.assertEqual(node, children[name])
            await self.client.unlink(directory, name, node)
        self.assertEqual(await self.client.list(directory), {})

    async def test_a_link_has_times(self) -> None:
        directory = await self.client.mkdir()
        await self.client.link(directory, "f", await self.client.upload(b"x"))
        node = await self.client.child(directory, "f")
        assert node.created is not None and node.modified is not None
        self.assertLess(abs(node.created - self.client.reactor.seconds()), 60)
        self.assertLessEqual(node.created, node.modified)

    async def test_metadata_comes_back(self) -> None:
        directory = await self.client.mkdir()
        cap = await self.client.upload(b"x")
        await self.client.link(directory, "f", cap, metadata={"author": "É"})
        node = await self.client.child(directory, "f")
        self.assertEqual(node.metadata["author"], "É")

    async def test_a_taken_name_is_not_taken_again(self) -> None:
        directory = await self.client.mkdir()
        first, second = await self.client.upload(b"first"), await self.client.upload(b"second")
        await self.client.link(directory, "f", first)
        for cap in (first, second):
            await self.assertFailure(
                Deferred.fromCoroutine(self.client.link(directory, "f", cap)), ExistingChild
            )
        self.assertEqual((await self.client.child(directory, "f")).cap, first)

    async def test_one_of_many_concurrent_links_gets_the_name(self) -> None:
        directory = await self.client.mkdir()
        caps = [await self.client.upload(b"%d" % number) for number in range(8)]

        async def link(cap: Cap) -> bool:
            try:
                await self.client.link(directory, "f", cap)
            except ExistingChild:
                return False
            return True

        won = await gatherResults([Deferred.fromCoroutine(link(cap)) for cap in caps])
        self.assertEqual(sum(won), 1)
        self.assertEqual((await self.client.child(directory, "f")).cap, caps[won.index(True)])

    async def test_replace_allows_files_or_everything(self) -> None:
        directory = await self.client.mkdir()
        cap = await self.client.upload(b"new")
        await self.client.link(directory, "f", await self.client.upload(b"old"))
        await self.client.link(directory, "d", await self.client.mkdir())
        await self.client.link(directory, "f", cap, replace="only-files")
        self.assertEqual((await self.client.child(directory, "f")).cap, cap)
        await self.assertFailure(
            Deferred.fromCoroutine(self.client.link(directory, "d", cap, replace="only-files")),
            ExistingChild,
        )
        await self.client.link(directory, "d", cap, replace=True)
        self.assertEqual((await self.client.child(directory, "d")).cap, cap)

    async def test_children_are_set_all_or_none_in_one_request(self) -> None:
        client, proxy = self.connect_through_proxy()
        directory = await client.mkdir()
        caps = {f"{number} é": await client.upload(b"%d" % number) for number in range(20)}
        proxy.requests.clear()
        links = {name: Link(cap, {"kind": "test"}) for name, cap in caps.items()}
        await client.set_children(directory, links)
        self.assertEqual(proxy.requests, ["POST /uri"])
        children = await client.list(directory)
        self.assertEqual({name: node.cap for name, node in children.items()}, caps)
        self.assertEqual({node.metadata["kind"] for node in children.values()}, {"test"})
        more = {"new": caps["1 é"], "2 é": caps["3 é"]}
        await self.assertFailure(
            Deferred.fromCoroutine(client.set_children(directory, more)), ExistingChild
        )
        self.assertEqual(await client.list(directory), children)
        await client.set_children(directory, {})

    async def test_directories_are_made_with_children_or_a_format(self) -> None:
        cap = await self.client.upload(b"x" * 100)
        full = await self.client.mkdir({"f": cap, "d": await self.client.mkdir()})
        self.assertEqual(set(await self.client.list(full)), {"f", "d"})
        for format, kind in (("SDMF", "DIR2"), ("MDMF", "DIR2-MDMF")):
            self.assertEqual((await self.client.mkdir(format=format)).kind, kind)
        await self.assertFailure(
            Deferred.fromCoroutine(self.client.mkdir({"f": cap}, format="MDMF")), ValueError
        )

    async def test_immutable_directories_hold_what_never_changes(self) -> None:
        cap = await self.client.upload(b"x" * 100)
        inner = await self.client.mkdir_immutable({"f": cap})
        outer = await self.client.mkdir_immutable({"d": inner, "e": cap})
        self.assertFalse(outer.is_mutable)
        self.assertEqual((await self.client.child(outer, "d")).cap, inner)
        self.assertEqual((await self.client.child(inner, "f")).cap, cap)
        await self.assertFailure(
            Deferred.fromCoroutine(self.client.mkdir_immutable({"d": await self.client.mkdir()})),
            BadRequest,
        )
        await self.assertFailure(
            Deferred.fromCoroutine(self.client.link(outer, "f", cap)), NotWriteable
        )

    async def test_a_child_directory_has_its_links_metadata(self) -> None:
        directory = await self.client.mkdir()
        await self.client.link(directory, "d", await self.client.mkdir(), metadata={"kind": "t"})
        node = await self.client.child(directory, "d")
        self.assertEqual(node, (await self.client.list(directory))["d"])
        self.assertEqual(node.metadata["kind"], "t")
        self.assertIsNotNone(node.created)

    async def test_a_missing_name_raises_file_not_found(self) -> None:
        directory = await self.client.mkdir()
        cap = await self.client.upload(b"x")
        await self.client.link(directory, "f", cap)
        node = await self.client.child(directory, "f")
        for attempt in (
            self.client.child(directory, "g"),
            self.client.unlink(directory, "g", node),
        ):
            error = await self.assertFailure(Deferred.fromCoroutine(attempt), NoSuchChild)
            self.assertIsInstance(error, FileNotFoundError)

    async def test_a_file_as_directory_raises_not_a_directory(self) -> None:
        cap = await self.client.upload(DATA)
        for attempt in (
            self.client.list(cap),
            self.client.child(cap, "x"),
            self.client.link(cap, "x", cap),
        ):
            await self.assertFailure(Deferred.fromCoroutine(attempt), NotADirectory)

    async def test_linking_through_a_read_cap_raises_permission_error(self) -> None:
        directory = await self.client.mkdir()
        error = await self.assertFailure(
            Deferred.fromCoroutine(self.client.link(directory.reader, "x", directory)),
            NotWriteable,
        )
        self.assertIsInstance(error, PermissionError)

    async def test_info_gives_the_node_of_a_cap(self) -> None:
        file, directory = await self.client.upload(DATA), await self.client.mkdir()
        self.assertEqual((await self.client.info(file)).size, len(DATA))
        self.assertTrue((await self.client.info(directory)).is_directory)

    async def test_a_strange_child_does_not_hide_the_others(self) -> None:
        directory = await self.client.mkdir()
        await self.client.link(directory, "strange", Cap.parse("lafs://from-the-future"))
        await self.client.link(directory, "f", await self.client.upload(DATA))
        children = await self.client.list(directory)
        self.assertEqual(children["strange"].type, "unknown")
        self.assertEqual(children["f"].size, len(DATA))


class MutableFiles(GatewayTestCase):
    async def test_both_formats_are_created_read_overwritten_and_written_into(self) -> None:
        for format, kind in (("SDMF", "SSK"), ("MDMF", "MDMF")):
            data = DATA * 30
            cap = await self.client.create_mutable(data, format=format)
            self.assertEqual(cap.kind, kind)
            self.assertEqual(await self.client.read(cap), data)
            self.assertEqual(await self.client.read(cap, 100, 50), data[100:150])
            await self.client.write_at(cap, b"inserted", 1000)
            data = data[:1000] + b"inserted" + data[1008:]
            self.assertEqual(await self.client.read(cap.reader), data)
            await self.client.write_at(cap, b"appended", len(data))
            self.assertEqual(await self.client.read(cap), data + b"appended")
            await self.client.overwrite(cap, b"short")
            self.assertEqual(await self.client.read(cap), b"short")
            self.assertEqual(await self.client.size(cap), 5)

    async def test_a_write_that_is_not_possible_changes_nothing(self) -> None:
        cap = await self.client.create_mutable(b"x")
        for attempt, expected in (
            (self.client.overwrite(cap.reader, b"y"), NotWriteable),
            (self.client.overwrite(await self.client.upload(b"x"), b"y"), NotWriteable),
            (self.client.overwrite(await self.client.mkdir(), b"y"), IsADirectory),
            (self.client.write_at(cap, b"y", -1), ValueError),
            (self.client.write_at(cap, b"y", 2), BadRequest),
        ):
            await self.assertFailure(Deferred.fromCoroutine(attempt), expected)
        self.assertEqual(await self.client.read(cap), b"x")

    async def test_a_write_is_repeated_after_a_lost_answer(self) -> None:
        client, proxy = self.connect_through_proxy()
        cap = await client.create_mutable(b"before")
        proxy.lose_answer("PUT /uri")
        await client.overwrite(cap, b"after")
        self.assertEqual(await client.read(cap), b"after")


class Addresses(GatewayTestCase):
    async def test_a_url_reads_the_file(self) -> None:
        cap = await self.client.upload(DATA)
        for url, kind in (
            (self.client.url(cap), None),
            (self.client.url(cap, "ä b?.html"), "text/html"),
            (self.client.url(cap, "a.html", save=True), "text/html"),
        ):
            answer = await deferToThread(urlopen, url)
            self.assertEqual(answer.read(), DATA)
            if kind:
                self.assertEqual(answer.headers["Content-Type"], kind)
            self.assertEqual("attachment" in str(answer.headers), url.endswith("save=true"))
        writable = await self.client.create_mutable(b"x")
        self.assertNotIn(str(writable), self.client.url(writable))


class LostAnswers(GatewayTestCase):
    """The connection breaks after the gateway has done the work."""

    async def test_a_link_whose_answer_was_lost_is_found_by_reading_back(self) -> None:
        client, proxy = self.connect_through_proxy()
        directory, cap = await client.mkdir(), await client.upload(DATA)
        proxy.requests.clear()
        proxy.lose_answer("POST /uri")
        await client.link(directory, "f", cap)
        self.assertEqual(proxy.requests, ["POST /uri", "GET /uri"])
        self.assertEqual((await client.child(directory, "f")).cap, cap)

    async def test_a_name_that_another_equal_file_has_is_taken(self) -> None:
        client, proxy = self.connect_through_proxy()
        directory, cap = await client.mkdir(), await client.upload(DATA)
        await client.link(directory, "f", cap)
        proxy.lose_answer("POST /uri")
        await self.assertFailure(
            Deferred.fromCoroutine(client.link(directory, "f", cap)), ExistingChild
        )

    async def test_an_unlink_whose_answer_was_lost_is_found_by_reading_back(self) -> None:
        client, proxy = self.connect_through_proxy()
        directory = await client.mkdir()
        await client.link(directory, "f", await client.upload(DATA))
        node = await client.child(directory, "f")
        proxy.lose_answer("POST /uri")
        await client.unlink(directory, "f", node)
        self.assertEqual(await client.list(directory), {})

    async def test_a_link_that_cannot_be_read_back_raises_unknown_outcome(self) -> None:
        client, proxy = self.connect_through_proxy(pauses=())
        directory, cap = await client.mkdir(), await client.upload(DATA)
        proxy.lose_answer("POST /uri")
        linking = Deferred.fromCoroutine(client.link(directory, "f", cap))
        proxy.refuse()
        error = await self.assertFailure(linking, UnknownOutcome)
        self.assertIn("reading the directory back failed", str(error))


class Readiness(GatewayTestCase):
    async def test_a_gateway_tells_its_servers(self) -> None:
        status = await self.client.wait_ready(3, timeout=10)
        self.assertEqual(status.connected, 3)
        self.assertEqual(
            {server.nickname for server in status.servers}, {"server-1", "server-2", "server-3"}
        )
        for server in status.servers:
            self.assertRegex(server.version or "", r"^tahoe-lafs/\d")
            self.assertGreater(server.available_space, 0)
            self.assertGreater(server.last_seen, 1.7e9)

    async def test_a_gateway_tells_its_release(self) -> None:
        self.assertRegex(await self.client.version() or "", r"^1\.\d+(\.\w+)*$")

    async def test_a_gateway_tells_its_counters_and_transfers(self) -> None:
        await self.client.upload(DATA)
        self.assertGreater(
            (await self.client.statistics())["counters"]["uploader.files_uploaded"], 0
        )
        self.assertLessEqual({"active", "recent"}, set(await self.client.transfers()))

    async def test_waiting_for_too_many_servers_ends(self) -> None:
        error = await self.assertFailure(
            Deferred.fromCoroutine(self.client.wait_ready(4, timeout=0.5)), NotEnoughServers
        )
        self.assertIn("connected to 3", str(error))

    async def test_waiting_for_no_gateway_ends(self) -> None:
        nowhere: Client = self.connect("http://127.0.0.1:1/", pauses=())
        await self.assertFailure(
            Deferred.fromCoroutine(nowhere.wait_ready(1, timeout=0.5)), TahoeError
        )
