"""Visiting things that lead to more things."""

from __future__ import annotations

from math import nan
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.txtahoe.case import start
from txtahoe.maintenance.walking import explore


class Explorations(SynchronousTestCase):
    def setUp(self) -> None:
        self.under_way: dict[str, Deferred[list[str]]] = {}
        self.cancelled: list[str] = []
        self.visited: list[str] = []
        self.told: list[tuple[int, int]] = []

    async def visit(self, name: str) -> list[str]:
        self.visited.append(name)
        self.under_way[name] = Deferred(lambda _: self.cancelled.append(name))
        return await self.under_way[name]

    def explore(self, at_once: int) -> Deferred[None]:
        return start(
            explore("0", self.visit, at_once, lambda done, known: self.told.append((done, known)))
        )

    def give(self, name: str, *more: str) -> None:
        self.under_way.pop(name).callback(list(more))

    def test_everything_is_visited_some_at_a_time(self) -> None:
        exploring = self.explore(2)
        self.give("0", "1", "2", "3")
        self.assertEqual(set(self.under_way), {"3", "2"})
        self.give("3", "4")
        self.assertEqual(set(self.under_way), {"2", "4"})
        self.give("2")
        self.give("4")
        self.assertNoResult(exploring)
        self.give("1")
        self.successResultOf(exploring)
        self.assertEqual(self.visited, ["0", "3", "2", "4", "1"])
        self.assertEqual(self.told, [(1, 4), (2, 5), (3, 5), (4, 5), (5, 5)])

    def test_idle_workers_wait_for_things_that_others_find(self) -> None:
        exploring = self.explore(3)
        self.give("0", "1")
        self.give("1", "2", "3", "4")
        self.assertEqual(set(self.under_way), {"2", "3", "4"})
        for name in "234":
            self.give(name)
        self.successResultOf(exploring)

    def test_at_least_one_is_visited_at_a_time(self) -> None:
        wrong: Any
        for wrong in (0, nan):
            error = self.failureResultOf(self.explore(wrong), ValueError).value
            self.assertEqual(str(error), f"at_once is {wrong}: give 1 or more")
        self.assertEqual(self.visited, [])

    def test_a_failure_cancels_the_other_visits(self) -> None:
        exploring = self.explore(3)
        self.give("0", "1", "2")
        self.under_way.pop("1").errback(ValueError("no"))
        self.failureResultOf(exploring, ValueError)
        self.assertEqual(self.cancelled, ["2"])

    def test_cancelling_cancels_all_visits(self) -> None:
        exploring = self.explore(3)
        self.give("0", "1", "2")
        exploring.cancel()
        self.failureResultOf(exploring, CancelledError)
        self.assertEqual(sorted(self.cancelled), ["1", "2"])

    def test_thousands_of_visits_without_waiting_end(self) -> None:
        visits = 0

        async def visit(number: int) -> list[int]:
            nonlocal visits
            visits += 1
            return [number + 1] * (number == 0) * 5000 or [number + 1] * (1 < number < 3000)

        self.successResultOf(start(explore(0, visit, 4)))
        self.assertEqual(visits, 5001)
