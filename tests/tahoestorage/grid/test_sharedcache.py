"""The cache that processes share, on a real grid; storages with own connections are processes."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import Any, TypeVar
from unittest import mock

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile

from tahoestorage.grid import sharedcache
from tahoestorage.grid.sharedcache import SharedCache
from tahoestorage.storage import TahoeStorage
from tests.environment import environment
from tests.grid.case import make_directory
from tests.needs import TIME, needs
from tests.processes import apart
from tests.secrets.collect import Collector
from tests.secrets.test_no_caps import NOWHERE
from tests.secrets.test_no_caps_in_the_storage import operations
from tests.tahoestorage.case import StorageTestCase
from txtahoe import Cap, Transport
from txtahoe.api.client import Client
from txtahoe.errors import UnknownOutcome
from txtahoe.nodes import Link

T = TypeVar("T")

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
_numbers = count()
_DEFAULTS: dict[str, Any] = Transport.__init__.__kwdefaults__ or {}

CHILD = """
import os, sys
import tests
from django.core.files.base import ContentFile
from django.test import override_settings
from tahoestorage.storage import TahoeStorage

backend = "django.core.cache.backends.filebased.FileBasedCache"
cache = {"BACKEND": backend, "LOCATION": os.environ["CACHE"]}
override_settings(CACHES={"default": cache}).enable()
ts = TahoeStorage(
    tahoe_base_url=os.environ["GATEWAY"],
    tahoe_base_cap=os.environ["CAP"],
    base_url="https://files.example.com/",
    cache="default",
    max_age=0,
)
"""


class Broken(BaseCache):
    """A cache whose server is away."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__({})

    def _fail(self, *arguments: Any, **named: Any) -> Any:
        raise ConnectionRefusedError("no cache server")

    add = get = set = get_many = set_many = delete = _fail  # type: ignore[assignment]


class CacheTestCase(StorageTestCase):
    def setUp(self) -> None:
        self.use(BACKEND=LOCMEM, LOCATION=f"cache {next(_numbers)}")
        # A failed request is not repeated: the pauses would take most of the time.
        self.patch(Transport.__init__, "__kwdefaults__", {**_DEFAULTS, "pauses": ()})
        super().setUp()

    def use(self, **cache: Any) -> None:
        self.override(CACHES={"default": cache})

    def new_storage(self, **options: Any) -> TahoeStorage:
        """A storage that shares nothing in memory with another one."""
        return apart(self.new_storage_here(**options))

    def new_storage_here(self, **options: Any) -> TahoeStorage:
        """A storage that shares with others what this process knows."""
        return super().new_storage(**{"cache": "default", **options})

    def save(self, name: str, data: bytes = b"x" * 100, **options: Any) -> str:
        return self.new_storage(**options).save(name, ContentFile(data))

    def without_a_gateway(self) -> TahoeStorage:
        """A storage that knows what is in the cache, and can ask nobody."""
        return self.new_storage(tahoe_base_url=NOWHERE)

    def assert_not_shared(self, name: str) -> None:
        with self.assertRaises(ConnectionError):
            self.without_a_gateway().exists(name)


