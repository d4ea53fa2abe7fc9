"""One request for all callers that ask the same at the same time."""

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

    def test_callers_of_one_key_share_the_answer(self) -> None:
        first, second = self.ask(), self.ask()
        self.asked[0].callback("answer")
        self.assertEqual(self.successResultOf(first), ("answer", True))
        self.assertEqual(self.successResultOf(second), ("answer", False))
        self.ask()
        self.assertEqual(len(self.asked), 2)

    def test_another_key_is_another_request(self) -> None:
        self.ask()
        other = Deferred.fromCoroutine(self.flights.ask("other", self.how))
        self.assertEqual(len(self.asked), 2)
        self.asked[1].callback("answer")
        self.assertEqual(self.successResultOf(other), ("answer", True))

    def test_callers_that_need_a_new_answer_share_the_next_request(self) -> None:
        old = self.ask()
        new = [self.ask(anew=True) for _ in range(3)]
        self.assertEqual(len(self.asked), 1)
        self.asked[0].callback("old")
        self.assertEqual(self.successResultOf(old), ("old", True))
        self.assertEqual(len(self.asked), 2)
        self.asked[1].callback("new")
        self.assertEqual([self.successResultOf(each) for each in new], [("new", True)] * 3)

    def test_a_new_request_does_not_fail_with_the_old_one(self) -> None:
        old, new = self.ask(), self.ask(anew=True)
        self.asked[0].errback(NoSuchChild("gone"))
        self.failureResultOf(old, NoSuchChild)
        self.asked[1].callback("new")
        self.assertEqual(self.successResultOf(new), ("new", True))

    def test_after_a_change_later_callers_do_not_share_the_old_answer(self) -> None:
        before = self.ask()
        self.flights.outdate(lambda key: key == "key")
        self.assertTrue(self.under_way[0].is_outdated)
        after = self.ask()
        self.asked[1].callback("new")
        self.assertEqual(self.successResultOf(after), ("new", True))
        self.asked[0].callback("old")
        self.assertEqual(self.successResultOf(before), ("old", True))
        self.assertFalse(self.under_way[1].is_outdated)

    def test_a_cancelled_caller_does_not_cancel_the_request_of_others(self) -> None:
        first, second = self.ask(), self.ask()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.asked[0].callback("answer")
        self.assertEqual(self.successResultOf(second), ("answer", False))

    def test_a_request_whose_callers_have_all_gone_is_cancelled(self) -> None:
        all_of_them = [self.ask(), self.ask(), self.ask(anew=True)]
        for each in all_of_them:
            self.assertFalse(self.asked[0].called)
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertTrue(self.asked[0].called)
        self.ask()
        self.assertEqual(len(self.asked), 2)

    def test_each_caller_gets_an_error_of_its_own(self) -> None:
        waiting = [self.ask(), self.ask()]
        self.asked[0].errback(NoSuchChild("gone"))
        errors = [self.failureResultOf(each, NoSuchChild).value for each in waiting]
        self.assertIsNot(errors[0], errors[1])
        self.assertEqual(str(errors[0]), str(errors[1]))
