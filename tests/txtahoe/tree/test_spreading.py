"""Directories whose names are spread over parts: one directory, for its users."""

from __future__ import annotations

from time import time
from typing import Any

from attrs import evolve

from tests.txtahoe.case import Late, start
from tests.txtahoe.tree.case import CAP, FANOUT, NAMES, OTHER, SpreadingTestCase
from txtahoe import Cap, Link, Tree
from txtahoe.api import directories
from txtahoe.errors import (
    DirectoryNotEmpty,
    ExistingChild,
    IsADirectory,
    NoSuchChild,
    NotADirectory,
)
from txtahoe.testing.fake import Delay
from txtahoe.tree.spread.format import (
    contents_of,
    digit_of,
    is_like_part,
    mark,
    part_name,
)
from txtahoe.tree.spread.states import Fanout


class OneDirectory(SpreadingTestCase):
    def test_a_directory_grows_deeper_and_its_names_are_as_before(self) -> None:
        self.grown()
        self.assertEqual(self.depth(), 2)
        for tree in (self.tree, self.another(), self.plain):
            self.assertEqual(set(self.now(tree.list(""))), set(NAMES))
            for name in NAMES:
                self.assertEqual(self.now(tree.resolve(name)).cap, CAP)
            found = self.now(tree.prefetch([*NAMES[:9], "missing"]))
            self.assertEqual(found.keys(), {(name,) for name in NAMES[:9]})
            self.failure(tree.resolve("missing"), NoSuchChild)

    def test_no_directory_is_much_larger_than_the_limit(self) -> None:
        self.grown()
        late = [f"late{number}" for number in range(60)]
        self.save(*late)
        root = self.children()
        self.assertEqual(len(contents_of(root, 0).kept), 6)
        self.assertEqual(set(self.now(self.tree.list(""))), {*NAMES, *late})

    def test_names_below_the_limit_stay_together(self) -> None:
        self.save(*NAMES[:4])
        self.clock.advance(1000)
        self.now(self.tree.resolve(NAMES[0], fresh=True))
        self.assertEqual(set(self.children()), set(NAMES[:4]))

    def test_taken_names_are_refused_in_every_part(self) -> None:
        self.grown()
        self.now(self.plain.resolve(NAMES[0]))
        for tree in (self.tree, self.another(), self.plain):
            for name in NAMES:
                self.failure(tree.link(name, OTHER), ExistingChild)
        self.assertEqual({node.cap for node in self.now(self.plain.list("")).values()}, {CAP})

    def test_deleted_names_are_gone_and_free(self) -> None:
        for number, tree in enumerate((self.tree, self.another(), self.plain)):
            if not number:
                self.grown()
            for name in NAMES[20 * number : 20 * number + 20]:
                self.now(tree.unlink(name))
                self.failure(tree.resolve(name), NoSuchChild)
                self.failure(tree.unlink(name), NoSuchChild)
        self.assertEqual(self.now(self.another().list("")), {})
        self.assertEqual(self.kept(self.root), set())
        self.save(NAMES[3], tree=self.another(), cap=OTHER)
        self.assertEqual(self.now(self.plain.resolve(NAMES[3], fresh=True)).cap, OTHER)

    def kept(self, cap: Cap, depth: int = 0) -> set[str]:
        """The names of all links in a directory and its parts, superseded ones too."""
        contents = contents_of(self.now(self.client.list(cap)), depth)
        return contents.kept.union(
            *(self.kept(part, depth + 1) for part in contents.parts.values())
        )

    def test_names_in_parts_can_be_replaced_and_renamed(self) -> None:
        self.grown()
        for name in NAMES[:10]:
            self.now(self.tree.link(name, OTHER, replace="only-files"))
        for name in NAMES[10:20]:
            node = self.now(self.tree.resolve(name))
            self.now(self.tree.replace(name, OTHER, node))
            self.failure(self.tree.replace(name, CAP, node), ExistingChild)
        for name in NAMES[20:30]:
            self.now(self.tree.rename(name, f"new-{name}"))
        expected = dict.fromkeys(NAMES[:20], OTHER)
        expected.update({f"new-{name}": CAP for name in NAMES[20:30]})
        expected.update(dict.fromkeys(NAMES[30:], CAP))
        for tree in (self.tree, self.another(), self.plain):
            found = self.now(tree.list(""))
            self.assertEqual({name: node.cap for name, node in found.items()}, expected)

    def test_links_keep_their_marks_and_times(self) -> None:
        self.save(*NAMES[:6])
        before = self.now(self.tree.list(""))
        self.clock.advance(1000)
        self.grown_from_six()
        after = self.now(self.another().list(""))
        for name in NAMES[:6]:
            self.assertEqual(after[name], before[name])

    def grown_from_six(self) -> None:
        for name in NAMES[6:]:
            self.save(name)
        self.clock.advance(31)
        self.save(*(f"more{number}" for number in range(40)))
        self.assertGreater(len(contents_of(self.children(), 0).parts), 10)

    def test_a_spread_directory_can_hold_directories(self) -> None:
        self.grown()
        self.save("d/f", "d/g", "e/f")
        self.assertEqual(set(self.now(self.another().list("d"))), {"f", "g"})
        self.failure(self.tree.remove_directory("d"), DirectoryNotEmpty)
        self.failure(self.tree.unlink("d"), IsADirectory)
        self.now(self.tree.unlink("d/f"))
        self.now(self.tree.unlink("d/g"))
        self.now(self.tree.remove_directory("d"))
        self.assertEqual(set(self.now(self.plain.list(""))), {*NAMES, "e"})
        self.save("d/again", tree=self.plain)
        self.clock.advance(10)
        self.assertIn("d", self.now(self.tree.list("")))
        walked = {path: set(names) for path, names in self.walked(self.another())}
        self.assertEqual(walked, {(): {*NAMES, "d", "e"}, ("d",): {"again"}, ("e",): {"f"}})

    def walked(self, tree: Tree) -> list[Any]:
        async def walk() -> list[Any]:
            return [step async for step in tree.walk()]

        found: list[Any] = self.now(walk())
        return found

    def test_a_spread_directory_can_be_renamed_and_removed(self) -> None:
        self.save(*(f"d/{name}" for name in NAMES[:6]))
        self.clock.advance(31)
        self.save(*(f"d/{name}" for name in NAMES[6:]))
        self.now(self.tree.rename("d", "e"))
        self.assertEqual(set(self.now(self.tree.list("e"))), set(NAMES))
        for name in NAMES:
            self.now(self.tree.unlink(f"e/{name}"))
        self.now(self.tree.remove_directory("e"))
        self.assertEqual(self.now(self.another().list("")), {})
        self.save("e/x")
        self.assertEqual(set(self.now(self.another().list("e"))), {"x"})

    def test_link_many_spreads_new_directories(self) -> None:
        self.closed()
        more = [f"d/{name}" for name in NAMES] + [f"many{number}" for number in range(30)]
        self.now(self.tree.link_many([(name, CAP) for name in more]))
        self.assertEqual(set(self.now(self.plain.list("d"))), set(NAMES))
        self.assertEqual(len(self.now(self.plain.list(""))), 7 + 30 + 1)
        # A directory that is born with many names is spread from its birth.
        self.assertEqual(contents_of(self.children_of("d"), 0).names, {})

    def test_a_tree_that_begins_to_spread_closes_large_directories(self) -> None:
        self.plain.changer.begin(FANOUT)
        self.save(*NAMES[:6], tree=self.plain)
        self.clock.advance(31)
        self.save(NAMES[6], tree=self.plain)
        self.assertTrue(contents_of(self.children(), 0).is_closed)

    def test_without_the_option_new_directories_stay_flat(self) -> None:
        root = self.fake.make_directory()
        names = [str(number) for number in range(2 * Fanout().limit)]
        self.now(Tree(self.client, root).link_many([(f"d/{name}", CAP) for name in names]))
        directory = self.now(self.client.list(root))["d"].cap
        self.assertEqual(set(self.now(self.client.list(directory))), set(names))

    def children_of(self, path: str) -> Any:
        return self.now(self.client.list(self.now(self.tree.resolve(path)).cap))

    def test_files_of_other_clients_can_have_the_names_of_parts(self) -> None:
        names = [part_name(digit, ()) for digit in "0123456789abcdef"]
        self.assertTrue(all(map(is_like_part, names)))
        self.save(*((name,) for name in names))
        self.clock.advance(31)
        self.save(*NAMES)
        for name in names[:8]:
            self.now(self.tree.unlink((name,)))
        self.assertLessEqual(set(names), contents_of(self.children(), 0).kept)
        self.clock.advance(31)
        self.save(*(f"more{number}" for number in range(60)))
        for tree in (self.another(), self.plain):
            found = set(self.now(tree.list("")))
            self.assertEqual({name for name in found if is_like_part(name)}, set(names[8:]))
            self.assertEqual(self.now(tree.resolve(names[9:10])).cap, CAP)
        self.assertEqual(len(contents_of(self.children(), 0).parts), 16)

    def test_a_deleted_name_like_that_of_a_part_does_not_come_back(self) -> None:
        name = "d", part_name("0", ())
        # The links that a directory is made with have the times of the clock of their process.
        self.patch(directories, "time", lambda: time() + 3600)
        self.save(name, *(f"d/{other}" for other in NAMES[:6]))
        self.clock.advance(31)
        self.save(*(f"d/{other}" for other in NAMES[6:]))
        self.now(self.tree.unlink(name))
        for tree in (self.tree, self.another(), self.plain):
            self.assertEqual(set(self.now(tree.list("d"))), set(NAMES))

    def test_a_cap_of_an_unknown_kind_stays_and_is_found(self) -> None:
        strange = Cap.parse("lafs://from-the-future")
        self.save("strange", cap=strange)
        self.closed()
        digit = digit_of("strange", 0)
        self.save(next(name for name in map(str, range(99)) if digit_of(name, 0) == digit))
        part = contents_of(self.children(), 0).parts[digit]
        self.assertNotIn("strange", self.now(self.client.list(part)))
        for tree in (self.tree, self.another(), self.plain):
            self.assertEqual(self.now(tree.resolve("strange", fresh=True)).type, "unknown")
            self.assertIn("strange", self.now(tree.list("")))
        self.failure(self.another_that_has_looked().link("strange", CAP), ExistingChild)

    def another_that_has_looked(self) -> Tree:
        tree = self.another()
        self.now(tree.list(""))
        return tree

    def test_another_client_finds_every_file_by_walking(self) -> None:
        self.grown()
        found = set()

        def walk(cap: Cap) -> None:
            for name, node in self.now(self.client.list(cap)).items():
                if node.is_directory:
                    walk(node.cap)
                found.add(name)

        walk(self.root)
        self.assertLessEqual(set(NAMES), found)

    def test_a_link_of_another_client_in_a_closed_directory_is_found(self) -> None:
        self.grown()
        self.clock.advance(1)
        self.now(self.client.link(self.root, "foreign", OTHER))
        tree = self.another()
        self.assertEqual(self.now(tree.resolve("foreign")).cap, OTHER)
        self.assertIn("foreign", self.now(tree.list("")))
        self.failure(tree.link("foreign", CAP), ExistingChild)
        self.now(tree.unlink("foreign"))
        self.failure(self.another().resolve("foreign"), NoSuchChild)

    def test_a_stray_is_found_by_a_tree_that_reads_the_root_alone(self) -> None:
        self.closed()
        self.failure(self.plain.link(self.stray(self.root), CAP), ExistingChild)

    def test_a_name_that_a_stray_has_taken_needs_no_look_after_it(self) -> None:
        self.grown()
        self.clock.advance(1)
        name = next(name for name in map(str, range(99)) if self.is_closing(name))
        self.now(self.client.link(self.root, name, OTHER))
        tree = self.another_that_has_looked()
        self.assertEqual(self.cost(tree.link(name, CAP), ExistingChild), (1, 1))

    def test_a_stray_in_a_part_is_found(self) -> None:
        self.grown()
        name = next(name for name in map(str, range(99)) if self.closed_part_of(name) is not None)
        self.clock.advance(1)
        self.now(self.client.link(self.closed_part_of(name), name, OTHER))
        self.failure(self.another_that_has_looked().link(name, CAP), ExistingChild)

    def test_a_stray_above_a_superseded_link_is_deleted(self) -> None:
        self.grown()
        name = next(
            name
            for name in NAMES
            if (part := self.closed_part_of(name)) and name in self.now(self.client.list(part))
        )
        parts = contents_of(self.now(self.client.list(self.closed_part_of(name))), 1).parts
        self.now(self.client.delete(parts[digit_of(name, 1)], name))
        self.clock.advance(1)
        self.now(self.client.link(self.root, name, OTHER))
        self.now(self.another_that_has_looked().unlink(name))
        self.failure(self.another().resolve(name), NoSuchChild)


