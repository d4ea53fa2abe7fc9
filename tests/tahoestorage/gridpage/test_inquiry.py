"""Tests of questions that end in time, and of the page of a directory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tahoestorage.gridpage import listing
from tahoestorage.gridpage.inquiry import Inquiry, Part
from tahoestorage.gridpage.listing import Listing, list_directory
from tests.txtahoe.case import start
from tests.txtahoe.maintenance.case import MaintenanceTestCase
from txtahoe.errors import NoSuchChild
from txtahoe.maintenance import Usage
from txtahoe.testing.fake import Silence

LATE = "no answer within 5 seconds"


class InquiryTests(MaintenanceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.inquiry = Inquiry(self.clock, 5)

    def asked(self, work: Deferred[Any]) -> Deferred[Part]:
        async def wait() -> Any:
            return await work

        return self.inquiry.ask(wait())

    def test_a_result_and_an_error_are_answers(self) -> None:
        first, second, third = Deferred(), Deferred(), Deferred()
        answers = [self.asked(work) for work in (first, second, third)]
        first.callback(7)
        second.errback(NoSuchChild("why"))
        third.errback(ZeroDivisionError())
        self.assertEqual(self.successResultOf(answers[0]), Part(7))
        self.assertEqual(self.successResultOf(answers[1]), Part(problem="why"))
        self.failureResultOf(answers[2], ZeroDivisionError)

    def test_all_questions_end_at_the_same_time(self) -> None:
        cancelled: list[Deferred] = []
        early = self.asked(Deferred(cancelled.append))
        self.clock.advance(4)
        late = self.asked(Deferred(cancelled.append))
        self.assertNoResult(early)
        self.clock.advance(1)
        for answer in (early, late):
            self.assertEqual(self.successResultOf(answer), Part(problem=LATE))
        self.assertEqual(len(cancelled), 2)
        # A later question does not begin.
        self.assertEqual(self.successResultOf(self.asked(Deferred())), Part(problem=LATE))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ListingTests(MaintenanceTestCase):
    def listed(self, page: int = 1) -> Listing:
        work = start(list_directory(Inquiry(self.clock, 5), self.tree, (), page))
        self.clock.advance(5)
        return self.successResultOf(work).value

    def test_a_directory_that_takes_too_long_does_not_hide_the_others(self) -> None:
        self.save("a/1", "b/1", "b/c/1", "2")
        # The root, a and b answer; c never does.
        self.fake.fail_next("GET /uri/CAP?t=json", Silence(), skip=3)
        found = self.listed()
        self.assertEqual([row.label for row in found.rows], ["a/", "b/", "2"])
        self.assertEqual(found.rows[0].usage, Part(Usage(300, 1)))
        self.assertEqual(found.rows[1].usage, Part(problem=LATE))
        self.assertEqual(found.total, Usage(600, 2, directories=2))
        self.assertFalse(found.is_total)

    def test_a_directory_that_does_not_answer_is_a_problem(self) -> None:
        self.fake.fail_next("GET /uri/CAP?t=json", Silence())
        work = start(list_directory(Inquiry(self.clock, 5), self.tree, ()))
        self.clock.advance(5)
        self.assertEqual(self.successResultOf(work), Part(problem=LATE))

    def test_the_total_counts_all_files_and_directories(self) -> None:
        self.save("a/1", "b/c/1", "2")
        found = self.listed()
        self.assertEqual(found.total, Usage(900, 3, directories=3))
        self.assertTrue(found.is_total)

    def test_only_directories_on_the_page_are_counted(self) -> None:
        self.patch(listing, "ON_A_PAGE", 3)
        self.save("a/1", "b/1", "c/1", "d/1", "e")
        self.fake.requests.clear()
        first = self.listed()
        self.assertEqual(len(self.fake.requests), 1 + 3)
        self.assertFalse(first.is_total)
        pages = first.page.paginator
        self.assertEqual((first.page.number, pages.num_pages, pages.count), (1, 2, 5))
        for page in (2, 3):
            self.assertEqual([row.label for row in self.listed(page).rows], ["d/", "e"])
