"""Lookups: each directory is asked once, and missing names are asked about again."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from tests.grid.case import GatewayTestCase
from tests.grid.proxy import Proxy
from tests.txtahoe.case import ClockTestCase, CountingClock, start
from txtahoe import Cap, Client, Node, Transport, Tree
from txtahoe.errors import NoSuchChild, NotADirectory, SomeFailed
from txtahoe.maintenance.walking import Listings
from txtahoe.testing.fake import Delay
from txtahoe.tree.paths import Path
from txtahoe.tree.spread.format import Contents, gather
from txtahoe.turns import TOGETHER

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

    async def test_many_at_once_ask_every_directory_once(self) -> None:
        tree, _, proxy = await self.albums()
        await gatherResults([start(tree.resolve(name)) for name in NAMES])
        self.assertEqual(proxy.requests, ["GET /uri"] * 6)

    async def test_prefetch_asks_each_directory_once(self) -> None:
        tree, _, proxy = await self.albums()
        missing = ["albums/0/x", "albums/x/0", "x/0", "albums/0/0/0"]
        found = await tree.prefetch(NAMES + missing)
        self.assertEqual(found.keys(), {tuple(name.split("/")) for name in NAMES})
        # For a missing name the directory above is asked once more.
        self.assertLessEqual(len(proxy.requests), 9)
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

    async def test_prefetch_raises_if_the_grid_does_not_answer(self) -> None:
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

    async def test_walk_raises_for_a_missing_path_and_can_be_left(self) -> None:
        tree, _, _ = await self.albums()
        await self.failure(anext(tree.walk("nothing")), NoSuchChild)
        await self.failure(anext(tree.walk("albums/0/0")), NotADirectory)
        walk = tree.walk()
        await anext(walk)
        await walk.aclose()

    async def test_a_missing_name_is_asked_about_each_time(self) -> None:
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

    async def test_changes_of_others_are_seen_with_fresh_or_after_max_age(self) -> None:
        tree, other, _ = await self.albums()
        oblivious = Tree(tree.client, tree.root, max_age=0.0)
        await tree.resolve(NAMES[0])
        await oblivious.resolve(NAMES[0])
        await other.link(NAMES[0], OTHER, replace="only-files")
        self.assertEqual((await tree.resolve(NAMES[0])).cap, CAP)
        self.assertEqual((await oblivious.resolve(NAMES[0])).cap, OTHER)
        self.assertEqual((await tree.resolve(NAMES[0], fresh=True)).cap, OTHER)
        self.assertEqual((await tree.resolve(NAMES[0])).cap, OTHER)

    async def test_a_learnt_directory_is_used_and_can_be_removed(self) -> None:
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


def hold_listings(case: ClockTestCase) -> list[Deferred[None]]:
    """From now on the client's listings wait, each for the Deferred that it adds to the result."""
    ask = case.client.list
    answers: list[Deferred[None]] = []

    async def late(directory: Cap) -> Any:
        answer = await ask(directory)
        answers.append(Deferred())
        await answers[-1]
        return answer

    case.patch(case.client, "list", late)
    return answers


class OnePath(ClockTestCase):
    def test_prefetch_refuses_a_single_path(self) -> None:
        error = self.failureResultOf(start(self.tree.prefetch("a/b")), TypeError).value
        self.assertEqual(str(error), "several paths are needed, not a str: give [path]")


class Races(ClockTestCase):
    def test_an_old_listing_does_not_bring_back_an_unlinked_name(self) -> None:
        self.now(self.tree.link("a", CAP))
        self.fake.fail_next("*t=unlink", Delay(1))
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
        ask, answers = self.client.list, hold_listings(self)
        listing = start(self.tree.list(""))
        self.patch(self.client, "list", ask)

        def arrive() -> None:
            answers[0].callback(None)
            self.assertEqual(set(self.successResultOf(listing)), {"a"})

        return arrive

    def test_save_looks_up_the_directory_during_the_upload(self) -> None:
        self.now(self.tree.link("d/before", CAP))
        tree = Tree(self.client, self.tree.root)
        self.fake.requests.clear()
        self.fake.fail_next("PUT /uri", Delay(1))
        saving = start(tree.save("d/f", b"x" * 100))
        self.assertEqual(self.fake.requests, ["GET /uri/CAP?t=json", "PUT /uri"])
        self.clock.advance(1)
        self.successResultOf(saving)
        self.assertEqual(self.fake.requests[2:], ["POST /uri/CAP?t=set_children"])

    def test_known_names_grow_old(self) -> None:
        self.now(self.tree.link("a", CAP))
        self.clock.advance(9)
        self.assertIsNotNone(self.tree.known("a"))
        self.clock.advance(1)
        self.assertIsNone(self.tree.known("a"))


