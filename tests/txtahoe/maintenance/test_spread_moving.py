"""Large directories that are spread while others use them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError

from tests.txtahoe.case import start
from tests.txtahoe.tree.case import CAP, NAMES, OTHER, SpreadingTestCase
from txtahoe import Cap, Tree
from txtahoe.errors import ExistingChild, NoSuchChild
from txtahoe.maintenance import spread
from txtahoe.testing.fake import Delay
from txtahoe.tree.spread.format import contents_of

# The numbers of some of its requests.
_STEPS = [5, 9, 20, 31]


class MovingTestCase(SpreadingTestCase):
    def filled(self, directory: str, names: list[str] = NAMES) -> dict[str, Any]:
        """Fill a directory through a tree without the option. Returns its children."""
        self.now(self.plain.link_many([(f"{directory}/{name}", CAP) for name in names]))
        found: dict[str, Any] = self.now(self.plain.list(directory))
        return found

    def spread(self, tree: Tree | None = None, path: str = "") -> Any:
        spreading = start(spread(tree or self.tree, path))
        self.clock.advance(30)
        return self.successResultOf(spreading)

    def physical(self, path: str) -> Any:
        """The contents of a directory itself."""
        cap = self.now(self.another().resolve(path)).cap
        return contents_of(self.now(self.client.list(cap)), 0)

    def seen(self, directory: str, tree: Tree | None = None) -> dict[str, Cap]:
        found = self.now((tree or self.another()).list(directory))
        return {name: node.cap for name, node in found.items()}


class Moving(MovingTestCase):
    def test_all_names_come_into_parts_with_their_marks_and_times(self) -> None:
        before = self.filled("d")
        self.clock.advance(1000)
        done = self.spread()
        self.assertEqual((done.directories, done.names, done.swept), (1, 60, 60))
        for tree in (self.another(), self.tree, self.plain):
            self.assertEqual(self.now(tree.list("d")), before)
        contents = self.physical("d")
        self.assertEqual((contents.kept, len(contents.parts)), (set(), 16))

    def test_a_tree_that_knows_the_old_directory_goes_on(self) -> None:
        self.filled("d")
        others = [self.another(), self.another()]
        for tree in others:
            self.now(tree.list("d"))
        spreading = start(spread(self.tree))
        self.now(others[0].link("d/one", CAP))
        self.clock.advance(30)
        self.successResultOf(spreading)
        self.now(others[1].link("d/two", CAP))
        self.now(others[0].unlink(f"d/{NAMES[0]}"))
        self.now(others[1].unlink(f"d/{NAMES[1]}"))
        expected = {*NAMES[2:], "one", "two"}
        for tree in (*others, self.another(), self.plain):
            self.assertEqual(set(self.seen("d", tree)), expected)

    def test_a_tree_without_the_option_and_with_a_long_memory_goes_on(self) -> None:
        self.filled("d")
        plain = self.another(None, max_age=10_000)
        self.now(plain.link("d/one", CAP))
        self.spread()
        self.failure(plain.link(f"d/{NAMES[0]}", OTHER), ExistingChild)
        self.now(plain.link("d/two", CAP))
        self.assertEqual(set(self.seen("d")), {*NAMES, "one", "two"})

    def test_a_late_change_without_the_option_looks_again(self) -> None:
        self.filled("d")
        plain = self.another(None)
        self.now(plain.list("d"))
        late = Delay(60.0)
        self.fake.fail_next("POST /uri/CAP?t=set_children", late)
        linking = start(plain.link("d/late", CAP))
        spreading = start(spread(self.tree))
        self.clock.advance(31)
        self.successResultOf(spreading)
        self.clock.advance(31)
        self.successResultOf(linking)
        self.assertEqual(set(self.seen("d")), {*NAMES, "late"})

    def test_small_and_spread_directories_are_left_alone(self) -> None:
        self.filled("small", NAMES[:4])
        self.filled("d")
        self.spread()
        self.fake.requests.clear()
        done = self.now(spread(self.tree))
        self.assertEqual((done.directories, done.names, done.swept, done.unswept), (0, 0, 0, 0))
        self.assertEqual([each for each in self.fake.requests if not each.startswith("GET")], [])

    def test_the_root_is_swept_name_by_name(self) -> None:
        self.save(*NAMES, tree=self.plain)
        done = self.spread()
        self.assertEqual((done.names, done.swept, done.unswept), (60, 60, 0))
        self.assertEqual(contents_of(self.children(), 0).kept, set())
        self.assertEqual(set(self.seen("", self.plain)), set(NAMES))

    def test_superseded_links_are_swept(self) -> None:
        self.save(*(f"d/{name}" for name in NAMES[:6]))
        self.clock.advance(31)
        self.save(*(f"d/{name}" for name in NAMES[6:50]))
        self.now(self.tree.link(f"d/{NAMES[0]}", OTHER, replace="only-files"))
        self.assertNotEqual(self.physical("d").kept, set())
        self.spread()
        self.assertEqual(self.physical("d").kept, set())
        expected = {**dict.fromkeys(NAMES[:50], CAP), NAMES[0]: OTHER}
        self.assertEqual(self.seen("d"), expected)

    def test_links_of_other_clients_come_into_the_parts(self) -> None:
        self.filled("d")
        spreading = start(spread(self.tree))
        self.clock.advance(30)
        self.successResultOf(spreading)
        directory = self.now(self.tree.resolve("d")).cap
        self.clock.advance(1)
        self.now(self.client.link(directory, "foreign", OTHER))
        self.spread(self.another())
        self.assertEqual(self.seen("d")["foreign"], OTHER)
        self.assertEqual(self.physical("d").kept, set())

    def test_a_tree_without_the_option_is_refused(self) -> None:
        self.failure(spread(self.plain), ValueError)


class Interrupted(MovingTestCase):
    """Spreading is killed at several steps, while other trees change the directory."""

    def kill(self, directory: str, step: int) -> None:
        """Begin spreading, and be killed at a request."""
        self.fake.fail_next("*", Delay(1000), skip=step)
        spreading = start(spread(self.another(), directory))
        self.clock.advance(30)
        self.assertNoResult(spreading)
        spreading.cancel()
        self.failureResultOf(spreading, CancelledError)
        self.fake.forget_faults()

    def test_nothing_is_lost_if_spreading_is_killed(self) -> None:
        for step in _STEPS:
            directory = f"d{step}"
            before = self.filled(directory, NAMES[:12])
            self.kill(directory, step)
            for tree in (self.another(), self.plain):
                self.assertEqual(self.now(tree.list(directory)), before, step)
            self.spread(self.another(), directory)
            self.assertEqual(self.now(self.another().list(directory)), before)
            self.assertEqual(self.physical(directory).kept, set())

    def test_changes_of_others_stand_if_spreading_is_killed(self) -> None:
        for step in _STEPS:
            directory = f"d{step}"
            self.filled(directory, NAMES[:12])
            other = self.another()
            self.now(other.list(directory))
            self.kill(directory, step)
            self.now(other.unlink(f"{directory}/{NAMES[0]}"))
            self.now(other.link(f"{directory}/{NAMES[1]}", OTHER, replace="only-files"))
            self.now(other.rename(f"{directory}/{NAMES[2]}", f"{directory}/new"))
            expected = {**dict.fromkeys(NAMES[3:12], CAP), NAMES[1]: OTHER, "new": CAP}
            self.assertEqual(self.seen(directory), expected, step)
            self.spread(self.another(), directory)
            for tree in (self.another(), other, self.plain):
                self.assertEqual(self.seen(directory, tree), expected, step)
                self.failure(tree.resolve(f"{directory}/{NAMES[0]}"), NoSuchChild)

    def test_changes_of_others_stand_at_any_moment(self) -> None:
        for step in _STEPS:
            directory = f"d{step}"
            self.filled(directory, NAMES[:12])
            other = self.another()
            self.now(other.list(directory))
            self.fake.fail_next("*", Delay(35), skip=step)
            spreading = start(spread(self.another(), directory))
            self.clock.advance(30)
            self.assertNoResult(spreading)
            self.now(other.unlink(f"{directory}/{NAMES[0]}"))
            self.now(other.link(f"{directory}/{NAMES[1]}", OTHER, replace="only-files"))
            self.now(other.link(f"{directory}/new", CAP))
            for _ in range(8):
                self.clock.advance(9)
            self.successResultOf(spreading)
            expected = {**dict.fromkeys(NAMES[2:12], CAP), NAMES[1]: OTHER, "new": CAP}
            for tree in (self.another(), other, self.plain):
                self.assertEqual(self.seen(directory, tree), expected, step)
