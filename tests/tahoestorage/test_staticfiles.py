"""The static files storage and `collectstatic`, on a real grid."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
import threading
from contextlib import ExitStack
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from secrets import token_bytes
from time import time
from typing import Any
from unittest import mock
from urllib.request import Request, urlopen

from attrs import frozen
from django.core.files.base import ContentFile, File
from django.core.management import CommandError

from tahoestorage.grid.tree import StorageTree
from tahoestorage.reactor.waiting import done
from tahoestorage.staticfiles import TahoeStaticFilesStorage
from tahoestorage.storage import TahoeStorage
from tests.environment import environment
from tests.needs import TIME, needs
from tests.processes import apart
from tests.tahoestorage.case import no_reactor
from tests.tahoestorage.static_case import StaticTestCase
from txtahoe.errors import IsADirectory, NotADirectory, SomeFailed
from txtahoe.testing.fake import Status
from txtahoe.testing.fake.faults import LostAnswer
from txtahoe.testing.fake.http.site import Exchange
from txtahoe.tree.tree import Tree

NAMES = ["css/a.css", "css/deep/er/b.css", "js/a.js", "js/b.js", "js/100% ü?#.txt"]
DIRECTORIES = 5  # the root, css, css/deep, css/deep/er, js


@frozen
class Held:
    """The gateway does the work, and answers when it may."""

    may_answer: threading.Event

    def happen(self, exchange: Exchange) -> None:
        answer = exchange.work()

        def send() -> None:
            if self.may_answer.is_set():
                exchange.send(answer)
            else:
                exchange.later(0.05, send)

        send()


class Collecting(StaticTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.write(*NAMES)

    def test_each_file_is_uploaded_and_each_directory_written_once(self) -> None:
        requests = self.collect()
        self.assertEqual(requests["PUT /uri"], len(NAMES))
        self.assertEqual(requests["POST /uri"], DIRECTORIES)
        self.assertEqual(self.collected(), self.files())

    def test_a_location_is_made(self) -> None:
        self.collect({"location": "site/static"})
        here = {f"site/static/{name}": data for name, data in self.files().items()}
        self.assertEqual(self.collected(), here)

    def test_files_are_reached_by_their_urls(self) -> None:
        self.collect()
        with self.session() as storage:
            for name, data in self.files().items():
                with urlopen(storage.url(name)) as answer:
                    self.assertEqual(answer.read(), data)

    def test_if_nothing_has_changed_each_directory_is_listed_once(self) -> None:
        self.collect()
        self.assertEqual(self.collect(), {"GET /uri": DIRECTORIES})

    def test_equal_bytes_are_left_alone_though_the_files_are_newer(self) -> None:
        self.collect()
        self.touch()
        self.assertEqual(self.collect(), {"GET /uri": DIRECTORIES})
        self.assertEqual(self.collect(clear=True), {"GET /uri": DIRECTORIES})
        self.assertEqual(self.collected(), self.files())

    def test_a_changed_file_is_replaced_and_no_other(self) -> None:
        self.collect()
        self.write("js/a.js", "new/file.txt")
        self.touch()
        requests = self.collect()
        self.assertEqual(requests["PUT /uri"], 2)
        self.assertEqual(requests["POST /uri"], 3)  # js, new, the root
        self.assertEqual(self.collected(), self.files())

    def test_files_of_equal_bytes_are_uploaded_once(self) -> None:
        self.write("one", "two/a", "two/b", content="the same" * 20)
        self.assertEqual(self.collect()["PUT /uri"], len(NAMES) + 1)
        self.write("three", content="the same" * 20)
        self.assertEqual(self.collect()["PUT /uri"], 0)
        self.assertEqual(self.collected(), self.files())

    def test_clear_leaves_the_collected_files(self) -> None:
        self.collect()
        for name in ("js/a.js", "js/b.js", "css/a.css"):
            (self.folder / name).unlink()
        self.write("css/c.css")
        requests = self.collect(clear=True)
        self.assertEqual((requests["PUT /uri"], requests["POST /uri"]), (1, 1 + 3))
        self.assertEqual(self.collected(), self.files())

    def test_after_clear_a_directory_can_take_the_place_of_a_file(self) -> None:
        self.collect()
        (self.folder / "js/a.js").unlink()
        self.write("js/a.js/index.js")
        with self.assertRaises(NotADirectory):
            self.collect()
        self.collect(clear=True)
        self.assertEqual(self.collected(), self.files())

    def test_a_dry_run_changes_nothing(self) -> None:
        self.collect()
        before = self.collected()
        self.write("js/a.js", "new")
        self.touch()
        for clear in (False, True):
            self.assertEqual(self.collect(dry_run=True, clear=clear).keys(), {"GET /uri"})
        self.assertEqual(self.collected(), before)

    def test_names_that_are_equal_on_the_grid_are_reported_and_nothing_is_saved(self) -> None:
        self.write("caf\u00e9.txt", "cafe\u0301.txt", "a.txt")
        for options in ({}, {"dry_run": True}, {"clear": True}):
            error = self.assertRaises(CommandError, self.collect, **options)
            self.assertIn(" are one name on the grid", str(error))
            for name in (r"'caf\xe9.txt'", r"'cafe\u0301.txt'"):  # in the order of the disk
                self.assertIn(name, str(error))
            self.assertEqual(self.collected(), {})

    def test_a_file_that_another_client_has_replaced_is_saved_again(self) -> None:
        self.collect()
        url = f"{self.gateway}uri/{self.cap}/css/a.css"
        with urlopen(Request(url, data=b"other" * 50, method="PUT"), timeout=60):
            pass
        self.touch()
        self.assertEqual(self.collect()["PUT /uri"], 1)
        self.assertEqual(self.collected(), self.files())

    @needs(TIME)
    def test_the_admin_is_collected(self) -> None:
        spec = find_spec("django.contrib.admin")
        assert spec is not None
        assert spec.origin is not None
        self.folder = Path(spec.origin).parent / "static"
        contents = {data for data in self.files().values() if data}
        self.assertEqual(self.collect()["PUT /uri"], len(contents))
        self.assertEqual(self.collected(), self.files())


class Pending(StaticTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.static = TahoeStaticFilesStorage(**self.options())

    def save(self, name: str, data: bytes) -> None:
        self.assertEqual(self.static.save(name, ContentFile(data)), name)

    def test_a_saved_file_is_seen_before_it_is_linked(self) -> None:
        data = b"static" * 100
        self.save("a/b/f", data)
        self.assertEqual(self.collected(), {})
        for name in ("a", "a/b", "a/b/f"):
            self.assertTrue(self.static.exists(name))
        self.assertFalse(self.static.exists("a/f"))
        self.assertEqual(self.static.listdir("a"), (["b"], []))
        self.assertEqual(self.static.listdir("a/b"), ([], ["f"]))
        self.assertEqual(self.static.size("a/b/f"), len(data))
        self.assertLess(abs(self.static.get_modified_time("a/b/f").timestamp() - time()), 60)
        with self.static.open("a/b/f") as file, urlopen(self.static.url("a/b/f")) as answer:
            self.assertEqual((file.read(), answer.read()), (data, data))
        self.static.flush()
        self.assertEqual(self.collected(), {"a/b/f": data})
        self.assertEqual(self.static.listdir("a/b"), ([], ["f"]))

    def test_a_deleted_file_is_gone_at_once_and_from_the_grid_later(self) -> None:
        self.save("d/f", b"1" * 100)
        self.save("d/g", b"2" * 100)
        self.static.flush()
        self.static.delete("d/f")
        self.static.delete("d/f")
        self.assertFalse(self.static.exists("d/f"))
        self.assertEqual(self.static.listdir("d"), ([], ["g"]))
        with self.assertRaises(FileNotFoundError):
            self.static.open("d/f")
        self.assertEqual(set(self.collected()), {"d/f", "d/g"})
        self.static.flush()
        self.assertEqual(set(self.collected()), {"d/g"})

    def test_a_file_saved_and_deleted_again_is_not_linked(self) -> None:
        self.save("new/f", b"1" * 100)
        self.static.delete("new/f")
        self.static.flush()
        self.assertEqual(self.static.listdir(""), ([], []))

    def test_the_last_save_counts(self) -> None:
        for number in range(20):
            self.save("f", b"%d" % number * 100)
        self.static.flush()
        self.assertEqual(self.collected(), {"f": b"19" * 100})

    def test_a_large_file_is_uploaded_once_and_can_be_unseekable(self) -> None:
        data = token_bytes(3_000_000)
        self.static.save("a", File(io.BytesIO(data)))
        self.static.save("b", File(Unseekable(data)))
        self.static.flush()
        self.static.delete("a")
        self.static.save("a", File(io.BytesIO(data)))
        self.static.flush()
        self.assertEqual(self.proxy.requests.count("PUT /uri"), 1)
        self.assertEqual(self.collected(), {"a": data, "b": data})

    def test_a_missing_temporary_folder_is_no_missing_file(self) -> None:
        self.override(FILE_UPLOAD_TEMP_DIR="/missing")
        self.static.save("small", File(Unseekable(b"x" * 1000)))
        with self.assertRaisesRegex(OSError, "Set FILE_UPLOAD_TEMP_DIR") as caught:
            self.static.save("large", File(Unseekable(bytes(3_000_000))))
        self.assertIs(type(caught.exception), OSError)
        self.static.flush()
        self.assertEqual(self.collected(), {"small": b"x" * 1000})

    def test_contents_can_be_closed_after_the_save(self) -> None:
        for number in range(30):
            with ContentFile(b"%d" % number * 100) as content:
                self.static.save(f"d/{number}", content)
        self.static.flush()
        self.assertEqual(self.collected(), {f"d/{n}": b"%d" % n * 100 for n in range(30)})

    def test_large_files_that_begin_alike_are_not_equal(self) -> None:
        start = bytes(3_000_000)
        for end in (b"older", b"newer"):
            self.static.save("a", File(io.BytesIO(start + end)))
            self.static.flush()
        self.assertEqual(self.collected(), {"a": start + b"newer"})

    def test_a_content_needs_nothing_but_chunks(self) -> None:
        content = mock.Mock(spec=["chunks", "name"], chunks=lambda: iter([b"1" * 50, b"2" * 50]))
        self.static.save("a", content)
        self.static.flush()
        self.assertEqual(self.collected(), {"a": b"1" * 50 + b"2" * 50})

    def test_without_changes_a_discard_and_a_flush_make_no_request(self) -> None:
        self.static._tree.discard()  # type: ignore[attr-defined]
        self.static.flush()
        self.assertEqual(self.proxy.requests, [])

    def test_pending_changes_can_be_discarded(self) -> None:
        self.save("a", b"1" * 100)
        self.static._tree.discard()  # type: ignore[attr-defined]
        self.static.flush()
        self.assertEqual(self.collected(), {})

    def test_a_file_that_is_known_is_found_without_the_reactor(self) -> None:
        self.save("a/b", b"1" * 100)
        self.static.flush()
        for _ in range(2):
            self.save("c", b"2" * 100)
            self.assertTrue(self.static.exists("a/b"))
            self.static.flush()
        path = ("a", "b")
        done(StorageTree.resolve(self.static._tree, path))
        node = self.static._tree.known(path)
        assert node is not None
        with no_reactor():
            self.assertEqual(done(self.static._tree.resolve(path)), node)
        self.save("a/b", b"3" * 100)
        self.assertIsNone(self.static._tree.known(path))
        self.static.flush()

    def test_what_is_asked_during_another_change_is_forgotten_after_it(self) -> None:
        tree = self.static._tree
        self.assertEqual(self.static.listdir(""), ([], []))

        async def change(on_grid: Tree) -> None:
            await tree._running_staging().list(())  # type: ignore[attr-defined]
            await on_grid.save("a", b"1" * 100)

        done(tree.change(change, ("a",), None))
        self.assertEqual(self.static.listdir(""), ([], ["a"]))

    def test_hosts_that_share_a_cache_see_the_newer_file(self) -> None:
        locmem = "django.core.cache.backends.locmem.LocMemCache"
        self.override(CACHES={"default": {"BACKEND": locmem, "LOCATION": "static"}})
        options = self.options(cache="default")
        self.static = TahoeStaticFilesStorage(**options)
        for data in (b"older" * 20, b"newer" * 20):
            self.save("a", data)
            self.static.flush()
            with apart(TahoeStorage(**options)).open("a") as file:
                self.assertEqual(file.read(), data)

    def test_threads_can_save_at_the_same_time(self) -> None:
        def work(thread: int) -> None:
            for number in range(10):
                name = f"{thread}/{number}"
                self.static.save(name, ContentFile(name.encode() * 50))
                if number % 3 == 0:
                    self.static.delete(name)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.static.flush()
        names = [f"{t}/{n}" for t in range(4) for n in range(10) if n % 3]
        self.assertEqual(self.collected(), {name: name.encode() * 50 for name in names})

    def test_other_ways_to_change_the_grid_keep_the_order(self) -> None:
        self.save("d/f", b"1" * 100)
        with self.static.open("d/f", "ab") as file:
            file.write(b"2" * 100)
        self.assertEqual(self.collected(), {"d/f": b"1" * 100 + b"2" * 100})
        self.assertEqual(self.static.size("d/f"), 200)
        self.static.delete("d/f")
        self.static.delete("d")
        self.assertEqual(list(self.static.walk()), [("", [], [])])
        self.save("d/f", b"3" * 100)
        self.assertEqual(self.static.prefetch(["d/f", "d/g"]), {"d/f"})
        self.save("d/g", b"4" * 100)
        self.static.save_many([("d/g", ContentFile(b"5" * 100))])
        self.static.flush()
        self.assertEqual(self.collected(), {"d/f": b"3" * 100, "d/g": b"5" * 100})
        self.save("e", b"6" * 100)
        self.assertEqual(list(self.static.walk())[0], ("", ["d"], ["e"]))

    def test_a_directory_is_not_replaced_by_a_file(self) -> None:
        self.save("d/f", b"1" * 100)
        for _ in range(2):
            with self.assertRaises(IsADirectory):
                self.static.save("d", ContentFile(b"2" * 100))
            self.static.flush()

    def test_old_answers_are_forgotten(self) -> None:
        static = TahoeStaticFilesStorage(**self.options(max_age=0))
        self.assertFalse(static.exists("d/f"))
        self.new_storage().save("d/f", ContentFile(b"1" * 100))
        self.assertTrue(static.exists("d/f"))
        static.save("d/g", ContentFile(b"2" * 100))
        static.flush()
        self.assertEqual(set(self.collected()), {"d/f", "d/g"})


class Failing(StaticTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.fake = self.use_fake()

    def test_a_failed_upload_is_named_and_the_others_are_saved(self) -> None:
        self.write(*(f"css/{number}.css" for number in range(10)), "old")
        self.collect()
        self.write(*(f"js/{number}.js" for number in range(10)))
        (self.folder / "old").unlink()
        self.fake.fail_next("PUT /uri", Status(500), skip=4)
        with self.assertRaises(SomeFailed) as caught:
            self.collect(clear=True)
        missing = self.files().keys() - self.collected().keys()
        self.assertEqual(len(missing), 1)
        named = [getattr(error, "filename", None) for error in caught.exception.errors]
        self.assertEqual(named, list(missing))
        self.assertIn(
            f"1 of 11 changes of files failed: {missing.pop()!r}: ", str(caught.exception)
        )
        self.assertIn("old", self.collected())
        self.collect(clear=True)
        self.assertEqual(self.collected(), self.files())

    def test_a_directory_that_cannot_be_written_is_reported(self) -> None:
        names = [f"css/{number}.css" for number in range(5)]
        self.write("f", *names)
        self.fake.fail_next("POST /uri?t=mkdir-with-children", Status(500), times=9)
        with self.assertRaises(SomeFailed) as caught:
            self.collect()
        self.assertIn("5 of 6 changes", str(caught.exception))
        for name in names:
            self.assertIn(f"{name!r}: ", str(caught.exception))
        self.assertNotIn("more", str(caught.exception))
        self.assertEqual(set(self.collected()), {"f"})

    def test_if_the_gateway_is_away_not_every_file_waits_for_it(self) -> None:
        static = TahoeStaticFilesStorage(**self.options())
        self.fake.fail_next("PUT /uri", Status(500), times=1000)
        with self.assertRaisesRegex(SomeFailed, "uploads in a row have failed"):
            for number in range(100):
                static.save(f"{number}", ContentFile(b"%d" % number * 100))
        self.assertLess(self.fake.requests.count("PUT /uri"), 30)
        with self.assertRaisesRegex(SomeFailed, r"'\d+': uploading.* and \d+ more"):
            static.flush()
        static.flush()

    def test_a_large_file_is_sent_again_if_the_connection_is_lost(self) -> None:
        static = TahoeStaticFilesStorage(**self.options())
        self.fake.fail_next("PUT /uri", LostAnswer())
        static.save("a", File(io.BytesIO(bytes(3_000_000))))
        static.flush()
        self.assertEqual(self.collected(), {"a": bytes(3_000_000)})

    def test_a_failed_deletion_is_reported(self) -> None:
        self.write("a", "b", "c")
        self.collect()
        self.write("c", "d")
        for name in "ab":
            (self.folder / name).unlink()
        self.fake.fail_next("POST /uri/CAP?t=unlink", Status(500), times=9)
        with self.assertRaisesRegex(SomeFailed, "2 of 4 (?=.*'a': )(?=.*'b': )"):
            self.collect(clear=True)
        self.assertEqual(set(self.collected()), {"a", "b", "c", "d"})

    def test_a_bounded_number_of_files_waits_in_memory(self) -> None:
        may_answer = threading.Event()
        self.fake.fail_next("PUT /uri", Held(may_answer), times=1000)
        static = TahoeStaticFilesStorage(**self.options())
        for number in range(16):
            static.save(str(number), ContentFile(b"%d" % number * 100))
        saving = threading.Thread(target=static.save, args=("more", ContentFile(b"more" * 100)))
        saving.start()
        saving.join(0.5)
        self.assertTrue(saving.is_alive())
        may_answer.set()
        saving.join(60)
        self.assertFalse(saving.is_alive())
        static.flush()


class Exiting(StaticTestCase):
    """The exit of a process with pending changes, played in this one."""

    def setUp(self) -> None:
        super().setUp()
        self.static = TahoeStaticFilesStorage(**self.options())
        self.register = self.patched("atexit.register")
        self.unregister = self.patched("atexit.unregister")
        self.ended = self.patched("os._exit")
        self.told = StringIO()
        self.patched("sys.stderr", self.told)

    def patched(self, name: str, *new: Any) -> Any:
        patch = mock.patch(name, *new)
        self.addCleanup(patch.stop)
        return patch.start()

    def save(self, name: str) -> None:
        self.static.save(name, ContentFile(name.encode() * 100))

    def exit(self, **changes: Any) -> None:
        """Call the function that Python calls at the exit. `changes`: of attributes of `sys`."""
        (callback,) = self.register.call_args.args
        with ExitStack() as stack:
            for name, value in changes.items():
                stack.enter_context(mock.patch.object(sys, name, value, create=True))
            callback()

    def test_changes_that_are_pending_are_made(self) -> None:
        self.static.exists("a")
        self.register.assert_not_called()
        for name in ("a", "b"):
            self.save(name)
        self.register.assert_called_once()
        self.unregister.assert_not_called()
        self.static.flush()
        self.unregister.assert_called_once_with(self.register.return_value)
        self.exit(last_value=ValueError())
        self.save("c")
        self.assertEqual(self.register.call_count, 2)
        self.exit()
        self.assertEqual(set(self.collected()), set("abc"))
        self.ended.assert_not_called()
        self.assertEqual(self.told.getvalue(), "")

    def test_a_forked_child_makes_no_changes_of_its_parent(self) -> None:
        self.save("a")
        (callback,) = self.register.call_args.args
        callback.func(*callback.args[:-1], 0)
        self.assertEqual(self.collected(), {})

    def test_an_exception_ends_the_process_without_changes_if_it_is_not_interactive(self) -> None:
        self.save("a")
        with mock.patch("sys.stdout") as output:
            self.exit(last_value=ValueError())
        output.flush.assert_called_once_with()
        self.assertIn("when changes of files were pending: 1", self.told.getvalue())
        self.assertEqual(self.collected(), {})
        self.exit(last_value=ValueError(), ps1=">>> ")
        self.assertEqual(set(self.collected()), {"a"})

    def test_a_failure_is_told_and_the_process_fails(self) -> None:
        self.save("a")
        for function, problem, text in (
            ("done", {"side_effect": ValueError("no")}, "ValueError: no\n"),
            (
                "running_loop",
                {"return_value": None},
                "the reactor is gone, with pending changes of files: 1",
            ),
        ):
            with mock.patch(f"tahoestorage.grid.pending.{function}", **problem):
                self.exit()
            self.assertIn(text, self.told.getvalue())
            self.ended.assert_called_once_with(1)
            self.ended.reset_mock()
        with mock.patch("tahoestorage.grid.pending.done", side_effect=ValueError("no")):
            error = mock.Mock(write=mock.Mock(side_effect=ValueError("it is closed")))
            self.exit(stderr=error)
            error = mock.Mock()
            self.exit(stderr=error)
        error.flush.assert_called_once_with()
        self.assertEqual(self.ended.mock_calls, [mock.call(1)] * 2)


class AtExit(StaticTestCase):
    def run_script(self, body: str, expected: int) -> str:
        begin = f"""
