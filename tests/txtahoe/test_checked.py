"""What a check has found, for those who look later."""

from __future__ import annotations

import json

from tests.txtahoe.case import start
from tests.txtahoe.maintenance_case import MaintenanceTestCase
from txtahoe import Tree
from txtahoe.errors import NotWriteable
from txtahoe.maintenance import State, check, keep_check, last_check
from txtahoe.maintenance.records import RECORDS


class LastChecks(MaintenanceTestCase):
    def test_nothing_was_kept(self) -> None:
        self.assertIsNone(self.now(last_check(self.tree)))

    def test_what_was_found_is_told_later_without_caps(self) -> None:
        self.save("a/1", "a/2", "b/3")
        self.lose("a/1", 1)
        self.lose("a/2")
        self.lose("b")
        health = self.now(check(self.tree))
        self.now(keep_check(self.tree, health))
        reader = Tree(self.client, self.root.reader)
        told = self.now(last_check(reader))
        self.assertEqual(
            (told.counts, told.objects, told.began, told.seconds, told.is_complete),
            (health.counts, health.objects, health.began, health.seconds, False),
        )
        self.assertEqual(
            {"/".join(problem.paths[0]): problem.state for problem in told.problems},
            {"a/1": State.UNHEALTHY, "a/2": State.UNRECOVERABLE, "b": State.UNRECOVERABLE},
        )
        [shares] = [p for p in told.problems if p.state is State.UNHEALTHY]
        self.assertEqual((shares.good, shares.needed, shares.expected), (2, 2, 3))
        kept = self.now(self.client.read(self.now(self.tree.resolve([RECORDS, "checked"])).cap))
        self.assertNotIn(b"URI:", kept)

    def test_the_last_one_counts(self) -> None:
        self.save("a/1")
        for objects in (3, 4):
            self.now(keep_check(self.tree, self.now(check(self.tree, "a"))))
            self.save(f"a/{objects}")
        self.assertEqual(self.now(last_check(self.tree)).objects, 3)
        self.assertEqual(set(self.now(self.tree.list(""))), {"a"})

    def test_only_a_writer_keeps_it(self) -> None:
        reader = Tree(self.client, self.root.reader)
        self.failureResultOf(start(keep_check(reader, self.now(check(self.tree)))), NotWriteable)

    def test_what_is_strange_is_no_check(self) -> None:
        for strange in (b"x", b"[]", json.dumps({"counts": {"fine": 1}}).encode()):
            cap = self.now(self.client.upload(strange))
            self.now(self.tree.save([RECORDS, "checked"], cap, replace="only-files"))
            self.assertIsNone(self.now(last_check(self.tree)))
