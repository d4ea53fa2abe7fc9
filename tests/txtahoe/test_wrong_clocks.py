"""Hosts whose wall clocks are two days ahead or behind: nothing is lost, or deleted wrongly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

from twisted.internet.task import Clock

from tests.txtahoe.capnames.test_anchors import HOUR, AnchorsTestCase, literals
from tests.txtahoe.maintenance.case import MaintenanceTestCase
from tests.txtahoe.tree.case import CAP, FANOUT, NAMES, SpreadingTestCase
from txtahoe import Client, Transport, Tree
from txtahoe.capnames.names import digest_of
from txtahoe.http.streams import Incoming
from txtahoe.maintenance import (
    check,
    keep_check,
    last_check,
    last_renewal,
    list_snapshots,
    renew,
    take_snapshot,
)
from txtahoe.tree.spread.format import contents_of

DAYS = 48 * HOUR
_WALL_CLOCKS = (
    "api.directories",
    "maintenance.health",
    "maintenance.records",
    "maintenance.snapshots",
)


@contextmanager
def host(ahead: float) -> Iterator[None]:
    """For this block the wall clock of the host is so many seconds ahead."""
    with ExitStack() as stack:
        for module in _WALL_CLOCKS:
            stack.enter_context(mock.patch(f"txtahoe.{module}.time", lambda: time.time() + ahead))
        yield


class Maintenance(MaintenanceTestCase):
    def test_all_snapshots_are_kept_and_can_be_read(self) -> None:
        taken = []
        for number, ahead in enumerate((DAYS, -DAYS, 0.0)):
            self.save(f"{number}")
            with host(ahead):
                taken.append(self.now(take_snapshot(self.tree)))
        for ahead in (DAYS, -DAYS, 0.0):
            with host(ahead):
                listed = self.now(list_snapshots(Tree(self.client, self.root)))
            self.assertEqual(listed, [taken[1], taken[2], taken[0]])
        for number, snapshot in enumerate(taken):
            names = self.now(Tree(self.client, snapshot.cap).list(""))
            self.assertEqual(set(names), {str(each) for each in range(number + 1)})

    def test_a_renewal_is_never_taken_to_be_later_than_it_was(self) -> None:
        self.save("a/1")
        for told_by in (DAYS, -DAYS, 0.0):
            with host(told_by):
                renewal = self.now(renew(self.tree))
                self.assertTrue(renewal.is_complete and renewal.is_recorded)
            for ahead in (DAYS, -DAYS, 0.0):
                with host(ahead):
                    found = self.now(last_renewal(Tree(self.client, self.root)))
                if told_by > ahead:
                    self.assertIsNone(found)
                else:
                    self.assertEqual(round(found - renewal.health.began, 3), 0)

    def test_a_check_from_the_future_is_replaced(self) -> None:
        self.save("a/1")
        with host(DAYS):
            self.now(keep_check(self.tree, self.now(check(self.tree))))
        self.assertIsNone(self.now(last_check(self.tree)))
        health = self.now(check(self.tree))
        self.now(keep_check(self.tree, health))
        for ahead in (DAYS, 0.0):
            with host(ahead):
                self.assertEqual(self.now(last_check(self.tree)).began, health.began)


class Gateways(MaintenanceTestCase):
    def test_a_gateway_tells_its_time_or_none(self) -> None:
        for date, told in (
            ("Fri, 27 Nov 2026 05:13:18 GMT", 1_795_756_398.0),
            ("Fri, 99 Nov 2026 05:13:18 GMT", None),
            ("now", None),
            ("", None),
        ):
            with mock.patch.object(Incoming, "header", lambda *_, date=date: date):
                self.assertEqual(self.now(self.client.time()), told)


class Links(AnchorsTestCase):
    def test_every_name_is_linked_and_stays_so(self) -> None:
        names = literals(range(50))
        right = self.time
        for number, ahead in enumerate((0, DAYS, -DAYS, 0, -DAYS, DAYS, 0, 0)):
            self.time = right + 24 * HOUR * number + ahead
            # Another host, at the right time, has linked some that this one does not see.
            there = names[: 5 * (number + 1)]
            self.anchor(there)
            self.assertLessEqual({name.text for name in there}, set(self.linked()))
            ledger = self.now(self.new_anchors().known())
            self.assertTrue(all(digest_of(name.text) in ledger for name in there))


class Growing(SpreadingTestCase):
    def test_a_directory_is_closed_and_all_its_names_are_found(self) -> None:
        clocks, trees = [self.clock], [self.tree]
        for ahead in (DAYS, -DAYS):
            clock = Clock()
            clock.rightNow = DAYS + ahead
            client = Client(Transport(clock, "http://fake/", agent=self.fake.agent))
            clocks.append(clock)
            trees.append(Tree(client, self.root, fanout=FANOUT))
        for number, name in enumerate(NAMES):
            with host((0.0, DAYS, -DAYS)[number % 3]):
                self.now(trees[number % 3].link(name, CAP))
            for clock in clocks:
                clock.advance(7)
        self.assertTrue(contents_of(self.children(), 0).is_closed)
        for tree in (*trees, self.another(), self.plain):
            self.assertEqual(set(self.now(tree.list(""))), set(NAMES))