class Strays(SpreadingTestCase):
    """Links that other clients have made in a closed directory, moved into its parts."""

    def setUp(self) -> None:
        super().setUp()
        self.closed()
        self.save(*NAMES[7:])
        self.clock.advance(1)

    def adopt(self, name: str, cap: Cap, *, before: Any = lambda: None) -> None:
        self.now(self.client.link(self.root, name, cap))
        stray = contents_of(self.children(), 0).strays[name]
        before()
        self.now(self.another().changer.adopt((), self.root, 0, name, stray))

    def seen(self, name: str) -> Cap:
        return self.now(self.another().resolve(name)).cap

    def test_a_stray_comes_into_its_part(self) -> None:
        self.adopt("foreign", OTHER)
        self.assertNotIn("foreign", self.children())
        self.assertEqual(self.seen("foreign"), OTHER)

    def test_the_link_of_a_part_stays(self) -> None:
        self.adopt(NAMES[20], OTHER)
        self.assertNotIn(NAMES[20], self.children())
        self.assertEqual(self.seen(NAMES[20]), CAP)

    def test_a_link_is_a_stray_only_if_it_is_newer_than_the_mark(self) -> None:
        children, name = self.children(), NAMES[0]
        closed = contents_of(children, 0).marks["closed"][1].modified
        for created in (None, closed, closed + 1):
            node = evolve(children[name], metadata={"tahoe": {"linkcrtime": created}})
            strays = contents_of({**children, name: node}, 0).strays
            self.assertEqual(name in strays, created == closed + 1)

    def test_a_stray_that_was_deleted_meanwhile_does_not_come_back(self) -> None:
        self.adopt("foreign", OTHER, before=lambda: self.now(self.another().unlink("foreign")))
        self.assertNotIn("foreign", self.children())
        self.failure(self.another().resolve("foreign"), NoSuchChild)

    def test_a_stray_that_was_replaced_meanwhile_stays(self) -> None:
        def replace() -> None:
            self.now(self.client.link(self.root, "foreign", CAP, replace=True))

        self.adopt("foreign", OTHER, before=replace)
        self.assertEqual(self.children()["foreign"].cap, CAP)
        self.assertEqual(self.seen("foreign"), CAP)

    def test_a_stray_is_read_again_before_it_comes_into_its_part(self) -> None:
        stray = self.deleted_after_a_reading()
        adopting = start(self.tree.changer.adopt((), self.root, 0, "foreign", stray))
        self.clock.advance(5)
        self.successResultOf(adopting)
        self.failure(self.another().resolve("foreign"), NoSuchChild)

    def test_a_stray_is_read_again_before_it_counts(self) -> None:
        self.deleted_after_a_reading()
        linking = start(self.tree.link("foreign", CAP))
        self.clock.advance(5)
        self.successResultOf(linking)

    def deleted_after_a_reading(self) -> Any:
        """A stray that a tree knows and reads; another deletes it meanwhile."""
        self.now(self.client.link(self.root, "foreign", OTHER))
        self.now(self.tree.list(""))
        self.fake.fail_next("GET*", Late(5))
        start(self.tree.list(""))
        stray = contents_of(self.children(), 0).strays["foreign"]
        self.now(self.another().unlink("foreign"))
        return stray

    def test_a_stray_that_another_deletes_while_it_comes_into_its_part_is_no_error(self) -> None:
        self.now(self.client.link(self.root, "foreign", OTHER))
        stray = contents_of(self.children(), 0).strays["foreign"]
        tree = self.another()
        self.fake.fail_next("GET*", Delay(5), skip=3)
        adopting = start(tree.changer.adopt((), self.root, 0, "foreign", stray))
        self.assertNoResult(adopting)
        self.now(self.client.delete(self.root, "foreign"))
        self.clock.advance(5)
        self.successResultOf(adopting)
        self.assertEqual(self.seen("foreign"), OTHER)

    def test_a_cap_of_an_unknown_kind_stays_where_it_is(self) -> None:
        self.adopt("strange", Cap.parse("lafs://from-the-future"))
        part = contents_of(self.children(), 0).parts[digit_of("strange", 0)]
        self.assertNotIn("strange", self.now(self.client.list(part)))
        self.assertIn("strange", self.children())
        self.assertFalse(self.seen("strange").is_known)


class Marks(SpreadingTestCase):
    def test_wrong_marks_and_parts_are_names(self) -> None:
        links = {
            "part": Link(CAP, {"txtahoe-part": "3"}),
            "many": Link(self.root, {"txtahoe-part": "33"}),
            "list": Link(self.root, {"txtahoe-part": ["3"]}),
            "mark": Link(CAP, {"txtahoe-spread": {"closed": 1}}),
        }
        self.now(self.client.set_children(self.root, links))
        self.assertEqual(contents_of(self.children(), 0).names.keys(), links.keys())
        self.assertEqual(set(self.now(self.tree.list(""))), set(links))

    def test_a_part_of_an_unknown_kind_makes_a_closed_directory_unusable(self) -> None:
        links = {"file": Link(CAP, {"txtahoe-part": "33"}), **mark("closed")}
        self.now(self.client.set_children(self.root, links))
        self.assertEqual(contents_of(self.children(), 0).names.keys(), {"file"})
        self.now(self.client.link(self.root, "a", self.root, metadata={"txtahoe-part": "33"}))
        self.assertRaises(NotADirectory, contents_of, self.children(), 0)
