"""The health of everything under a root, on a gateway in memory and on a real grid."""

from __future__ import annotations

from collections.abc import Callable
from os import urandom
from typing import Any

from twisted.internet.threads import deferToThread

from tests.grid.case import GatewayTestCase
from tests.grid.shares import damage, lose_on
from tests.needs import GRID, TIME, needs
from tests.txtahoe.case import start
from tests.txtahoe.maintenance.case import MaintenanceTestCase
from txtahoe import Cap, Tree
from txtahoe.errors import GatewayError, GatewayUnreachable, NoSuchChild, NotAGateway
from txtahoe.maintenance import Health, State, check
from txtahoe.testing.fake import ExceptionPage, Silence, Status
from txtahoe.tree.removed import REMOVED

CHECK = "POST /uri/CAP?t=check"
LIST = "GET /uri/CAP?t=json"


class Checks(MaintenanceTestCase):
    def check(self, path: str = "", **options: Any) -> Health:
        self.fake.requests.clear()
        health: Health = self.now(check(self.tree, path, **options))
        return health

    def problems(self, health: Health) -> dict[str, State]:
        return {
            "/".join(path): problem.state for problem in health.problems for path in problem.paths
        }

    def test_everything_is_checked_once(self) -> None:
        self.save("a/1", "a/2", "b/c/3")
        health = self.check()
        self.assertEqual(health.counts, {State.HEALTHY: 7, State.LITERAL: 0})
        self.assertEqual((health.objects, health.problems), (7, []))
        self.assertTrue(health.is_healthy and health.is_recoverable and health.is_complete)
        self.assertEqual(self.fake.requests.count(CHECK), 7)
        self.assertEqual(self.fake.requests.count(LIST), 4)

    def test_a_path_or_a_single_file_is_checked(self) -> None:
        self.save("a/1", "a/2", "b/c/3")
        self.assertEqual(self.check("a").objects, 3)
        self.assertEqual(self.check("b/c/3").objects, 1)
        self.failureResultOf(start(check(self.tree, "c")), NoSuchChild)

    def test_a_tree_is_checked_with_its_read_cap(self) -> None:
        self.save("a/1")
        self.tree = Tree(self.client, self.root.reader)
        self.assertEqual(self.check().objects, 3)

    def test_each_link_counts_and_each_object_is_asked_about_once(self) -> None:
        self.save("a/1")
        for path in ("a/2", "b/1", "1"):
            self.now(self.tree.link(path, self.caps["a/1"]))
        self.now(self.tree.link("b/a", self.now(self.tree.resolve("a")).cap))
        self.now(self.tree.link("b/loop", self.root.reader))
        self.lose("a/1", 1)
        health = self.check()
        self.assertEqual(health.counts[State.UNHEALTHY], 4)
        self.assertEqual(health.counts[State.HEALTHY], 5)
        self.assertEqual(health.objects, 4)
        self.assertEqual(self.fake.requests.count(CHECK), 4)
        [problem] = health.problems
        self.assertEqual({"/".join(path) for path in problem.paths}, {"a/1", "a/2", "b/1", "1"})

    def test_objects_without_shares_are_only_counted(self) -> None:
        self.now(self.tree.save("a", b"short"))
        self.now(self.tree.save("b", b"short"))
        self.now(self.tree.link("d", self.now(self.client.mkdir_immutable({}))))
        health = self.check()
        self.assertEqual(health.counts, {State.HEALTHY: 1, State.LITERAL: 3})
        self.assertEqual(self.fake.requests.count(CHECK), 1)
        self.assertTrue(health.is_healthy)
        self.assertEqual(self.check("a").counts[State.LITERAL], 1)

    def test_objects_of_an_unknown_kind_are_reported(self) -> None:
        self.now(self.tree.link("f", Cap.parse("lafs://from-the-future")))
        health = self.check()
        self.assertEqual(self.problems(health), {"f": State.UNKNOWN})
        self.assertTrue(health.is_healthy)

    def test_removed_and_immutable_directories_are_checked_too(self) -> None:
        self.save("a/1", "b/2")
        self.now(self.tree.unlink("a/1"))
        self.now(self.tree.remove_directory("a"))
        self.assertIn(REMOVED, self.now(self.client.list(self.root))["a"].metadata)
        frozen = self.now(
            self.client.mkdir_immutable({"2": self.caps["b/2"], "3": self.caps["a/1"]})
        )
        self.now(self.tree.link("frozen", frozen))
        self.assertEqual(self.check().objects, 6)

    def test_shares_are_counted(self) -> None:
        self.save("a/1", "a/2", "a/3")
        for path, lost in (("a/1", 1), ("a/2", 2), ("a/3", 3)):
            self.fake.lose(self.caps[path], lost)
        health = self.check()
        self.assertEqual(
            [
                (each.paths, each.state, each.good, each.needed, each.expected)
                for each in health.problems
            ],
            [
                ([("a", "1")], State.UNHEALTHY, 2, 2, 3),
                ([("a", "2")], State.UNRECOVERABLE, 1, 2, 3),
                ([("a", "3")], State.UNRECOVERABLE, 0, 2, 3),
            ],
        )
        self.assertIn("Not Healthy: 2 shares", health.problems[0].reason)
        self.assertFalse(health.is_healthy or health.is_recoverable)
        self.assertTrue(health.is_complete)

    def test_only_recoverable_objects_are_repaired(self) -> None:
        self.save("a/1", "a/2", "a/3")
        self.lose("a/1", 1)
        self.lose("a/2", 2)
        health = self.check(repair=True)
        self.assertEqual(self.problems(health), {"a/1": State.REPAIRED, "a/2": State.UNRECOVERABLE})
        self.assertEqual(self.fake.requests.count(CHECK), 5 + 1)
        self.assertEqual(health.problems[0].good, 2)
        self.assertEqual(self.problems(self.check()), {"a/2": State.UNRECOVERABLE})

    def test_a_repaired_tree_is_healthy(self) -> None:
        self.save("a/1")
        self.fake.lose(self.root, 1)
        self.assertFalse(self.check().is_healthy)
        self.assertTrue(self.check(repair=True).is_healthy)

    def test_a_failed_repair_is_reported(self) -> None:
        self.save("a/1")
        cap = self.now(self.client.create_mutable(b"mutable"))
        self.now(self.tree.link("m", cap.reader))
        for lost in (self.caps["a/1"], cap):
            self.fake.lose(lost, 1)
        self.fake.fail_next(
            CHECK, ExceptionPage("allmydata.interfaces.NoServersError", "none"), skip=5
        )
        health = self.check(repair=True, at_once=1)
        self.assertEqual(
            self.problems(health), {"a/1": State.REPAIR_FAILED, "m": State.REPAIR_FAILED}
        )
        self.assertTrue(health.is_recoverable)
        self.assertFalse(health.is_healthy)

    def test_a_lost_directory_hides_only_what_is_below_it(self) -> None:
        self.save("a/b/1", "a/2", "c/3")
        lost = self.now(self.tree.resolve("a/b")).cap
        for shares, repair in ((2, False), (1, True)):
            self.fake.lose(lost, shares)
            health = self.check(repair=repair)
            self.assertEqual(self.problems(health), {"a/b": State.UNRECOVERABLE})
            [problem] = health.problems
            self.assertTrue(problem.is_closed)
            self.assertFalse(health.is_complete or health.is_recoverable)
            self.assertEqual(health.counts[State.HEALTHY], 5)
        self.assertEqual((problem.good, problem.needed), (0, None))

    def test_a_lost_root_is_reported(self) -> None:
        self.fake.lose(self.root)
        self.assertEqual(self.problems(self.check()), {"": State.UNRECOVERABLE})

    def test_a_directory_that_cannot_be_listed_is_not_healthy(self) -> None:
        self.save("a/1")
        self.fake.fail_next(LIST, ExceptionPage("builtins.KeyError", "why"), skip=1)
        health = self.check()
        self.assertEqual(self.problems(health), {"a": State.UNCHECKED})
        self.assertFalse(health.is_complete)

    def test_a_check_that_fails_does_not_end_the_others(self) -> None:
        self.save("a/1", "a/2", "a/3")
        self.fake.fail_next(CHECK, ExceptionPage("builtins.KeyError", "why"), skip=2)
        health = self.check()
        self.assertEqual(health.counts, {State.HEALTHY: 4, State.UNCHECKED: 1, State.LITERAL: 0})
        self.assertIn("KeyError", health.problems[0].reason)
        self.assertFalse(health.is_complete or health.is_healthy)

    def test_a_check_ends_if_everything_fails(self) -> None:
        self.save(*(f"a/{number}" for number in range(30)))
        self.fake.fail_next(CHECK, ExceptionPage("builtins.KeyError", "why"), skip=2, times=30)
        self.failureResultOf(start(check(self.tree)), GatewayError)
        self.fake.forget_faults()
        self.assertTrue(self.check().is_healthy)

    def test_a_check_ends_if_the_gateway_is_gone(self) -> None:
        self.save("a/1", "a/2")
        self.fake.fail_next(CHECK, Status(404, "nginx"), skip=2)
        self.failureResultOf(start(check(self.tree)), NotAGateway)

    def test_progress_counts_objects(self) -> None:
        self.save("a/1", "a/2")
        told = []
        self.check(progress=lambda done, known: told.append((done, known)))
        self.assertEqual(told, [(1, 2), (2, 4), (3, 4), (4, 4)])

    def test_a_check_that_reads_a_large_file_has_a_longer_timeout(self) -> None:
        cap = Cap.parse(f"URI:CHK:{'a' * 26}:{'a' * 52}:2:3:{600 * 2**20}")
        for options, seconds in (({}, 61), ({"verify": True}, 661), ({"repair": True}, 661)):
            self.fake.fail_next(CHECK, Silence())
            checking = start(self.client.check(cap, **options))
            self.clock.advance(seconds - 2)
            self.assertNoResult(checking)
            self.clock.advance(2)
            self.failureResultOf(checking, TimeoutError)


