"""Paths as long as they may be, and directories that lead back to themselves."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from twisted.internet.defer import CancelledError

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Cap, Link, Tree
from txtahoe.errors import NoSuchChild, NotADirectory, SomeFailed
from txtahoe.maintenance import check, spread, take_snapshot, usage
from txtahoe.maintenance.walking import Listings
from txtahoe.testing.fake import Delay
from txtahoe.tree.paths import MOST_NAMES, split
from txtahoe.tree.removed import REMOVED
from txtahoe.tree.spread.format import DIGITS, HIDDEN, digit_of
from txtahoe.tree.spread.states import Fanout

CAP = Cap.parse("URI:LIT:me")
LONGEST = "/".join(["d"] * (MOST_NAMES - 1) + ["f"])


class Deep(ClockTestCase):
    def another(self) -> Tree:
        """The same tree, as another process sees it."""
        return Tree(self.client, self.root)

    def test_a_path_may_not_have_more_names(self) -> None:
        self.assertEqual(len(split(LONGEST)), MOST_NAMES)
        for path in (f"{LONGEST}/x", ["d"] * 2000):
            self.assertRaises(ValueError, split, path)

    def test_the_longest_path_is_read_as_others_are(self) -> None:
        self.now(self.client.set_children(self.root, {"d": self.root, "f": CAP}))
        for use in (
            lambda tree: tree.resolve(LONGEST),
            lambda tree: tree.resolve(LONGEST, fresh=True),
            lambda tree: tree.list(LONGEST[:-2]),
            lambda tree: tree.prefetch([LONGEST]),
        ):
            self.now(use(self.another()))
        missing = start(self.another().resolve(f"{LONGEST[:-2]}/missing"))
        self.failureResultOf(missing, NoSuchChild)

    def test_the_longest_path_is_made_and_changed_as_others_are(self) -> None:
        self.now(self.tree.save(LONGEST, b"x" * 100))
        self.now(self.tree.make_directories(f"{LONGEST[:-2]}/e"))
        self.now(self.tree.rename(LONGEST, f"{LONGEST[:-2]}/g"))
        self.now(self.tree.unlink(f"{LONGEST[:-2]}/g"))
        self.assertEqual(set(self.now(self.tree.list(LONGEST[:-2]))), {"e"})

    def test_many_directories_are_made_by_one_call(self) -> None:
        self.now(self.tree.link_many([(LONGEST, CAP)]))
        self.assertEqual(self.now(self.tree.resolve(LONGEST)).cap, CAP)
        self.assertEqual(self.now(self.another().resolve(LONGEST)).cap, CAP)

    def test_a_save_below_many_missing_directories_can_be_cancelled(self) -> None:
        # It is at the last of the directories, with all the others made.
        self.fake.fail_next("*set_children", Delay(1))
        saving = start(self.tree.link(LONGEST, CAP))
        self.assertNoResult(saving)
        saving.cancel()
        self.failureResultOf(saving, CancelledError)
        self.now(self.tree.link(LONGEST, CAP))

    def test_directories_that_were_removed_below_each_other_are_gone(self) -> None:
        names = LONGEST.split("/")[-20:]
        self.now(self.tree.make_directories(names))
        for depth in range(len(names), 0, -1):
            self.now(self.tree.remove_directory(names[:depth]))
        for tree in (self.tree, self.another()):
            self.assertEqual(self.now(tree.list("")), {})
        self.assertEqual(len(self.now(usage(self.another()))), 1)
        self.now(self.tree.link([*names[:-1], "g"], CAP))
        self.assertEqual(set(self.now(self.another().list(""))), {"d"})


class Loops(ClockTestCase):
    """Anyone who has the write cap of a directory can link anything there."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = self.now(self.tree.make_directories("a/b"))
        self.now(self.tree.link("beside", CAP))
        mark = Link(CAP, {"txtahoe-spread": "tree", HIDDEN: True})
        self.now(self.client.set_children(self.root, {"mark": mark}))

    def close(self, directory: Cap, *parts: tuple[Any, Cap]) -> None:
        """Make a directory a closed one with parts for some digits."""
        links = {f"part{n}": Link(cap, {"txtahoe-part": d}) for n, (d, cap) in enumerate(parts)}
        mark = {"mark": Link(CAP, {"txtahoe-spread": "closed", HIDDEN: True})}
        self.now(self.client.set_children(directory, {**links, **mark}))

    def closed(self, *parts: tuple[Any, Cap]) -> Cap:
        directory: Cap = self.now(self.client.mkdir())
        self.close(directory, *parts)
        return directory

    def refuse(self) -> None:
        """Have the directory refused by all who come upon it, soon and with its path."""
        for use in (
            lambda tree: tree.resolve("a/b/f"),
            lambda tree: tree.list("a/b"),
            lambda tree: _walked(tree, "a/b"),
            lambda tree: tree.link("a/b/f", CAP),
            lambda tree: tree.save("a/b/f", b"x" * 100),
            lambda tree: tree.unlink("a/b/f"),
            lambda tree: tree.remove_directory("a/b"),
            usage,
            spread,
        ):
            tree = Tree(self.client, self.root, fanout=Fanout(limit=4))
            for _ in range(2):  # at the second time it knows the parts
                self.fake.requests.clear()
                error = self.failureResultOf(start(use(tree)), NotADirectory, SomeFailed).value
                self.assertIn("a/b", str(error))
                self.assertLess(len(self.fake.requests), 200)
                self.clock.advance(11)
        self.look_after()

    def look_after(self) -> None:
        """Checks and snapshots report the directory, and go on beside it."""
        health = self.now(check(self.tree))
        (problem,) = health.problems
        self.assertIn(problem.paths, ([("a", "b")], [("a", "b")] * 16))
        self.assertIn("'a/b' can't be used as a directory", problem.reason)
        snapshot = self.now(take_snapshot(self.tree))
        self.assertEqual(snapshot.reasons.keys(), {("a", "b")})
        self.assertEqual(set(self.now(self.client.list(snapshot.cap))), {"a", "beside"})

    def test_a_directory_that_is_its_own_part(self) -> None:
        self.close(self.directory, *((digit, self.directory) for digit in DIGITS))
        self.refuse()

    def test_parts_that_lead_back(self) -> None:
        part = self.now(self.client.mkdir())
        self.close(part, *((digit, self.directory) for digit in DIGITS))
        self.close(self.directory, *((digit, part) for digit in DIGITS))
        self.refuse()

    def test_parts_that_go_on_and_on(self) -> None:
        part: Cap = self.now(self.client.mkdir())
        for _ in range(70):
            part = self.closed((DIGITS[0], part))
        self.close(self.directory, (DIGITS[0], part))
        name = next(n for n in map(str, range(100)) if digit_of(n, 0) == DIGITS[0])
        self.failureResultOf(start(self.tree.list("a/b")), NotADirectory)
        # No name has as many zeros in its digest.
        self.failureResultOf(start(Tree(self.client, self.root).resolve(f"a/b/{name}")))
        self.failureResultOf(start(usage(self.tree)), NotADirectory)

    def test_a_digest_has_an_end(self) -> None:
        digest = sha256(b"f").hexdigest()
        part: Cap = self.now(self.client.mkdir())
        for digit in reversed([*digest[1:], "0"]):
            part = self.closed((digit, part))
        self.close(self.directory, (digest[0], part))
        self.refuse_changes()

    def refuse_changes(self) -> None:
        for use in (
            lambda tree: tree.resolve("a/b/f"),
            lambda tree: tree.list("a/b"),
            lambda tree: tree.link("a/b/f", CAP),
        ):
            tree = Tree(self.client, self.root)
            error = self.failureResultOf(start(use(tree)), NotADirectory).value
            self.assertIn("a/b", str(error))

    def test_a_part_that_is_there_twice(self) -> None:
        part: Cap = self.now(self.client.mkdir())
        for _ in range(9):  # a listing of all would read 16 to the power of 9 of them
            part = self.closed(*((digit, part) for digit in DIGITS))
        self.close(self.directory, *((digit, part) for digit in DIGITS))
        for read in (self.tree.list("a/b"), _walked(self.tree, "a/b"), usage(self.tree)):
            error = self.failureResultOf(start(read), NotADirectory).value
            self.assertIn("a/b", str(error))

    def test_a_part_for_no_digit_is_refused(self) -> None:
        for strange in ("", "0123", "00", "A", "\u0660", 3, None, ["0"]):
            part = self.now(self.client.mkdir({"f": CAP}))
            self.directory = self.now(self.tree.make_directories("a/b"))
            self.close(self.directory, (strange, part))
            if strange is None:
                self.assertEqual(set(self.now(self.tree.list("a/b"))), {"part0"})
            else:
                self.refuse()
            self.now(self.tree.unlink("a/b", only_files=False))

    def test_links_that_look_like_parts_of_an_open_directory_are_names(self) -> None:
        for strange in ("", "0123", "00"):
            part = self.now(self.client.mkdir())
            link = Link(part, {"txtahoe-part": strange})
            self.now(self.client.set_children(self.directory, {f"<{strange}>": link}))
        self.assertEqual(set(self.now(self.tree.list("a/b"))), {"<>", "<0123>", "<00>"})

    def test_removed_directories_that_lie_below_themselves_are_empty(self) -> None:
        up = Link(self.directory, {REMOVED: True})
        self.now(self.client.set_children(self.root, {"b": up}))
        self.now(self.client.set_children(self.directory, {"up": up, "on": up}))
        self.assert_children("a", "beside")
        self.now(self.client.link(self.directory, "f", CAP))
        self.assert_children("a", "b", "beside")

    def assert_children(self, *names: str) -> None:
        tree = Tree(self.client, self.root)
        self.assertEqual(set(self.now(tree.list(""))), set(names))
        listed = self.now(Listings(self.client).of((), self.root))
        self.assertEqual(set(listed), set(names))


async def _walked(tree: Tree, path: str) -> list[Any]:
    return [step async for step in tree.walk(path)]
