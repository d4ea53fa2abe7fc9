"""Some runs of the simulation find nothing; a seed repeats a run; a broken rule is found."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.protocols import PROTOCOLS
from tests.simulation.runs import run

SEEDS = range(16)
_DIGESTS = """
from tests.simulation.protocols import PROTOCOLS
from tests.simulation.runs import run
print(*(run(name, seed).digest for name in PROTOCOLS for seed in (1, 2)))
"""


class Runs(SynchronousTestCase):
    def assert_nothing_is_found(self, name: str) -> None:
        results = [run(name, seed) for seed in SEEDS]
        self.assertEqual([result.found for result in results if result.found], [])
        self.assertGreater(sum(result.operations for result in results), 10 * len(SEEDS))
        self.assertGreater(len({kind for result in results for kind in result.faults}), 5)
        self.assertEqual(len({result.digest for result in results}), len(SEEDS))

    def test_the_commit_queue_keeps_all_properties(self) -> None:
        self.assert_nothing_is_found("commit")

    def test_spreading_a_directory_keeps_all_properties(self) -> None:
        self.assert_nothing_is_found("spread")

    def test_the_spool_keeps_all_properties(self) -> None:
        self.assert_nothing_is_found("spool")

    def test_a_seed_repeats_a_run_in_another_process(self) -> None:
        # The hashes of strings, and so the orders of sets, are others there.
        environment = {**os.environ, "PYTHONHASHSEED": "1"}
        command = [sys.executable, "-c", _DIGESTS]
        project = Path(__file__).parents[2]
        told = subprocess.check_output(command, env=environment, cwd=project, text=True)
        there = told.split()
        self.assertEqual(there, [run(name, seed).digest for name in PROTOCOLS for seed in (1, 2)])


class Mutants(SynchronousTestCase):
    """Mutants that are found soon; `python -m tests.simulation` runs them all."""

    def assert_found(self, name: str, mutant: str) -> None:
        for seed in count():
            self.assertLess(seed, 100, f"nothing was found of {mutant!r}")
            if run(name, seed, mutant).found:
                break
        self.assertEqual(run(name, seed).found, [])

    def test_a_link_without_a_mark_is_found(self) -> None:
        self.assert_found("commit", "no mark in the link")

    def test_a_change_without_reading_back_is_found(self) -> None:
        self.assert_found("commit", "no reading back")

    def test_a_link_before_the_journal_has_the_cap_is_found(self) -> None:
        self.assert_found("spool", "links before it tells")
