"""Libraries that make thumbnails, on a site of their own, with this storage as the default one."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.environment import environment
from tests.grid.shared import gateways_for

LIBRARIES = "easy_thumbnails", "filer", "imagekit", "sorl_thumbnail"


class ThumbnailsTests(SynchronousTestCase):
    def test_libraries_work_with_the_storage(self) -> None:
        settings, gateway = "tests.thumbnails.settings", gateways_for(self)[0]
        trial = [sys.executable, "-m", "twisted.trial", f"--temp-directory={self.mktemp()}"]
        tests = [f"tests.thumbnails.with_{library}" for library in LIBRARIES]
        outcome = subprocess.run(
            [*trial, *tests],
            env=environment(DJANGO_SETTINGS_MODULE=settings, GATEWAY=gateway),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
        )
        self.assertEqual(outcome.returncode, 0, outcome.stdout)
        self.assertIn("PASSED (successes=", outcome.stdout)
