"""A short run of `python -m tests.faults.spooling`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from tests.faults.spooling import Host
from tests.needs import TIME, needs


@needs(TIME)
class Spooling(SynchronousTestCase):
    def test_acknowledged_files_get_to_the_grid_once_though_processes_are_killed(self) -> None:
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            found = Host(Path(folder) / "spool", processes=3, saves_a_kill=20).run(100)
        self.assertTrue(found.is_good, found)
        self.assertGreater(found.kills, 1)
