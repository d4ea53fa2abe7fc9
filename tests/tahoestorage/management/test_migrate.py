"""`manage.py tahoe migrate`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage, storages
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.care import migration
from tahoestorage.care.migration import HashedFile, Migration, State
from tahoestorage.care.sides import side_of
from tahoestorage.storage import TahoeStorage
from tests.environment import environment
from tests.grid.proxy import Proxy
from tests.needs import TIME, needs
from tests.tahoestorage.management.case import CommandTestCase

FILES = "django.core.files.storage.FileSystemStorage"
# The gateway keeps fewer bytes in the cap itself, and no server has a share of them.
BYTES = Random(1).randbytes(3000)


def tree(folder: Path) -> dict[str, bytes]:
    """The contents of a folder, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def files_of(storage: TahoeStorage) -> dict[str, bytes]:
    names = [
        f"{directory}/{name}".lstrip("/")
        for directory, _, names in storage.walk()
        for name in names
    ]
    return {name: storage.open(name).read() for name in names}


class Storages(CommandTestCase):
    """A test with a storage of the disk, "disk", and one on the grid, "default"."""

    def setUp(self) -> None:
        super().setUp()
        self.use_disk()

    def use_disk(self, backend: str = FILES, **options: Any) -> None:
        location = self.folder / "disk"
        grid = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap}
        self.override(
            STORAGES={
                "default": {"BACKEND": "tahoestorage.storage.TahoeStorage", "OPTIONS": grid},
                "disk": {"BACKEND": backend, "OPTIONS": {"location": str(location), **options}},
            }
        )
        self.storage = storages["default"]
        self.disk = storages["disk"]

    def put(self, **contents: bytes) -> None:
        """Save files on the disk; in their names `__` is for a slash."""
        for name, content in contents.items():
            path = self.folder / "disk" / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    @property
    def on_disk(self) -> dict[str, bytes]:
        return tree(self.folder / "disk")

    there = "migrate", "--from=disk", "--to=default"
    back = "migrate", "--from=default", "--to=disk"


