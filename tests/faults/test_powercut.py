"""A short run of `python -m tests.faults.powercut`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.faults.powercut import cuts
from tests.needs import STRACE, TIME, needs


@needs(TIME, STRACE)
class PowerCuts(SynchronousTestCase):
    def test_acknowledged_files_are_in_the_spool_after_a_power_cut(self) -> None:
        self.assertEqual(list(cuts(saves=400, number=100)), [])
