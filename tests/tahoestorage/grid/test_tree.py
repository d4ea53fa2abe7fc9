"""The trees that storages share, the options that count there, and the time that a tree is kept."""

from __future__ import annotations

import gc
import threading
from typing import Any

from django.core.files.base import ContentFile
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.reactor.loop import Kept, current_loop
from tahoestorage.reactor.waiting import done
from tahoestorage.staticfiles import TahoeStaticFilesStorage
from tahoestorage.storage import TahoeStorage
from tests.grid.proxy import Proxy
from tests.grid.shared import shared_fake
from tests.grid.strangers import silent, stranger
from tests.processes import apart
from tests.tahoestorage.case import StorageTestCase, forget_links
from txtahoe import Transport, Tree
from txtahoe.errors import RequestTimeout

_DEFAULTS: dict[str, Any] = Transport.__init__.__kwdefaults__ or {}
TUNINGS: list[dict[str, Any]] = [
    {"timeout": 59},
    {"max_age": 0},
    {"concurrency": 3},
    {"commit_delay": 0.25},
    {"fanout": True},
    {"cache": "default"},
]


def tree_of(storage: TahoeStorage) -> Tree:
    async def itself(tree: Tree, _: object) -> Tree:
        return tree

    return done(storage._tree.run(itself))


def trees() -> int:
    """How many trees there are in this process."""
    gc.collect()
    return sum(type(thing) is Tree for thing in gc.get_objects())


class OneTree(StorageTestCase):
    def test_storages_that_differ_in_their_tuning_share_a_tree(self) -> None:
        for tuning in TUNINGS:
            other = self.new_storage(**tuning)
            self.assertEqual(other.place, self.storage.place, tuning)
            self.assertIs(tree_of(other), tree_of(self.storage), tuning)

    def test_other_gateways_or_another_root_are_another_tree(self) -> None:
        for options in (
            {"tahoe_base_url": self.gateways[1]},
            {"tahoe_base_url": self.gateways},
            {"tahoe_writer_url": self.gateways[1]},
            {"tahoe_base_cap": str(shared_fake()[0].make_directory())},
        ):
            other = self.new_storage(**options)
            self.assertNotEqual(other.place, self.storage.place, options)
            self.assertIsNot(tree_of(other), tree_of(self.storage), options)

    def test_an_address_can_be_spelt_in_several_ways(self) -> None:
        plain = self.gateway.rstrip("/")
        for spelling in (plain, f"{plain}//", f" {plain}/\n", [plain]):
            self.assertIs(
                tree_of(self.new_storage(tahoe_base_url=spelling)), tree_of(self.storage), spelling
            )

    def test_a_site_serves_the_files_of_all_of_them(self) -> None:
        options = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap}
        backend = "tahoestorage.storage.TahoeStorage"
        self.override(
            STORAGES={"default": {"BACKEND": backend, "OPTIONS": options}},
            ROOT_URLCONF="tests.tahoestorage.serving.one_url",
        )
        for tuning in TUNINGS:
            url = self.new_storage(base_url=None, **tuning).url("a/b.txt")
            self.assertEqual(url, "/files/a/b.txt", tuning)

    def test_storages_of_one_tree_see_each_others_changes_at_once(self) -> None:
        other = self.new_storage(timeout=59, allow_overwrite=True)
        self.storage.save("f", ContentFile(b"first" * 20))
        self.storage.save("g", ContentFile(b"gone" * 20))
        for storage in (self.storage, other):
            storage.prefetch(["f", "g"])
        before = self.storage.url("f")
        other.save("f", ContentFile(b"second" * 20))
        other.delete("g")
        self.assertNotEqual(self.storage.url("f"), before)
        self.assertFalse(self.storage.exists("g"))

    def test_pending_static_files_and_links_are_shared(self) -> None:
        options = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap}
        static = TahoeStaticFilesStorage(**options)
        static.save("f", ContentFile(b"pending" * 20))
        self.assertTrue(TahoeStaticFilesStorage(**options, timeout=59).exists("f"))
        static.flush()
        self.addCleanup(forget_links)
        caps = TahoeCapStorage(**options)
        name = caps.save("f", ContentFile(b"waits for its link" * 10))
        TahoeCapStorage(**options, timeout=59).flush()
        self.assertEqual([name.rpartition("/")[0]], caps.listdir("")[0])