class Copying(Storages):
    def test_there_and_back(self) -> None:
        self.put(a__b__c=BYTES, a__empty=b"", d=b"small")
        before = self.on_disk
        told = self.told(*self.there)
        self.assertEqual((told["copied"], told["there"], told["bytes"]), (3, 0, 3005))
        self.assertEqual((told["conflicts"], told["failed"]), ([], {}))
        self.assertEqual(files_of(self.storage), before)
        self.use_disk(location=str(self.folder / "back"))
        self.assertIn("3 files copied (2.9 KB), 0 there already", self.run_verb(*self.back))
        self.assertEqual(tree(self.folder / "back"), before)
        self.assertEqual(self.on_disk, before)

    def test_names_are_kept(self) -> None:
        names = ["a b", "what?", "100%", "%2F", "new\nline", "😀", ".hidden", "x" * 250, " c", "{}"]
        for name in names:
            self.put(**{name: name.encode()})
        self.assertEqual(self.told(*self.there)["copied"], len(names))
        self.assertEqual(set(self.storage.listdir("")[1]), set(names))
        self.use_disk(location=str(self.folder / "back"))
        self.run_verb(*self.back)
        self.assertEqual(tree(self.folder / "back"), self.on_disk)

    def test_a_name_that_the_grid_cannot_keep_is_reported_and_the_others_are_copied(self) -> None:
        self.put(**{"back\\slash": b"1", "good": b"2"})
        os.close(os.open(os.fsencode(self.folder / "disk") + b"/\xff", os.O_CREAT))
        said = self.fail_verb(*self.there)
        self.assertIn("1 file copied", said)
        self.assertIn("'back\\slash': Django takes a backslash for a slash", said)
        self.assertIn("$'\\377': ", said)
        self.assertEqual(files_of(self.storage), {"good": b"2"})

    def test_names_that_are_one_on_the_grid_are_a_conflict(self) -> None:
        self.put(**{"caf\u00e9": b"1", "cafe\u0301": b"2" * 2000})
        said = self.fail_verb(*self.there)
        self.assertIn("1 file copied", said)
        self.assertIn("another file has this name", said)

    def test_an_existing_file_is_compared_and_never_replaced(self) -> None:
        self.put(same=BYTES, shorter=BYTES[:100], longer=BYTES, other=BYTES, name=b"x")
        theirs = {"same": BYTES, "shorter": BYTES, "longer": BYTES[:100], "other": BYTES[::-1]}
        self.save(**theirs, name__below=b"y")
        said = self.fail_verb(*self.there)
        self.assertIn("0 files copied (0 bytes), 1 there already, 4 in conflict, 0 failed", said)
        for name in ("shorter", "longer", "other", "name"):
            self.assertIn(f"{name}: another file has this name", said)
        self.assertEqual(files_of(self.storage), {**theirs, "name/below": b"y"})

    def test_a_storage_that_overwrites_replaces_no_file_either(self) -> None:
        self.put(f=BYTES)
        self.save(f=BYTES[::-1])
        before = self.on_disk
        for options in ({"allow_overwrite": True}, {}):
            self.use_disk(**options)
            for direction in (self.there, self.back):
                self.assertEqual(self.told_of_failure(*direction)["conflicts"], ["f"])
        self.assertEqual(self.on_disk, before)

    def told_of_failure(self, *arguments: str) -> Any:
        return json.JSONDecoder().raw_decode(self.fail_verb(*arguments, "--json"))[0]

    def test_a_part_of_a_file_on_the_disk_is_copied_anew(self) -> None:
        self.save(part=BYTES, nothing=BYTES, other=BYTES)
        self.put(part=BYTES[:1000], nothing=b"", other=BYTES[1:1000])
        said = self.fail_verb(*self.back)
        self.assertIn("2 files copied", said)
        self.assertIn("other: another file", said)
        self.assertEqual(self.on_disk, {"part": BYTES, "nothing": BYTES, "other": BYTES[1:1000]})

    def test_equal_files_are_copied_one_after_the_other(self) -> None:
        for number in range(16):
            self.put(**{f"same__{number}": BYTES * 50})
        self.assertEqual(self.told(*self.there)["copied"], 16)

    def test_a_dry_run_changes_nothing(self) -> None:
        self.put(a=BYTES, b=BYTES, c=b"1")
        self.save(b=BYTES, c=b"2")
        said = self.fail_verb(*self.there, "--dry-run", "-v2")
        self.assertIn("1 file to be copied (2.9 KB), 1 there already, 1 in conflict", said)
        self.assertIn("copied: a\n", said)
        self.assertEqual(set(files_of(self.storage)), {"b", "c"})
        self.put(c=b"")
        self.run_verb(*self.back, "--dry-run")
        self.assertEqual(self.on_disk["c"], b"")

    def test_prefix_copies_one_directory(self) -> None:
        self.put(a__b__c=b"1", a__d=b"2", e=b"3")
        self.run_verb(*self.there, "--prefix", "./a/b/")
        self.assertEqual(files_of(self.storage), {"a/b/c": b"1"})
        self.run_verb(*self.there, "--prefix=a")
        self.assertEqual(files_of(self.storage), {"a/b/c": b"1", "a/d": b"2"})
        for direction in (self.there, self.back):
            self.assertIn("nowhere", self.fail_verb(*direction, "--prefix=nowhere"))

    def test_names_begin_at_the_location(self) -> None:
        self.put(a=b"1")
        grid = TahoeStorage(**{**self.storage.options, "location": "media"})
        outcomes = list(Migration(side_of(self.disk), side_of(grid)).run())
        self.assertEqual([(one.name, one.state) for one in outcomes], [("a", State.COPIED)])
        self.assertEqual(files_of(self.storage), {"media/a": b"1"})

    def test_wrong_storages_are_an_error(self) -> None:
        self.use_disk(location=str(self.folder))
        for arguments, reason in (
            (("--from=disk", "--to=typo"), "'typo'"),
            (("--from=disk", "--to=disk"), "files in common"),
            (("--from=default", "--to=default"), "files in common"),
            (("--from=disk", "--to=default", "--jobs=0"), "--jobs"),
        ):
            self.assertIn(reason, self.fail_verb("migrate", *arguments))
        self.use(tahoe_base_cap=self.storage.options["tahoe_base_cap"].reader)
        said = self.fail_verb("migrate", "--from=default", "--to=default")
        self.assertIn("files in common", said)


