"""Entries that anyone with the write cap can put in the place of links."""

from __future__ import annotations

from itertools import product

from tests.needs import TIME, needs
from tests.txtahoe.capnames.test_anchors import HOUR, AnchorsTestCase, literals
from tests.txtahoe.case import start
from txtahoe import Cap
from txtahoe.capnames.anchors import ANCHORS
from txtahoe.capnames.ledger import Ledger
from txtahoe.capnames.names import digest_of


class Others(AnchorsTestCase):
    @needs(TIME)
    def test_no_cap_that_others_put_there_ends_or_hinders_the_work(self) -> None:
        names = literals(range(3))
        loop = self.now(self.client.mkdir())
        self.now(self.client.link(loop, "22", loop))
        self.now(self.client.link(loop, "abcd1234", loop))
        others = (
            self.root,
            loop,
            loop.reader,
            loop.verifier,
            self.now(self.client.upload(b"x" * 100)),
            self.now(self.client.create_mutable(b"x")),
            self.now(self.client.mkdir_immutable({})),
            Cap.parse("x-of-the-future:abc"),
        )
        places = "ledger", "2026-10", "2026-11/21", "2026-11/22/11", "2026-11/22/12/abcd1234"
        for number, (cap, place) in enumerate(product(others, places)):
            self.now(self.tree.link([ANCHORS, *place.split("/")], cap, replace=True))
            self.time += 3 * HOUR if number % 5 == 4 else 0
            self.anchor(names)
            self.assertLessEqual({name.text for name in names}, set(self.linked()))
            known = self.now(self.new_anchors().known(anew=True))
            self.assertTrue(all(digest_of(name.text) in known for name in names))

    def test_a_file_in_the_place_of_links_raises_not_a_directory(self) -> None:
        file = self.now(self.client.upload(b"x" * 100))
        for place in (f"{ANCHORS}/2026-11", ANCHORS):
            self.now(self.tree.link(place.split("/"), file, replace=True))
            error = self.failureResultOf(start(self.anchored(literals(range(3)))), OSError).value
            self.assertIn(f"'{place}", str(error))
            self.assertIn("is not a directory", str(error))

    def test_a_ledger_with_future_hours_or_other_paths_is_ignored(self) -> None:
        names = literals(range(3))
        digests = [digest_of(name.text) for name in names]
        for until, path in (
            ("2026-11/24/12", "2026-11/22/12/abcd1234"),
            ("9999-12/31/23", "2026-11/22/12/abcd1234"),
            ("x", "2026-11/22/12/abcd1234"),
            ("2026-11/22/10", "2026-11"),
            ("2026-11/22/10", "../a"),
        ):
            ledger = Ledger()
            ledger.until = until
            ledger.add(path, digests)
            self.now(self.anchors.keep(ledger))
            known = self.now(self.new_anchors().known())
            self.assertNotIn(digests[0], known)

    def test_a_ledger_with_links_that_are_gone_is_corrected(self) -> None:
        [name] = literals(range(1))
        ledger = Ledger()
        ledger.until = "2026-11/22/10"
        ledger.add("2026-11/22/12/abcd1234", [digest_of(name.text)])
        ledger.deleted = {digest_of(name.text)}
        self.now(self.anchors.unlink(ledger))
        self.now(self.anchors.keep(ledger))
        self.assertNotIn(digest_of(name.text), self.now(self.new_anchors().known()))
