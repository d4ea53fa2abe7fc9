"""Spread directories, seen from other roots, and by trees that remember replaced parts."""

from __future__ import annotations

from typing import Any

from tests.txtahoe.case import Late, start
from tests.txtahoe.tree.case import CAP, FANOUT, NAMES, OTHER, SpreadingTestCase
from txtahoe import Cap, Tree
from txtahoe.errors import ExistingChild, NoSuchChild, NotADirectory, Unrecoverable
from txtahoe.maintenance import spread
from txtahoe.tree.spread.format import contents_of, digit_of


class Roots(SpreadingTestCase):
    """Trees with roots below each other, of which one has the option."""

    def setUp(self) -> None:
        super().setUp()
        self.now(self.tree.make_directories("above/sub"))
        self.sub = self.below()

    def below(self, path: str = "above/sub") -> Tree:
        """A tree without the option whose root is a directory of the spreading one."""
        return Tree(self.client, self.now(self.another().resolve(path)).cap)

    def grow(self, directory: str, tree: Tree | None = None) -> None:
        """Have a directory closed, with parts."""
        links = [(f"{directory}/{name}", CAP) for name in NAMES]
        # One after the other: a directory that is born with many names is spread from its birth.
        for some in (links[:3], links[3:6], links[6:40]):
            self.now((tree or self.tree).link_many(some))
            self.clock.advance(31)

    def assert_together(self, path: str, below: Tree, name: str) -> None:
        """Each tree sees the saves, replacements and deletions of the other."""
        self.now(below.link(f"{name}/{NAMES[0]}", OTHER, replace="only-files"))
        self.now(below.unlink(f"{name}/{NAMES[1]}"))
        self.now(below.link(f"{name}/new", CAP))
        self.failure(below.link(f"{name}/{NAMES[2]}", OTHER), ExistingChild)
        for tree in (self.tree, self.another(), self.plain):
            found = self.now(tree.list(f"{path}/{name}"))
            self.assertEqual(found[NAMES[0]].cap, OTHER)
            self.assertEqual(set(found), {*NAMES[:40], "new"} - {NAMES[1]})
            self.failure(tree.resolve(f"{path}/{name}/{NAMES[1]}", fresh=True), NoSuchChild)

    def test_a_tree_below_a_spreading_one_follows_it(self) -> None:
        self.now(self.sub.link("x/y", CAP))
        self.grow("above/sub/d")
        self.assert_together("above/sub", self.sub, "d")

    def test_a_tree_below_that_makes_changes_all_the_time_follows_too(self) -> None:
        for number in range(6):
            self.save(f"above/sub/d/{NAMES[number]}")
        for _ in range(4):
            self.clock.advance(9)
            self.now(self.sub.link(f"d/{self.clock.seconds()}", CAP))
        self.save(*(f"above/sub/d/{name}" for name in NAMES[6:]))
        self.now(self.sub.link(f"d/{NAMES[0]}", OTHER, replace="only-files"))
        self.assertEqual(self.now(self.another().resolve(f"above/sub/d/{NAMES[0]}")).cap, OTHER)

    def test_a_tree_that_begins_amid_new_directories_follows_too(self) -> None:
        names = [f"new/sub/d/{name}" for name in NAMES[:40]]
        self.now(self.tree.link_many([(name, CAP) for name in names]))
        self.assert_together("new/sub", self.below("new/sub"), "d")

    def test_a_tree_below_follows_spread_directories_linked_in_old_ones(self) -> None:
        names = [f"above/sub/new/d/{name}" for name in NAMES[:40]]
        self.now(self.tree.link_many([(name, CAP) for name in names]))
        self.assert_together("above/sub/new", self.below("above/sub/new"), "d")
        self.assertTrue(contents_of(self.children("above"), 0).marks)

    def test_a_tree_below_follows_spread_directories_moved_into_it(self) -> None:
        for mover in (self.another, lambda: self.plain):
            for moved, below in (("above/sub", "sub/d"), ("above/sub/d", "d")):
                self.setUp()
                self.now(self.tree.make_directories("elsewhere"))
                self.grow("above/sub/d")
                self.now(mover().rename(moved, f"elsewhere/{below.removesuffix('/d')}"))
                self.clock.advance(11)  # others notice it by then
                self.assert_together("elsewhere", self.below("elsewhere"), below)

    def test_a_directory_that_is_marked_just_before_it_moves_is_followed(self) -> None:
        self.now(self.tree.make_directories("elsewhere"))
        self.save("d/f")
        mover = self.another()
        self.fake.fail_next("GET*", Late(20), skip=1)
        listing = start(mover.list("d"))
        self.save(*(f"d/{name}" for name in NAMES[:6]))
        moving = start(mover.rename("d", "elsewhere/d"))
        self.clock.advance(20)
        self.successResultOf(listing)
        self.successResultOf(moving)
        self.assertTrue(contents_of(self.children("elsewhere"), 0).marks)

    def test_a_stray_keeps_its_name_when_its_directory_moves(self) -> None:
        self.save(*(f"d/{name}" for name in NAMES[:6]))
        self.clock.advance(31)
        self.save(f"d/{NAMES[6]}")
        name = self.stray(self.now(self.tree.resolve("d")).cap)
        mover = self.another()
        self.now(mover.rename("d", "e"))
        self.failure(mover.link(f"e/{name}", CAP), ExistingChild)

    def test_the_directories_above_one_with_a_new_mark_are_marked(self) -> None:
        self.save(*(f"above/sub/d/{name}" for name in NAMES[:5]))
        for path in ("above/sub", "above/sub/d"):
            name = path.replace("/", "-")
            self.now(self.tree.link(f"{name}/x", self.now(self.tree.resolve(path)).cap))
            self.assertTrue(contents_of(self.children(name), 0).marks)

    def test_spread_marks_directories_that_an_older_release_has_spread(self) -> None:
        self.grow("above/sub/d")
        for path in ("above/sub", "above"):  # as it was without the marks
            directory = self.now(self.another().resolve(path)).cap
            for name in contents_of(self.now(self.client.list(directory)), 0).marks.values():
                self.now(self.client.delete(directory, name[0]))
        spreading = start(spread(self.another()))
        self.clock.pump([10] * 9)
        self.successResultOf(spreading)
        self.assert_together("above/sub", self.below("above/sub"), "d")

    def test_a_lost_directory_can_be_moved(self) -> None:
        self.grow("above/sub/d")
        self.fake.lose(self.sub.root)
        moving = start(self.tree.rename("above/sub", "lost"))
        self.clock.pump([1] * 9)
        self.successResultOf(moving)
        self.assertIn("lost", self.now(self.another().list("")))

    def test_a_tree_whose_root_is_spread_itself(self) -> None:
        self.now(self.sub.link("x", CAP))
        self.grow("above/sub")
        self.now(self.sub.link(NAMES[0], OTHER, replace="only-files"))
        self.assertEqual(self.now(self.another().resolve(f"above/sub/{NAMES[0]}")).cap, OTHER)

    def test_a_tree_above_with_the_option_follows_one_below(self) -> None:
        below = Tree(self.client, self.sub.root, fanout=FANOUT)
        self.now(self.tree.link("above/sub/d/first", CAP))
        self.grow("d", below)
        self.now(self.tree.link(f"above/sub/d/{NAMES[0]}", OTHER, replace="only-files"))
        self.assertEqual(self.now(below.resolve(f"d/{NAMES[0]}", fresh=True)).cap, OTHER)

    def test_marks_are_made_once(self) -> None:
        self.grow("above/sub/d")
        self.grow("above/sub/e")
        self.grow("above/sub/f", self.another())
        for way in ((), ("above",), ("above", "sub")):
            marks = [name for name in self.children(*way) if name.startswith(".tahoe-spread-")]
            self.assertEqual(len(marks), 1, way)

    def test_a_tree_without_the_option_needs_no_extra_request(self) -> None:
        plain = Tree(self.client, self.root)
        self.now(plain.link("above/sub/f", CAP))
        self.fake.requests.clear()
        self.now(plain.save("above/sub/g", b"x" * 100))
        self.assertEqual(self.fake.requests, ["PUT /uri", "POST /uri/CAP?t=set_children"])