class Sharing(CacheTestCase):
    def test_a_file_that_one_process_looked_up_needs_no_request_of_another(self) -> None:
        self.new_storage(cache=None).save("a/b/f", ContentFile(b"x" * 100))
        self.assert_not_shared("a/b/f")
        self.assertEqual(self.storage.size("a/b/f"), 100)
        created = self.storage.get_created_time("a/b/f")
        other = self.without_a_gateway()
        self.assertTrue(other.exists("a/b/f"))
        self.assertEqual(other.size("a/b/f"), 100)
        self.assertEqual(other.get_created_time("a/b/f"), created)
        self.assertEqual(other.url("a/b/f"), self.storage.url("a/b/f"))

    def test_opening_a_known_file_is_one_request_by_its_cap(self) -> None:
        self.storage.save("a/b/f", ContentFile(b"x" * 100))
        other, proxy = self.new_storage_through_proxy()
        file = other.open("a/b/f")
        self.assertEqual(proxy.requests, [])
        self.assertEqual(file.read(), b"x" * 100)
        self.assertEqual(proxy.requests, ["GET /uri"])

    def test_a_saved_file_is_known_to_all_by_its_final_name(self) -> None:
        names = [self.storage.save("a/f", ContentFile(b"%d" % n * 100)) for n in range(3)]
        self.assertEqual(len(set(names)), 3)
        other = self.without_a_gateway()
        self.assertEqual([other.url(name) for name in names], list(map(self.storage.url, names)))

    def test_a_directory_is_found_without_a_walk(self) -> None:
        self.storage.save("a/b/c/first", ContentFile(b"x" * 100))
        other, proxy = self.new_storage_through_proxy()
        other.save("a/b/c/second", ContentFile(b"y" * 100))
        # Only the root is asked, whether directories are spread.
        self.assertEqual(sorted(proxy.requests), ["GET /uri", "POST /uri", "PUT /uri"])
        other, proxy = self.new_storage_through_proxy()
        other.save_many([("a/b/c/third", ContentFile(b"z" * 100))])
        self.assertEqual(sorted(proxy.requests), ["GET /uri", "POST /uri", "PUT /uri"])
        other, proxy = self.new_storage_through_proxy()
        self.assertTrue(other.exists("a/b/c/third"))
        self.assertEqual(proxy.requests, ["GET /uri"])

    def test_prefetch_looks_up_many_names_in_the_cache_and_remembers_them(self) -> None:
        names = [f"d/{number}" for number in range(5)]
        for name in names:
            self.save(name)
        other, proxy = self.new_storage_through_proxy()
        self.new_storage(cache=None).save("d/new", ContentFile(b"x" * 100))
        wanted = [*names, "d/new", "d/missing"]
        self.assertEqual(other.prefetch(wanted), {*names, "d/new"})
        # The root too: a name is missing only if its directory is still there.
        self.assertEqual(proxy.requests, ["GET /uri"] * 2)
        self.assertTrue(self.without_a_gateway().exists("d/new"))
        caches["default"].clear()
        for name in (*names, "d/new"):
            other.url(name)
        self.assertEqual(len(proxy.requests), 2)

    def test_entries_of_the_cache_are_remembered_after_prefetch(self) -> None:
        name = self.storage.save("d/f", ContentFile(b"x" * 100))
        _, proxy = self.new_storage_through_proxy()
        other, same = (self.new_storage_here(tahoe_base_url=proxy.url) for _ in range(2))
        self.assertEqual(other.prefetch([name]), {name})
        caches["default"].clear()
        for storage in (other, same):
            storage.url(name)
        self.assertEqual(proxy.requests, [])
        self.assert_not_shared(name)  # what is old does not become new by being told again

    def test_other_names_of_a_listing_are_shared_when_they_are_used(self) -> None:
        writer = self.new_storage(cache=None)
        for name in ("f", "g", "h"):
            writer.save(name, ContentFile(b"x" * 100))
        self.storage.url("f")
        self.assert_not_shared("g")
        self.storage.url("g")
        self.storage.prefetch(["h"])
        for name in ("f", "g", "h"):
            self.assertTrue(self.without_a_gateway().exists(name))

    def test_an_answer_that_can_be_old_is_not_shared(self) -> None:
        writer, keeper = self.new_storage(cache=None), self.new_storage(max_age=3600)
        for name in ("f", "g"):
            writer.save(name, ContentFile(b"x" * 100))
            keeper.prefetch(["f"])
            keeper.listdir("")
            keeper.url(name)
        self.assert_not_shared("g")

    def test_an_answer_that_is_used_again_is_offered_once(self) -> None:
        self.storage.url(self.new_storage(cache=None).save("f", ContentFile(b"x" * 100)))
        with mock.patch.object(caches["default"], "add") as add:
            for _ in range(3):
                self.storage.url("f")
        self.assertEqual(add.call_count, 0)

    def test_storages_that_only_read_share_files_and_no_right_to_write(self) -> None:
        self.storage.save("a/f", ContentFile(b"x" * 100))
        reader = str(Cap.parse(self.cap).reader)
        other, proxy = self.new_storage_through_proxy(tahoe_base_cap=reader, max_age=0)
        self.assertEqual(other.url("a/f"), self.storage.url("a/f"))
        self.assertEqual(proxy.requests, [])
        self.assertEqual(other._tree.shared.directories([("a",)]), {})
        self.storage.delete("a/f")
        self.assertFalse(other.exists("a/f"))

    def test_storages_of_other_roots_share_nothing(self) -> None:
        self.storage.save("a/f", ContentFile(b"x" * 100))
        elsewhere = make_directory(self.gateway)
        self.assertFalse(self.new_storage(tahoe_base_cap=elsewhere).exists("a/f"))
        self.assertFalse(self.new_storage(tahoe_base_cap=elsewhere).exists("a"))

    def test_the_root_and_directories_exist(self) -> None:
        self.storage.save("a/f", ContentFile(b"x" * 100))
        for name in ("", "a"):
            self.assertTrue(self.new_storage().exists(name))
        self.assert_not_shared("a")

    def test_the_cache_is_off_by_default(self) -> None:
        with mock.patch.object(sharedcache, "caches", None):
            storage = StorageTestCase.new_storage(self)
            storage.save("a/f", ContentFile(b"x" * 100))
            self.assertTrue(storage.exists("a/f"))
            storage.delete("a/f")
        self.assertEqual(_entries(), {})