class Requests(Storages):
    def test_a_directory_is_asked_once_and_written_once_for_many(self) -> None:
        for number in range(30):
            self.put(**{f"d__{number}": BYTES + b"%d" % number})
        grid, proxy = self.new_storage_through_proxy()
        self.run_between(self.disk, grid)
        self.assertEqual(proxy.requests.count("PUT /uri"), 30)
        self.assertEqual(proxy.requests.count("POST /uri"), 2)  # made with all links; linked
        self.assertLess(proxy.requests.count("GET /uri"), 30 + 6)

    def test_a_second_run_reads_no_copied_file_from_the_grid(self) -> None:
        for number in range(10):
            self.put(**{f"d__{number}": BYTES + b"%d" % number})
        self.run_between(self.disk, self.storage)
        for reverse in (False, True):
            grid, proxy = self.new_storage_through_proxy()
            sides = (grid, self.disk) if reverse else (self.disk, grid)
            self.assertEqual(self.run_between(*sides), {State.THERE})
            self.assertLess(len(proxy.requests), 6)
        (self.folder / "disk/d/7").write_bytes(BYTES + b"8")
        self.assertEqual(self.run_between(self.disk, grid), {State.THERE, State.CONFLICT})

    def test_without_verifying_nothing_is_read_back(self) -> None:
        self.put(a=BYTES, b=BYTES[::-1])
        grid, proxy = self.new_storage_through_proxy()
        self.run_between(self.disk, grid, verify=False)
        self.assertEqual(proxy.requests.count("PUT /uri"), 2)
        self.assertEqual(proxy.requests.count("GET /uri"), 1)  # of the directory

    def run_between(self, source: Storage, destination: Storage, **options: Any) -> set[State]:
        migration = Migration(side_of(source), side_of(destination), **options)
        return {outcome.state for outcome in migration.run()}


