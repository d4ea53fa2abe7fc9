"""The last check, kept in the tree."""

from __future__ import annotations

import json
from time import time

from tests.txtahoe.case import start
from tests.txtahoe.maintenance.case import MaintenanceTestCase
from txtahoe import Cap, Tree
from txtahoe.errors import NotWriteable
from txtahoe.maintenance import Health, State, check, keep_check, last_check
from txtahoe.maintenance.records import RECORDS


class LastChecks(MaintenanceTestCase):
    def test_there_is_no_last_check_at_first(self) -> None:
        self.assertIsNone(self.now(last_check(self.tree)))

    def test_the_kept_check_has_all_numbers_and_no_caps(self) -> None:
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

    def test_a_later_check_replaces_the_kept_one(self) -> None:
        self.save("a/1")
        for objects in (3, 4):
            self.now(keep_check(self.tree, self.now(check(self.tree, "a"))))
            self.save(f"a/{objects}")
        self.assertEqual(self.now(last_check(self.tree)).objects, 3)
        self.assertEqual(set(self.now(self.tree.list(""))), {"a"})

    def test_a_read_cap_keeps_no_check(self) -> None:
        reader = Tree(self.client, self.root.reader)
        self.failureResultOf(start(keep_check(reader, self.now(check(self.tree)))), NotWriteable)

    def test_a_record_of_another_form_is_ignored(self) -> None:
        self.now(keep_check(self.tree, self.now(check(self.tree))))
        cap = self.now(self.tree.resolve([RECORDS, "checked"])).cap
        told = json.loads(self.now(self.client.read(cap)))
        self.assertIsNotNone(self.read(json.dumps(told).encode()))
        problem = {"paths": [["a"]], "state": "unhealthy", "is_closed": False, "reason": ""}
        numbers = {"good": 1, "needed": 1, "expected": 1}
        for strange in (
            b"x",
            b"\xff",
            b"[]",
            b"[" * 100_000,
            b'{"counts":' * 100_000,
            *(
                json.dumps({**told, **change}).encode()
                for change in (
                    {"counts": {"fine": 1}},
                    {"counts": {"healthy": float("inf")}},
                    {"counts": {"healthy": -1}},
                    {"objects": float("nan")},
                    {"began": float("nan")},
                    {"began": float("-inf")},
                    {"began": 1e300},
                    {"began": time() + 100_000},
                    {"seconds": float("inf")},
                    {"seconds": "long"},
                    {"problems": {}},
                    {"problems": [problem]},
                    {"problems": [{**problem, **numbers, "good": float("inf")}]},
                    {"problems": [{**problem, **numbers, "paths": [[""]]}]},
                    {"problems": [{**problem, **numbers, "paths": 1}]},
                )
            ),
        ):
            self.assertIsNone(self.read(strange), strange[:200])

    def test_a_record_that_is_no_file_is_ignored_and_replaced(self) -> None:
        self.now(keep_check(self.tree, self.now(check(self.tree))))
        for cap in (
            self.root,
            self.now(self.client.mkdir_immutable({})),
            self.now(self.client.create_mutable(b"{}")),
            Cap.parse("x-of-the-future:abc"),
            # It is too large to be read.
            Cap.parse(
                "URI:CHK:aaaqeayeaudaocajbifqydiob4:mrswmz3infvgw3dnnzxxa4lson2hk5txpb4xu634"
                "pv7h7aebqkbq:3:10:100000000000"
            ),
        ):
            self.now(self.tree.link([RECORDS, "checked"], cap, replace=True))
            self.assertIsNone(self.now(last_check(self.tree)))
            self.now(keep_check(self.tree, self.now(check(self.tree, "", at_once=1))))
            self.assertIsNotNone(self.now(last_check(self.tree)))

    def test_ten_names_of_an_object_are_kept(self) -> None:
        self.save("a/1")
        cap = self.caps["a/1"]
        self.now(self.tree.link_many([(f"a/{number}", cap) for number in range(2, 100)]))
        self.lose("a/1")
        self.now(keep_check(self.tree, self.now(check(self.tree))))
        [problem] = self.now(last_check(self.tree)).problems
        self.assertEqual(len(problem.paths), 10)

    def read(self, record: bytes) -> Health | None:
        """Replace the record, and read it."""
        cap = self.now(self.client.upload(record))
        self.now(self.tree.link([RECORDS, "checked"], cap, replace=True))
        return self.now(last_check(self.tree))
