"""Changes that depend on what a name leads to, while others change the same name."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Cap, Node
from txtahoe.errors import (
    DirectoryNotEmpty,
    ExistingChild,
    IsADirectory,
    NoSuchChild,
    NotADirectory,
    UnknownOutcome,
    Unrecoverable,
)
from txtahoe.testing.fake import Delay, LostAnswer, Status

CAP = Cap.parse("URI:LIT:me")
OTHER = Cap.parse("URI:LIT:mi")
THIRD = Cap.parse("URI:LIT:mm")
LINK = "*set_children*"
LIST = "GET /uri/CAP?t=json"


class Conditions(ClockTestCase):
    """A file that this tree saves during a change stays."""

    def setUp(self) -> None:
        super().setUp()
        self.link("a", CAP)

    def link(self, name: str, cap: Cap, **options: Any) -> None:
        self.now(self.tree.link(name, cap, **options))

    def during(self, change: Any, pattern: str, *others: Any, skip: int = 0) -> Deferred[Any]:
        """Begin a change whose request takes a second, and others meanwhile."""
        self.fake.fail_next(pattern, Delay(1), skip=skip)
        changing = start(change)
        self.assertNoResult(changing)
        for other in others:
            start(other).addErrback(lambda _: None)
        self.clock.pump([1, 1])
        return changing

    def caps(self, path: str = "") -> dict[str, Cap]:
        """The caps on the grid, by name."""
        directory = self.root if not path else self.now(self.tree.resolve(path)).cap
        return {name: node.cap for name, node in self.now(self.client.list(directory)).items()}

    def test_a_file_saved_under_the_old_name_of_one_that_is_renamed_stays(self) -> None:
        save = self.tree.link("a", OTHER, replace="only-files")
        self.successResultOf(self.during(self.tree.rename("a", "b"), LINK, save))
        self.assertEqual(self.caps(), {"a": OTHER, "b": CAP})
        self.assertEqual(self.now(self.tree.resolve("a")).cap, OTHER)

    def test_an_equal_file_saved_under_the_old_name_stays(self) -> None:
        save = self.tree.link("a", CAP, replace="only-files")
        self.successResultOf(self.during(self.tree.rename("a", "b"), LINK, save))
        self.assertEqual(self.caps(), {"a": CAP, "b": CAP})

    def test_a_file_deleted_while_it_is_renamed_has_its_new_name(self) -> None:
        self.successResultOf(self.during(self.tree.rename("a", "b"), LINK, self.tree.unlink("a")))
        self.assertEqual(self.caps(), {"b": CAP})
        # The rename deletes nothing: another process can have saved a file under the old name.
        self.assertEqual(self.fake.requests.count("POST /uri/CAP?t=unlink"), 1)

    def test_a_directory_that_is_renamed_leaves_a_file_of_its_old_name_alone(self) -> None:
        self.link("d/f", CAP)
        swap = self.swap("d", OTHER)
        self.successResultOf(self.during(self.tree.rename("d", "e"), LINK, swap))
        self.assertEqual(self.caps()["d"], OTHER)
        self.assertEqual(set(self.caps("e")), {"f"})

    async def swap(self, name: str, cap: Cap) -> None:
        await self.tree.unlink(name, only_files=False)
        await self.tree.link(name, cap)

    def test_unlink_looks_in_its_turn(self) -> None:
        self.fake.fail_next(LINK, Delay(1))
        linking = start(self.tree.link("other", CAP))
        deleting = start(self.tree.unlink("a"))
        # Somebody else makes it a directory meanwhile.
        directory = self.now(self.client.mkdir({"kept": CAP}))
        self.now(self.client.link(self.root, "a", directory, replace=True))
        self.clock.advance(1)
        self.successResultOf(linking)
        self.failureResultOf(deleting, IsADirectory)
        self.assertEqual(self.caps()["a"], directory)

    def test_a_replacement_is_not_undone_by_one_that_did_not_see_it(self) -> None:
        node = self.now(self.tree.resolve("a", fresh=True))
        replacing = self.during(
            self.tree.link("x", CAP),
            LINK,
            self.tree.save("a", OTHER, replace="only-files"),
            self.tree.replace("a", THIRD, node),
        )
        self.successResultOf(replacing)
        self.assertEqual(self.caps()["a"], OTHER)

    def test_one_of_simultaneous_replacements_wins_and_the_others_fail(self) -> None:
        node = self.now(self.tree.resolve("a", fresh=True))
        self.fake.fail_next(LIST, Delay(1))
        first = start(self.tree.replace("a", OTHER, node))
        second = start(self.tree.replace("a", THIRD, node))
        linked = start(self.tree.link("a", CAP, replace=True))
        self.clock.pump([1, 1])
        self.successResultOf(first)
        self.failureResultOf(second, ExistingChild)
        self.successResultOf(linked)
        self.assertEqual(self.caps(), {"a": CAP})

    def test_a_replacement_waits_for_no_other_directory(self) -> None:
        self.link("d/f", CAP)
        node = self.now(self.tree.resolve("a", fresh=True))
        self.fake.fail_next(LIST, Delay(1000))
        slow = start(self.tree.replace("d/f", OTHER, self.now(self.tree.resolve("d/f"))))
        self.now(self.tree.replace("a", OTHER, node))
        self.assertNoResult(slow)

    def test_replace_does_not_take_a_free_name_from_a_faster_save(self) -> None:
        saving = self.tree.link("new", OTHER)
        self.fake.fail_next(LIST, Delay(1))
        replacing = start(self.tree.replace("new", CAP, None))
        saving = start(saving)
        self.clock.pump([1, 1])
        self.successResultOf(replacing)
        self.failureResultOf(saving, ExistingChild)
        self.failureResultOf(start(self.tree.replace("new", OTHER, None)), ExistingChild)
        self.assertEqual(self.caps()["new"], CAP)

    def test_replace_does_not_take_a_free_name_from_another_process(self) -> None:
        save = self.client.link(self.root, "new", OTHER)
        replacing = self.during(self.tree.replace("new", CAP, None), LINK, save)
        self.failureResultOf(replacing, ExistingChild)
        self.assertEqual(self.caps()["new"], OTHER)

    def test_remove_directory_looks_in_its_turn(self) -> None:
        self.now(self.tree.make_directories("d"))
        self.fake.fail_next(LINK, Delay(1))
        linking = start(self.tree.link("other", CAP))
        removing = start(self.tree.remove_directory("d"))
        self.now(self.client.link(self.root, "d", OTHER, replace=True))
        self.clock.advance(1)
        self.successResultOf(linking)
        self.failureResultOf(removing, NotADirectory)
        self.assertEqual(self.caps()["d"], OTHER)

    def test_restoring_a_directory_takes_no_name_from_a_file(self) -> None:
        self.now(self.tree.make_directories("d"))
        self.now(self.tree.remove_directory("d"))
        directory = self.caps()["d"]
        self.fake.fail_next(LINK, Delay(1))
        linking = start(self.tree.link("other", CAP))
        restoring = start(self.tree.make_directories("d"))
        self.now(self.client.link(self.root, "d", OTHER, replace=True))
        self.clock.pump([1, 1])
        self.successResultOf(linking)
        self.assertEqual(self.successResultOf(restoring), directory)
        self.assertEqual(self.caps()["d"], OTHER)

    def test_a_file_saved_before_the_removal_keeps_its_directory(self) -> None:
        self.now(self.tree.make_directories("d"))
        linking = self.during(
            self.tree.link("other", CAP),
            LINK,
            self.tree.remove_directory("d"),
            self.tree.link("d/f", CAP),
        )
        self.successResultOf(linking)
        self.assertEqual(set(self.now(self.tree.list(""))), {"a", "other", "d"})
        self.failureResultOf(start(self.tree.remove_directory("d")), DirectoryNotEmpty)

    def test_a_deletion_costs_a_look_and_a_request(self) -> None:
        self.fake.requests.clear()
        self.now(self.tree.unlink("a"))
        self.assertEqual(self.fake.requests, [LIST, "POST /uri/CAP?t=unlink"])

    def test_a_replacement_costs_a_look_and_a_request(self) -> None:
        node = self.now(self.tree.resolve("a", fresh=True))
        self.fake.requests.clear()
        self.now(self.tree.replace("a", OTHER, node))
        self.assertEqual(self.fake.requests, [LIST, "POST /uri/CAP?t=set_children"])


class Doubts(ClockTestCase):
    """Deletions whose answer says nothing, and names that others have taken meanwhile."""

    def node(self, name: str) -> Node:
        node: Node = self.now(self.client.list(self.root))[name]
        return node

    def settle(self, attempt: Any) -> Deferred[Any]:
        attempting = start(attempt)
        self.clock.pump([1] * 5)
        return attempting

    def test_a_deletion_that_was_not_made_is_repeated(self) -> None:
        self.now(self.tree.link("a", CAP))
        known = self.now(self.tree.resolve("a"))
        self.assertIsNone(known.modified)  # it has not been asked about since it was linked
        for unlinking in (
            lambda: self.client.unlink(self.root, "a", known),
            lambda: self.tree.unlink("a"),
        ):
            self.fake.fail_next("*t=unlink", Status(503))
            self.successResultOf(self.settle(unlinking()))
            self.assertEqual(self.now(self.client.list(self.root)), {})
            self.now(self.tree.link("a", CAP))
            known = self.now(self.tree.resolve("a"))

    def test_a_deletion_that_was_made_is_not_repeated(self) -> None:
        self.now(self.client.link(self.root, "a", CAP))
        node = self.node("a")
        self.fake.fail_next("*t=unlink", LostAnswer())
        unlinking = start(self.client.unlink(self.root, "a", node))
        self.now(self.client.link(self.root, "a", CAP))  # an equal file, saved by another one
        self.clock.pump([1] * 5)
        self.successResultOf(unlinking)
        self.assertEqual(self.node("a").cap, CAP)

    def test_a_deletion_that_is_made_after_the_look_is_made(self) -> None:
        self.now(self.client.link(self.root, "a", CAP))
        node = self.node("a")
        self.fake.fail_next("*t=unlink", Status(503))
        unlinking = start(self.client.unlink(self.root, "a", node))
        # The gateway gets to the request whose answer was lost.
        self.now(self.client.delete(self.root, "a"))
        self.clock.pump([1] * 5)
        self.successResultOf(unlinking)

    def test_a_change_whose_answers_were_lost_is_in_doubt(self) -> None:
        self.now(self.client.link(self.root, "a", CAP))
        lost, status = LostAnswer(done=False), Status(503)
        for faults in ([lost] * 3, [lost, status, status]):
            for fault in faults:
                self.fake.fail_next("*t=unlink", fault)
            unlinking = self.settle(self.client.unlink(self.root, "a", self.node("a")))
            self.failureResultOf(unlinking, UnknownOutcome)
            self.fake.forget_faults()

    def test_the_client_leaves_another_link_alone(self) -> None:
        self.now(self.client.link(self.root, "a", CAP))
        node = self.node("a")
        for cap in (OTHER, CAP):
            self.now(self.client.link(self.root, "a", cap, replace=True))
            unlinking = start(self.client.unlink(self.root, "a", node))
            self.failureResultOf(unlinking, NoSuchChild)
            self.assertEqual(self.node("a").cap, cap)

    def test_a_move_whose_second_half_fails_raises_unknown_outcome(self) -> None:
        self.now(self.tree.link("a", CAP))
        self.fake.fail_next("*t=unlink", Status(410), times=9)
        error = self.failureResultOf(self.settle(self.tree.rename("a", "b")), UnknownOutcome)
        self.assertIn("'a'", str(error.value))
        self.assertEqual(set(self.now(self.client.list(self.root))), {"a", "b"})


class Outages(ClockTestCase):
    """Directories that can't be read."""

    def settle(self, attempt: Any) -> Deferred[Any]:
        attempting = start(attempt)
        self.clock.pump([0.3] * 40)
        return attempting

    def test_a_change_of_an_unreadable_directory_raises_unrecoverable(self) -> None:
        self.now(self.tree.link("a", CAP))
        self.fake.servers = 1
        for change in (
            self.tree.link("b", CAP),
            self.tree.save("c", OTHER),
            self.tree.link("a", OTHER, replace=True),
            self.tree.unlink("a"),
            self.client.link(self.root, "b", CAP),
            self.client.delete(self.root, "a"),
        ):
            self.failureResultOf(self.settle(change), Unrecoverable)
        self.fake.servers = 3
        self.assertEqual(set(self.now(self.client.list(self.root))), {"a"})

    def test_a_change_that_the_gateway_has_repeated_raises_unknown_outcome(self) -> None:
        class Late(Status):
            """The gateway was disturbed when it wrote, and looked again after a pause."""

            def happen(self, exchange: Any) -> None:
                exchange.later(3, lambda: Status.happen(self, exchange))

        self.fake.fail_next(LINK, Late(410))
        self.fake.fail_next("GET*", Status(410), times=9)
        linking = start(self.client.link(self.root, "a", CAP))
        self.clock.pump([1] * 9)
        self.failureResultOf(linking, UnknownOutcome)

    def lose(self, path: str) -> None:
        """Have a directory that the tree knows replaced by another one, and lost."""
        known = self.now(self.tree.resolve(path)).cap
        self.now(self.client.link(self.root, path, self.now(self.client.mkdir()), replace=True))
        self.fake.lose(known)

    def test_a_change_finds_a_replaced_directory_again(self) -> None:
        self.now(self.tree.link("d/f", CAP))
        self.lose("d")
        self.successResultOf(self.settle(self.tree.link("d/g", CAP)))
        self.lose("d")
        self.successResultOf(self.settle(self.tree.save_many([("d/h", CAP), ("d/i", CAP)])))
        self.assertEqual(set(self.now(self.tree.list("d"))), {"h", "i"})
        self.lose("d")
        self.failureResultOf(self.settle(self.tree.unlink("d/h")), NoSuchChild)
        self.successResultOf(self.settle(self.tree.replace("d/h", CAP, None)))

    def unlink_and_lose(self, path: str) -> None:
        """Have a directory that the tree knows unlinked, and lost."""
        known = self.now(self.tree.resolve(path)).cap
        self.now(self.client.unlink(self.root, path))
        self.fake.lose(known)

    def test_a_directory_that_is_gone_is_made_anew(self) -> None:
        self.now(self.tree.link("d/f", CAP))
        self.unlink_and_lose("d")
        self.successResultOf(self.settle(self.tree.link("d/g", CAP)))
        self.assertEqual(set(self.now(self.tree.list("d"))), {"g"})

    def test_a_link_in_a_directory_that_is_made_anew_can_be_in_doubt(self) -> None:
        self.now(self.tree.link("d/f", CAP))
        self.unlink_and_lose("d")
        # The write into the lost directory fails as often as the client tries; then "d" is linked.
        tries = 1 + len(self.client._transport.pauses)
        self.fake.fail_next(LINK, LostAnswer(done=False), skip=tries, times=9)
        linking = self.settle(self.tree.link("d/g", CAP))
        self.failureResultOf(linking, UnknownOutcome)
