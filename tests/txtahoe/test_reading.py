"""Looking at names: each directory is asked once, and what is missing is asked about again."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from tests.grid.case import GatewayTestCase
from tests.grid.proxy import Proxy
from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Cap, Tree
from txtahoe.errors import NoSuchChild, NotADirectory, SomeFailed
from txtahoe.testing.fake import Delay

CAP = Cap.parse("URI:LIT:me")
OTHER = Cap.parse("URI:LIT:mi")
ALBUMS = [f"albums/{album}" for album in range(4)]
NAMES = [f"{album}/{number}" for album in ALBUMS for number in range(5)]


class Albums(GatewayTestCase):
    """A tree of four albums with five files each, that another tree has made."""

    async def albums(self, **options: Any) -> tuple[Tree, Tree, Proxy]:
        client, proxy = self.connect_through_proxy()
        other = await self.new_tree()
        await other.link_many([(name, CAP) for name in NAMES])
        proxy.requests.clear()
        return Tree(client, other.root, **options), other, proxy

    async def failure(self, attempt: Any, expected: type[Exception]) -> Any:
        return await self.assertFailure(start(attempt), expected)

    async def test_every_directory_on_the_way_is_asked_once(self) -> None:
        tree, _, proxy = await self.albums()
        for name in NAMES:
            self.assertEqual((await tree.resolve(name)).cap, CAP)
        self.assertEqual(proxy.requests, ["GET /uri"] * 6)

    async def test_so_it_is_by_many_at_once(self) -> None:
        tree, _, proxy = await self.albums()
        await gatherResults([start(tree.resolve(name)) for name in NAMES])
        self.assertEqual(proxy.requests, ["GET /uri"] * 6)

    async def test_prefetch_asks_each_directory_once(self) -> None:
        tree, _, proxy = await self.albums()
        done: list[int] = []
        missing = ["albums/0/x", "albums/x/0", "x/0", "albums/0/0/0"]
        found = await tree.prefetch(NAMES + missing, progress=done.append)
        self.assertEqual(found.keys(), {tuple(name.split("/")) for name in NAMES})
        # For what is missing the directory above is asked once more, as it was asked before.
        self.assertLessEqual(len(proxy.requests), 9)
        self.assertEqual(sum(done), 7)
        proxy.requests.clear()
        self.assertEqual((await tree.resolve(NAMES[7])).cap, CAP)
        self.assertEqual(await tree.prefetch(NAMES), found)
        self.assertEqual(proxy.requests, [])

    async def test_prefetch_of_known_directories_is_one_request_for_each(self) -> None:
        tree, _, proxy = await self.albums()
        await tree.list("albums")
        proxy.requests.clear()
        await tree.prefetch(NAMES)
        self.assertEqual(proxy.requests, ["GET /uri"] * 4)

    async def test_prefetch_tells_when_the_grid_does_not_answer(self) -> None:
        tree, _, proxy = await self.albums()
        await tree.list("albums")
        proxy.refuse()
        proxy.close_connections()
        error = await self.failure(tree.prefetch(NAMES), SomeFailed)
        self.assertEqual(len(error.errors), 4)
        proxy.refuse(False)

    async def test_walk_gives_each_directory_once_the_nearer_ones_first(self) -> None:
        tree, _, proxy = await self.albums()
        walked = [(path, sorted(children)) async for path, children in tree.walk()]
        self.assertEqual(walked[:2], [((), ["albums"]), (("albums",), list("0123"))])
        files = [(("albums", album), list("01234")) for album in "0123"]
        self.assertEqual(sorted(walked[2:]), files)
        self.assertEqual(proxy.requests, ["GET /uri"] * 6)
        below = [path async for path, _ in tree.walk("albums/2")]
        self.assertEqual(below, [("albums", "2")])

    async def test_walk_enters_no_directory_below_itself(self) -> None:
        tree, _, _ = await self.albums()
        await tree.link("albums/0/up", tree.root)
        await tree.link("albums/1/twice", (await tree.resolve("albums/2")).cap.reader)
        walked = {path async for path, _ in tree.walk()}
        albums = {("albums", album) for album in "0123"}
        self.assertEqual(walked, {(), ("albums",), ("albums", "1", "twice"), *albums})
        below = {path async for path, _ in tree.walk("albums")}
        # The root is not on this path, so it is entered.
        self.assertEqual(below, walked - {()} | {("albums", "0", "up")})

    async def test_walk_of_what_is_missing_says_so_and_one_that_is_left_ends(self) -> None:
        tree, _, _ = await self.albums()
        await self.failure(anext(tree.walk("nothing")), NoSuchChild)
        await self.failure(anext(tree.walk("albums/0/0")), NotADirectory)
        walk = tree.walk()
        await anext(walk)
        await walk.aclose()

    async def test_what_is_missing_is_asked_about_each_time(self) -> None:
        tree, other, _ = await self.albums()
        await self.failure(tree.resolve("albums/0/new"), NoSuchChild)
        await other.link("albums/0/new", CAP)
        self.assertEqual((await tree.resolve("albums/0/new")).cap, CAP)
        await self.failure(tree.resolve("more/new"), NoSuchChild)
        await other.link("more/new", CAP)
        self.assertEqual((await tree.resolve("more/new")).cap, CAP)

    async def test_own_changes_are_seen_at_once(self) -> None:
        tree, _, _ = await self.albums()
        name = NAMES[0]
        self.assertEqual((await tree.resolve(name)).cap, CAP)
        await tree.link(name, OTHER, replace="only-files")
        self.assertEqual((await tree.resolve(name)).cap, OTHER)
        await tree.unlink(name)
        await self.failure(tree.resolve(name), NoSuchChild)
        await tree.rename(NAMES[1], name)
        self.assertEqual((await tree.resolve(name)).cap, CAP)
        await self.failure(tree.resolve(NAMES[1]), NoSuchChild)

    async def test_what_others_change_is_seen_with_fresh_or_when_it_is_old(self) -> None:
        tree, other, _ = await self.albums()
        oblivious = Tree(tree.client, tree.root, max_age=0.0)
        await tree.resolve(NAMES[0])
        await oblivious.resolve(NAMES[0])
        await other.link(NAMES[0], OTHER, replace="only-files")
        self.assertEqual((await tree.resolve(NAMES[0])).cap, CAP)
        self.assertEqual((await oblivious.resolve(NAMES[0])).cap, OTHER)
        self.assertEqual((await tree.resolve(NAMES[0], fresh=True)).cap, OTHER)
        self.assertEqual((await tree.resolve(NAMES[0])).cap, OTHER)

    async def test_a_directory_that_was_learnt_is_used_and_may_be_removed(self) -> None:
        tree, other, proxy = await self.albums()
        tree.learn_directory("albums/0", (await other.resolve("albums/0")).cap)
        self.assertEqual((await tree.resolve("albums/0/0")).cap, CAP)
        self.assertEqual(proxy.requests, ["GET /uri"])
        for number in range(5):
            await other.unlink(f"albums/0/{number}")
        await other.remove_directory("albums/0")
        await self.failure(tree.resolve("albums/0"), NoSuchChild)

    async def test_changes_are_counted(self) -> None:
        tree, _, _ = await self.albums()
        counts = [tree.changes]
        for change in (tree.link("f", CAP), tree.resolve("f"), tree.unlink("f")):
            await change
            counts.append(tree.changes)
        self.assertEqual([counts[0] < counts[1], counts[1] == counts[2] < counts[3]], [True, True])

    async def test_a_directory_where_a_file_was_is_found(self) -> None:
        tree, other, _ = await self.albums()
        await tree.resolve(NAMES[0])
        await other.unlink(NAMES[0])
        await other.link(f"{NAMES[0]}/below", OTHER)
        self.assertEqual((await tree.resolve(f"{NAMES[0]}/below")).cap, OTHER)


class Races(ClockTestCase):
    def test_an_old_listing_does_not_bring_back_what_was_unlinked_meanwhile(self) -> None:
        self.now(self.tree.link("a", CAP))
        self.fake.fail_next("DELETE*", Delay(1))
        unlinking = start(self.tree.unlink("a"))
        # The answer to this is made before the unlink, and arrives after it.
        listing = self.held_listing()
        self.clock.advance(1)
        self.successResultOf(unlinking)
        listing()
        self.assertIsNone(self.tree.known("a"))
        self.failureResultOf(start(self.tree.resolve("a")), NoSuchChild)

    def held_listing(self) -> Any:
        """Begin a listing whose answer is on its way until what this returns is called."""
        answers: list[Deferred[None]] = []
        ask = self.client.list

        async def late(directory: Cap) -> Any:
            answer = await ask(directory)
            answers.append(Deferred())
            await answers[-1]
            return answer

        self.patch(self.client, "list", late)
        listing = start(self.tree.list(""))
        self.patch(self.client, "list", ask)

        def arrive() -> None:
            answers[0].callback(None)
            self.assertEqual(set(self.successResultOf(listing)), {"a"})

        return arrive

    def test_who_saves_in_a_directory_looks_it_up_while_the_bytes_are_on_their_way(self) -> None:
        self.now(self.tree.link("d/before", CAP))
        tree = Tree(self.client, self.tree.root)
        self.fake.requests.clear()
        self.fake.fail_next("PUT /uri", Delay(1))
        saving = start(tree.save("d/f", b"x" * 100))
        self.assertEqual(self.fake.requests, ["GET /uri/CAP?t=json", "PUT /uri"])
        self.clock.advance(1)
        self.successResultOf(saving)
        self.assertEqual(self.fake.requests[2:], ["POST /uri/CAP?t=set_children"])

    def test_what_is_known_grows_old(self) -> None:
        self.now(self.tree.link("a", CAP))
        self.clock.advance(9)
        self.assertIsNotNone(self.tree.known("a"))
        self.clock.advance(1)
        self.assertIsNone(self.tree.known("a"))
