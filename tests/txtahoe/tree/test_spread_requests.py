"""How many requests spread directories cost, and which names a failed one takes along."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from tests.txtahoe.case import start
from tests.txtahoe.tree.case import CAP, NAMES, OTHER, SpreadingTestCase
from txtahoe import Cap
from txtahoe.errors import (
    NoSuchChild,
    NotAuthorized,
    SomeFailed,
)
from txtahoe.testing.fake import Delay, Status
from txtahoe.tree.spread.format import (
    Contents,
    contents_of,
    digit_of,
    gather,
)


class Requests(SpreadingTestCase):
    def requests(self, attempt: Any) -> list[str]:
        self.fake.requests.clear()
        self.now(attempt)
        return list(self.fake.requests)

    def test_a_tree_without_the_option_asks_for_the_root_once_in_a_while(self) -> None:
        self.assertEqual(len(self.requests(self.plain.link("a", CAP))), 2)
        for name in "bcd":
            self.assertEqual(len(self.requests(self.plain.link(name, CAP))), 1)
        self.clock.advance(11)
        self.assertEqual(len(self.requests(self.plain.link("e", CAP))), 2)

    def test_a_change_in_a_known_part_is_one_request(self) -> None:
        self.grown()
        new, another = [name for name in map(str, range(60)) if not self.is_closing(name)][:2]
        self.now(self.tree.list(""))
        self.assertEqual(len(self.requests(self.tree.link(new, CAP))), 1)
        tree = self.another()
        self.now(tree.list(""))
        self.assertEqual(len(self.requests(tree.link(another, CAP))), 1)

    def test_a_tree_with_the_option_asks_for_the_directory_alone(self) -> None:
        tree = self.another(max_age=1000)
        self.save("d/a", tree=tree)
        self.clock.advance(11)  # the directory can be closing by now
        self.assertEqual(len(self.requests(tree.link("d/b", CAP))), 2)

    def test_changes_together_ask_for_the_root_once(self) -> None:
        plain = self.another(None, max_age=1000)
        self.save("d/a", "e/a", tree=plain)
        self.clock.advance(11)
        self.fake.requests.clear()
        self.fake.fail_next("GET*", Delay(1))
        linking = [start(plain.link(f"{directory}/b", CAP)) for directory in "de"]
        self.clock.advance(1)
        for each in linking:
            self.successResultOf(each)
        self.assertEqual(len(self.fake.requests), 3)

    def test_a_superseded_link_or_a_stray_is_deleted_once(self) -> None:
        self.grown()
        self.clock.advance(1)
        self.now(self.client.link(self.root, "foreign", OTHER))
        names = contents_of(self.children(), 0).superseded
        superseded = next(name for name in sorted(names) if not self.is_closing(name))
        tree = self.another()
        self.now(tree.list(""))
        for name in ("foreign", superseded):
            self.now(tree.unlink(name))
            self.save(name, tree=tree)
            self.assertEqual(self.cost(tree.unlink(name)), (2, 2))

    def test_an_unknown_directory_is_read_once(self) -> None:
        self.save("d/f")
        cost = self.cost(self.another().link_many([(f"d/{name}", CAP) for name in NAMES[:3]]))
        self.assertEqual(cost, (3, 3))

    def test_the_part_is_looked_up_while_the_file_is_uploaded(self) -> None:
        self.grown()
        new = next(name for name in map(str, range(60)) if not self.is_closing(name))
        tree = self.another()
        self.fake.fail_next("PUT /uri", Delay(1))
        saving = start(tree.save(new, b"x" * 100))
        self.fake.requests.clear()
        self.clock.advance(1)
        self.successResultOf(saving)
        self.assertEqual(self.fake.requests, ["POST /uri/CAP?t=set_children"])

    def test_a_part_that_cannot_be_written_fails_its_names_alone(self) -> None:
        self.grown()
        names = [name for name in map(str, range(60)) if not self.is_closing(name)]
        self.now(self.tree.list(""))
        self.fake.fail_next("*set_children", Status(400))
        linking = start(self.tree.link_many([(name, CAP) for name in names]))
        error = self.failureResultOf(linking, SomeFailed).value
        failed = {name for name, result in zip(names, error.results, strict=True) if result}
        self.assertTrue(failed)
        self.assertEqual(set(names) - failed, set(names) & set(self.now(self.another().list(""))))

    def test_a_lost_part_fails_its_names_alone(self) -> None:
        self.now(self.tree.link_many([(f"d/{name}", CAP) for name in NAMES[:16]]))
        made, lost = "made", "lost"
        contents = contents_of(self.now(self.client.list(self.now(self.tree.resolve("d")).cap)), 0)
        self.fake.lose(contents.parts[digit_of(lost, 0)])
        self.fake.fail_next("GET*", Status(403))  # the directory cannot be looked up again
        linking = start(self.tree.link_many([(f"d/{made}", CAP), (f"d/{lost}", CAP)]))
        self.clock.pump([0.3] * 40)
        results = self.failureResultOf(linking, SomeFailed).value.results
        self.assertEqual([type(result) for result in results], [type(None), NotAuthorized])
        self.assertEqual(self.now(self.another().resolve(f"d/{made}")).cap, CAP)

    def test_a_lookup_in_a_known_part_is_one_request(self) -> None:
        self.grown()
        self.clock.advance(20)
        self.assertEqual(self.requests(self.tree.resolve(NAMES[5])), ["GET /uri/CAP?t=json"])
        self.fake.requests.clear()
        self.failure(self.tree.resolve("missing"), NoSuchChild)
        self.assertEqual(len(self.fake.requests), 1)

    def test_a_part_is_asked_for_its_names_alone(self) -> None:
        async def read(cap: Cap, depth: int, wanted: Set[str] | None) -> Contents:
            if depth and wanted:
                self.assertEqual(len({digit_of(name, depth - 1) for name in wanted}), 1)
            return contents_of(await self.client.list(cap), depth)

        self.grown()
        names = set(NAMES[:9])
        self.assertEqual(self.now(gather((), self.root, read, names)).keys(), names)

    def test_a_listing_reads_each_part_once(self) -> None:
        self.grown()
        parts = 1 + self.parts_below(self.root, 0)
        self.assertEqual(len(self.requests(self.another().list(""))), parts)

    def parts_below(self, cap: Cap, depth: int) -> int:
        parts = contents_of(self.now(self.client.list(cap)), depth).parts.values()
        return len(parts) + sum(self.parts_below(part, depth + 1) for part in parts)
