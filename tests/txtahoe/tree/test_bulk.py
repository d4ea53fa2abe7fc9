"""Many links and files at once: one write for each directory, and each failure alone."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, gatherResults

from tests.grid.case import GatewayTestCase
from tests.txtahoe.case import start
from txtahoe import Cap, Link, Tree
from txtahoe.errors import ExistingChild, NotADirectory, NotWriteable, SomeFailed

CAP = Cap.parse("URI:LIT:me")
OTHER = Cap.parse("URI:LIT:mi")


class Batches(GatewayTestCase):
    async def failure(self, attempt: Any, expected: type[Exception]) -> Any:
        return await self.assertFailure(start(attempt), expected)

    async def test_a_refused_batch_is_settled_name_by_name(self) -> None:
        client, proxy = self.connect_through_proxy()
        tree = await self.new_tree(client)
        other = Tree(self.client, tree.root)
        await other.link_many((name, OTHER) for name in ("b", "d"))
        proxy.requests.clear()
        linking = DeferredList(
            [start(tree.link(name, CAP)) for name in "abcde"], consumeErrors=True
        )
        results = await linking
        self.assertEqual([success for success, _ in results], [True, False, True, False, True])
        self.assertTrue(results[1][1].check(ExistingChild))
        # The first question is whether directories are spread.
        writes = ["POST /uri"] * 2 + ["GET /uri", "POST /uri"]
        self.assertEqual(proxy.requests, ["GET /uri", *writes])
        caps = {name: node.cap for name, node in (await tree.list("")).items()}
        self.assertEqual(caps, {"a": CAP, "b": OTHER, "c": CAP, "d": OTHER, "e": CAP})

    async def test_a_new_directory_is_made_with_the_waiting_links(self) -> None:
        client, proxy = self.connect_through_proxy()
        tree = await self.new_tree(client)
        proxy.requests.clear()
        await gatherResults([start(tree.link(f"a/b/c/{n}", CAP)) for n in range(8)])
        # The first link makes three directories, and links "a"; the others are made by one write.
        self.assertEqual(proxy.requests.count("GET /uri"), 1)
        self.assertEqual(proxy.requests.count("POST /uri"), 5)
        self.assertEqual(set(await tree.list("a/b/c")), set("01234567"))
        node = await tree.resolve("a/b/c/0", fresh=True)
        assert node.created is not None and node.modified is not None
        self.assertLess(abs(node.created - client.reactor.seconds()), 60)

    async def test_many_links_are_one_write_for_each_directory(self) -> None:
        client, proxy = self.connect_through_proxy()
        tree = await self.new_tree(client)
        await tree.link("there/before", CAP)
        proxy.requests.clear()
        paths = [f"{where}/{n}" for where in ("there", "new/a", "new/b/c") for n in range(5)]
        await tree.link_many([(path, Link(CAP, {"n": path})) for path in paths])
        # there; new/a, new/b/c, new/b, new; and the root, where "new" is linked.
        self.assertEqual(proxy.requests.count("POST /uri"), 6)
        # The tree asks nothing below a missing directory.
        self.assertEqual(proxy.requests.count("GET /uri"), 1)
        self.assertEqual(set(await tree.list("there")), {"before", *"01234"})
        self.assertEqual(set(await tree.list("new")), {"a", "b"})
        children = await tree.list("new/b/c")
        self.assertEqual(children["3"].metadata["n"], "new/b/c/3")

    async def test_names_made_by_link_many_are_known(self) -> None:
        client, proxy = self.connect_through_proxy()
        tree = await self.new_tree(client)
        await tree.link_many([(f"new/{n}/f", CAP) for n in range(5)])
        proxy.requests.clear()
        for n in range(5):
            self.assertEqual((await tree.resolve(f"new/{n}/f")).cap, CAP)
        self.assertEqual(proxy.requests, [])

    async def test_some_of_many_links_fail_and_the_others_are_made(self) -> None:
        tree = await self.new_tree()
        await tree.link("d/taken", OTHER)
        links = [("d/taken", CAP), ("d/f", CAP), ("d/f", OTHER), ("d/taken/g", CAP), ("e/f", CAP)]
        error = await self.failure(tree.link_many(links), SomeFailed)
        kinds = [type(result) for result in error.results]
        none = type(None)
        self.assertEqual(kinds, [ExistingChild, none, ExistingChild, NotADirectory, none])
        self.assertIn("3 of 5 failed", str(error))
        self.assertEqual((await tree.resolve("d/taken")).cap, OTHER)
        self.assertEqual((await tree.resolve("d/f")).cap, CAP)
        self.assertEqual((await tree.resolve("e/f")).cap, CAP)

    async def test_a_wrong_link_is_reported_as_failed(self) -> None:
        tree = await self.new_tree()
        wrong = Link(CAP, {"key": object()})
        links = [("new/f", wrong), ("other/f", CAP), ("g", CAP)]
        error = await self.failure(tree.link_many(links), SomeFailed)
        none = type(None)
        self.assertEqual([type(result) for result in error.results], [TypeError, none, none])

    async def test_a_name_cannot_be_a_file_and_a_directory(self) -> None:
        tree = await self.new_tree()
        error = await self.failure(tree.link_many([("a", CAP), ("a/b", CAP)]), SomeFailed)
        self.assertEqual([type(result) for result in error.results], [type(None), NotADirectory])
        self.assertEqual(set(await tree.list("")), {"a"})

    async def test_the_last_of_many_replacing_links_stays(self) -> None:
        tree = await self.new_tree()
        await tree.link_many([("f", CAP), ("f", OTHER)], replace=True)
        self.assertEqual((await tree.resolve("f")).cap, OTHER)

    async def test_trees_that_make_the_same_directories_lose_nothing(self) -> None:
        root = await self.client.mkdir()
        trees = [Tree(self.client, root) for _ in range(3)]
        await gatherResults(
            start(tree.link_many([(f"a/b{n % 2}/c/{number}-{n}", CAP) for n in range(6)]))
            for number, tree in enumerate(trees)
        )
        found = [name async for _, there in Tree(self.client, root).walk() for name in there]
        self.assertEqual(sum("-" in name for name in found), 18)

    async def test_with_a_read_cap_nothing_is_sent(self) -> None:
        client, proxy = self.connect_through_proxy()
        tree = Tree(client, (await self.client.mkdir()).reader)
        for attempt in (
            tree.save("f", b"x" * 100),
            tree.save_many([("f", b"x" * 100)]),
            tree.link_many([("f", CAP)]),
        ):
            await self.failure(attempt, NotWriteable)
        self.assertEqual(proxy.requests, [])


class Saving(GatewayTestCase):
    async def test_many_files_are_one_write(self) -> None:
        client, proxy = self.connect_through_proxy()
        tree = await self.new_tree(client)
        proxy.requests.clear()
        done: list[int] = []
        caps = await tree.save_many(
            [(str(n), b"%d" % n * 100) for n in range(20)], progress=done.append
        )
        # The directory is looked up during the uploads.
        self.assertEqual(sorted(proxy.requests), ["GET /uri", "POST /uri"] + ["PUT /uri"] * 20)
        self.assertEqual(proxy.requests[-1], "POST /uri")
        self.assertEqual(sum(done), 20)
        for n, cap in enumerate(caps):
            self.assertEqual((await tree.resolve(str(n), fresh=True)).cap, cap)
            self.assertEqual(await client.read(cap), b"%d" % n * 100)

    async def test_files_with_taken_names_get_others_without_a_second_upload(self) -> None:
        client, proxy = self.connect_through_proxy()
        tree = await self.new_tree(client)
        await tree.link_many([("a", CAP), ("b", CAP)])
        proxy.requests.clear()

        async def otherwise(number: int) -> str:
            return f"other-{number}"

        files = [(name, b"%d" % number * 100) for number, name in enumerate("abcc")]
        caps = await tree.save_many(files, otherwise=otherwise)
        self.assertEqual(proxy.requests.count("PUT /uri"), 4)
        there = {name: node.cap for name, node in (await tree.list("")).items()}
        self.assertEqual(there.pop("a"), CAP)
        self.assertEqual(there.pop("b"), CAP)
        names = ("other-0", "other-1", "c", "other-3")
        self.assertEqual(there, dict(zip(names, caps, strict=True)))

    async def test_a_file_that_finds_no_free_name_fails_alone(self) -> None:
        tree = await self.new_tree()
        await tree.link("a", CAP)

        async def otherwise(number: int) -> str:
            raise OverflowError("no more names")

        saving = start(tree.save_many([("a", b"1" * 60), ("b", b"2" * 60)], otherwise=otherwise))
        error = await self.assertFailure(saving, SomeFailed)
        self.assertEqual([type(result) for result in error.results], [OverflowError, Cap])
        self.assertEqual(set(await tree.list("")), {"a", "b"})

    async def test_a_source_that_fails_fails_alone(self) -> None:
        tree = await self.new_tree()

        async def broken() -> bytes:
            raise OSError("the disk is broken")

        async def opened() -> bytes:
            return b"x" * 100

        files = [("a", opened), ("b", broken), ("../c", opened), ("d", b"y" * 100)]
        saving = start(tree.save_many(files))
        error = await self.assertFailure(saving, SomeFailed)
        kinds = [type(result) for result in error.results]
        self.assertEqual(kinds, [Cap, OSError, ValueError, Cap])
        self.assertEqual(len(error.errors), 2)
        self.assertEqual(set(await tree.list("")), {"a", "d"})

    async def test_large_files_do_not_delay_small_ones(self) -> None:
        tree = await self.new_tree()

        async def endless() -> Any:
            yield b"x" * 2**20
            yield await Deferred()

        large = [start(tree.save(f"large-{n}", endless())) for n in range(8)]
        await tree.save("small", b"x" * 100)
        for each in large:
            each.cancel()
            await self.assertFailure(each, CancelledError)
        self.assertEqual(set(await tree.list("")), {"small"})