class Large(ClockTestCase):
    """A directory that is learnt in several turns."""

    def setUp(self) -> None:
        super().setUp()
        self.names = [str(number) for number in range(3 * TOGETHER)]
        self.now(self.client.set_children(self.root, dict.fromkeys(self.names, CAP)))
        self.learnt: list[Any] = []
        self.clock = CountingClock(self.learnt)
        self.client = Client(Transport(self.clock, "http://fake/", agent=self.fake.agent))
        self.tree = Tree(self.client, self.root)
        learn = self.tree._lookup.learn

        def note(path: Path, node: Node, *since: float, **options: bool) -> None:
            self.learnt.append(path)
            if len(self.learnt) == TOGETHER:
                self.clock.callLater(0, self.between)
            learn(path, node, *since, **options)

        self.patch(self.tree._lookup, "learn", note)

    def between(self) -> None:
        """Called between the first turn and the second one."""

    def list(self) -> None:
        listing = start(self.tree.list(""))
        self.assertNoResult(listing)
        self.clock.advance(0)
        self.assertEqual(set(self.successResultOf(listing)), set(self.names))

    def test_no_turn_learns_more_than_its_share(self) -> None:
        self.list()
        self.assertEqual(len(self.learnt), len(self.names))
        self.assertLessEqual(self.clock.most_in_a_turn, TOGETHER + 1)
        self.fake.requests.clear()
        for name in self.names:
            self.assertEqual(self.now(self.tree.resolve(name)).cap, CAP)
        self.assertEqual(self.fake.requests, [])

    def test_looking_up_a_name_copies_no_others(self) -> None:
        async def read(directory: Cap, depth: int, wanted: object) -> Contents:
            return await self.tree._lookup.ask((), directory, depth, anew=True)

        gathering = start(gather((), self.root, read, {"1", "missing"}))
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(gathering).keys(), {"1"})

    def test_a_change_between_two_turns_stands(self) -> None:
        changed = sorted(self.names)[-1]  # that is learnt last

        def change() -> None:
            self.successResultOf(start(self.tree.link(changed, OTHER, replace="only-files")))

        self.patch(self, "between", change)
        self.list()
        node = self.tree.known(changed)
        assert node is not None
        self.assertEqual(node.cap, OTHER)


class Removed(ClockTestCase):
    """Directories that were removed, and whose links stay."""

    def setUp(self) -> None:
        super().setUp()
        self.names = [f"d{number}" for number in range(6)]
        for name in self.names:
            self.now(self.tree.make_directories(name))
            self.now(self.tree.remove_directory(name))
        self.now(self.tree.link("f", CAP))
        self.tree = Tree(self.client, self.root)
        self.fake.requests.clear()

    def listed(self) -> set[str]:
        return set(self.now(self.tree.list("")))

    def ask_slowly(self, listing: Any) -> Any:
        """The result of a listing, with a second for each request."""
        self.fake.fail_next("*", Delay(1), times=99)
        answer = start(listing)
        self.clock.pump([1, 1])
        self.fake.forget_faults()
        return self.successResultOf(answer)

    def test_removed_directories_are_asked_side_by_side(self) -> None:
        self.assertEqual(set(self.ask_slowly(self.tree.list(""))), {"f"})
        self.assertEqual(len(self.fake.requests), 7)
        listings = Listings(self.client)
        self.assertEqual(set(self.ask_slowly(listings.of((), self.root))), {"f"})
        found = self.ask_slowly(Tree(self.client, self.root).prefetch(["f", *self.names]))
        self.assertEqual(found.keys(), {("f",)})

    def test_a_listing_remembers_empty_directories_for_a_while(self) -> None:
        self.listed()
        self.fake.requests.clear()
        self.assertEqual(self.listed(), {"f"})
        self.assertEqual(len(self.fake.requests), 1)
        self.clock.advance(10)
        self.assertEqual(self.listed(), {"f"})
        self.assertEqual(len(self.fake.requests), 8)

    def test_a_listing_remembers_filled_directories_for_a_while(self) -> None:
        self.now(Tree(self.client, self.root).link("d3/f", CAP))
        self.listed()
        for _ in range(2):
            self.fake.requests.clear()
            self.assertEqual(self.listed(), {"f", "d3"})
            self.assertEqual(len(self.fake.requests), 1)
            self.now(self.tree.resolve("d3/f", fresh=True))

    def test_own_files_in_removed_directories_are_seen_at_once(self) -> None:
        self.listed()
        self.now(self.tree.link("d3/f", CAP))
        self.assertEqual(self.listed(), {"f", "d3"})
        self.now(self.tree.unlink("d3/f"))
        self.assertEqual(self.listed(), {"f"})
        self.now(self.tree.link("d3/below/f", CAP))
        self.assertEqual(self.listed(), {"f", "d3"})
        self.now(self.tree.unlink("d3/below/f"))
        self.now(self.tree.remove_directory("d3/below"))
        self.assertEqual(self.listed(), {"f"})
        self.now(self.tree.link("d3/below/f", CAP))
        self.assertEqual(self.listed(), {"f", "d3"})

    def test_own_files_saved_during_a_listing_are_seen_at_once(self) -> None:
        ask, answers = self.client.list, hold_listings(self)
        listing = start(self.tree.list(""))
        answers[0].callback(None)
        self.assertEqual(len(answers), 7)
        self.patch(self.client, "list", ask)
        self.now(self.tree.link("d3/f", CAP))
        for answer in answers[1:]:
            answer.callback(None)
        self.successResultOf(listing)
        self.assertEqual(self.listed(), {"f", "d3"})

    def test_files_of_others_in_removed_directories_are_seen_soon(self) -> None:
        self.listed()
        self.now(Tree(self.client, self.root).link("d3/f", CAP))
        self.assertTrue(self.now(self.tree.resolve("d3")).is_directory)
        self.assertEqual(self.now(self.tree.prefetch(["d3", "d4"])).keys(), {("d3",)})
        self.assertEqual(self.listed(), {"f", "d3"})
        self.now(Tree(self.client, self.root).link("d4/f", CAP))
        self.clock.advance(10)
        self.assertEqual(self.listed(), {"f", "d3", "d4"})
