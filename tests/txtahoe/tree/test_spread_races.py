"""The races of PROTOCOL.md: processes that do not know yet what another one has done."""

from __future__ import annotations

from typing import Any

from tests.txtahoe.case import Late, start
from tests.txtahoe.tree.case import CAP, NAMES, OTHER, SpreadingTestCase
from txtahoe.errors import ExistingChild, NoSuchChild, NotAuthorized, UnknownOutcome
from txtahoe.testing.fake import Delay, LostAnswer, Status
from txtahoe.tree.spread.format import contents_of, digit_of


class Agreement(SpreadingTestCase):
    """A process that closes a directory, and others that do not know it yet."""

    def test_a_change_does_not_begin_on_an_old_reading(self) -> None:
        other = self.another()
        self.save(*NAMES[:3])
        self.save("others", tree=other)
        self.save(*NAMES[3:6])
        self.clock.advance(31)
        self.save(NAMES[6])
        self.save("late", NAMES[7], tree=other)
        self.failure(other.link(NAMES[6], OTHER), ExistingChild)
        self.failure(self.tree.link("late", OTHER), ExistingChild)
        self.assertEqual(set(self.now(self.plain.list(""))), {*NAMES[:8], "others", "late"})

    def test_a_directory_is_closed_only_long_after_it_is_known_to_be_closing(self) -> None:
        self.save(*NAMES[:6])
        self.clock.advance(29)
        self.save(NAMES[6])
        self.assertFalse(contents_of(self.children(), 0).is_closed)
        newcomer = self.another()
        self.save(NAMES[7], tree=newcomer)
        self.clock.advance(2)
        self.save(NAMES[8], tree=newcomer)
        self.assertFalse(contents_of(self.children(), 0).is_closed)
        self.save(NAMES[9])
        self.assertTrue(contents_of(self.children(), 0).is_closed)
        self.assertEqual(set(self.now(self.another().list(""))), set(NAMES[:10]))

    def overtaken(self, change: Any, after: Any, pattern: str, fault: Any = None) -> Any:
        """The result of a change that is made, or by a fault answered, after 50 seconds."""
        began = self.clock.seconds()
        self.fake.fail_next(pattern, fault or Delay(50))
        changing = start(change)
        after()
        self.assertNoResult(changing)
        self.clock.advance(50 - (self.clock.seconds() - began))
        return changing

    def close(self) -> None:
        """Close the root, and make all of its parts, by another process."""
        tree = self.another()
        self.save(*(f"close{number}" for number in range(6)), tree=tree)
        for _ in range(4):
            self.clock.advance(10)
            self.save(f"{self.clock.seconds()}", tree=tree)
        self.save(*(f"fill{number}" for number in range(60)), tree=tree)
        self.assertEqual(len(contents_of(self.children(), 0).parts), 16)

    def test_a_link_that_comes_too_late_is_made_where_it_belongs(self) -> None:
        self.save("before")
        saving = self.overtaken(self.tree.link("f", CAP), self.close, "*set_children*")
        self.successResultOf(saving)
        for tree in (self.tree, self.another(), self.plain):
            self.assertEqual(self.now(tree.resolve("f", fresh=True)).cap, CAP)
        self.failure(self.another().link("f", OTHER), ExistingChild)
        self.now(self.another().unlink("f"))
        self.failure(self.another().resolve("f"), NoSuchChild)

    def test_a_late_link_without_the_option_learns_of_strays(self) -> None:
        self.now(self.plain.list(""))

        def after() -> None:
            self.save(*NAMES[:6])
            self.clock.advance(31)
            self.save(next(name for name in NAMES if digit_of(name, 0) == digit_of("f", 0)))
            self.name = self.stray(self.root)

        linking = self.overtaken(self.plain.link("f", CAP), after, "*set_children*")
        self.successResultOf(linking)
        self.failure(self.plain.link(self.name, CAP), ExistingChild)

    def test_a_link_whose_answer_is_late_is_found_in_the_part(self) -> None:
        self.save("before")
        fault = Late(50)
        saving = self.overtaken(self.tree.link("f", CAP), self.close, "*set_children*", fault)
        self.successResultOf(saving)
        self.assertIn("f", contents_of(self.children(), 0).superseded)
        for tree in (self.tree, self.another(), self.plain):
            self.assertEqual(self.now(tree.resolve("f", fresh=True)).cap, CAP)

    def test_a_link_that_comes_too_late_takes_no_name_from_another(self) -> None:
        self.save("before")

        def after() -> None:
            self.close()
            self.save("f", tree=self.another(), cap=OTHER)

        saving = self.overtaken(self.tree.link("f", CAP), after, "*set_children*")
        self.failureResultOf(saving, ExistingChild)
        for tree in (self.tree, self.another(), self.plain):
            self.assertEqual(self.now(tree.resolve("f", fresh=True)).cap, OTHER)

    def moved(self, pattern: str) -> None:
        """Link f too late, while maintenance moves that link before a request of this pattern."""
        self.save("before")

        def after() -> None:
            self.close()
            self.fake.fail_next(pattern, Delay(5), skip=pattern.startswith("GET"))

        linking = self.overtaken(self.tree.link("f", CAP), after, "*set_children*")
        stray = contents_of(self.children(), 0).strays["f"]
        self.now(self.another().changer.adopt((), self.root, 0, "f", stray))
        self.assertNoResult(linking)
        self.clock.advance(5)
        self.successResultOf(linking)
        self.assertEqual(self.now(self.another().resolve("f", fresh=True)).cap, CAP)

    def test_a_late_link_that_maintenance_moves_is_found_in_the_part(self) -> None:
        self.moved("GET*")

    def test_a_late_link_that_maintenance_moves_after_the_look_is_found(self) -> None:
        self.moved("*t=unlink")

    def test_a_late_link_that_another_deletes_takes_no_name_from_a_later_one(self) -> None:
        self.save("before")

        def after() -> None:
            self.close()
            self.fake.fail_next("GET*", Delay(5), skip=3)  # A looks for its own link in the root

        linking = self.overtaken(self.tree.link("f", CAP), after, "*set_children*")
        self.now(self.another().unlink("f"))
        self.save("f", tree=self.another(), cap=OTHER)
        self.clock.advance(5)
        self.failureResultOf(linking, ExistingChild)
        self.assertEqual(self.now(self.another().resolve("f")).cap, OTHER)

    def test_a_deletion_that_comes_too_late_is_made_where_the_name_is(self) -> None:
        self.save("f")
        deleting = self.overtaken(self.tree.unlink("f"), self.close, "*t=unlink")
        self.successResultOf(deleting)
        for tree in (self.tree, self.another(), self.plain):
            self.failure(tree.resolve("f", fresh=True), NoSuchChild)

    def test_a_late_deletion_is_made_also_if_another_makes_it_again_in_the_part(self) -> None:
        self.save("f")

        def after() -> None:
            self.close()
            self.fake.fail_next("*t=unlink", Delay(5))

        deleting = self.overtaken(self.tree.unlink("f"), after, "*t=unlink")
        self.now(self.another().unlink("f"))
        self.assertNoResult(deleting)
        self.clock.advance(5)
        self.successResultOf(deleting)

    def test_a_deletion_that_comes_too_late_takes_no_new_file(self) -> None:
        self.save("f")

        def after() -> None:
            self.close()
            tree = self.another()
            self.now(tree.unlink("f"))
            self.save("f", tree=tree, cap=OTHER)

        deleting = self.overtaken(self.tree.unlink("f"), after, "*t=unlink")
        self.clock.advance(2)
        self.failureResultOf(deleting, NoSuchChild)
        self.assertEqual(self.now(self.another().resolve("f")).cap, OTHER)

    def test_a_deletion_that_comes_too_late_takes_no_file_that_an_older_reading_lacks(self) -> None:
        self.save("f")

        def after() -> None:
            self.close()
            self.clock.advance(8)
            self.now(self.tree.list(""))
            self.fake.fail_next("GET*", Late(30), skip=1 + int(digit_of("f", 0), 16))
            self.listing = start(self.tree.list(""))
            self.now(self.another().link("f", OTHER, replace="only-files"))

        deleting = self.overtaken(self.tree.unlink("f"), after, "*t=unlink")
        self.assertNoResult(self.listing)
        self.clock.advance(30)
        self.successResultOf(self.listing)
        self.successResultOf(deleting)
        self.assertEqual(self.now(self.another().resolve("f")).cap, OTHER)

    def close_and_fail(self) -> None:
        """Close the root by another process; then no directory can be read."""
        self.close()
        self.fake.fail_next("GET*", Status(410), times=9)

    def test_a_link_that_cannot_be_looked_after_may_be_made(self) -> None:
        self.save("before")
        linking = self.overtaken(self.tree.link("f", CAP), self.close_and_fail, "*set_children*")
        self.clock.pump([1] * 9)
        self.failureResultOf(linking, UnknownOutcome)

    def test_a_replaced_file_is_not_remembered_if_the_look_fails(self) -> None:
        self.tree = self.another(max_age=1000)
        self.save("f")
        replacing = self.tree.link("f", OTHER, replace="only-files")
        linking = self.overtaken(replacing, self.close_and_fail, "*set_children*", Late(50))
        self.clock.pump([1] * 9)
        self.failureResultOf(linking, UnknownOutcome)
        self.fake.forget_faults()
        self.assertEqual(self.now(self.tree.resolve("f")).cap, OTHER)

    def test_a_link_that_cannot_be_made_again_may_be_there(self) -> None:
        self.save("before")

        def after() -> None:
            self.close()
            for pattern in ("*t=unlink", "*set_children*"):  # it stays, and cannot be linked again
                self.fake.fail_next(pattern, Status(403))

        linking = self.overtaken(self.tree.link("f", CAP), after, "*set_children*")
        self.clock.pump([1] * 9)
        error = self.failureResultOf(linking, UnknownOutcome).value
        self.assertIn("the name 'f' is taken", str(error))
        self.assertEqual(self.now(self.another().resolve("f")).cap, CAP)

    def test_a_deletion_that_cannot_be_looked_after_may_be_made(self) -> None:
        self.save("f")
        deleting = self.overtaken(self.tree.unlink("f"), self.close_and_fail, "*t=unlink")
        self.clock.pump([1] * 9)
        self.failureResultOf(deleting, UnknownOutcome)

    def test_a_stray_that_is_deleted_before_the_deletion_fails_is_gone(self) -> None:
        self.close()
        self.now(self.client.link(self.root, "f", CAP))
        tree = self.another()
        self.now(tree.list(""))
        self.fake.fail_next("*t=unlink", Status(403), skip=1)
        self.failure(tree.unlink("f"), UnknownOutcome)

    def test_a_look_that_fails_tells_what_happened_to_a_name_that_another_has_deleted(self) -> None:
        for is_stray, expected in ((True, UnknownOutcome), (False, NotAuthorized)):
            self.setUp()
            self.close()
            part = contents_of(self.children(), 0).parts[digit_of("f", 0)]
            self.now(self.client.link(self.root if is_stray else part, "f", CAP))
            self.now(self.tree.list(""))
            self.fake.fail_next("*t=unlink", Delay(25), skip=is_stray)
            deleting = start(self.tree.unlink("f"))
            self.assertNoResult(deleting)
            if not is_stray:
                self.now(self.client.delete(part, "f"))
            self.fake.fail_next("GET*", Status(403))
            self.clock.advance(25)
            self.failureResultOf(deleting, expected)

    def test_a_stray_that_is_deleted_before_another_cannot_be_is_gone(self) -> None:
        self.grown()
        name = next(name for name in map(str, range(99)) if self.closed_part_of(name))
        for cap in (self.closed_part_of(name), self.root):
            self.now(self.client.link(cap, name, CAP))
        tree = self.another()
        self.now(tree.list(""))
        self.fake.fail_next("*t=unlink", Status(403), skip=1)
        self.failure(tree.unlink(name), UnknownOutcome)

    def overtaken_twice(self, change: Any, pattern: str, fault: Any) -> Any:
        """The result of a change of "f", whose part is closed too before it can be read."""

        def after() -> None:
            self.close()
            self.fake.fail_next("GET*", Delay(50), skip=2)  # the look at the link in the part

        changing = self.overtaken(change, after, pattern, fault)
        tree = self.another()
        beside = [name for name in map(str, range(3999)) if self.is_beside_f(name)]
        self.save(*beside[:5], tree=tree)
        self.clock.advance(31)
        self.save(*beside[5:7], tree=tree)
        self.assertTrue(self.closed_part_of("f"))
        self.assertNoResult(changing)
        self.clock.advance(19)
        return changing

    def is_beside_f(self, name: str) -> bool:
        return all(digit_of(name, depth) == digit_of("f", depth) for depth in range(2))

    def test_a_late_link_is_found_in_a_part_that_is_closed_meanwhile(self) -> None:
        self.save("before")
        linking = self.tree.link("f", CAP)
        self.successResultOf(self.overtaken_twice(linking, "*set_children*", Late(50)))
        self.assertEqual(self.now(self.another().resolve("f")).cap, CAP)

    def test_a_late_deletion_is_made_in_a_part_that_is_closed_meanwhile(self) -> None:
        self.save("f")
        self.successResultOf(self.overtaken_twice(self.tree.unlink("f"), "*t=unlink", Delay(50)))
        self.failure(self.another().resolve("f"), NoSuchChild)

    def test_a_deletion_that_comes_too_late_needs_no_superseded_link(self) -> None:
        self.save("f")

        def after() -> None:
            self.close()
            self.now(self.client.delete(self.root, "f"))

        deleting = self.overtaken(self.tree.unlink("f"), after, "*t=unlink")
        self.successResultOf(deleting)
        for tree in (self.tree, self.another(), self.plain):
            self.failure(tree.resolve("f", fresh=True), NoSuchChild)

    def test_a_listing_under_way_brings_no_deleted_name_back(self) -> None:
        self.close()
        tree = self.another(max_age=1000)
        digit = digit_of("f", 0)
        part = contents_of(self.children(), 0).parts[digit]
        for directory, skip in ((part, 1 + int(digit, 16)), (self.root, 0)):
            self.now(self.client.link(directory, "f", CAP))
            self.now(tree.list(""))
            self.fake.fail_next("*t=unlink", Delay(2))
            deleting = start(tree.unlink("f"))
            self.fake.fail_next("GET*", Late(5), skip=skip)
            listing = start(tree.list(""))
            self.clock.advance(2)
            self.successResultOf(deleting)
            self.failure(tree.resolve("f"), NoSuchChild)
            self.clock.advance(3)
            self.successResultOf(listing)
            self.failure(tree.resolve("f"), NoSuchChild)

    def test_a_superseded_link_takes_no_name_from_a_link_that_comes_too_late(self) -> None:
        self.save("before")

        def after() -> None:
            self.save("f", tree=self.another())
            self.close()
            # As if the process that deletes "f" ended before it came to the superseded link.
            part = contents_of(self.children(), 0).parts[digit_of("f", 0)]
            self.now(self.client.delete(part, "f"))

        saving = self.overtaken(self.tree.link("f", OTHER), after, "*set_children*")
        self.successResultOf(saving)
        for tree in (self.tree, self.another(), self.plain):
            self.assertEqual(self.now(tree.resolve("f", fresh=True)).cap, OTHER)

    def test_a_change_after_a_slow_reading_is_made_and_checked(self) -> None:
        self.fake.fail_next("GET*", Delay(25), times=9)
        saving = start(self.tree.link("f", CAP))
        self.clock.advance(25)
        self.assertNoResult(saving)  # it looks once more, as it may be closed by now
        self.clock.advance(25)
        self.successResultOf(saving)
        self.fake.forget_faults()
        self.assertEqual(set(self.children()), {"f"})

    def test_a_late_link_that_a_part_has_taken_over_does_not_come_back(self) -> None:
        self.closed()
        name = next(name for name in NAMES[7:] if not self.has_part(name))
        self.now(self.client.link(self.root, name, CAP))  # a process that is dead by now
        for tree in (self.tree, self.another()):
            self.now(tree.unlink(name))
            self.assertNotIn(name, self.children())
            self.failure(self.another().resolve(name), NoSuchChild)
            name = next(name for name in NAMES[7:] if not self.has_part(name))
            self.now(self.client.link(self.root, name, CAP))

    def test_a_late_link_does_not_come_back_after_an_older_reading(self) -> None:
        self.closed()
        name = next(name for name in NAMES[7:] if not self.has_part(name))
        self.now(self.client.link(self.root, name, CAP))  # a process that is dead by now
        self.fake.fail_next("GET*", Late(1), skip=1)
        self.fake.fail_next("*mkdir*", Delay(0.5))
        replacing = start(self.tree.link(name, OTHER, replace="only-files"))  # makes the part
        listing = start(self.tree.list(""))
        self.clock.pump([0.5] * 3)
        self.successResultOf(replacing)
        self.successResultOf(listing)
        self.now(self.tree.unlink(name))
        self.assertNotIn(name, self.children())
        self.failure(self.another().resolve(name), NoSuchChild)

    def has_part(self, name: str) -> bool:
        return digit_of(name, 0) in contents_of(self.children(), 0).parts

    def test_two_processes_that_make_the_same_part_make_one(self) -> None:
        self.closed()
        missing = next(
            name
            for name in NAMES[7:]
            if digit_of(name, 0) not in contents_of(self.children(), 0).parts
        )
        other = self.another()
        self.now(other.list(""))
        self.fake.fail_next("*mkdir*", Delay(1))
        saving = start(self.tree.link(missing, CAP))
        self.failure_or_none = start(other.link(missing, OTHER))
        self.clock.advance(1)
        self.failureResultOf(saving, ExistingChild)
        self.successResultOf(self.failure_or_none)
        self.assertEqual(self.now(self.plain.resolve(missing)).cap, OTHER)

    def test_a_part_whose_link_is_in_doubt_is_not_made_twice(self) -> None:
        self.closed()
        for name in NAMES[7:30]:
            self.fake.fail_next("*set_children*", LostAnswer())
            saving = start(self.tree.link(name, CAP))
            self.clock.advance(5)
            self.successResultOf(saving)
        self.assertEqual(set(self.now(self.another().list(""))), set(NAMES[:30]))

    def test_a_tree_is_marked_before_anything_in_it_is_closing(self) -> None:
        self.save(*(f"d/{name}" for name in NAMES[:4]))
        self.fake.fail_next("*set_children*", Status(403))
        self.failure(self.tree.link(f"d/{NAMES[4]}", CAP), NotAuthorized)
        self.save(*(f"d/{name}" for name in NAMES[4:6]))
        self.assertIn("tree", contents_of(self.children(), 0).marks)
        self.assertEqual(set(self.now(self.plain.list(""))), {"d"})
        self.now(self.plain.link("x/y", CAP))
        self.clock.advance(31)
        self.save("d/more")
        # It knows by now, and would have needed a look at the root anyway.
        self.save(*(f"d/{name}" for name in NAMES[7:]), tree=self.plain)
        self.assertEqual(len(self.now(self.another().list("d"))), 60)

    def test_a_storage_without_the_option_closes_nothing(self) -> None:
        self.save(*NAMES[:6])
        self.now(self.plain.list(""))
        for number in range(20):
            self.save(f"d/{number}", tree=self.plain)
        self.clock.advance(100)
        self.save("d/more", tree=self.plain)
        directory = self.now(self.plain.resolve("d")).cap
        self.assertEqual(contents_of(self.now(self.client.list(directory)), 0).marks, {})