@needs(GRID, TIME)
class ChecksOnTheGrid(GatewayTestCase):
    async def tree(self) -> tuple[Tree, Cap]:
        tree = await self.new_tree()
        cap = await tree.save("a/file", urandom(10_000))
        return tree, cap

    async def test_deleted_shares_are_found_and_repaired(self) -> None:
        tree, cap = await self.tree()
        directory = (await tree.resolve("a")).cap
        first, second, _ = self.grid.servers
        self.assertEqual([lose_on(first, each) for each in (cap, directory)], [1, 1])

        health = await check(tree)
        self.assertEqual(
            {problem.paths[0]: (problem.state, problem.good) for problem in health.problems},
            {("a",): (State.UNHEALTHY, 2), ("a", "file"): (State.UNHEALTHY, 2)},
        )
        health = await check(tree, repair=True)
        self.assertEqual({problem.state for problem in health.problems}, {State.REPAIRED})
        self.assertEqual((await check(tree, verify=True)).problems, [])

        await deferToThread(self.change, second.stop)
        try:
            found = await Tree(self.client, tree.root).resolve("a/file")
            self.assertEqual(len(await self.client.read(found.cap)), 10_000)
        finally:
            await deferToThread(self.change, second.start)

    def change(self, act: Callable[[], None]) -> None:
        act()
        self.grid.wait_ready()

    async def test_damage_is_found_with_verify(self) -> None:
        tree, cap = await self.tree()
        damage(self.grid, cap, -1)
        self.assertTrue((await check(tree)).is_healthy)
        health = await check(tree, verify=True)
        self.assertEqual([problem.state for problem in health.problems], [State.UNRECOVERABLE])

    async def test_a_lost_directory_and_a_lost_file_do_not_end_the_check(self) -> None:
        tree, cap = await self.tree()
        await tree.save("b/other", urandom(100))
        lost = cap, (await tree.resolve("b")).cap
        for server in self.grid.servers:
            for each in lost:
                lose_on(server, each)
        health = await check(tree, repair=True)
        self.assertEqual(
            [(problem.paths[0], problem.is_closed) for problem in health.problems],
            [(("a", "file"), False), (("b",), True)],
        )
        self.assertEqual(health.counts[State.HEALTHY], 2)

    async def test_a_check_ends_if_the_gateway_is_away(self) -> None:
        client, proxy = self.connect_through_proxy(pauses=())
        tree = Tree(client, (await self.tree())[0].root)
        proxy.refuse()
        proxy.close_connections()
        await self.assertFailure(start(check(tree)), GatewayUnreachable)
