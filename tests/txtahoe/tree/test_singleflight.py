"""One request for all who ask the same thing at the same time."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from txtahoe.errors import NoSuchChild
from txtahoe.tree.singleflight import Flight, SingleFlight


class Sharing(SynchronousTestCase):
    def setUp(self) -> None:
        self.flights: SingleFlight[str, str] = SingleFlight()
        self.asked: list[Deferred[str]] = []
        self.under_way: list[Flight[str]] = []

    async def how(self, flight: Flight[str]) -> str:
        self.asked.append(Deferred())
        self.under_way.append(flight)
        return await self.asked[-1]

    def ask(self, *, anew: bool = False) -> Deferred[tuple[str, bool]]:
        return Deferred.fromCoroutine(self.flights.ask("key", self.how, anew=anew))

    def test_who_asks_meanwhile_gets_the_same_answer(self) -> None:
        first, second = self.ask(), self.ask()
        self.asked[0].callback("answer")
        self.assertEqual(self.successResultOf(first), ("answer", True))
        self.assertEqual(self.successResultOf(second), ("answer", False))
        self.ask()
        self.assertEqual(len(self.asked), 2)

    def test_other_things_are_other_questions(self) -> None:
        self.ask()
        other = Deferred.fromCoroutine(self.flights.ask("other", self.how))
        self.assertEqual(len(self.asked), 2)
        self.asked[1].callback("answer")
        self.assertEqual(self.successResultOf(other), ("answer", True))

    def test_who_needs_a_new_answer_shares_the_next_question(self) -> None:
        old = self.ask()
        new = [self.ask(anew=True) for _ in range(3)]
        self.assertEqual(len(self.asked), 1)
        self.asked[0].callback("old")
        self.assertEqual(self.successResultOf(old), ("old", True))
        self.assertEqual(len(self.asked), 2)
        self.asked[1].callback("new")
        self.assertEqual([self.successResultOf(each) for each in new], [("new", True)] * 3)

    def test_a_new_question_does_not_fail_as_the_old_one_did(self) -> None:
        old, new = self.ask(), self.ask(anew=True)
        self.asked[0].errback(NoSuchChild("gone"))
        self.failureResultOf(old, NoSuchChild)
        self.asked[1].callback("new")
        self.assertEqual(self.successResultOf(new), ("new", True))

    def test_after_a_change_the_answer_on_its_way_is_for_those_who_asked_before(self) -> None:
        before = self.ask()
        self.flights.outdate("key")
        self.assertTrue(self.under_way[0].is_outdated)
        after = self.ask()
        self.asked[1].callback("new")
        self.assertEqual(self.successResultOf(after), ("new", True))
        self.asked[0].callback("old")
        self.assertEqual(self.successResultOf(before), ("old", True))
        self.assertFalse(self.under_way[1].is_outdated)

    def test_one_who_goes_does_not_take_the_question_along(self) -> None:
        first, second = self.ask(), self.ask()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.asked[0].callback("answer")
        self.assertEqual(self.successResultOf(second), ("answer", False))

    def test_when_all_have_gone_the_question_is_cancelled(self) -> None:
        all_of_them = [self.ask(), self.ask(), self.ask(anew=True)]
        for each in all_of_them:
            self.assertFalse(self.asked[0].called)
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertTrue(self.asked[0].called)
        self.ask()
        self.assertEqual(len(self.asked), 2)

    def test_each_gets_an_error_of_its_own(self) -> None:
        waiting = [self.ask(), self.ask()]
        self.asked[0].errback(NoSuchChild("gone"))
        errors = [self.failureResultOf(each, NoSuchChild).value for each in waiting]
        self.assertIsNot(errors[0], errors[1])
        self.assertEqual(str(errors[0]), str(errors[1]))