class Troubles(Storages):
    """One file fails, and the others are copied."""

    def migrate(self, source: Storage, destination: Storage) -> dict[str, Any]:
        outcomes = Migration(side_of(source), side_of(destination)).run()
        return {one.name: one.problem or one.state for one in outcomes}

    def test_a_damaged_copy_is_deleted(self) -> None:
        class Damaging(FileSystemStorage):
            def _save(self, name: str, content: File[Any]) -> str:
                saved = super()._save(name, content)
                if name == "bad":
                    Path(self.path(name)).write_bytes(BYTES[::-1])
                return saved

        self.save(bad=BYTES, good=BYTES)
        outcomes = self.migrate(self.storage, Damaging(self.folder / "disk"))
        self.assertIn("read back", str(outcomes["bad"]))
        self.assertEqual(outcomes["good"], State.COPIED)
        self.assertEqual(self.on_disk, {"good": BYTES})

    def test_a_storage_that_renames_keeps_nothing(self) -> None:
        class Renaming(FileSystemStorage):
            def get_available_name(self, name: str, max_length: int | None = None) -> str:
                return name.lower()

        self.save(Upper=BYTES, lower=BYTES)
        outcomes = self.migrate(self.storage, Renaming(self.folder / "disk"))
        self.assertIn("as 'upper'", str(outcomes["Upper"]))
        self.assertEqual(outcomes["lower"], State.COPIED)
        self.assertEqual(self.on_disk, {"lower": BYTES})

    def test_a_file_saved_by_another_process_meanwhile_stays(self) -> None:
        class Busy(FileSystemStorage):
            def _save(self, name: str, content: File[Any]) -> str:
                Path(self.path(name)).write_bytes(BYTES)
                return super()._save(name, content)

        self.save(f=BYTES)
        self.disk.save("other", ContentFile(b""))
        outcomes = self.migrate(self.storage, Busy(self.folder / "disk"))
        self.assertIn("as 'f_", str(outcomes["f"]))
        self.assertEqual(self.on_disk, {"f": BYTES, "other": b""})

    def test_a_source_that_fails_midway_leaves_no_part(self) -> None:
        long = BYTES * 100

        class Failing(InMemoryStorage):
            def _open(self, name: str, mode: str = "rb") -> Any:
                file = super()._open(name, mode)
                if name != "bad":
                    return file
                broken = File(file, name)
                reads: Iterator[bytes] = iter([long[:1000], long[1000:70_000]])
                broken.read = lambda size=-1: next(reads)[:size]  # type: ignore[misc]
                broken.size = len(long)
                return broken

        source = Failing()
        for name in ("bad", "good"):
            source.save(name, ContentFile(long))
        for destination in (self.disk, self.storage):
            outcomes = self.migrate(source, destination)
            self.assertIsInstance(outcomes["bad"], Exception)
            self.assertEqual(outcomes["good"], State.COPIED)
        self.assertEqual(self.on_disk, {"good": long})
        self.assertEqual(files_of(self.storage), {"good": long})

    def test_an_unreadable_directory_is_reported_and_the_others_are_copied(self) -> None:
        class Closed(InMemoryStorage):
            def listdir(self, path: str) -> tuple[list[str], list[str]]:
                if path == "closed":
                    raise PermissionError("it is closed")
                return super().listdir(path)

        source = Closed()
        for name in ("closed/a", "open/b"):
            source.save(name, ContentFile(BYTES))
        outcomes = self.migrate(source, self.storage)
        self.assertIsInstance(outcomes["closed"], PermissionError)
        self.assertEqual(files_of(self.storage), {"open/b": BYTES})

    def test_a_name_that_is_taken_meanwhile_is_a_conflict(self) -> None:
        grid = self.storage

        class Busy(InMemoryStorage):
            def _open(self, name: str, mode: str = "rb") -> Any:
                grid.save(name, ContentFile(b"somebody else's"))
                return super()._open(name, mode)

        source = Busy()
        source.save("f", ContentFile(BYTES))
        self.assertEqual(self.migrate(source, grid), {"f": State.CONFLICT})
        self.assertEqual(files_of(grid), {"f": b"somebody else's"})


class Jobs(SynchronousTestCase):
    def test_a_file_that_takes_long_holds_up_no_others(self) -> None:
        self.patch(migration, "_LOOK", 10)
        last = Event()

        class Slow(InMemoryStorage):
            def _save(self, name: str, content: File[Any]) -> str:
                if name == "0" and not last.wait(10):
                    raise OSError("no other file is copied meanwhile")
                saved = super()._save(name, content)
                if name == "29":
                    last.set()
                return saved

        source = InMemoryStorage()
        for number in range(30):
            source.save(str(number), ContentFile(b"x"))
        outcomes = list(Migration(side_of(source), side_of(Slow())).run())
        self.assertEqual([one.state for one in outcomes], [State.COPIED] * 30)


