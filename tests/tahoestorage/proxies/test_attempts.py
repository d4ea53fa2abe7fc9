"""The attempts mean something: the gateway itself grants most of them."""

from __future__ import annotations

from urllib.parse import urlsplit

from twisted.trial.unittest import SynchronousTestCase

from tests.grid.shared import shared_grid
from tests.needs import GRID, TIME, needs
from tests.tahoestorage.proxies.asking import ask_raw
from tests.tahoestorage.proxies.attempts import attempts, caps_on


@needs(GRID, TIME)
class AttemptsTests(SynchronousTestCase):
    def test_a_gateway_without_a_proxy_grants_most_attempts(self) -> None:
        gateway = shared_grid().gateway_urls[0]
        port = urlsplit(gateway).port
        made = attempts(caps_on(gateway), gateway)
        answers = [ask_raw(port, request)[0] for request in made.values()]
        granted = [status for status in answers if status is not None and status < 400]
        self.assertGreater(len(granted), 80)
        self.assertGreater(len(granted), len(made) / 2)