class Tuning(StorageTestCase):
    """The options that count in a shared tree."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(Transport.__init__, "__kwdefaults__", {**_DEFAULTS, "pauses": ()})

    def test_each_call_waits_as_long_as_its_own_storage_says(self) -> None:
        with stranger(silent) as url:
            patient = self.new_storage(tahoe_base_url=url, timeout=600)
            hasty = self.new_storage(tahoe_base_url=url, timeout=0.2)
            self.assertIs(tree_of(patient), tree_of(hasty))
            for attempt in (
                lambda: hasty.exists("f"),
                lambda: hasty.save("f", ContentFile(b"x" * 100)),
                lambda: hasty.listdir(""),
            ):
                self.assertRaises(RequestTimeout, attempt)

    def test_each_call_takes_answers_as_old_as_its_own_storage_says(self) -> None:
        fresh, lazy = self.new_storage(max_age=0), self.new_storage(max_age=3600)
        other = apart(self.new_storage())
        other.save("f", ContentFile(b"x" * 100))
        self.assertTrue(fresh.exists("f"))  # the first that uses the tree
        other.delete("f")
        self.assertTrue(lazy.exists("f"))
        self.assertFalse(fresh.exists("f"))

    def test_a_tree_is_spread_as_soon_as_a_storage_says_so(self) -> None:
        self.assertIsNone(tree_of(self.storage).changer.fanout)
        for fanout in (200, 300):  # the first one counts
            tree = tree_of(self.new_storage(fanout=fanout))
            spreading = tree.changer.fanout
            assert spreading is not None
            self.assertEqual(spreading.limit, 200)
        self.storage.save_many((f"d/{n}", ContentFile(b"%d" % n)) for n in range(201))
        names = self.storage.listdir("d")[1]
        self.assertEqual(len(names), 201)
        listing = done(self.storage._tree.run(lambda tree, _: tree.client.list(tree.root)))
        root = listing["d"].cap
        parts = done(self.storage._tree.run(lambda tree, _: tree.client.list(root)))
        self.assertIn(".tahoe-part-0", parts)


class Keeping(SynchronousTestCase):
    def test_the_last_used_objects_are_kept(self) -> None:
        kept = Kept(most=2)
        made: list[str] = []

        class Thing:
            def __init__(self, name: str) -> None:
                made.append(name)

        for name in ("a", "b", "a", "c", "b", "a"):
            kept.use(name, lambda: Thing(name))  # noqa: B023 - it is called at once
        self.assertEqual(made, ["a", "b", "c", "b", "a"])
        self.assertIsNone(kept.get("c"))
        self.assertIsInstance(kept.get("b"), Thing)

    def test_an_object_in_use_stays_and_is_not_made_twice(self) -> None:
        kept = Kept(most=1)
        used: set[str] = kept.use("a", set)
        for name in range(5):
            kept.use(name, set)
        self.assertIs(kept.get("a"), used)
        self.assertIs(kept.use("a", set), used)


class LettingGo(StorageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(setattr, current_loop(), "kept", current_loop().kept)
        self.proxy = Proxy(self.gateway).__enter__()
        self.addCleanup(self.proxy.__exit__)
        self.storage = self.new_storage(tahoe_base_url=self.proxy.url)

    def tenant(self, kind: type[TahoeStorage] = TahoeStorage) -> TahoeStorage:
        cap = str(shared_fake()[0].make_directory())
        return kind(tahoe_base_url=self.proxy.url, tahoe_base_cap=cap)

    def use_others(self) -> None:
        """Have every tree that can be let go be so."""
        for _ in range(5):
            tree_of(self.tenant())

    def test_hundreds_of_tenants_need_no_more_than_a_few(self) -> None:
        self.addCleanup(forget_links)
        before = trees()
        for number in range(300):
            kind = TahoeStaticFilesStorage if number % 10 == 0 else TahoeStorage
            self.assertFalse(self.tenant(kind).exists("f"))
        for number in range(10):
            self.tenant(TahoeCapStorage).save("f", ContentFile(b"%d" % number * 60))
        # Trees with queued links are kept too.
        self.assertLess(trees() - before, 80)
        self.assertLessEqual(self.proxy.connections, 3)

    def test_a_tree_is_one_while_a_request_of_it_is_under_way(self) -> None:
        current_loop().kept = Kept(most=1)
        self.storage.save("f", ContentFile(b"x" * 100))
        found: list[Tree] = []
        begun, go_on = threading.Event(), threading.Event()

        async def work(tree: Tree, caller: Any) -> None:
            found.append(tree)
            await caller.run(lambda: (begun.set(), go_on.wait(60)), blocks=True)
            await tree.list("")
            found.append(tree)

        thread = threading.Thread(target=lambda: done(self.storage._tree.run(work)))
        thread.start()
        begun.wait(60)
        self.use_others()
        self.assertIs(tree_of(self.storage), found[0])
        go_on.set()
        thread.join(60)
        self.assertEqual(len(found), 2)

    def test_an_open_file_can_be_read_on(self) -> None:
        current_loop().kept = Kept(most=1)
        data = b"0123456789" * 300_000
        self.storage.save("f", ContentFile(data))
        with self.storage.open("f") as file:
            self.assertEqual(file.read(10), data[:10])
            self.use_others()
            self.proxy.requests.clear()
            self.assertEqual(file.read(), data[10:])
        self.assertLessEqual(len(self.proxy.requests), 3)

    def test_waiting_links_are_made(self) -> None:
        current_loop().kept = Kept(most=1)
        self.addCleanup(forget_links)
        storage = self.tenant(TahoeCapStorage)
        assert isinstance(storage, TahoeCapStorage)
        storage.save("f", ContentFile(b"x" * 100))
        self.use_others()
        storage.flush()
        self.assertEqual(len(storage.listdir("")[0]), 1)

    def test_pending_static_files_are_saved(self) -> None:
        current_loop().kept = Kept(most=1)
        static = self.tenant(TahoeStaticFilesStorage)
        assert isinstance(static, TahoeStaticFilesStorage)
        static.save("f", ContentFile(b"x" * 100))
        self.use_others()
        self.assertTrue(static.exists("f"))
        static.flush()
        self.assertTrue(TahoeStorage(**static.options).exists("f"))
