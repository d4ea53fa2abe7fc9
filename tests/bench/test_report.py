"""Tests of the verdicts and reports of the benchmark."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from tests.bench import charts
from tests.bench.__main__ import main
from tests.bench.case import Action, Case, Limits, Side, Skipped, Speed
from tests.bench.counting import Counts
from tests.bench.growth import Growth
from tests.bench.measuring import Bench, Result
from tests.bench.memory import MemoryGrowth
from tests.bench.place import Concurrency, Place
from tests.bench.report import document, duration, table

COUNTS = Counts(40, 20, 0, 0, 20, 1, 40)


def case(speed: Speed = Speed(), limits: Limits = Limits(), operations: int = 20) -> Case:
    return Case("save", operations, lambda place: list, lambda place: list, speed, limits)


class VerdictTests(SynchronousTestCase):
    """Tests of targets, met or missed."""

    def test_a_slow_time_is_missed(self) -> None:
        self.assertEqual(Speed(time=1.2).missed_by(1.1, 1.0), [])
        self.assertEqual(Speed(time=1.2).missed_by(1.3, 1.0), ["not time <= 1.2 x"])

    def test_a_low_throughput_is_missed(self) -> None:
        self.assertEqual(Speed(throughput=0.8).missed_by(1.2, 1.0), [])
        self.assertEqual(Speed(throughput=0.8).missed_by(1.3, 1.0), ["not throughput >= 0.8 x"])

    def test_too_many_seconds_are_missed(self) -> None:
        self.assertEqual(Speed(seconds=50e-6).missed_by(49e-6, None), [])
        self.assertEqual(Speed(seconds=50e-6).missed_by(51e-6, None), ["not <= 50 µs"])

    def test_without_a_bare_side_no_ratio_is_missed(self) -> None:
        self.assertEqual(Speed(time=1.2).missed_by(9.0, None), [])

    def test_too_many_requests_break_a_limit(self) -> None:
        self.assertEqual(Limits(requests=40, uploads=20).broken_by(COUNTS), [])
        broken = Limits(requests=39, directory_writes=8).broken_by(COUNTS)
        self.assertEqual(broken, ["40 requests, not 39", "20 directory writes, not 8"])

    def test_the_ratio_is_of_medians_of_times_or_throughputs(self) -> None:
        times = Result(case(Speed(time=1.2)), [2.0, 2.0, 9.0], [1.0, 1.0, 1.0])
        rates = Result(case(Speed(throughput=0.8)), [2.0, 2.0, 9.0], [1.0, 1.0, 1.0])
        self.assertEqual((times.ratio, rates.ratio), (2.0, 0.5))


class ReportTests(SynchronousTestCase):
    """Tests of tables, JSON and charts."""

    def test_the_table(self) -> None:
        limited = case(Speed(time=1.15), Limits(requests=30))
        shown = table([Result(limited, [0.06], [0.05], COUNTS, 2_000_000, local=[0.001])])
        row = " ".join(shown.splitlines()[1].split())
        ratio = "1.200 (1.20 to 1.20)"
        self.assertEqual(
            row,
            f"save time <= 1.15 x; <= 30 requests 60 ms 50 ms {ratio} 1 ms 40 40 0 20 2.0 MB no",
        )
        self.assertIn("* save: 40 requests, not 30; not time <= 1.15 x", shown)

    def test_the_table_shows_skipped_and_failed_cases(self) -> None:
        shown = table(
            [
                Result(case(), [], [], problem="skipped: curl is missing"),
                Result(case(), [], [], problem="failed: OSError: no", is_failure=True),
            ]
        )
        self.assertIn("* save: skipped: curl is missing", shown)
        self.assertEqual(
            [line.split()[-1] for line in shown.splitlines()[1:3]], ["skipped", "failed"]
        )

    def test_durations_have_three_digits(self) -> None:
        shown = [duration(seconds) for seconds in (None, 12.34, 0.0123, 0.000_045_6)]
        self.assertEqual(shown, ["", "12.3 s", "12.3 ms", "45.6 µs"])

    def test_the_json_document(self) -> None:
        result = Result(case(Speed(time=1.15)), [0.06], [0.05], COUNTS, 5)
        point = Growth("save", "names", 100, result.case)
        told = json.loads(json.dumps(document([result], [(point, result)], Concurrency(), 1)))
        self.assertEqual(told["cases"][0]["counts"]["directory_writes"], 20)
        self.assertEqual(told["cases"][0]["missed"], ["not time <= 1.15 x"])
        self.assertEqual((told["growth"][0]["value"], told["growth"][0]["ours"]), (100, [0.06]))

    def test_charts_are_png_files(self) -> None:
        if not charts.is_available():
            self.skipTest("matplotlib is not installed")
        result = Result(case(Speed(time=1.15)), [0.06], [0.05], COUNTS)
        growth = [
            (Growth("save", axis, value, result.case), result)
            for axis in ("names", "depth")
            for value in (0, 100)
        ]
        drawn = charts.draw(Path(self.mktemp()), [result], growth)
        self.assertEqual(
            [path.name for path in drawn], ["cases.png", "growth-names.png", "growth-depth.png"]
        )
        for path in drawn:
            self.assertTrue(path.read_bytes().startswith(b"\x89PNG"))


class MeasuringTests(SynchronousTestCase):
    """Tests of rounds and sides, and of a side that cannot run. They need no grid."""

    def setUp(self) -> None:
        self.ran: list[str] = []
        with mock.patch("tests.bench.measuring.calibrated", return_value=Concurrency()):
            with mock.patch("tests.bench.measuring._use_once"):
                self.bench = Bench("http://127.0.0.1:9/", Path(self.mktemp()), rounds=3)

    def side(self, name: str) -> Side:
        return lambda place: lambda: self.ran.append(name)

    def skipped(self, place: Place) -> Action:
        raise Skipped("it is missing")

    def test_sides_alternate_and_the_first_round_is_not_timed(self) -> None:
        steps: list[int] = []
        both = Case("x", 1, self.side("ours"), self.side("bare"))
        result = self.bench.measure(both, lambda: steps.append(1))
        # The last run is the counted one.
        self.assertEqual(" ".join(self.ran), "bare ours ours bare bare ours ours bare ours")
        self.assertEqual((len(result.ours), len(result.bare)), (3, 3))
        self.assertEqual(len(steps), self.bench.steps(both))

    def test_times_are_of_one_operation(self) -> None:
        one = self.bench.measure(Case("x", 1, self.side("ours"), None)).ours_median
        many = self.bench.measure(Case("x", 1_000_000, self.side("ours"), None)).ours_median
        assert one is not None and many is not None
        self.assertLess(many * 1000, one)

    def test_the_same_on_this_machine_is_timed_too(self) -> None:
        local = Case("x", 1, self.side("ours"), None, local=self.side("local"))
        result = self.bench.measure(local)
        self.assertEqual(" ".join(self.ran), "local ours ours local local ours ours local ours")
        self.assertEqual((len(result.bare), len(result.local)), (0, 3))

    def test_a_case_that_cannot_run_is_skipped(self) -> None:
        result = self.bench.measure(Case("x", 1, self.skipped, None))
        self.assertEqual((result.problem, result.is_failure), ("skipped: it is missing", False))

    def test_ours_is_measured_without_a_bare_side(self) -> None:
        result = self.bench.measure(Case("x", 1, self.side("ours"), self.skipped))
        self.assertEqual(result.problem, "nothing to compare with: it is missing")
        self.assertEqual(len(result.ours), 3)
        self.assertIsNotNone(result.counts)

    def test_an_error_is_a_result(self) -> None:
        result = self.bench.measure(Case("x", 1, lambda place: lambda: 1 / 0, None))
        self.assertEqual(result.problem, "failed: ZeroDivisionError: division by zero")
        self.assertTrue(result.is_failure)


class MemoryTests(SynchronousTestCase):
    """Tests of the memory of this process."""

    def test_a_short_peak_is_noticed(self) -> None:
        with MemoryGrowth() as growth:
            len(b"x" * 50_000_000)
        if growth.size is None:
            self.skipTest("this system does not tell")
        self.assertTrue(49_000_000 < growth.size < 70_000_000, growth.size)
        with MemoryGrowth() as nothing:
            pass
        self.assertTrue(nothing.size is not None and nothing.size < 1_000_000, nothing.size)


class CommandTests(SynchronousTestCase):
    """`python -m tests.bench`, without a grid."""

    def run_command(self, *arguments: str) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            self.assertEqual(main(arguments), 0)
        return output.getvalue()

    def test_the_list_has_every_case_and_its_target(self) -> None:
        listed = self.run_command("--list").splitlines()
        self.assertEqual(len(listed), 33 + 28 + 45)
        self.assertIn("time <= 1.15 x; <= 40 requests", listed[0])

    def test_a_part_of_its_name_chooses_a_case(self) -> None:
        listed = self.run_command("--list", "--case", "prefetch", "--case", "depth 8")
        self.assertEqual(len(listed.splitlines()), 5)
        self.assertEqual(len(self.run_command("--list", "--no-growth").splitlines()), 33)

    def test_bad_arguments_get_a_message(self) -> None:
        for arguments, message in (
            (["--rtt", "20,far"], "--rtt"),
            (["--case", "no such"], "no case has such a name"),
            (["--rounds", "0"], "0 is not 1 or more"),
        ):
            with contextlib.redirect_stderr(io.StringIO()) as errors:
                self.assertRaises(SystemExit, main, arguments)
            self.assertIn(message, errors.getvalue())
