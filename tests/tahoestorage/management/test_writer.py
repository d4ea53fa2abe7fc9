"""`manage.py tahoe writer`."""

from __future__ import annotations

from functools import partial
from unittest import mock

from django.core.files.base import ContentFile

from tests.grid.proxy import Proxy
from tests.processes import forget_trees
from tests.tahoestorage.management.case import CommandTestCase
from txtahoe.maintenance.writer import hand_over


class Writer(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        quickly = partial(hand_over, wait=1.0)
        patch = mock.patch("tahoestorage.management.verbs.gateways.hand_over", quickly)
        patch.start()
        self.addCleanup(patch.stop)

    def proxy(self, number: int) -> Proxy:
        """A proxy to a gateway, which notes all requests."""
        proxy = Proxy(self.gateways[number]).__enter__()
        self.addCleanup(proxy.__exit__)
        return proxy

    def test_another_gateway_makes_the_changes(self) -> None:
        first, second = self.proxy(0), self.proxy(1)
        self.use(tahoe_writer_url=first.url)
        self.storage.save("a", ContentFile(b"1"))
        self.assertIn("POST /uri", first.requests)
        self.assertEqual(self.run_verb("writer").strip(), first.url)
        self.assertEqual(self.told("writer", second.url), {"writer": second.url})
        self.assertEqual(self.run_verb("writer").strip(), second.url)

        forget_trees()  # as a new process of any host
        first.requests.clear()
        second.requests.clear()
        self.storage.save("b", ContentFile(b"2"))
        self.assertEqual(first.requests, [])
        self.assertIn("POST /uri", second.requests)
        self.assertEqual(self.lines("ls"), ["a", "b"])

    def test_hosts_without_a_common_writer_are_not_handed_over(self) -> None:
        self.assertEqual(self.run_verb("writer").strip(), self.gateway)
        self.assertIn("TAHOE_STORAGE_WRITER_URL", self.fail_verb("writer", self.gateway))

    def test_a_gateway_that_cannot_write_is_refused(self) -> None:
        self.use(tahoe_writer_url=self.gateway)
        for url in ("http://127.0.0.1:1/", "127.0.0.1"):
            self.fail_verb("writer", url)
        self.assertEqual(self.run_verb("writer").strip(), self.gateway)