class Replaced(SpreadingTestCase):
    """Parts that were replaced, and are lost by now, because nobody renews their leases."""

    def parts(self, cap: Cap | None = None, depth: int = 0) -> dict[Cap, int]:
        """All parts of a directory, and how deep each is."""
        contents = contents_of(self.now(self.client.list(cap or self.root)), depth)
        found = {}
        for part in contents.parts.values():
            found[part] = depth + 1
            found.update(self.parts(part, depth + 1))
        return found

    def replaced(self, old: Tree) -> None:
        """Have parts that a tree knows replaced, and lost."""
        self.closed()
        self.save(*NAMES[7:30])
        self.now(old.list(""))
        before = self.parts()
        for number in range(2):
            self.clock.advance(31)
            self.now(self.tree.link_many([(f"{number}-{n}", CAP) for n in range(40)]))
        spreading = start(spread(self.another()))
        self.clock.pump([10] * 9)
        self.successResultOf(spreading)
        lost = before.keys() - self.parts().keys()
        self.assertTrue(lost)
        for part in lost:
            self.fake.lose(part)

    def settle(self, attempt: Any) -> Any:
        attempting = start(attempt)
        self.clock.pump([0.3] * 20)
        return self.successResultOf(attempting)

    def test_reading_a_replaced_part_reads_the_new_one(self) -> None:
        old = self.another(None, max_age=1000)
        self.replaced(old)
        self.clock.advance(1000)
        for name in NAMES[:30]:
            self.assertEqual(self.settle(old.resolve(name)).cap, CAP)

    def test_changing_a_replaced_part_changes_the_new_one(self) -> None:
        old = self.another(max_age=1000)
        self.replaced(old)
        for name in NAMES[:10]:
            self.settle(old.link(name, OTHER, replace="only-files"))
        for name in NAMES[10:20]:
            self.settle(old.unlink(name))
        self.settle(old.link_many([(f"new-{name}", CAP) for name in NAMES]))
        found = self.now(self.another().list(""))
        for name in NAMES[:10]:
            self.assertEqual(found[name].cap, OTHER)
        self.assertFalse(found.keys() & set(NAMES[10:20]))
        self.assertLessEqual({f"new-{name}" for name in NAMES}, found.keys())

    def test_a_lost_part_without_replacement_raises_unrecoverable(self) -> None:
        self.closed()
        self.save(*NAMES[7:30])
        contents = contents_of(self.children(), 0)
        digit, part = next(iter(contents.parts.items()))
        name = next(name for name in NAMES[:30] if digit_of(name, 0) == digit)
        self.fake.lose(part)
        for attempt in (self.tree.resolve(name, fresh=True), self.tree.link(name, OTHER)):
            attempting = start(attempt)
            self.clock.pump([0.3] * 40)
            self.failureResultOf(attempting, Unrecoverable)
        self.failure(self.tree.resolve(f"{NAMES[0]}/x"), NotADirectory)