import os, sys
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.staticfiles"], STATIC_URL="/static/",
    STATICFILES_DIRS=[{str(self.folder.absolute())!r}],
    STORAGES={{"staticfiles": {{"BACKEND": {self.backend!r}, "OPTIONS": {{
        "tahoe_base_url": {self.proxy.url!r}, "tahoe_base_cap": os.environ["CAP"]}}}}}},
)
django.setup()
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.contrib.staticfiles.storage import staticfiles_storage as static
"""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", begin + textwrap.dedent(body)],
            env=environment(CAP=self.cap),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, expected, done.stdout)
        return done.stdout

    collect_all = 'call_command("collectstatic", interactive=False, post_process=False)'

    def test_files_are_saved_without_post_processing(self) -> None:
        self.write(*NAMES)
        self.run_script(self.collect_all, 0)
        self.assertEqual(self.collected(), self.files())

    def test_a_failure_is_reported_and_the_process_fails(self) -> None:
        self.write("css/a.css")
        output = self.run_script(
            f"""
            {self.collect_all}
            from txtahoe.api.client import Client
            from txtahoe.errors import GatewayError
            async def fail(*arguments, **named):
                raise GatewayError("no")
            Client.mkdir = fail
            """,
            1,
        )
        self.assertIn("1 of 1 changes of files failed: 'css/a.css': no\n", output)

    @needs(TIME)
    def test_a_process_that_ends_by_an_exception_changes_nothing(self) -> None:
        self.write("old")
        self.run_script(self.collect_all, 0)
        before = self.collected()
        (self.folder / "old").unlink()
        self.write("new")
        body = 'call_command("collectstatic", interactive=False, post_process=False, clear=True)'
        output = self.run_script(f"{body}\nraise ValueError('no')", 1)
        self.assertIn("when changes of files were pending: 2", output)
        self.assertEqual(self.collected(), before)

    def test_a_forked_child_does_not_make_the_changes_of_its_parent(self) -> None:
        self.run_script(
            """
            static.save("parent", ContentFile(b"1" * 100))
            if not os.fork():
                assert not static.exists("parent")
                static.save("child", ContentFile(b"2" * 100))
                sys.exit()
            os.wait()
            from tahoestorage.storage import TahoeStorage
            other = TahoeStorage(**static.options)
            assert other.listdir("") == ([], ["child"]), other.listdir("")
            """,
            0,
        )
        self.assertEqual(set(self.collected()), {"parent", "child"})


class Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False

    def seek(self, *arguments: Any) -> int:
        raise io.UnsupportedOperation
