"""The commit queue makes many links with few writes, in order, and loses none."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from tests.txtahoe.case import ClockTestCase, CountingClock, start
from txtahoe import Cap, Client, Link, Transport, Tree
from txtahoe.errors import (
    ExistingChild,
    GatewayError,
    NoSuchChild,
    SomeFailed,
)
from txtahoe.testing.fake import Delay, ExceptionPage, FakeGateway, LostAnswer, Silence, Status
from txtahoe.tree.commits import _Change, _Queue
from txtahoe.tree.known import Recent
from txtahoe.turns import TOGETHER

CAP = Cap.parse("URI:LIT:me")
OTHER = Cap.parse("URI:LIT:mi")
REFUSAL = Status(409, "There was already a child by that name, and you asked me to not replace it.")


class QueueTestCase(ClockTestCase):
    """A tree whose links wait for each other."""

    def setUp(self) -> None:
        super().setUp()
        self.tree = Tree(self.client, self.root, commit_delay=5.0)

    def writes(self) -> int:
        return sum(
            "t=set_children" in request or "t=unlink" in request for request in self.fake.requests
        )

    def names(self) -> set[str]:
        return set(self.successResultOf(start(self.client.list(self.root))))

    def hold(self, request: str, seconds: float = 1.0) -> None:
        """Let the next such request take its time."""
        self.fake.fail_next(request, Delay(seconds))


class Gathering(QueueTestCase):
    def test_a_lone_save_waits_for_nothing(self) -> None:
        self.successResultOf(start(self.tree.save("f", b"x" * 100)))
        self.assertEqual(self.names(), {"f"})
        self.assertEqual(self.clock.seconds(), 0)

    def test_links_that_arrive_during_a_write_go_out_as_one(self) -> None:
        self.hold("*set_children")
        waiting = [start(self.tree.link(str(number), CAP)) for number in range(20)]
        self.assertEqual(self.writes(), 1)
        self.clock.advance(1)
        for each in waiting:
            self.successResultOf(each)
        self.assertEqual(self.writes(), 2)
        self.assertEqual(self.names(), set(map(str, range(20))))

    def test_a_link_waits_for_small_files_that_are_being_uploaded(self) -> None:
        self.tree = Tree(self.client, self.root)  # whose delay is half a second
        self.hold("PUT /uri", 0.4)
        slow = start(self.tree.save("slow", b"1" * 100))
        quick = start(self.tree.save("quick", b"2" * 100))
        self.assertNoResult(quick)
        self.clock.advance(0.4)
        self.successResultOf(quick)
        self.successResultOf(slow)
        self.assertEqual(self.writes(), 1)

    def test_a_link_waits_for_a_directory_that_is_being_made(self) -> None:
        above = self.now(self.tree.make_directories("a/b"))
        self.fake.requests.clear()
        self.hold("*mkdir*")
        slow = start(self.tree.link("a/b/new/f", CAP))
        quick = start(self.tree.link("a/b/quick", CAP))
        self.assertNoResult(quick)
        self.clock.advance(1)
        self.successResultOf(quick)
        self.successResultOf(slow)
        self.assertEqual(self.writes(), 1)
        self.assertEqual(set(self.now(self.client.list(above))), {"new", "quick"})

    def test_a_link_waits_for_a_bounded_time(self) -> None:
        self.clock.advance(100)
        self.hold("PUT /uri", 50)
        slow = start(self.tree.save("slow", b"1" * 100))
        quick = start(self.tree.save("quick", b"2" * 100))
        self.clock.advance(4.9)
        self.assertNoResult(quick)
        self.clock.advance(0.2)
        self.successResultOf(quick)
        self.assertNoResult(slow)
        self.clock.advance(50)
        self.successResultOf(slow)

    def test_a_link_that_has_waited_for_a_write_waits_for_no_upload(self) -> None:
        self.hold("*set_children", 6)
        first, second = (start(self.tree.link(name, CAP)) for name in "ab")
        self.hold("PUT /uri", 50)
        slow = start(self.tree.save("slow", b"1" * 100))
        self.clock.advance(6)
        for each in (first, second):
            self.successResultOf(each)
        slow.addErrback(lambda _: None).cancel()

    def test_an_unlink_waits_for_no_upload(self) -> None:
        self.now(self.tree.link("f", CAP))
        self.hold("*set_children")
        first = start(self.tree.link("g", CAP))
        refused = start(self.tree.link("g", OTHER))
        unlinking = start(self.tree.unlink("f"))
        self.hold("PUT /uri", 3)
        slow = start(self.tree.save("slow", b"1" * 100))
        self.clock.advance(1)
        self.failureResultOf(refused, ExistingChild)
        for each in (first, unlinking):
            self.successResultOf(each)
        self.clock.advance(2)
        self.successResultOf(slow)

    def test_a_link_does_not_wait_for_a_large_file(self) -> None:
        self.hold("PUT /uri", 50)
        slow = start(self.tree.save("slow", b"1" * 2**20))
        self.successResultOf(start(self.tree.save("quick", b"2" * 100)))
        self.clock.advance(50)
        self.successResultOf(slow)

    def test_a_link_does_not_wait_for_a_failed_upload(self) -> None:
        self.fake.fail_next("PUT /uri", ExceptionPage("allmydata.util.Wrong"))
        self.failureResultOf(start(self.tree.save("a", b"1" * 100)), GatewayError)
        self.successResultOf(start(self.tree.save("b", b"2" * 100)))

    def test_uploads_are_bounded(self) -> None:
        tree = Tree(self.client, self.root, concurrency=3)
        self.fake.fail_next("PUT /uri", Delay(1), times=20)
        saving = start(tree.save_many([(str(n), b"%d" % n * 100) for n in range(7)]))
        for uploads in (3, 6, 7):
            self.assertEqual(self.fake.requests.count("PUT /uri"), uploads)
            self.clock.advance(1)
        self.successResultOf(saving)

    def test_more_uploads_are_under_way_if_they_take_no_longer(self) -> None:
        self.fake.fail_next("PUT /uri", Delay(1), times=60)
        uploading = start(self.tree.upload_many([b"%d" % n * 100 for n in range(10, 70)]))
        begun = []
        for _ in range(3):
            begun.append(self.fake.requests.count("PUT /uri"))
            self.clock.advance(1)
        # 8, 12 and 19 at a time: in each second the limit grows by about half.
        self.assertEqual(begun, [8, 20, 39])
        uploading.addErrback(lambda _: None).cancel()

    def test_the_second_link_of_one_name_fails_without_a_request(self) -> None:
        self.hold("*set_children")
        firsts = [start(self.tree.link(name, CAP)) for name in "fg"]
        seconds = [start(self.tree.link(name, OTHER)) for name in "fg"]
        self.clock.advance(1)
        for first in firsts:
            self.successResultOf(first)
        for second in seconds:
            self.failureResultOf(second, ExistingChild)
        self.assertEqual(self.writes(), 2)

    def test_changes_of_one_name_keep_their_order(self) -> None:
        self.now(self.tree.link("f", CAP))
        self.hold("*set_children")
        changes = [
            start(self.tree.link("g", CAP)),
            start(self.tree.link("h", CAP)),
            start(self.tree.unlink("f")),
            start(self.tree.link("f", OTHER)),
            start(self.tree.link("g", OTHER, replace=True)),
        ]
        self.clock.advance(1)
        for each in changes:
            self.successResultOf(each)
        caps = {name: node.cap for name, node in self.now(self.client.list(self.root)).items()}
        self.assertEqual(caps, {"f": OTHER, "g": OTHER, "h": CAP})

    def test_replacing_links_are_written_apart_from_others(self) -> None:
        self.successResultOf(start(self.tree.link("f", CAP)))
        self.now(Tree(self.client, self.root).link("taken", CAP))
        self.hold("*set_children")
        waiting = [
            start(self.tree.link("a", CAP)),
            start(self.tree.link("f", OTHER, replace="only-files")),
            start(self.tree.link("b", CAP)),
        ]
        refused = start(self.tree.link("taken", OTHER))
        self.clock.advance(1)
        for each in waiting:
            self.successResultOf(each)
        self.failureResultOf(refused, ExistingChild)
        self.assertEqual(self.successResultOf(start(self.tree.resolve("f"))).cap, OTHER)
        self.assertEqual(self.names(), {"a", "b", "f", "taken"})

    def test_a_name_is_taken_while_a_link_to_it_waits(self) -> None:
        def taken(*names: str) -> list[str]:
            return [name for name in names if self.tree._commits.is_taken((), name)]

        self.hold("*set_children")
        written, waiting = (start(self.tree.link(name, CAP)) for name in "ab")
        unlinking = start(self.tree.unlink("c"))
        self.assertEqual(taken(*"abcd"), ["a", "b"])
        self.clock.advance(1)
        for each in (written, waiting):
            self.successResultOf(each)
        self.failureResultOf(unlinking, NoSuchChild)
        self.fake.fail_next("*set_children", ExceptionPage("allmydata.util.Wrong"), times=9)
        with self.tree._commits.expected(()):  # the queue is still there when the link has failed
            failing = start(self.tree.link("d", CAP))
            self.clock.pump([5] * 5)
            self.failureResultOf(failing, GatewayError)
            self.assertEqual(taken("d"), [])

    def test_a_link_cancelled_before_the_write_is_not_made(self) -> None:
        self.hold("*set_children")
        first, second, third = (start(self.tree.link(name, CAP)) for name in "abc")
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.clock.advance(1)
        self.successResultOf(first)
        self.successResultOf(third)
        self.assertEqual(self.names(), {"a", "c"})

    def test_a_change_cancelled_before_its_turn_is_not_made(self) -> None:
        self.successResultOf(start(self.tree.link("f", CAP)))
        self.hold("*set_children")
        first = start(self.tree.link("other", CAP))
        unlinking = start(self.tree.unlink("f"))
        unlinking.cancel()
        self.failureResultOf(unlinking, CancelledError)
        self.clock.advance(1)
        self.successResultOf(first)
        self.assertEqual(self.names(), {"f", "other"})

    def test_a_link_cancelled_while_it_waits_for_others_is_not_made(self) -> None:
        self.hold("PUT /uri", 1)
        slow = start(self.tree.save("slow", b"1" * 100))
        quick = start(self.tree.link("quick", CAP))
        quick.cancel()
        self.failureResultOf(quick, CancelledError)
        self.clock.advance(1)
        self.successResultOf(slow)
        self.assertEqual(self.names(), {"slow"})

    def test_a_link_cancelled_during_the_write_does_not_stop_the_others(self) -> None:
        self.fake.fail_next("*set_children", Delay(1), times=2)
        first, second, third = (start(self.tree.link(name, CAP)) for name in "abc")
        self.clock.advance(1)
        self.successResultOf(first)
        self.assertEqual(self.writes(), 2)
        later = [start(self.tree.link(name, CAP)) for name in "de"]
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertNoResult(third)
        self.clock.advance(1)
        for each in (third, *later):
            self.successResultOf(each)
        self.assertEqual(self.writes(), 3)
        self.assertLessEqual({"a", "c", "d", "e"}, self.names())

    def test_a_write_whose_callers_have_all_gone_is_cancelled(self) -> None:
        self.fake.fail_next("*set_children", Silence())
        waiting = start(self.tree.link("a", CAP))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.successResultOf(start(self.tree.link("b", CAP)))

    def test_a_failed_write_gives_each_caller_an_error_of_its_own(self) -> None:
        self.hold("*set_children")
        first = start(self.tree.link("a", CAP))
        waiting = [start(self.tree.link(name, CAP)) for name in "bcd"]
        self.fake.fail_next("*set_children", ExceptionPage("allmydata.util.Wrong"), times=9)
        self.clock.pump([1] * 9)
        self.successResultOf(first)
        errors = [self.failureResultOf(each, GatewayError).value for each in waiting]
        self.assertEqual(len(set(map(id, errors))), 3)
        self.fake.forget_faults()
        self.successResultOf(start(self.tree.link("b", CAP)))

    def test_a_lost_answer_loses_no_link_and_makes_none_twice(self) -> None:
        self.hold("*set_children")
        waiting = [start(self.tree.link(name, CAP)) for name in "abc"]
        self.fake.fail_next("*set_children", LostAnswer())
        self.clock.pump([1] * 5)
        for each in waiting:
            self.successResultOf(each)
        self.assertEqual(self.names(), {"a", "b", "c"})
        self.assertEqual(self.writes(), 2)


class Mistakes(QueueTestCase):
    """Faults of one link among several in a write, and of the queue itself."""

    def gathered(self, *names: str, **options: Any) -> list[Deferred[Any]]:
        """Links that are about to go out with one write."""
        self.hold("*set_children")
        first = start(self.tree.link("first", CAP))
        return [first, *(start(self.tree.link(name, CAP, **options)) for name in names)]

    def test_a_link_that_cannot_be_sent_fails_alone_and_first(self) -> None:
        good = self.gathered("a", "b")
        self.fake.requests.clear()
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        for wrong in ({"key": object()}, {"key": b""}, {(1, 2): 3}, {"key": deep}, [1]):
            for attempt in (
                self.tree.link("wrong", CAP, metadata=wrong),  # type: ignore[arg-type]
                self.tree.replace("wrong", CAP, None, metadata=wrong),  # type: ignore[arg-type]
            ):
                error = self.failureResultOf(start(attempt)).value
                self.assertIsInstance(error, TypeError | ValueError)
        no_cap: Any = "URI:LIT:me"
        error = self.failureResultOf(start(self.tree.link("wrong", no_cap)), TypeError).value
        self.assertIn("Cap.parse", str(error))
        self.assertNotIn("URI", str(error))
        self.assertEqual(self.fake.requests, [])
        self.clock.advance(1)
        for each in good:
            self.successResultOf(each)
        self.assertEqual(self.names(), {"first", "a", "b"})

    def test_one_wrong_link_of_many_fails_alone(self) -> None:
        wrong = Link(CAP, {"key": object()})
        long = "d/" * 300
        links = [("new/f", wrong), ("new/g", CAP), ("h", wrong), ("i", CAP), (long, CAP)]
        error = self.failureResultOf(start(self.tree.link_many(links)), SomeFailed).value
        none = type(None)
        kinds = [type(result) for result in error.results]
        self.assertEqual(kinds, [TypeError, none, TypeError, none, ValueError])
        self.assertEqual(set(self.now(self.tree.list("new"))), {"g"})
        self.assertEqual(self.names(), {"new", "i"})

    def test_a_link_cancelled_while_a_write_is_refused_is_not_made(self) -> None:
        other = Tree(self.client, self.root)
        self.successResultOf(start(other.link("taken", OTHER)))
        _, gone, kept, taken = self.gathered("gone", "kept", "taken")
        self.hold("*set_children")
        self.clock.advance(1)  # the second write is on its way
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.clock.pump([1, 1])
        self.successResultOf(kept)
        self.failureResultOf(taken, ExistingChild)
        self.assertEqual(self.names(), {"first", "kept", "taken"})

    def test_a_caller_that_cancels_a_link_when_another_fails_loses_no_third(self) -> None:
        self.hold("*set_children")
        names = ("f", "cancelled", "f", "third")
        first, cancelled, second, third = (start(self.tree.link(name, CAP)) for name in names)
        second.addErrback(lambda _: cancelled.cancel())
        self.clock.advance(1)
        for each in (first, second, third):
            self.successResultOf(each)
        self.failureResultOf(cancelled, CancelledError)
        self.assertEqual(self.names(), {"f", "third"})

    def test_a_link_cancelled_while_its_directory_is_made_is_not_made(self) -> None:
        self.hold("*mkdir*")
        links = [(name, Link(CAP), False) for name in ("first", "gone", "kept")]
        first, gone, kept = self.tree._commits.link_together(("d",), links)
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.now(Tree(self.client, self.root).link("d/others", OTHER))
        self.clock.advance(1)
        for each in (first, kept):
            self.successResultOf(each)
        self.assertEqual(set(self.now(self.tree.list("d"))), {"first", "kept", "others"})

    def test_a_write_that_is_refused_for_names_that_look_free_is_given_up(self) -> None:
        self.fake.fail_next("*set_children", REFUSAL, times=99)
        waiting = [start(self.tree.link(name, CAP)) for name in "ab"]
        for each in waiting:
            self.failureResultOf(each, ExistingChild)
        # Three for each link: the second one waits while the first one is written.
        self.assertEqual(self.writes(), 6)

    def test_a_refusal_that_tells_a_name_does_not_count_for_the_others(self) -> None:
        self.now(Tree(self.client, self.root).link("taken", OTHER))
        _, taken, other = self.gathered("taken", "other")
        self.fake.fail_next("*set_children", REFUSAL, skip=1, times=2)
        self.clock.advance(1)
        self.failureResultOf(taken, ExistingChild)
        self.successResultOf(other)

    def test_the_queue_outlives_unexpected_errors(self) -> None:
        links = self.tree._commits
        for broken in ("_gather", "_commit", "_link"):
            waiting = self.gathered("a", "b")

            async def fail(*args: Any) -> None:
                raise ZeroDivisionError

            patch = self.patch(links, broken, fail)
            self.clock.advance(1)
            for each in waiting[1:]:
                self.failureResultOf(each, ZeroDivisionError)
            patch.restore()
            self.clock.pump([1, 1])
            waiting[0].addErrback(lambda _: None)
            self.now(self.tree.link(broken, CAP))
        self.assertLessEqual({"_gather", "_commit", "_link"}, self.names())

    def test_a_queue_whose_reactor_has_ended_does_nothing_more(self) -> None:
        self.fake.fail_next("*set_children", Silence())
        links = [(name, Link(CAP), replace) for name, replace in (("a", False), ("b", True))]
        changes = [_Change(name, 0.0, link, replace) for name, link, replace in links]
        working = self.tree._commits._work((), _Queue(changes=[*changes]))
        working.send(None)
        working.close()  # as the garbage collector does
        self.assertEqual(self.writes(), 1)
        self.assertEqual([change.done.called for change in changes], [False, False])

    def test_many_callers_are_told_in_several_turns(self) -> None:
        told: list[Any] = []
        self.clock = CountingClock(told)
        self.fake = FakeGateway(clock=self.clock)
        client = Client(Transport(self.clock, "http://fake/", agent=self.fake.agent, pauses=()))
        self.tree = Tree(client, self.fake.make_directory())
        names = [str(number) for number in range(3 * TOGETHER)]
        for fault in (Delay(0), ExceptionPage("allmydata.util.Wrong")):
            waiting = self.gathered(*names)
            self.fake.fail_next("*set_children", fault, skip=0)
            for each in waiting:
                each.addBoth(told.append)
            self.clock.most_in_a_turn = 0
            self.clock.advance(1)
            self.clock.pump([1, 1])
            self.assertEqual(len(told), len(waiting))
            self.assertLessEqual(self.clock.most_in_a_turn, TOGETHER + 1)
            told.clear()
            self.tree = Tree(client, self.fake.make_directory())

    def test_a_failed_write_forgets_its_names_in_one_pass(self) -> None:
        forgotten = []
        forget = Recent.forget_below
        self.patch(
            Recent, "forget_below", lambda *args: [forgotten.append(len(args[1])), forget(*args)]
        )
        waiting = self.gathered(*map(str, range(100)))
        self.fake.fail_next("*set_children", ExceptionPage("allmydata.util.Wrong"), times=9)
        self.clock.pump([1] * 5)
        for each in waiting[1:]:
            self.failureResultOf(each, GatewayError)
        self.assertEqual(set(forgotten), {100})