class Changes(CacheTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.storage.save("a/f", ContentFile(b"first" * 100))
        self.other = self.new_storage()
        self.other.url("a/f")

    def assert_deleted(self) -> None:
        for storage in (self.storage, self.other, self.new_storage(max_age=0)):
            self.assertFalse(storage.exists("a/f"))

    def test_a_deletion_is_seen_at_once(self) -> None:
        self.storage.delete("a/f")
        self.assert_deleted()

    def test_a_deletion_by_a_process_that_knew_nothing_is_seen_at_once(self) -> None:
        self.new_storage().delete("a/f")
        self.assertFalse(self.other.exists("a/f"))
        self.assertFalse(self.new_storage().exists("a/f"))

    def test_a_file_that_replaces_another_is_seen_at_once(self) -> None:
        writer = self.new_storage(allow_overwrite=True)

        def save() -> None:
            writer.save("a/f", ContentFile(b"second" * 100))

        def write() -> None:
            with writer.open("a/f", "wb") as file:
                file.write(b"third" * 100)

        def write_carefully() -> None:
            with self.new_storage().open("a/f", "ab") as file:
                file.write(b"fourth" * 100)

        def save_many() -> None:
            writer.save_many([("a/f", ContentFile(b"fifth" * 100))])

        for change in (save, write, write_carefully, save_many):
            caches["default"].clear()
            old = self.new_storage().url("a/f")
            self.assertEqual(self.without_a_gateway().url("a/f"), old)
            change()
            self.assert_not_shared("a/f")
            self.assertNotEqual(self.new_storage().url("a/f"), old)

    def test_a_new_file_of_a_name_that_was_deleted_is_seen_at_once(self) -> None:
        self.storage.delete("a/f")
        self.storage.save("a/f", ContentFile(b"second" * 100))
        self.assertEqual(self.other.open("a/f").read(), b"second" * 100)

    def test_a_wrong_entry_goes_when_its_name_is_saved(self) -> None:
        self.new_storage(cache=None).delete("a/f")  # a client that knows nothing of the cache
        # A process that knows the old file would choose another name.
        self.new_storage().save("a/f", ContentFile(b"second" * 100))
        self.assertEqual(self.other.open("a/f").read(), b"second" * 100)

    def test_a_deleted_directory_does_not_exist(self) -> None:
        self.storage.delete("a/f")
        self.storage.delete("a")
        self.assertFalse(self.new_storage().exists("a"))
        other = self.new_storage()
        self.assertFalse(other.exists("a/f"))
        self.assertFalse(other.exists("a"))
        other = self.new_storage()
        self.assertEqual(other.prefetch(["a/f"]), set())  # in the directory that the cache knows
        self.assertFalse(other.exists("a"))
        other.save("a/g", ContentFile(b"x"))
        self.assertTrue(self.new_storage().exists("a"))
        self.assertEqual(self.storage.listdir("a"), ([], ["g"]))

    def test_a_free_name_is_not_kept(self) -> None:
        self.assertFalse(self.storage.exists("a/g"))
        self.assertFalse(self.other.exists("a/g"))
        self.save("a/g")
        self.assertTrue(self.storage.exists("a/g"))
        self.assertTrue(self.other.exists("a/g"))

    def test_a_change_with_an_unknown_outcome_leaves_nothing(self) -> None:
        async def lost(*arguments: Any, **named: Any) -> None:
            raise UnknownOutcome("nobody knows")

        writer = self.new_storage(allow_overwrite=True)
        for attempt, operation in (
            (lambda: writer.save("a/f", ContentFile(b"second" * 100)), "set_children"),
            (lambda: writer.delete("a/f"), "delete"),
        ):
            caches["default"].clear()
            self.new_storage().url("a/f")
            self.without_a_gateway().url("a/f")
            with mock.patch.object(Client, operation, lost), self.assertRaises(UnknownOutcome):
                attempt()
            self.assert_not_shared("a/f")


class Races(CacheTestCase):
    """An answer that was true when it was given comes into the cache too late."""

    def setUp(self) -> None:
        super().setUp()
        self.new_storage(cache=None).save("a/f", ContentFile(b"first" * 100))

    def look_late(self, meanwhile: Callable[[], object]) -> None:
        """Look a file up; call `meanwhile` before the storage shares the answer."""
        late = self.new_storage()
        add = late._tree.shared.add_file

        def add_late(*arguments: Any) -> bool:
            meanwhile()
            return add(*arguments)

        self.patch(late._tree.shared, "add_file", add_late)
        self.assertTrue(late.exists("a/f"))

    def test_a_late_answer_does_not_bring_a_deleted_file_back(self) -> None:
        self.look_late(lambda: self.storage.delete("a/f"))
        self.assertFalse(self.new_storage(max_age=0).exists("a/f"))

    def test_a_late_answer_does_not_bring_the_old_file_back(self) -> None:
        writer = self.new_storage(allow_overwrite=True)
        self.look_late(lambda: writer.save("a/f", ContentFile(b"second" * 100)))
        self.assertEqual(self.new_storage().open("a/f").read(), b"second" * 100)

    def test_an_answer_that_was_long_under_way_is_not_shared(self) -> None:
        def delete_and_forget() -> None:
            self.storage.delete("a/f")
            caches["default"].clear()  # marks expire too
            self.patch(sharedcache, "monotonic", lambda: monotonic() + 61)

        self.look_late(delete_and_forget)
        self.patch(sharedcache, "monotonic", monotonic)
        self.assertFalse(self.new_storage(max_age=0).exists("a/f"))

    def test_an_answer_during_a_change_is_not_shared(self) -> None:
        self.storage._tree.shared.mark([("a", "f")])
        self.assertTrue(self.new_storage().exists("a/f"))
        self.assert_not_shared("a/f")

    def test_an_answer_during_a_long_change_is_not_shared_after_it(self) -> None:
        shared = self.storage._tree.shared
        shared.mark([("a", "f")])
        caches["default"].clear()  # marks expire too
        self.assertTrue(self.new_storage().exists("a/f"))
        self.assertTrue(self.without_a_gateway().exists("a/f"))
        shared.mark([("a", "f")])
        self.assert_not_shared("a/f")

    def test_a_prefetched_answer_is_dropped_after_an_own_change(self) -> None:
        self.storage.exists("a/f")
        other = self.new_storage()
        other.listdir("")
        files = other._tree.shared.files

        def files_late(paths: Any) -> Any:
            found = files(paths)
            other.delete("a/f")
            return found

        with mock.patch.object(other._tree.shared, "files", files_late):
            other.prefetch(["a/f"])
        self.assertFalse(other.exists("a/f"))


class Trouble(CacheTestCase):
    def use_all(self, storage: TahoeStorage) -> None:
        name = storage.save("a/f", ContentFile(b"first" * 100))
        self.assertEqual(storage.prefetch([name, "missing"]), {name})
        storage.save_many([("a/g", ContentFile(b"second" * 100))])
        self.assertEqual(storage.open("a/g").read(), b"second" * 100)
        self.assertTrue(storage.url(name))
        storage.delete(name)
        self.assertFalse(storage.exists(name))

    def test_a_failing_cache_counts_as_empty_and_is_logged_once(self) -> None:
        self.use(BACKEND=f"{__name__}.Broken")
        with self.assertLogs("tahoestorage", "WARNING") as logged:
            self.use_all(self.new_storage(max_age=0))
        self.assertEqual(len(logged.output), 1, logged.output)
        self.assertIn("no cache server", logged.output[0])

    def test_a_cache_that_is_gone_counts_as_empty(self) -> None:
        storage = self.new_storage()
        storage.exists("f")
        self.override(CACHES={})
        with self.assertLogs("tahoestorage", "WARNING"):
            self.use_all(storage)

    def test_other_values_in_the_cache_are_no_entries(self) -> None:
        first = self.storage.save("a/f", ContentFile(b"first" * 100))
        second = self.storage.save("a/g", ContentFile(b"second" * 100))
        shelf, cache = self.storage._tree.shared._files, caches["default"]
        path, moved = shelf.key(("a", "f")), cache.get(shelf.key(("a", "g")))
        good = cache.get(path)
        for wrong in (moved, good[:-1], b"x" + good, b"x", b"", "é", good.decode(), 5, None, {}):
            cache.set(path, wrong)
            self.assert_not_shared(first)
            self.assertEqual(self.new_storage().open(first).read(), b"first" * 100)
        cache.set(path, good)
        self.assertTrue(self.without_a_gateway().exists(first))
        self.assertTrue(self.without_a_gateway().exists(second))

    def test_an_entry_is_kept_for_the_timeout_of_the_cache(self) -> None:
        name = self.storage.save("f", ContentFile(b"x" * 100))
        (key, entry), cache = next(iter(_entries().items())), caches["default"]
        for timeout, is_kept in ((None, True), (10, True), (1, False)):
            cache.set(key, entry, None)  # an attacker can store it again
            with (
                mock.patch.object(cache, "default_timeout", timeout),
                mock.patch("cryptography.fernet.time.time", return_value=time.time() + 5),
            ):
                found = self.storage._tree.shared.files([(name,)])
            self.assertEqual(bool(found), is_kept, timeout)

    def test_other_kinds_of_children_are_not_kept(self) -> None:
        shared = SharedCache("default", Cap.parse(self.cap))
        for cap in (Cap.parse(self.cap).verifier, Cap.parse("lafs://future"), Cap.parse(self.cap)):
            assert cap is not None
            self.assertFalse(shared.add_file(("f",), Link(cap).node, monotonic()))
        self.assertEqual(_entries(), {})


class Secrecy(CacheTestCase):
    def test_the_cache_shows_no_cap_and_no_name(self) -> None:
        names = ("a-telling-name/another-name.txt", "third-name.txt")
        with Collector() as collector:
            collector.secrets.add(Cap.parse(self.cap))
            storage = self.new_storage()
            for name, data in zip(names, (os.urandom(500), b"a literal is its cap"), strict=True):
                storage.save(name, ContentFile(data))
            self.new_storage().get_modified_time(names[0])
            self.new_storage(allow_overwrite=True).save(names[1], ContentFile(b"y" * 100))
        entries = _entries()
        self.assertEqual(len(entries), 3)
        self.assertGreater(len(collector.secrets), 100)
        for key, entry in entries.items():
            self.assertRegex(key, "^tahoestorage:[0-9a-f]{64}$")
            shown = f"{key} {entry.decode('ascii')}"
            for text in (shown, bytes.fromhex(key.partition(":")[2]).decode("latin-1")):
                self.assertEqual(collector.secrets.found_in(text), set())
            for word in ("name", "URI", "dirnode", "filenode", "another", "txt"):
                self.assertNotIn(word, shown)

    def test_errors_and_logs_show_no_cap(self) -> None:
        with Collector() as collector:
            collector.secrets.add(Cap.parse(self.cap))
            for backend in (LOCMEM, f"{__name__}.Broken"):
                self.use(BACKEND=backend)
                for gateway in (self.gateway, NOWHERE):
                    storage = self.new_storage(tahoe_base_url=gateway)
                    for name, operation in operations(storage).items():
                        try:
                            collector.value(operation(), name)
                        except Exception as error:
                            collector.exception(error, name)
                    collector.value(vars(storage), "variables of the storage")
                    collector.value(vars(storage._tree.shared), "variables of the cache")
        self.assertEqual(collector.leaks(), [])

    def test_a_traceback_shows_no_cap(self) -> None:
        shared = SharedCache("default", Cap.parse(self.cap))
        wrong = Link(Cap.parse(self.cap), {"metadata that is no JSON": object()}).node
        with Collector() as collector:
            collector.secrets.add(Cap.parse(self.cap))
            with self.assertRaises(TypeError) as raised:
                shared._directories.seal(("f",), wrong)
            collector.exception(raised.exception, "sealing")
        self.assertEqual(collector.leaks(), [])


class Configuration(CacheTestCase):
    def test_an_unknown_cache_is_refused_by_name(self) -> None:
        for wrong in ("nowhere", "", 5, ["default"], self.cap):
            with self.assertRaisesRegex(ImproperlyConfigured, "'cache'.* 'default'") as raised:
                self.new_storage(cache=wrong).exists("f")
            self.assertNotIn("URI:", str(raised.exception))

    def test_storages_with_and_without_it_share_their_connections(self) -> None:
        storage, without = self.new_storage_here(), self.new_storage_here(cache=None)
        self.assertEqual(without._tree.connection, storage._tree.connection)

    def test_a_migration_has_the_alias_of_the_cache(self) -> None:
        storage = self.new_storage_here()
        self.assertEqual(storage.deconstruct()[2]["cache"], "default")  # type: ignore[attr-defined]
        again = pickle.loads(pickle.dumps(storage))
        storage.save("f", ContentFile(b"x" * 100))
        self.assertTrue(again.exists("f"))
        self.assertEqual(again._tree.connection, storage._tree.connection)
        self.assertEqual(again._tree.connection.cache, "default")
        self.assertIs(copy.deepcopy(storage), storage)


class Processes(CacheTestCase):
    """Real ones, which share a folder."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = self.mktemp()
        self.use(
            BACKEND="django.core.cache.backends.filebased.FileBasedCache", LOCATION=self.folder
        )

    def run_child(self, body: str, gateway: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", CHILD + textwrap.dedent(body)],
            env=environment(CACHE=os.path.abspath(self.folder), GATEWAY=gateway, CAP=self.cap),
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    @needs(TIME)
    def test_two_processes_share_answers_and_see_each_others_changes(self) -> None:
        storage = self.new_storage(base_url="https://files.example.com/", max_age=0)
        storage.save("a/f", ContentFile(b"x" * 100))
        storage.exists("a/f")
        self.assertEqual(self.run_child("print(ts.url('a/f'))", NOWHERE), storage.url("a/f"))
        self.run_child(
            "ts.delete('a/f'); print(ts.save('a/g', ContentFile(b'y' * 100)))", self.gateway
        )
        self.assertFalse(storage.exists("a/f"))
        self.assertEqual(storage.open("a/g").read(), b"y" * 100)


def _entries() -> dict[str, bytes]:
    """All that is in the cache."""
    stored = caches["default"]._cache  # type: ignore[attr-defined]
    return {key.removeprefix(":1:"): pickle.loads(value) for key, value in stored.items()}
