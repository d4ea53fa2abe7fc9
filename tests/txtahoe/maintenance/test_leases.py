"""Leases, on a gateway in memory and on a grid that expires them."""

from __future__ import annotations

from datetime import UTC, datetime
from os import urandom
from time import time

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.grid.expiring import ExpiringGrid
from tests.needs import TIME, needs
from tests.txtahoe.case import start
from tests.txtahoe.maintenance.case import MaintenanceTestCase
from txtahoe import Client, Transport, Tree
from txtahoe.errors import NotADirectory
from txtahoe.maintenance import (
    LEASE_SECONDS,
    State,
    check,
    last_check,
    last_renewal,
    list_snapshots,
    renew,
    take_snapshot,
)
from txtahoe.maintenance.records import RECORDS
from txtahoe.testing.fake import ExceptionPage

RENEWAL = "POST /uri/CAP?t=check"


class Renewals(MaintenanceTestCase):
    def test_everything_is_renewed_snapshots_included(self) -> None:
        self.save("a/1", "2")
        self.now(take_snapshot(self.tree))
        self.save("a/1", size=400)
        self.fake.requests.clear()
        told = []
        renewal = self.now(
            renew(self.tree, progress=lambda done, known: told.append((done, known)))
        )
        # The tree; the list of snapshots, two directories in it, and a file that is there only.
        self.assertEqual(renewal.health.objects, 4 + 4)
        self.assertEqual(self.fake.requests.count(RENEWAL), 8)
        self.assertEqual(told[-1], (8, 8))
        self.assertTrue(renewal.is_complete and renewal.is_recorded)

    def test_the_next_one_knows_when_the_last_one_began(self) -> None:
        self.save("a/1")
        self.assertIsNone(self.now(last_renewal(self.tree)))
        before = time()
        first = self.now(renew(self.tree))
        self.assertEqual((first.previous, first.oldest_until), (None, None))
        self.assertLess(before - 1, first.health.began)
        second = self.now(renew(self.tree))
        self.assertAlmostEqual(second.previous, first.health.began, places=3)
        self.assertAlmostEqual(second.oldest_until, first.health.began + LEASE_SECONDS, places=3)
        reader = Tree(self.client, self.root.reader)
        self.assertAlmostEqual(self.now(last_renewal(reader)), second.health.began, places=3)
        self.assertEqual(set(self.now(self.tree.list(""))), {"a"})

    def test_an_incomplete_renewal_is_not_recorded(self) -> None:
        self.save("a/1", "b/2")
        reader = Tree(self.client, self.root.reader)
        renewal = self.now(renew(reader))
        self.assertTrue(renewal.is_complete)
        self.assertFalse(renewal.is_recorded)
        self.fake.fail_next(RENEWAL, ExceptionPage("builtins.KeyError", "why"), skip=2)
        renewal = self.now(renew(self.tree))
        self.assertFalse(renewal.is_complete or renewal.is_recorded)
        self.lose("b")
        self.assertFalse(self.now(renew(self.tree)).is_recorded)
        self.assertIsNone(self.now(last_renewal(self.tree)))

    def test_a_record_that_is_no_past_time_is_ignored(self) -> None:
        self.save("1")
        self.now(renew(self.tree))
        for content in (
            b"yesterday",
            b"\xff",
            b"long" * 100,
            b"0001-01-01",
            b"9999-12-31T23:59:59+00:00",
            datetime.fromtimestamp(time() + 100_000, UTC).isoformat().encode(),
        ):
            cap = self.now(self.client.upload(content))
            self.now(self.tree.link([RECORDS, "renewed"], cap, replace=True))
            self.assertIsNone(self.now(last_renewal(self.tree)))
        self.now(renew(self.tree))
        self.assertIsNotNone(self.now(last_renewal(self.tree)))

    def test_leases_are_renewed_if_no_record_can_be_kept(self) -> None:
        self.save("a/1")
        self.now(self.tree.save([RECORDS], b"r" * 300))
        self.fake.requests.clear()
        renewal = self.now(renew(self.tree))
        self.assertEqual(self.fake.requests.count(RENEWAL), 4)
        self.assertTrue(renewal.is_complete)
        self.assertFalse(renewal.is_recorded)
        self.assertIn("'.tahoe-maintenance' under the root is no directory", renewal.problem)
        for reading in (last_renewal, list_snapshots, last_check, take_snapshot):
            error = self.failureResultOf(start(reading(self.tree)), NotADirectory).value
            self.assertIn("under the root is no directory", str(error))

    def test_leases_are_renewed_if_the_record_is_lost(self) -> None:
        self.save("a/1")
        self.now(renew(self.tree))
        self.lose([RECORDS])
        renewal = self.now(renew(self.tree))
        self.assertEqual((renewal.previous, renewal.is_complete), (None, False))
        self.assertEqual(renewal.health.counts[State.HEALTHY], 3)


class Expiry(TestCase):
    timeout = 120
    # Long enough for a machine that is busy, short enough to wait for.
    seconds = 8

    @needs(TIME)
    async def test_renewed_files_stay_and_others_are_deleted(self) -> None:
        with ExpiringGrid(self.seconds) as grid:
            client = Client(Transport(reactor, grid.gateway_urls[0]))
            self.addCleanup(lambda: start(client.close()))
            tree = Tree(client, await client.mkdir())
            await tree.save("kept/file", urandom(1000))
            began = time()
            left_out = await client.upload(urandom(1000))

            while grid.share_files(left_out.storage_index):
                self.assertTrue((await renew(tree)).health.is_healthy)
                await deferLater(reactor, 0.5)
            # A server counts whole seconds.
            self.assertGreater(time() - began, self.seconds - 1)

            await tree.link("left out", left_out)
            health = await check(tree, verify=True)
            self.assertEqual(
                [(problem.paths, problem.state, problem.good) for problem in health.problems],
                [([("left out",)], State.UNRECOVERABLE, 0)],
            )
            self.assertEqual(len(await client.read((await tree.resolve("kept/file")).cap)), 1000)
