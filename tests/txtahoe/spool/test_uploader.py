"""The way of files from the spool to the grid."""

from __future__ import annotations

import logging
import os
from typing import Any
from unittest import mock

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.txtahoe.case import start
from tests.txtahoe.spool.case import SpoolTestCase, forget_processes
from txtahoe import ContentCache, Tree
from txtahoe.errors import AnswerLost, FileTooLarge
from txtahoe.http.terms import Terms, timeout
from txtahoe.nodes import Node
from txtahoe.spool.uploader import Lane, Uploader
from txtahoe.testing.fake.faults import LostAnswer
from txtahoe.tree.paths import Path
from txtahoe.tree.uploads import SMALL

LARGE = bytes(range(256)) * (SMALL // 256) + b"the end"


def refusing(tree: Tree, content: bytes) -> Any:
    """Let each upload of this content fail while a block runs."""
    upload = tree.upload

    async def failing(source):  # type: ignore[no-untyped-def]
        if await source() == content:
            raise AnswerLost("the gateway has a problem with this file alone")
        return await upload(source)

    return mock.patch.object(tree, "upload", failing)


class Uploading(SpoolTestCase):
    def test_files_are_brought_to_the_grid_with_one_write_for_each_directory(self) -> None:
        files = {("d", f"{number}"): b"%d" % number * 100 for number in range(20)}
        files["e", "large"] = LARGE
        for path, content in files.items():
            self.save(path, content)
        before = len(self.fake.requests)
        self.assertTrue(self.upload())
        requests = self.fake.requests[before:]
        self.assertEqual(self.on_grid(), files)
        self.assertEqual(sum(label == "PUT /uri" for label in requests), len(files))
        self.assertLessEqual(sum("t=set_children" in label for label in requests), 2)
        self.assertLess(len(requests), len(files) + 12)  # nothing asks for each file
        self.assertEqual(self.spool.summary().files, 0)

    def test_after_its_upload_no_file_stays_open(self) -> None:
        counts = set()
        for content in (b"small", LARGE, b"small", LARGE):
            self.save(("a",), content, over=True)
            self.upload()
            counts.add(len(os.listdir("/dev/fd")))
        self.assertEqual(len(counts), 1)

    def test_its_requests_have_its_time_limits(self) -> None:
        found = []

        async def upload(source):  # type: ignore[no-untyped-def]
            found.append(timeout(5))
            return self.root

        self.uploader = Uploader(self.spool, self.tree, Terms(timeout=77))
        self.save(("a",))
        with mock.patch.object(self.tree, "upload", upload):
            self.upload()
        self.assertEqual(found, [77])

    def test_paths_whose_files_are_replaced_are_marked_before_and_after(self) -> None:
        marked = []

        def mark(paths):  # type: ignore[no-untyped-def]
            marked.append((paths, self.on_grid().get(("replaced",))))

        self.save(("replaced",), b"older")
        self.upload()
        self.uploader = Uploader(self.spool, self.tree, Terms(), mark)
        self.save(("replaced",), b"newer", over=True)
        self.save(("new",), b"new")
        self.upload()
        self.assertEqual(marked, [([("replaced",)], b"older"), ([("replaced",)], b"newer")])

    def test_the_spool_is_tidied_once_an_hour(self) -> None:
        with mock.patch.object(self.spool, "tidy") as tidy:
            for number in range(3):
                self.save((f"{number}",))
                self.upload()
            tidy.assert_called_once()
            self.clock.advance(3700)
            self.save(("later",))
            self.upload()
        self.assertEqual(tidy.call_count, 2)

    def test_two_callers_upload_a_file_once(self) -> None:
        upload, waiting = self.tree.upload, Deferred[None]()
        count = mock.Mock()

        async def slow(source):  # type: ignore[no-untyped-def]
            count()
            await waiting
            return await upload(source)

        self.save(("a",))
        with mock.patch.object(self.tree, "upload", slow):
            work = [start(self.uploader.upload()) for _ in range(2)]
            waiting.callback(None)
        self.assertEqual([self.successResultOf(one) for one in work], [True, True])
        count.assert_called_once()

    def test_small_and_large_files_are_uploaded_though_the_disk_is_slow(self) -> None:
        in_thread = self.uploader.in_thread

        async def slow(function):  # type: ignore[no-untyped-def]
            await deferLater(self.clock, 1)
            return await in_thread(function)

        self.uploader.in_thread = slow
        self.save(("small",), b"small")
        self.save(("large",), LARGE)
        work = start(self.uploader.upload())
        self.clock.pump([1] * 60)
        self.assertTrue(self.successResultOf(work))
        self.assertEqual(self.on_grid(), {("small",): b"small", ("large",): LARGE})

    def test_an_older_large_version_is_not_linked_after_a_newer_small_one(self) -> None:
        link_many, waiting = self.tree.link_many, Deferred[None]()
        held = iter([waiting])

        async def slow(links, replace):  # type: ignore[no-untyped-def]
            for one in held if links else ():
                await one
            return await link_many(links, replace=replace)

        self.save(("a",), LARGE, over=True)
        with mock.patch.object(self.tree, "link_many", slow):
            self.uploader.wake()
            self.save(("a",), b"newer", over=True)
            self.clock.advance(1)
            waiting.callback(None)
        self.clock.advance(1)
        self.assertEqual(self.on_grid(), {("a",): b"newer"})

    def test_a_file_that_fails_for_days_does_not_keep_others_from_the_grid(self) -> None:
        self.save(("bad",), b"bad")
        self.spool.update([evolve(self.entry(("bad",)), tries=2000)])
        self.save(("good",), b"good")
        with refusing(self.tree, b"bad"):
            self.assertTrue(self.upload())
        self.assertEqual(self.on_grid(), {("good",): b"good"})
        self.assertEqual(self.entry(("bad",)).tries, 2001)

    def test_after_a_restart_of_a_host_that_ran_for_minutes_files_are_due(self) -> None:
        self.clock.advance(1800)
        self.save(("a",), b"pending")
        self.clock.rightNow = 10.0
        self.uploader = self.new_uploader()
        self.upload()
        self.assertEqual(self.on_grid(), {("a",): b"pending"})

    def test_after_a_restart_a_file_that_was_linked_before_does_not_answer_readers(self) -> None:
        self.clock.advance(1800)
        self.save(("a",))
        self.upload()
        self.clock.rightNow = 10.0
        self.uploader = self.new_uploader()
        self.upload()
        self.clock.rightNow = 1803.0
        self.assertIsNone(self.spool.find(("a",)))

    def test_a_damaged_entry_hides_no_others_after_the_grid_was_away(self) -> None:
        self.save(("damaged",))
        with self.spool._database.use(changes=True) as connection:
            connection.execute("UPDATE entries SET sealed = x'00'")
        self.save(("a",), b"a")
        self.save(("b",), b"b")
        away = AnswerLost("the grid is away")
        with mock.patch.object(self.tree, "upload", side_effect=away):
            self.assertFalse(self.upload())
        self.clock.advance(60)
        self.assertTrue(self.upload())
        self.assertEqual(self.on_grid(), {("a",): b"a", ("b",): b"b"})

    def test_after_the_upload_a_file_is_in_the_content_cache(self) -> None:
        self.client.content_cache = ContentCache(self.path.with_name("cache"))
        self.save(("a",), b"x" * 5000)
        self.upload()
        cap = self.entry(("a",)).node.cap
        self.assertEqual(self.client.content_cache.read(cap, 0, 5000), b"x" * 5000)

    def test_a_newer_version_is_uploaded_over_an_older_one(self) -> None:
        for content in (b"one", b"two", b"three"):
            self.save(("a",), content, over=True)
            self.upload()
            self.assertEqual(self.spool.summary().files, 0)
        self.assertEqual(self.on_grid(), {("a",): b"three"})

    def test_an_edited_file_replaces_the_version_that_was_opened(self) -> None:
        self.save(("a",), b"one")
        for content in (b"two", b"three"):
            entry = self.entry(("a",))
            self.save(("a",), content, expected=entry.node)
            self.upload()
        self.assertEqual(self.on_grid(), {("a",): b"three"})

    def test_a_file_that_was_opened_while_it_was_pending_is_replaced_after_its_upload(self) -> None:
        self.save(("a",), b"one")
        entry = self.entry(("a",))
        self.upload()
        self.assertEqual(self.files(), [])
        self.clock.advance(180)
        self.spool.tidy()
        self.save(("a",), b"two", expected=entry.node)
        self.upload()
        self.assertEqual(self.on_grid(), {("a",): b"two"})

    def test_a_file_that_is_replaced_during_its_upload_is_not_linked_after_the_newer_one(
        self,
    ) -> None:
        self.save(("a",), b"older", over=True)
        upload = self.tree.upload
        newer = iter([b"newer"])

        async def replacing(source):  # type: ignore[no-untyped-def]
            cap = await upload(source)
            for content in newer:
                self.save(("a",), content, over=True)
            return cap

        with mock.patch.object(self.tree, "upload", replacing):
            self.upload()
        self.assertEqual(self.on_grid(), {("a",): b"newer"})

    def test_a_file_that_is_deleted_during_its_upload_is_not_linked(self) -> None:
        self.save(("a",))
        upload = self.tree.upload

        async def deleting(source):  # type: ignore[no-untyped-def]
            cap = await upload(source)
            if callable(source):
                self.assertTrue(self.spool.discard(self.entry(("a",))))
            return cap

        with mock.patch.object(self.tree, "upload", deleting):
            self.upload()
        self.assertEqual(self.on_grid(), {})

    def test_a_file_that_somebody_appends_to_is_left_alone_for_a_while(self) -> None:
        self.save(("a",), due=self.clock.seconds() + 5)
        self.upload()
        self.assertEqual(self.on_grid(), {})
        self.clock.advance(5)
        self.upload()
        self.assertEqual(len(self.on_grid()), 1)

    def test_files_are_left_to_the_process_that_has_begun(self) -> None:
        self.save(("earlier",))
        self.upload()
        self.save(("a",))
        self.save(("large",), LARGE)
        others = self.spool.lock()
        assert others is not None
        self.assertTrue(self.upload())
        self.assertEqual(list(self.on_grid()), [("earlier",)])
        forget_processes()  # it has died
        self.upload()
        self.assertEqual(len(self.on_grid()), 3)

    def test_small_files_do_not_wait_for_a_large_one(self) -> None:
        upload, waiting = self.tree.upload, Deferred[None]()

        async def slow(source):  # type: ignore[no-untyped-def]
            opened = await source()
            if not isinstance(opened, bytes):
                await waiting
            return await upload(opened)

        self.save(("large",), LARGE)
        with mock.patch.object(self.tree, "upload", slow):
            self.uploader.wake()
            self.save(("small",), b"small")
            self.uploader.wake()
            self.clock.advance(1)
            self.assertEqual(self.on_grid(), {("small",): b"small"})
            self.assertIsNone(self.spool.lock())  # for no other process, up to the end
            # Another process saves too, and leaves that to this one.
            self.save(("other",), b"of another process")
            self.clock.advance(1)
            self.assertEqual(len(self.on_grid()), 2)
            waiting.callback(None)
            self.assertEqual(len(self.on_grid()), 3)
        self.assertIsNotNone(self.spool.lock())


class Collisions(SpoolTestCase):
    def take(self, *path: str, content: bytes = b"of another host") -> Node:
        cap = self.now(self.client.upload(content))
        self.now(self.tree.link(path, cap))
        return Node("filenode", cap)

    def test_a_name_that_another_host_has_taken_keeps_its_file(self) -> None:
        self.take("d", "name.tar.gz")
        self.save(("d", "name.tar.gz"), b"of this host")
        entry = self.entry(("d", "name.tar.gz"))
        with self.assertLogs("txtahoe", logging.WARNING):
            self.upload()
        found = self.on_grid()
        self.assertEqual(found.pop(("d", "name.tar.gz")), b"of another host")
        ((path, content),) = found.items()
        self.assertEqual(path[0], "d")
        self.assertRegex(path[1], r"name\.tar_[a-z2-7]{8}\.gz")
        self.assertEqual(content, b"of this host")
        present = self.spool.present(entry)
        assert present is not None
        self.assertEqual(present.path, path)
        self.assert_noted(path)

    def assert_noted(self, path: Path) -> None:
        """A note names the path, for as long as nobody has read it."""
        for _ in range(2):
            (note,) = self.spool.summary().notes
            self.assertIn(repr("/".join(path)), note)
            self.clock.advance(4000)
            self.spool.tidy()
        self.spool.forget_notes()
        self.assertEqual(self.spool.summary().notes, ())
        self.spool.tidy()

    def test_a_version_that_another_host_has_replaced_keeps_its_file_too(self) -> None:
        opened = self.take("a", content=b"was opened here")
        other = Tree(self.client, self.root)
        self.now(other.link("a", self.now(self.client.upload(b"newer")), replace=True))
        self.save(("a",), b"written here", expected=opened)
        with self.assertLogs("txtahoe", logging.WARNING):
            self.upload()
        found = self.on_grid()
        self.assertEqual(found.pop(("a",)), b"newer")
        self.assertEqual(list(found.values()), [b"written here"])

    def test_a_version_whose_name_another_host_has_removed_gets_it_again(self) -> None:
        opened = self.take("a", content=b"was opened here")
        self.now(self.tree.unlink("a"))
        self.save(("a",), b"written here", expected=opened)
        self.upload()
        self.assertEqual(self.on_grid(), {("a",): b"written here"})

    def test_an_equal_file_under_the_name_is_no_collision(self) -> None:
        self.take("a", content=b"the same" * 20)
        self.save(("a",), b"the same" * 20)
        self.upload()
        self.assertEqual(self.on_grid(), {("a",): b"the same" * 20})
        self.assertEqual(self.spool.summary().notes, ())

    def test_a_link_that_was_made_before_its_process_died_is_no_collision(self) -> None:
        self.save(("a",), b"this" * 30)
        self.uploaded(("a",), b"this" * 30)
        self.take("a", content=b"this" * 30)
        self.upload()
        self.assertEqual(list(self.on_grid()), [("a",)])

    def test_a_version_that_was_linked_before_its_process_died_is_replaced(self) -> None:
        self.save(("a",), b"one" * 30)
        self.uploaded(("a",), b"one" * 30)
        opened = self.take("a", content=b"one" * 30)
        self.save(("a",), b"two", expected=opened)
        self.upload()
        self.assertEqual(self.on_grid(), {("a",): b"two"})


class Failures(SpoolTestCase):
    def setUp(self) -> None:
        super().setUp()
        logging.getLogger("txtahoe").setLevel(logging.CRITICAL)
        self.addCleanup(logging.getLogger("txtahoe").setLevel, logging.NOTSET)

    def test_a_file_that_the_grid_refuses_is_set_aside_and_hinders_nothing(self) -> None:
        self.save(("is a file",), b"x" * 100)
        self.upload()
        self.clock.advance(11)
        self.save(("is a file", "below"))
        self.save(("good",))
        self.assertTrue(self.upload())
        self.assertEqual(set(self.on_grid()), {("is a file",), ("good",)})
        ((name, problem),) = self.spool.summary().aside.items()
        self.assertEqual(name, "is a file/below")
        self.assertIn("directory", problem)
        self.assertEqual(self.read(("is a file", "below")), b"content")
        self.assertTrue(self.upload())
        self.now(self.tree.unlink("is a file"))
        self.spool.again()
        self.upload()
        self.assertIn(("is a file", "below"), self.on_grid())

    def test_a_file_that_is_too_large_is_set_aside(self) -> None:
        self.save(("a",))
        with mock.patch.object(self.tree, "upload", side_effect=FileTooLarge("too large")):
            self.assertTrue(self.upload())
        self.assertEqual(self.spool.summary().problem, "too large")

    def test_many_files_that_are_too_large_do_not_set_others_aside(self) -> None:
        for number in range(20):
            self.save((f"large{number}",), b"large")
        self.save(("small",), b"small")
        upload = self.tree.upload

        async def failing(source):  # type: ignore[no-untyped-def]
            if callable(source) and await source() == b"large":
                raise FileTooLarge("too large")
            return await upload(source)

        with mock.patch.object(self.tree, "upload", failing):
            self.upload()
        self.assertEqual(self.on_grid(), {("small",): b"small"})
        self.assertEqual(len(self.spool.summary().aside), 20)

    def test_a_file_that_is_to_replace_a_directory_is_set_aside(self) -> None:
        self.now(self.tree.make_directories("a"))
        self.save(("a",), over=True)
        self.assertTrue(self.upload())
        self.assertIn("directory", self.spool.summary().aside["a"])

    def test_while_the_grid_is_away_everything_waits_and_one_file_is_tried(self) -> None:
        for number in range(40):
            self.save((f"{number}",), b"%d" % number)
        away = mock.Mock(side_effect=AnswerLost("away"))
        with mock.patch.object(self.tree, "upload", away):
            self.assertFalse(self.upload())
            away.reset_mock()
            self.clock.advance(2)
            self.assertFalse(self.upload())
            self.assertEqual(away.call_count, 1)
        found = self.spool.summary()
        self.assertEqual((found.files, found.problem), (40, "away"))
        self.clock.advance(60)
        self.assertTrue(self.upload())
        linked = [self.entry((f"{number}",)) for number in range(40)]
        self.assertEqual({(entry.tries, entry.problem) for entry in linked}, {(0, "")})
        self.assertEqual(len(self.on_grid()), 40)

    def test_a_file_that_keeps_failing_does_not_hinder_others_while_the_grid_is_away(self) -> None:
        self.save(("bad",), b"bad")
        upload = self.tree.upload
        is_away = True

        async def failing(source):  # type: ignore[no-untyped-def]
            if is_away or (callable(source) and await source() == b"bad"):
                raise AnswerLost("away")
            return await upload(source)

        with mock.patch.object(self.tree, "upload", failing):
            self.upload()
            self.save(("good",), b"good")
            self.upload()
            is_away = False
            for _ in range(3):
                self.clock.advance(1)
                self.upload()
            self.assertEqual(self.on_grid(), {("good",): b"good"})
        self.clock.advance(60)
        self.upload()
        self.assertEqual(len(self.on_grid()), 2)

    def test_a_file_that_keeps_failing_alone_delays_no_other(self) -> None:
        self.save(("bad",), b"bad")
        with refusing(self.tree, b"bad"):
            self.uploader.wake()
            self.clock.pump([1.0] * 100)
            self.save(("good",), b"good")
            self.uploader.wake()
            self.clock.advance(1)
        self.assertEqual(self.on_grid(), {("good",): b"good"})

    def test_the_bytes_of_a_file_that_is_damaged_never_get_to_the_grid(self) -> None:
        self.save(("a",), b"x" * 1000)
        (path,) = self.files()
        path.write_bytes(path.read_bytes()[:-1])
        self.upload()
        self.assertEqual(self.on_grid(), {})
        self.assertIn("damaged", self.spool.summary().aside["a"])

    def test_a_lost_answer_to_a_link_links_a_file_once(self) -> None:
        self.save(("a",), b"x" * 100)
        self.fake.fail_next("*?t=set_children", LostAnswer())
        self.upload()
        self.clock.advance(60)
        self.upload()
        self.assertEqual(self.on_grid(), {("a",): b"x" * 100})


class ByItself(SpoolTestCase):
    def test_it_works_when_it_is_woken_and_when_something_is_due(self) -> None:
        self.save(("a",), b"one")
        self.save(("b",), b"two", due=self.clock.seconds() + 5)
        self.uploader.wake()
        self.assertEqual(list(self.on_grid()), [("a",)])
        self.clock.advance(5)
        self.assertEqual(len(self.on_grid()), 2)
        self.assertEqual(self.files(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_tells_when_it_was_last_asked_to_begin(self) -> None:
        self.assertEqual(self.uploader.woken, self.clock.seconds())
        self.clock.advance(100)
        self.uploader.wake()
        self.assertEqual(self.uploader.woken, self.clock.seconds())

    def test_a_file_that_is_saved_when_it_has_found_no_more_is_uploaded_too(self) -> None:
        has_work, late = self.spool.has_work, iter([("late",)])

        def has_work_then() -> bool:
            found = has_work()
            for path in late:
                self.save(path)
                self.uploader.wake()
            return found

        self.save(("a",))
        with mock.patch.object(self.spool, "has_work", has_work_then):
            self.uploader.wake()
            self.clock.advance(1)
        self.assertEqual(len(self.on_grid()), 2)

    def test_it_tries_again_with_growing_pauses_until_the_grid_is_back(self) -> None:
        self.save(("a",))
        with (
            mock.patch.object(self.tree, "upload", side_effect=AnswerLost("away")) as away,
            self.assertLogs("txtahoe", logging.WARNING),
        ):
            self.uploader.wake()
            self.clock.pump([1.0] * 600)
            self.assertLess(away.call_count, 30)
            self.assertGreater(away.call_count, 10)
            for number in range(40):
                self.save((f"{number}",))
            before = away.call_count
            self.uploader.wake()
            self.clock.pump([1.0] * 600)
            self.assertLess(away.call_count, before + 80)
        self.clock.pump([1.0] * 60)
        self.assertEqual(len(self.on_grid()), 41)

    def test_a_file_of_another_process_is_looked_at_now_and_then(self) -> None:
        self.save(("a",))
        others = self.spool.lock()
        assert others is not None
        self.uploader.wake()
        self.assertEqual(self.on_grid(), {})
        others.close()
        self.clock.advance(3)
        self.assertEqual(len(self.on_grid()), 1)

    def test_a_journal_that_cannot_be_used_is_tried_again(self) -> None:
        self.save(("a",))
        failing = mock.patch.object(self.spool, "lock", side_effect=OSError("broken"))
        with failing, self.assertLogs("txtahoe", logging.WARNING) as logs:
            self.uploader.wake()
            self.clock.pump([1.0] * 50)
            self.assertLessEqual(len(logs.records), 2 * 2)  # one for each lane in 30 seconds
        self.clock.advance(60)
        self.assertEqual(len(self.on_grid()), 1)


class KilledUploaders(SpoolTestCase):
    """A process is killed before and after each step of its uploader; another one goes on."""

    def test_each_file_gets_to_the_grid_once_wherever_the_process_is_killed(self) -> None:
        number = 0
        while self.killed_at(number):
            number += 1
        self.assertGreater(number, 12)

    def killed_at(self, step: int) -> bool:
        """Kill it at this step; return whether it took so many."""
        folder = f"{step}"
        files = {(folder, "new"): b"a" * 100, (folder, "replaced"): b"new" * 50}
        older = self.now(self.client.upload(b"older" * 20))
        self.now(self.tree.link((folder, "replaced"), older))
        self.save((folder, "new"), files[folder, "new"])
        there = Node("filenode", older)
        self.save((folder, "replaced"), files[folder, "replaced"], expected=there)
        left = [step]

        class Killed(BaseException):
            pass

        def count() -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        def counted(function):  # type: ignore[no-untyped-def]
            def call(*args, **kwargs):  # type: ignore[no-untyped-def]
                count()
                result = function(*args, **kwargs)
                count()
                return result

            return call

        def counted_async(function):  # type: ignore[no-untyped-def]
            async def call(*args, **kwargs):  # type: ignore[no-untyped-def]
                count()
                try:
                    return await function(*args, **kwargs)
                finally:
                    count()

            return call

        with (
            mock.patch.object(self.spool, "update", counted(self.spool.update)),
            mock.patch.object(Lane, "wake"),
            mock.patch.object(self.tree, "upload", counted_async(self.tree.upload)),
            mock.patch.object(self.tree, "link_many", counted_async(self.tree.link_many)),
            mock.patch.object(self.tree, "replace", counted_async(self.tree.replace)),
        ):
            work = Deferred.fromCoroutine(self.uploader.upload())
            was_killed = left[0] < 0
            work.addErrback(lambda failure: None)
        forget_processes()
        self.uploader = self.new_uploader()
        self.upload()
        self.clock.advance(60)
        self.upload()
        found = {path: c for path, c in self.on_grid().items() if path[0] == folder}
        self.assertEqual(found, files, f"killed at step {step}")
        self.assertEqual(self.spool.summary().notes, ())
        return was_killed
