"""The judges of a long run can tell right from wrong. They need no site."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.faults.model import ABSENT
from tests.servers.sites import LostError
from tests.soak.growth import Growth, Sample, judge
from tests.soak.load import Client, Refused
from tests.soak.report import Report
from tests.soak.truth import Truth, Verdict


class Truths(SynchronousTestCase):
    def setUp(self) -> None:
        self.truth = Truth(max_age=60)

    def judge(self, there: dict[str, str], kept: dict[str, str] | None = None) -> Verdict:
        return self.truth.judge(there, kept or {})

    def test_an_acknowledged_file_that_is_missing_or_has_other_bytes_is_lost(self) -> None:
        self.truth.acknowledge({"a": "1"})
        self.assertEqual(self.judge({"a": "1"}).lost, [])
        self.assertEqual(self.judge({}).lost, ["'a' is absent, not 1"])
        self.assertEqual(self.judge({"a": "2"}).lost, ["'a' is 2, not 1"])

    def test_an_acknowledged_deletion_that_is_there_is_wrong(self) -> None:
        self.truth.acknowledge({"a": "1"})
        self.truth.acknowledge({"a": ABSENT})
        self.assertEqual(self.judge({}).wrong, [])
        self.assertEqual(len(self.judge({"a": "1"}).wrong), 1)

    def test_a_doubtful_save_may_be_there_under_any_name_or_not(self) -> None:
        self.truth.doubt({"a": "1"})
        for there in ({}, {"a": "1"}, {"a_x": "1"}):
            verdict = self.judge(there)
            self.assertEqual((verdict.lost, verdict.wrong, verdict.duplicates), ([], [], []))
        self.assertEqual(len(self.judge({"a": "2"}).wrong), 1)

    def test_a_content_under_two_names_is_a_duplicate(self) -> None:
        self.truth.acknowledge({"a": "1"})
        self.assertEqual(self.judge({"a": "1", "a_x": "1"}).duplicates, ["1"])

    def test_a_kept_file_that_is_not_linked_is_lost(self) -> None:
        self.truth.kept["a"] = "1"
        self.assertEqual(self.judge({}, {"a": "1"}).lost, [])
        self.assertEqual(len(self.judge({}).lost), 1)

    def test_a_reader_may_be_as_old_as_the_option_says(self) -> None:
        self.truth.acknowledge({"a": "1"})
        self.truth.acknowledge({"a": "2"})
        self.truth.compare("a", "1", 0, "a read")
        self.assertEqual(self.truth.wrong, [])
        self.truth.compare("a", "1", inf, "a read")
        self.truth.compare("a", "3", 0, "a read")
        self.assertEqual(len(self.truth.wrong), 2)


class Saving(SynchronousTestCase):
    """A client, at a door that the test holds."""

    def setUp(self) -> None:
        self.truth = Truth(max_age=0)
        self.client = Client([self], self.truth, 0)
        self.problem: Exception | None = None
        self.asked: list[str] = []

    def ask(self, operation: str, *names: str, content: bytes | None = None) -> Any:
        self.asked = [*names]
        if self.problem is not None:
            raise self.problem
        return names[0]

    def possible(self) -> int:
        return len(self.truth.allowed(self.asked[0], inf))

    def test_an_answer_acknowledges(self) -> None:
        self.assertEqual(self.client.save(), "ok")
        self.assertNotIn(ABSENT, self.truth.allowed(self.asked[0], inf))

    def test_a_lost_answer_leaves_a_doubt_and_the_name_alone(self) -> None:
        self.client.save()
        self.problem = LostError("killed")
        self.assertEqual(self.client.delete(), "no answer")
        self.assertEqual(self.possible(), 2)
        left = self.asked
        for _ in range(100):
            self.client.do_one()
            self.assertNotEqual(self.asked, left)

    def test_an_error_that_the_site_is_sure_of_changes_nothing(self) -> None:
        told = {"error": "RequestTimeout", "text": "", "is_ours": True, "is_unknown": False}
        self.client.save()
        self.problem = Refused(told)
        self.client.overwrite()
        self.assertEqual(self.possible(), 1)
        self.problem = Refused({**told, "is_unknown": True})
        self.client.overwrite()
        self.assertEqual(self.possible(), 2)
        self.assertEqual(self.truth.wrong, [])

    def test_an_error_of_another_package_is_wrong(self) -> None:
        self.problem = Refused({"error": "X", "text": "", "is_ours": False, "is_unknown": False})
        self.client.save()
        self.assertEqual(len(self.truth.wrong), 1)


class Growing(SynchronousTestCase):
    def grown(self, values: list[float], idle: int = 0) -> list[bool]:
        """The judgement of samples with so much work between two, after idle ones."""
        taken = [
            Sample(number, max(0, number - idle), {"threads": value})
            for number, value in enumerate([values[0]] * idle + values)
        ]
        return [each.is_grown for each in judge("a", taken)]

    def test_a_process_that_warms_up_and_then_stays_has_not_grown(self) -> None:
        self.assertEqual(self.grown([1, 5, 9, 13, 16, 18, 19] + [20] * 40), [False])

    def test_a_process_that_has_its_first_request_late_has_not_grown(self) -> None:
        self.assertEqual(self.grown([1, 5, 9, 13, 16, 18, 19] + [20] * 40, idle=100), [False])

    def test_a_pool_that_fills_late_is_no_growth(self) -> None:
        self.assertEqual(self.grown([2.0] * 40 + [14.0] * 20), [False])
        self.assertEqual(self.grown([2.0] * 40 + [17.0] * 20), [True])

    def test_single_peaks_are_no_growth(self) -> None:
        self.assertEqual(self.grown([20] * 48 + [500, 20, 400, 20, 20]), [False])

    def test_a_steady_growth_is_found(self) -> None:
        for idle in (0, 100):
            self.assertEqual(self.grown([2.0 * moment for moment in range(60)], idle), [True])

    def test_a_process_that_has_only_begun_is_not_judged(self) -> None:
        self.assertEqual(self.grown([1]), [])
        self.assertEqual(self.grown([1, 3, 5, 7, 9, 11, 13]), [])
        self.assertEqual(self.grown([1, 3, 5, 7, 9, 11, 13], idle=100), [])


class Reports(SynchronousTestCase):
    def report(self, **more: Any) -> Report:
        growth = Growth()
        growth.samples["web 1"] = [Sample(n, n, {"threads": 1.0}) for n in range(50)]
        given = {
            "operations": Counter({("save", "ok"): 9}),
            "faults": Counter({"kill": 1}),
            "verdict": Verdict(),
            **more,
        }
        return Report(1, cron=Counter(), growth=growth, roles=["web"], **given)

    def test_a_run_that_proves_enough_says_nothing_of_being_inconclusive(self) -> None:
        self.assertEqual(self.report().missing, [])
        self.assertFalse(self.report().is_bad)

    def test_a_run_that_proves_too_little_says_why(self) -> None:
        report = self.report(faults=Counter({"kill": 0}))
        self.assertIn("inconclusive: these faults never came: kill", str(report))
        self.assertFalse(report.is_bad)

    def test_a_run_that_proves_nothing_is_bad_and_says_why(self) -> None:
        failed = Counter({("save", "ok"): 4, ("save", "OSError"): 4})
        for more, why in (
            ({"verdict": None}, "the files were not compared"),
            ({"operations": failed}, "4 of 8 operations succeeded"),
            ({"operations": Counter()}, "0 of 0 operations succeeded"),
        ):
            report = self.report(**more)
            self.assertIn(f"proves nothing: {why}", str(report))
            self.assertTrue(report.is_bad)

    def test_whatever_is_lost_wrong_or_twice_makes_it_bad_and_is_told(self) -> None:
        for kind in ("lost", "wrong", "duplicates"):
            report = self.report(verdict=Verdict(**{kind: ["this one"]}))
            self.assertTrue(report.is_bad)
            self.assertIn(f"{kind}:\nthis one", str(report))
        self.assertTrue(self.report(wrong=["a read"], verdict=None).is_bad)