class Hashing(SynchronousTestCase):
    def test_bytes_are_hashed_once_in_whichever_order_they_are_read(self) -> None:
        def whole(file: HashedFile) -> None:
            file.read()

        def twice(file: HashedFile) -> None:
            file.read(2000)
            b"".join(file.chunks(700))

        def the_end_first(file: HashedFile) -> None:
            file.seek(-10, os.SEEK_END)
            file.read()
            file.seek(0)
            file.read(1)

        def some_bytes_again(file: HashedFile) -> None:
            file.read(100)
            file.seek(50)
            file.read(100)

        def lines(file: HashedFile) -> None:
            file.readline()

        def nothing(file: HashedFile) -> None:
            pass

        expected = HashedFile(ContentFile(BYTES), "f").digest()
        self.assertEqual(len(expected), 64)
        for reading in (whole, twice, the_end_first, some_bytes_again, lines, nothing):
            file = HashedFile(ContentFile(BYTES), "f")
            reading(file)
            self.assertEqual(file.digest(), expected, reading)
            self.assertEqual(file.hashed, len(BYTES))


@needs(TIME)
class Interrupted(CommandTestCase):
    """1,000 files, by processes that are killed."""

    def setUp(self) -> None:
        super().setUp()
        proxy = Proxy(self.gateway).__enter__()
        self.addCleanup(proxy.__exit__)
        self.proxy = proxy
        self.media, self.back = self.folder / "media", self.folder / "back"
        self.environment = environment(
            DJANGO_SETTINGS_MODULE="tests.tahoestorage.management.migrating_settings",
            # If a process was killed, the servers refuse its files through the same gateway for
            # half an hour. So there is a second gateway.
            GATEWAYS=" ".join([proxy.url, self.gateways[1]]),
            CAP=self.cap,
            MEDIA=str(self.media),
            BACK=str(self.back),
        )

    def make_files(self) -> None:
        random = Random(2)
        for number in range(1000):
            # Files that fit into their caps are fast: so they are many, and the large ones are few.
            size = random.randint(56, 20_000) if number % 10 == 0 else random.randint(0, 55)
            folder = self.media / ("", "documents", "photos/2026/11", "a/b/c/d")[number % 4]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"file {number}.bin").write_bytes(random.randbytes(size))

    @contextmanager
    def migrating(self, source: str, destination: str) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "django", "tahoe", "migrate"]
        process = subprocess.Popen(
            [*command, f"--from={source}", f"--to={destination}"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def end_when(
        self, reached: Callable[[], bool], source: str, destination: str, by: signal.Signals
    ) -> int:
        """Start, send a signal when so much is done, and return the status."""
        with self.migrating(source, destination) as process:
            while not reached():
                self.assertIsNone(process.poll(), "it has ended before")
                time.sleep(0.05)
            process.send_signal(by)
            return process.wait(60)

    def finish(self, source: str, destination: str) -> str:
        with self.migrating(source, destination) as process:
            said = process.communicate(timeout=300)[0]
            self.assertEqual(process.returncode, 0, said)
            return str(said)

    def test_there_and_back(self) -> None:
        self.make_files()
        before = tree(self.media)
        for uploads in (400, 300):
            so_far = self.proxy.requests.count("PUT /uri")
            status = self.end_when(
                lambda: self.proxy.requests.count("PUT /uri") >= so_far + uploads,
                *("default", "grid"),
                signal.SIGKILL,
            )
            self.assertEqual(status, -signal.SIGKILL)
            there = sum(len(names) for _, _, names in self.new_storage().walk())
            self.assertTrue(0 < there < 1000, there)
        said = self.finish("default", "grid")
        self.assertIn(f"{1000 - there} files copied", said)
        self.assertIn(f"{there} there already, 0 in conflict, 0 failed", said)

        for files, by, expected in (
            (300, signal.SIGKILL, -signal.SIGKILL),
            (600, signal.SIGINT, 130),
        ):
            status = self.end_when(lambda: len(self.copied()) >= files, "grid", "back", by)
            self.assertEqual(status, expected)
            self.assertLess(len(self.copied()), 1000)
        self.assertLessEqual(tree(self.back).items(), before.items())  # Ctrl-C leaves no part
        self.finish("grid", "back")
        self.assertEqual(tree(self.back), before)
        self.assertEqual(tree(self.media), before)

    def copied(self) -> list[Path]:
        return [path for path in self.back.rglob("*") if path.is_file()]
