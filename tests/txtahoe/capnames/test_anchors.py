"""Links to files whose names carry their caps, on a gateway in memory and on a real grid."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from tests.grid.case import GatewayTestCase
from tests.needs import GRID, needs
from tests.txtahoe.case import start
from tests.txtahoe.maintenance.case import MaintenanceTestCase
from txtahoe import Cap, Tree
from txtahoe.capnames.anchors import ANCHORS, BATCH, Anchors
from txtahoe.capnames.background import DELAY, Anchoring
from txtahoe.capnames.ledger import Ledger
from txtahoe.capnames.names import CapName, digest_of
from txtahoe.errors import Unrecoverable
from txtahoe.maintenance import check, take_snapshot
from txtahoe.testing.fake import LostAnswer, Silence, Status

HOUR = 3600.0
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()


def literals(numbers: Iterable[int], directory: str = "docs") -> list[CapName]:
    """Names of small files, which are in their caps."""
    return [
        CapName(directory, Cap.parse("URI:LIT:" + "a" * 8 * (n // 1000)), f"{n}.txt")
        for n in numbers
    ]


def at(path: str) -> list[str]:
    """The names on the path of an entry below the anchors."""
    return [ANCHORS, *path.split("/")]


class AnchorsTestCase(MaintenanceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.time = NOON
        self.anchors = self.new_anchors()

    def new_anchors(self, **options: Any) -> Anchors:
        """One that knows nothing yet, as in a new process."""
        return Anchors(Tree(self.client, self.root), seconds=lambda: self.time, **options)

    def anchor(self, names: list[CapName]) -> list[str]:
        """Link those of the names that are not linked; the requests that it took."""
        self.fake.requests.clear()
        self.now(self.anchored(names))
        return list(self.fake.requests)

    async def anchored(self, names: list[CapName]) -> None:
        anchors = self.new_anchors()
        ledger = await anchors.known()
        missing = [name for name in names if digest_of(name.text) not in ledger]
        await anchors.link(missing, ledger)
        ledger.deleted -= {digest_of(name.text) for name in names}
        await anchors.unlink(ledger)
        await anchors.keep(ledger)

    def linked(self) -> list[str]:
        async def linked() -> list[str]:
            anchors = self.new_anchors()
            return [name.text async for names in anchors.walk() for name in names]

        return sorted(self.now(linked()))

    def assert_linked(self, names: Iterable[CapName]) -> None:
        self.assertEqual(self.linked(), sorted(name.text for name in names))


class Linking(AnchorsTestCase):
    def test_every_name_is_linked_once(self) -> None:
        names = literals(range(20))
        self.anchor(names)
        self.assert_linked(names)
        writes = [request for request in self.anchor(names) if "GET" not in request]
        self.assertEqual(writes, [])
        self.assert_linked(names)

    def test_a_hundred_more_cost_the_same_however_many_there_are(self) -> None:
        costs = []
        for before in (100, 8 * BATCH):
            self.root = self.fake.make_directory()
            self.anchor(literals(range(before)))
            costs.append(self.anchor(literals(range(before + 100))))
        self.assertEqual(costs[0], costs[1])
        self.assertLess(len(costs[0]), 13)

    def test_no_directory_is_large(self) -> None:
        names = literals(range(3 * BATCH + 1))
        requests = self.anchor(names)
        self.assertEqual(requests.count("POST /uri?t=mkdir-immutable"), 5)
        self.assert_linked(names)

        async def sizes() -> list[int]:
            return [len(children) async for _, children in Tree(self.client, self.root).walk()]

        self.assertLessEqual(max(self.now(sizes())), BATCH)

    def test_links_that_the_ledger_lacks_are_found(self) -> None:
        """As after a kill between the links and the ledger."""
        names = literals(range(30))
        ledger = self.now(self.anchors.known())
        self.now(self.anchors.link(names, ledger))
        self.anchor(names)
        self.assert_linked(names)

    def test_the_next_run_finishes_one_that_was_killed_at_any_request(self) -> None:
        names = literals(range(10))
        for is_done in (False, True):
            for number in count():
                self.root = self.fake.make_directory()
                self.fake.fail_next("*", Silence(done=is_done), skip=number)
                running = start(self.anchored(names))
                if running.called:
                    break
                running.addErrback(lambda _: None).cancel()
                self.anchor(names)
                self.assert_linked(names)
                self.assertEqual([each for each in self.anchor(names) if "GET" not in each], [])
            self.assertGreater(number, 8)
            self.fake.forget_faults()

    def test_a_failed_write_links_no_name(self) -> None:
        names = literals(range(30))
        self.fake.fail_next("POST /uri/CAP?t=set_children", Status(503), times=10)
        ledger = self.now(self.anchors.known())
        self.failureResultOf(start(self.anchors.link(names, ledger)))
        self.assertNotIn(digest_of(names[0].text), ledger)

    def test_two_processes_that_link_the_same_names_lose_nothing(self) -> None:
        names = literals(range(30))
        ledgers = [self.now(anchors.known()) for anchors in (self.anchors, self.new_anchors())]
        for ledger, some in zip(ledgers, (names[:20], names[10:]), strict=True):
            anchors = self.new_anchors()
            self.now(anchors.link(some, ledger))
        for ledger in reversed(ledgers):  # the ledger of the second one is lost
            self.now(self.new_anchors().keep(ledger))
        self.anchor(names)
        self.assertEqual([request for request in self.anchor(names) if "GET" not in request], [])
        self.assertEqual(set(self.linked()), {name.text for name in names})

    def test_a_lost_or_wrong_ledger_is_made_anew(self) -> None:
        names = literals(range(30))
        self.anchor(names)
        self.lose(at("ledger"))
        finding = start(self.new_anchors().known())
        while not finding.called:
            self.clock.advance(10)
        self.assertIn(digest_of(names[0].text), self.successResultOf(finding))
        self.now(self.tree.save(at("ledger"), b"no ledger" * 50, replace=True))
        self.assertIn(digest_of(names[0].text), self.now(self.new_anchors().known()))

    def test_lost_links_are_made_again(self) -> None:
        names = literals(range(30))
        ledger = self.now(self.anchors.known())
        self.now(self.anchors.link(names, ledger))
        [path] = ledger.holding({digest_of(names[0].text)})
        self.lose(at(path))
        self.anchor(names)
        anew = self.now(self.new_anchors().known(anew=True))
        for name in names:
            self.assertIn(digest_of(name.text), anew)

    def test_entries_of_others_are_ignored(self) -> None:
        names = literals(range(3))
        self.anchor(names)
        places = ["2026-12", "2026-11/file", "2026-11/22/file", "2026-11/22/12/file", "file"]
        places += ["2026-11/22/12/other/deleted x", "2026-11/22/12/other/deleted 00"]
        for place in places:
            self.now(self.tree.save(at(place), b"x" * 100))
        self.assertEqual([each for each in self.anchor(names) if "mkdir" in each], [])
        self.time += 3 * HOUR
        self.anchor(names)
        self.assert_linked(names)

    def test_a_lost_hour_is_linked_again_and_never_looks_empty(self) -> None:
        names = literals(range(30))
        self.now(self.anchors.link(names, Ledger()))
        self.lose(at("2026-11/22/12"))
        self.failureResultOf(start(anext(self.new_anchors().walk())), Unrecoverable)
        self.time += HOUR
        self.assertIn("POST /uri?t=mkdir-immutable", self.anchor(names))

    def test_anchors_can_be_below_a_directory(self) -> None:
        anchors = Anchors(self.tree, ("media", "x"))
        self.now(anchors.link(literals(range(3)), Ledger()))
        self.assertEqual(list(self.now(self.tree.list("media/x"))), [ANCHORS])


class Behind(AnchorsTestCase):
    """Links that are made some time after their files were saved."""

    def setUp(self) -> None:
        super().setUp()
        self.anchoring = Anchoring(self.anchors)

    def writes(self) -> list[str]:
        return [request for request in self.fake.requests if "GET" not in request]

    def test_many_links_wait_for_one_write(self) -> None:
        self.anchoring.link(literals([0])[0])
        self.clock.advance(DELAY)
        self.fake.requests.clear()
        names = literals(range(1, 50))
        for name in names:
            self.anchoring.link(name)
        self.assertEqual(self.fake.requests, [])
        self.clock.advance(DELAY)
        self.assertEqual(self.writes(), ["POST /uri/CAP?t=set_children"])
        self.assert_linked(literals(range(50)))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_failed_write_is_repeated_with_longer_pauses(self) -> None:
        self.fake.fail_next("GET /uri/CAP?t=json", Status(503), times=3)
        names = literals(range(3))
        for name in names:
            self.anchoring.link(name)
        with self.assertLogs("txtahoe", "WARNING") as logs:
            for pause in (DELAY, 2 * DELAY, 4 * DELAY):
                self.clock.advance(pause)
        self.assertIn("links that are not made yet: 3", logs.output[0])
        self.assertEqual(len(logs.output), 3)
        self.clock.advance(8 * DELAY)
        self.assert_linked(names)

    def test_a_batch_is_added_to_until_it_is_full(self) -> None:
        for number in range(BATCH + 30):
            self.anchoring.link(literals([number])[0])
            if number % 100 == 0:
                self.now(self.anchoring.flush())
        self.now(self.anchoring.flush())
        self.assert_linked(literals(range(BATCH + 30)))
        batches = self.now(self.tree.list(at("2026-11/22/12")))
        self.assertEqual(len(batches), 2)

    def test_each_hour_has_its_own_batches(self) -> None:
        for number in range(3):
            self.anchoring.link(literals([number])[0])
            self.now(self.anchoring.flush())
            self.time += HOUR
        self.assertEqual(set(self.now(self.tree.list(at("2026-11/22")))), {"12", "13", "14"})

    def test_links_enter_the_ledger_after_their_hour(self) -> None:
        names = literals(range(3))
        for name in names:
            self.anchoring.link(name)
        self.now(self.anchoring.flush())
        self.assertNotIn("PUT /uri", self.anchor(names))
        self.time += 3 * HOUR
        self.assertIn("PUT /uri", self.anchor(names))
        known = self.anchor(names)
        self.assertEqual([request for request in known if "GET" not in request], [])
        self.assert_linked(names)

    def test_a_lost_answer_loses_nothing(self) -> None:
        name = literals([1])[0]
        self.anchoring.link(name)
        self.now(self.anchoring.flush())
        self.fake.fail_next("POST /uri/CAP?t=set_children", LostAnswer())
        self.anchoring.link(literals([2])[0])
        self.now(self.anchoring.flush())
        self.assert_linked(literals([1, 2]))

    def test_waiting_links_can_be_dropped(self) -> None:
        self.anchoring.link(literals([1])[0])
        self.anchoring.forget()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Deleting(AnchorsTestCase):
    def delete(self, *names: CapName) -> None:
        anchoring = Anchoring(self.new_anchors())
        for name in names:
            anchoring.delete(name)
        self.now(anchoring.flush())

    def test_a_name_that_was_deleted_loses_its_link(self) -> None:
        names = literals(range(BATCH + 10))
        self.anchor(names)
        self.delete(names[3], names[-1])
        left = [*names[:3], *names[4:-1]]
        self.anchor(left)
        self.assert_linked(names)  # its hour is not over
        self.time += 3 * HOUR
        self.anchor(left)
        self.assert_linked(left)
        self.anchor(left)
        self.assert_linked(left)

    def test_a_deleted_name_that_another_row_has_keeps_its_link(self) -> None:
        names = literals(range(3))
        self.anchor(names)
        self.delete(names[0])
        self.time += 3 * HOUR
        self.anchor(names)
        self.assert_linked(names)

    def test_a_name_that_comes_back_is_linked_again(self) -> None:
        names = literals(range(3))
        self.anchor(names)
        self.delete(names[0])
        self.time += 3 * HOUR
        self.anchor(names[1:])
        self.anchor(names)
        self.assert_linked(names)

    def test_links_of_the_background_are_unlinked_too(self) -> None:
        anchoring = Anchoring(self.anchors)
        names = literals(range(3))
        for name in names:
            anchoring.link(name)
        anchoring.delete(names[0])
        self.now(anchoring.flush())
        self.time += 3 * HOUR
        self.anchor(names[1:])
        self.assert_linked(names[1:])


@needs(GRID)
class OnAGrid(GatewayTestCase):
    async def test_names_are_linked_checked_and_in_snapshots(self) -> None:
        tree = await self.new_tree()
        names = [
            CapName("docs/é", await self.client.upload(b"%d" % n * 100), f"{n}%2F.txt")
            for n in range(3)
        ]
        names += literals(range(2 * BATCH))
        anchors = Anchors(tree)
        ledger = await anchors.known()
        await anchors.link(names, ledger)
        await anchors.keep(ledger)
        anchoring = Anchoring(anchors)
        behind = CapName("a", names[0].cap, "behind")
        anchoring.link(behind)
        await anchoring.flush()
        ledger = await Anchors(Tree(self.client, tree.root)).known()
        for name in (*names, behind):
            self.assertIn(digest_of(name.text), ledger)
        found = [name async for some in anchors.walk() for name in some]
        self.assertEqual({name.text for name in found}, {n.text for n in (*names, behind)})
        health = await check(tree)
        self.assertTrue(health.is_healthy)
        self.assertGreater(health.objects, len(names))
        snapshot = await take_snapshot(tree)
        self.assertTrue(snapshot.is_complete)
        then = Anchors(Tree(self.client, snapshot.cap))
        again = [name.text async for some in then.walk() for name in some]
        self.assertEqual(set(again), {name.text for name in (*names, behind)})


class Ledgers(AnchorsTestCase):
    def test_a_ledger_comes_back_from_its_data(self) -> None:
        ledger = Ledger()
        ledger.until = "2026-11/20"
        ledger.add("2026-11/20/a", [1, 2, 2**64 - 1])
        ledger.add("2026-11/20/b", [])
        again = Ledger.parse(ledger.data)
        self.assertEqual((again.data, again.until), (ledger.data, "2026-11/20"))
        self.assertTrue(all(number in again for number in (1, 2, 2**64 - 1)))
        self.assertNotIn(3, again)
        self.assertEqual(again.holding({2, 9}), ["2026-11/20/a"])
        self.assertIn("2026-11/20/b", again.paths)

    def test_other_data_is_no_ledger(self) -> None:
        for data in (b"", b"no", b"\xff", b"ledger x\na !!!", b"ledger x\na AAAA"):
            self.assertRaises(ValueError, Ledger.parse, data)
