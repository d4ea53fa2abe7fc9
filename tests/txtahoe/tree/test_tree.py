"""Names under a root cap, on a real gateway."""

from __future__ import annotations

from math import nan
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.trial.unittest import SynchronousTestCase

from tests.grid.case import GatewayTestCase
from tests.txtahoe.case import ClockTestCase
from txtahoe import Cap, Fanout, Tree
from txtahoe.errors import (
    BadRequest,
    DirectoryNotEmpty,
    ExistingChild,
    IsADirectory,
    NoSuchChild,
    NotADirectory,
    NotWriteable,
)
from txtahoe.tree.paths import split


class Paths(SynchronousTestCase):
    def test_a_path_is_split_at_slashes_and_normalised(self) -> None:
        self.assertEqual(split("a//b/./c/"), ("a", "b", "c"))
        self.assertEqual(split(""), ())
        self.assertEqual(split("e\u0301"), ("\u00e9",))
        self.assertEqual(split(["with/slash", ".."]), ("with/slash", ".."))

    def test_climbing_paths_and_impossible_names_are_refused(self) -> None:
        for wrong in ("../a", "a/..", "a/../b", "\udc80", ["a", ""]):
            self.assertRaises(ValueError, split, wrong)


class Numbers(ClockTestCase):
    def test_numbers_that_make_no_sense_are_refused(self) -> None:
        for name, number, least in (
            ("max_known", 0, 1),
            ("concurrency", 0, 1),
            ("concurrency", nan, 1),
            ("max_age", -1, 0),
            ("max_age", nan, 0),
            ("commit_delay", -1, 0),
        ):
            wrong: dict[str, Any] = {name: number}
            error = self.assertRaises(ValueError, Tree, self.client, self.root, **wrong)
            self.assertEqual(str(error), f"{name} is {number}: give {least} or more")

    def test_with_each_number_one_everything_is_saved_and_found(self) -> None:
        tree = Tree(self.client, self.root, max_known=1, concurrency=1, fanout=Fanout(1))
        names = [f"{directory}/{name}" for directory in "ab" for name in "123"]
        self.now(tree.save_many([(name, name.encode()) for name in names]))
        for name in names:
            self.now(tree.save(f"{name}x", name.encode()))
        for directory in "ab":
            self.assertEqual(len(self.now(tree.list(directory))), 6)


