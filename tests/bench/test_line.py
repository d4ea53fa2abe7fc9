"""A grid behind a long line is as far away as it is said to be."""

from __future__ import annotations

import time
from math import inf

from twisted.trial.unittest import SynchronousTestCase

from tests.bench.bare import Bare
from tests.bench.line import far_grid
from tests.bench.place import random_content
from tests.needs import GRID, TIME, needs


class FarGrids(SynchronousTestCase):
    @needs(GRID, TIME)
    def test_each_request_waits_for_the_line(self) -> None:
        with far_grid([0.2, 0.2, 0.2], inf) as grid:
            bare = Bare(grid.gateway_urls[0])
            self.addCleanup(bare.close)
            cap = bare.upload(random_content())
            began = time.monotonic()
            bare.read(cap)
            self.assertGreater(time.monotonic() - began, 0.2)
