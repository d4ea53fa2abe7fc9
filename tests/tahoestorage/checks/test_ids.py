"""The ids of all checks: each stands for one thing, and the manual says which."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.checks.deployment import _FINDINGS

# Of the repository: an installed package has no manual.
PACKAGE = Path(__file__).parents[3] / "tahoestorage"


class Ids(SynchronousTestCase):
    def setUp(self) -> None:
        # As `_examine` makes them: a problem of a gateway that is not the writer is a warning.
        self.of_gateways = [
            id for each, _ in _FINDINGS.values() for id in {each, each.replace("E", "W")}
        ]

    def test_each_problem_of_a_gateway_has_ids_of_its_own(self) -> None:
        self.assertEqual(sorted(self.of_gateways), sorted(set(self.of_gateways)))

    def test_the_manual_has_each_id_in_one_row(self) -> None:
        sources = "".join(path.read_text() for path in (PACKAGE / "checks").glob("*.py"))
        given = {*re.findall(r'"([EW]\d{3})"', sources), *self.of_gateways}
        self.assertGreater(len(given), 40)
        manual = (PACKAGE / "docs" / "13-troubleshooting.md").read_text()
        rows = re.findall(r"^\| ((?:[EW]\d{3}(?:, )?)+) \|", manual, re.MULTILINE)
        explained = [id for row in rows for id in row.split(", ")]
        self.assertEqual(sorted(explained), sorted(given))