class Trees(GatewayTestCase):
    async def failure(self, attempt, expected: type[Exception]) -> Exception:
        return await self.assertFailure(Deferred.fromCoroutine(attempt), expected)

    async def test_a_file_is_linked_with_the_directories_it_needs(self) -> None:
        tree = await self.new_tree()
        cap = await self.client.upload(b"x" * 100)
        await tree.link("a/b/c", cap)
        self.assertEqual((await tree.resolve("a/b/c")).cap, cap)
        self.assertEqual(set(await tree.list("a")), {"b"})
        self.assertTrue((await tree.resolve("a/b")).is_directory)
        self.assertTrue((await tree.resolve("")).is_directory)

    async def test_the_cap_of_a_file_is_saved_without_an_upload(self) -> None:
        async def free() -> str:
            return "a/free"

        client, proxy = self.connect_through_proxy()
        tree = await self.new_tree(client)
        cap = await self.client.upload(b"x" * 100)
        self.assertEqual(await tree.save("a/b", cap), cap)
        await self.failure(tree.save("a/b", cap), ExistingChild)
        await tree.save("a/b", cap, otherwise=free)
        self.assertEqual((await tree.save_many([("a/many", cap), ("d/e", cap)])), [cap, cap])
        self.assertEqual(set(await tree.list("a")), {"b", "free", "many"})
        self.assertEqual((await tree.resolve("d/e")).cap, cap)
        self.assertNotIn("PUT /uri", proxy.requests)
        for other in (tree.root, cap.verifier, await self.client.create_mutable(b"x")):
            await self.failure(tree.save("other", other), ValueError)

    async def test_composed_and_decomposed_names_are_one(self) -> None:
        tree = await self.new_tree()
        cap = await self.client.upload(b"x")
        await tree.link("cafe\u0301/e\u0301", cap)
        self.assertEqual((await tree.resolve("caf\u00e9/\u00e9")).cap, cap)
        await self.failure(tree.link("caf\u00e9/\u00e9", cap), ExistingChild)

    async def test_many_links_at_once_make_a_directory_once(self) -> None:
        trees = [await self.new_tree()]
        trees += [Tree(self.client, trees[0].root) for _ in range(3)]
        cap = await self.client.upload(b"x")
        await gatherResults(
            Deferred.fromCoroutine(tree.link(f"new/{number}/f", cap))
            for number, tree in enumerate(trees * 2)
        )
        self.assertEqual(set(await trees[0].list("new")), set("01234567"))

    async def test_known_directories_are_not_asked_for_again(self) -> None:
        client, proxy = self.connect_through_proxy()
        tree = await self.new_tree(client)
        cap = await client.upload(b"x")
        await tree.link("a/b/c", cap)
        proxy.requests.clear()
        await tree.link("a/b/d", cap)
        self.assertEqual(proxy.requests, ["POST /uri"])
        self.assertEqual((await tree.resolve("a/b/d")).cap, cap)
        self.assertEqual(proxy.requests, ["POST /uri"])

    async def test_a_directory_that_moved_is_found_again_after_max_age(self) -> None:
        other = await self.new_tree()
        tree = Tree(self.client, other.root, max_age=0.0)
        cap = await self.client.upload(b"x")
        await tree.link("a/b/f", cap)
        await other.rename("a/b", "old")
        await other.link("a/b/g", cap)
        self.assertEqual((await tree.resolve("a/b/g")).cap, cap)
        await other.rename("a", "z")
        await self.failure(tree.resolve("a/b/h"), NoSuchChild)
        self.assertEqual(set(await tree.list("old")), {"f"})

    async def test_known_directories_are_bounded_in_number_and_age(self) -> None:
        client, proxy = self.connect_through_proxy()
        root = await client.mkdir()
        cap = await client.upload(b"x")
        for options in ({"max_known": 1}, {"max_age": 0.0}):
            tree = Tree(client, root, **options)
            await tree.make_directories("a")
            await tree.make_directories("b")
            proxy.requests.clear()
            await tree.link(f"a/{options}", cap)
            self.assertEqual(proxy.requests, ["GET /uri", "POST /uri"])

    async def test_a_file_on_the_path_raises_not_a_directory(self) -> None:
        tree = await self.new_tree()
        cap = await self.client.upload(b"x")
        await tree.link("f", cap)
        for attempt in (
            tree.link("f/g", cap),
            tree.link("f/g/h", cap),
            tree.list("f"),
            tree.resolve("f/g"),
        ):
            await self.failure(attempt, NotADirectory)

    async def test_unlink_refuses_directories_and_remove_directory_files(self) -> None:
        tree = await self.new_tree()
        await tree.link("a/f", await self.client.upload(b"x"))
        await self.failure(tree.unlink("a"), IsADirectory)
        await self.failure(tree.remove_directory("a"), DirectoryNotEmpty)
        await self.failure(tree.remove_directory("a/f"), NotADirectory)
        await tree.unlink("a/f")
        await tree.remove_directory("a")
        self.assertEqual(await tree.list(""), {})
        await self.failure(tree.unlink("a"), NoSuchChild)
        await self.failure(tree.remove_directory(""), IsADirectory)

    async def test_a_removed_directory_is_gone_until_something_is_in_it(self) -> None:
        tree = await self.new_tree()
        cap = await self.client.upload(b"x")
        await tree.link("a/d/f", cap)
        await tree.unlink("a/d/f")
        await tree.remove_directory("a/d")
        self.assertEqual(await tree.list("a"), {})
        for attempt in (tree.resolve("a/d"), tree.list("a/d"), tree.remove_directory("a/d")):
            await self.failure(attempt, NoSuchChild)
        await tree.remove_directory("a")
        self.assertEqual(await tree.list(""), {})
        await tree.link("a/d/g", cap)
        self.assertEqual(set(await tree.list("")), {"a"})
        self.assertEqual(set(await tree.list("a/d")), {"g"})
        await tree.unlink("a/d/g")
        await tree.make_directories("a/d")
        self.assertEqual(await tree.list("a/d"), {})
        self.assertTrue((await tree.resolve("a/d")).is_directory)

    async def test_a_file_saved_into_a_removed_directory_is_not_lost(self) -> None:
        tree = await self.new_tree()
        other = Tree(self.client, tree.root)
        cap = await self.client.upload(b"x")
        await other.link("d/f", cap)
        await tree.unlink("d/f")
        await tree.remove_directory("d")
        await other.link("d/late", cap)
        for someone in (tree, other, Tree(self.client, tree.root)):
            self.assertEqual((await someone.resolve("d/late")).cap, cap)
            self.assertEqual(set(await someone.list("")), {"d"})

    async def test_replace_refuses_a_name_that_has_changed(self) -> None:
        tree = await self.new_tree()
        first, second, third = [await self.client.upload(b"%d" % n) for n in range(3)]
        await tree.replace("d/f", first, None)
        node = await tree.resolve("d/f")
        await self.failure(tree.replace("d/f", second, None), ExistingChild)
        attempts = [
            Deferred.fromCoroutine(tree.replace("d/f", cap, node)) for cap in (second, third)
        ]
        results = await DeferredList(attempts, consumeErrors=True)
        self.assertEqual(sorted(success for success, _ in results), [False, True])
        winner = (second, third)[results[1][0]]
        self.assertEqual((await tree.resolve("d/f")).cap, winner)
        await tree.replace("d/f", winner, node)  # nothing is to be done

    async def test_rename_moves_files_and_directories(self) -> None:
        tree = await self.new_tree()
        cap = await self.client.upload(b"x")
        await tree.link("a/f", cap)
        await tree.link("a/taken", cap)
        await tree.rename("a/f", "b/c/g")
        self.assertEqual((await tree.resolve("b/c/g")).cap, cap)
        await self.failure(tree.resolve("a/f"), NoSuchChild)
        await self.failure(tree.rename("b/c/g", "a/taken"), ExistingChild)
        await tree.rename("b", "d")
        self.assertEqual((await tree.resolve("d/c/g")).cap, cap)
        await tree.rename("d", "d")
        await self.failure(tree.rename("d", "d/e"), ValueError)
        await self.failure(tree.rename("nothing", "x"), NoSuchChild)

    async def test_a_cap_of_an_unknown_kind_is_not_renamed(self) -> None:
        tree = await self.new_tree()
        await tree.link("f", Cap.parse("lafs://from-the-future"))
        await self.failure(tree.rename("f", "g"), BadRequest)

    async def test_with_a_read_cap_everything_is_read_and_nothing_changed(self) -> None:
        tree = await self.new_tree()
        cap = await self.client.upload(b"x")
        await tree.link("a/f", cap)
        reader = Tree(self.client, tree.root.reader)
        self.assertEqual((await reader.resolve("a/f")).cap, cap)
        for attempt in (
            reader.link("a/g", cap),
            reader.unlink("a/f"),
            reader.rename("a/f", "g"),
            reader.make_directories("new"),
        ):
            await self.failure(attempt, NotWriteable)

    async def test_a_root_must_be_a_directory(self) -> None:
        cap = await self.client.upload(b"x")
        self.assertRaises(NotADirectory, Tree, self.client, cap)
        verifier = (await self.client.mkdir()).verifier
        self.assertRaises(NotADirectory, Tree, self.client, verifier)
