"""Names that carry the caps of their files, on a real grid."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import pickle
import posixpath
from collections.abc import Iterator
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.db.migrations.writer import MigrationWriter
from django.db.models.fields.files import FieldFile, FileField

from tahoestorage import conf
from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.care.wholetree import WholeTree
from tahoestorage.reactor.waiting import done
from tahoestorage.storage import TahoeStorage
from tests.grid.case import make_directory
from tests.grid.proxy import Proxy
from tests.needs import TIME, needs
from tests.processes import apart
from tests.tahoestorage.case import StorageTestCase, forget_links
from txtahoe import Cap, Tree
from txtahoe.capnames.anchors import ANCHORS
from txtahoe.capnames.names import CapName
from txtahoe.errors import GatewayUnreachable, NoSuchChild, NotWriteable, SomeFailed
from txtahoe.maintenance import check, renew, take_snapshot

DATA = bytes(range(100)) * 50
NOWHERE = "http://127.0.0.1:1/"


class CapStorageTestCase(StorageTestCase):
    storage: TahoeCapStorage

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(forget_links)

    def new_storage(self, **options: Any) -> TahoeCapStorage:
        defaults: dict[str, Any] = {
            "tahoe_base_url": self.gateway,
            "tahoe_base_cap": self.cap,
            "base_url": self.gateway,
        }
        return TahoeCapStorage(**{**defaults, **options})

    def old_storage(self) -> TahoeStorage:
        """One whose names carry no caps."""
        return super().new_storage()

    def carried(self, name: str) -> CapName:
        carried = CapName.parse(name)
        assert carried is not None, name
        return carried

    def assert_redacted(self, text: str, name: str) -> None:
        self.assertNotIn(str(self.carried(name).cap), text)
        self.assertNotIn(str(self.carried(name).cap).split(":")[2], text)


class Saving(CapStorageTestCase):
    def test_a_name_leads_to_its_file(self) -> None:
        name = self.storage.save("docs/2026/report.pdf", ContentFile(DATA))
        carried = self.carried(name)
        self.assertEqual(name, f"docs/2026/{carried.cap!s}/report.pdf")
        self.assertEqual((carried.cap.kind, carried.cap.size), ("CHK", len(DATA)))
        self.assertEqual(self.read(name), DATA)
        self.assertEqual(self.storage.size(name), len(DATA))
        with urlopen(self.storage.url(name)) as answer:
            self.assertEqual(answer.read(), DATA)
            self.assertEqual(answer.headers["Content-Type"], "application/pdf")
        self.assertTrue(self.storage.exists(name))

    def test_a_save_is_one_request_and_other_calls_need_none(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        name = storage.save("docs/report.pdf", ContentFile(DATA))
        self.assertEqual(proxy.requests, ["PUT /uri"])
        proxy.requests.clear()
        elsewhere = self.new_storage(tahoe_base_url=NOWHERE)
        for each in (storage, elsewhere):
            self.assertEqual(each.size(name), len(DATA))
            self.assertTrue(each.url(name).endswith("/report.pdf"))
            self.assertTrue(each.exists(name))
            self.assertEqual(each.prefetch([name]), {name})
            each.open(name).close()
        self.assertEqual(proxy.requests, [])

    def test_small_and_empty_files(self) -> None:
        for data in (b"", b"x", b"x" * 55):
            name = self.storage.save("a/f.txt", ContentFile(data))
            self.assertEqual(self.carried(name).cap.kind, "LIT")
            self.assertEqual(self.read(name), data)
            self.assertEqual(self.storage.size(name), len(data))

    def test_a_file_can_save_files_while_it_is_read(self) -> None:
        storage = self.new_storage(concurrency=1)

        class Made(ContentFile):  # type: ignore[type-arg]
            def chunks(self, chunk_size: int | None = None) -> Iterator[Any]:
                saved.append(storage.save("part", ContentFile(b"1" * 100)))
                return super().chunks(chunk_size)

        def save() -> None:
            saved.append(storage.save("whole", Made(b"2" * 100)))

        saved: list[str] = []
        thread = Thread(target=save, daemon=True)
        thread.start()
        thread.join(10)
        self.assertEqual([self.read(name)[:1] for name in saved], [b"1", b"2"])

    def test_names_of_every_kind(self) -> None:
        for wanted in ("f", "a b/what?.txt", "100%/%2F.txt", "é/😀.txt", ".hidden", "cafe\u0301/x"):
            name = self.storage.save(wanted, ContentFile(wanted.encode() * 20))
            self.assertEqual(self.read(name), wanted.encode() * 20)
            with urlopen(self.storage.url(name)) as answer:
                self.assertEqual(answer.read(), wanted.encode() * 20)

    def test_one_name_twice_is_two_files(self) -> None:
        names = [self.storage.save("f", ContentFile(data * 100)) for data in (b"1", b"2", b"1")]
        self.assertEqual([self.read(name)[:1] for name in names], [b"1", b"2", b"1"])
        self.assertEqual(names[0], names[2])
        self.assertNotEqual(names[0], names[1])
        self.storage.delete(names[0])
        self.assertEqual(self.read(names[2]), b"1" * 100)

    def test_a_name_made_of_another_one_has_its_own_cap(self) -> None:
        name = self.storage.save("docs/report.pdf", ContentFile(DATA))
        thumbnail = self.storage.save(f"{name}.100x100.jpg", ContentFile(b"small" * 20))
        carried = self.carried(thumbnail)
        self.assertEqual((carried.directory, carried.file), ("docs", "report.pdf.100x100.jpg"))
        self.assertNotEqual(carried.cap, self.carried(name).cap)
        self.assertEqual(self.read(thumbnail), b"small" * 20)

    def test_a_file_saved_again_keeps_its_name(self) -> None:
        name = self.storage.save("docs/report.pdf", ContentFile(DATA))
        with self.storage.open(name) as file:
            self.assertEqual(self.new_storage().save(name, file), name)

    def test_only_the_name_of_the_file_is_cut(self) -> None:
        long = "x" * 200 + ".tar.gz"
        name = self.storage.save(f"docs/{long}", ContentFile(DATA), max_length=255)
        carried = self.carried(name)
        self.assertEqual(len(name), 255)
        self.assertRegex(carried.file, r"^x+\.tar\.gz$")
        self.assertEqual(self.read(name), DATA)
        with self.assertRaisesRegex(SuspiciousFileOperation, "max_length=255") as caught:
            self.storage.save("docs/f.txt", ContentFile(DATA), max_length=100)
        self.assert_redacted(str(caught.exception), name)

    def test_a_wrong_cap_in_a_name_is_refused(self) -> None:
        writer = self.cap
        reader = str(Cap.parse(writer).reader)
        file = str(self.carried(self.storage.save("f", ContentFile(DATA))).cap)
        verifier = str(Cap.parse(file).verifier)
        for wrong in (writer, reader, verifier, writer[:-5], "URI:", "URI:SSK:oops"):
            for name in (f"docs/{wrong}/f", f"docs/{wrong}/more/f", f"docs/{wrong}"):
                with self.assertRaises(SuspiciousFileOperation, msg=name) as caught:
                    self.storage.save(name, ContentFile(DATA))
                self.assertNotIn(wrong[8:] or "no cap", str(caught.exception))
            for ask in (self.storage.open, self.storage.size, self.storage.url):
                with self.assertRaises(SuspiciousFileOperation):
                    ask(f"docs/{wrong}/f")
        for name in ("../f", f"docs/{file}", f"../{file}/f", "/etc/passwd/.."):
            with self.assertRaises(SuspiciousFileOperation, msg=name):
                self.storage.save(name, ContentFile(DATA))

    def test_a_model_field(self) -> None:
        class Owner:
            file: Any = None

            def save(self) -> None: ...

        field = FileField(upload_to="docs/%Y", storage=self.storage, max_length=255)
        field.set_attributes_from_name("file")
        file = FieldFile(Owner(), field, None)  # type: ignore[arg-type]
        file.save("my report.pdf", ContentFile(DATA), save=False)
        self.assertRegex(str(file.name), r"^docs/\d{4}/URI:CHK:[^/]+/my_report\.pdf$")
        file.close()
        self.assertEqual(file.read(), DATA)
        self.assertEqual(posixpath.basename(str(file.name)), "my_report.pdf")
        file.delete(save=False)

    def test_a_read_only_storage_saves_nothing(self) -> None:
        name = self.storage.save("f", ContentFile(DATA))
        reader = self.new_storage(tahoe_base_cap=str(Cap.parse(self.cap).reader))
        with reader.open(name) as file:
            self.assertEqual(file.read(), DATA)
        for change in (lambda: reader.save("f", ContentFile(b"")), lambda: reader.delete(name)):
            with self.assertRaises(NotWriteable) as caught:
                change()
            self.assert_redacted(str(caught.exception), name)

    def test_a_subclass_can_choose_names(self) -> None:
        class Choosing(TahoeCapStorage):
            def get_available_name(self, name: str, max_length: int | None = None) -> str:
                return f"chosen/{name}"

        storage = Choosing(tahoe_base_url=self.gateway, tahoe_base_cap=self.cap)
        name = storage.save("long name.txt", ContentFile(DATA), max_length=112)
        self.assertEqual(self.carried(name).directory, "chosen")
        self.assertEqual(len(name), 112)

    @needs(TIME)
    def test_uploads_go_on_while_the_gateway_that_links_is_away(self) -> None:
        storage = self.new_storage(tahoe_base_url=[NOWHERE, self.gateway])
        name = storage.save("f", ContentFile(DATA))
        self.assertEqual(self.read(name), DATA)
        self.assertRaises(GatewayUnreachable, storage.flush)


class Reading(CapStorageTestCase):
    def test_a_name_always_leads_to_the_same_file(self) -> None:
        name = self.storage.save("f", ContentFile(DATA))
        for mode in ("wb", "ab", "r+b", "xb"):
            with self.assertRaisesRegex(NotWriteable, r"save\(\) the new content") as caught:
                self.storage.open(name, mode)
            self.assert_redacted(str(caught.exception), name)
        with self.storage.open(name) as file:
            with self.assertRaises(NotWriteable):
                file.open("wb")

    def test_files_show_no_cap(self) -> None:
        name = self.storage.save("f.txt", ContentFile(DATA))
        file = self.storage.open(name)
        self.assertEqual(file.name, name)
        self.assert_redacted(repr(file), name)
        file.close()

    def test_a_lost_file_is_unavailable(self) -> None:
        cap = str(self.carried(self.storage.save("f", ContentFile(DATA))).cap)
        lost = ":".join([*cap.split(":")[:2], "a" * 26, *cap.split(":")[3:]])
        with self.storage.open(f"{lost}/f") as file, self.assertRaises(OSError) as caught:
            file.read()
        self.assertNotIsInstance(caught.exception, FileNotFoundError)
        self.assert_redacted(str(caught.exception), f"{lost}/f")

    def test_there_are_no_times(self) -> None:
        name = self.storage.save("f", ContentFile(DATA))
        for ask in (self.storage.get_modified_time, self.storage.get_created_time):
            with self.assertRaises(NotImplementedError) as caught:
                ask(name)
            self.assert_redacted(str(caught.exception), name)

    def test_names_without_a_cap_lead_to_the_same_files_as_before(self) -> None:
        old = self.old_storage()
        name = old.save("docs/old.txt", ContentFile(DATA))
        self.assertEqual(self.read(name), DATA)
        self.assertEqual(self.storage.url(name), old.url(name))
        self.assertEqual(self.storage.get_modified_time(name), old.get_modified_time(name))
        self.assertFalse(self.storage.exists("docs/missing"))
        self.assertRaises(NoSuchChild, self.storage.open, "docs/missing")
        self.assertRaises(NotWriteable, self.storage.open, name, "wb")
        self.storage.delete(name)
        self.assertFalse(old.exists(name))

    def test_the_url_of_a_missing_name_without_a_cap_is_not_found(self) -> None:
        for name in ("docs/missing.txt", "docs"):
            with self.assertLogs("tahoestorage", "WARNING"):
                url = self.storage.url(name)
                self.assertEqual(asyncio.run(self.storage.aurl(name)), url)
            with self.assertRaises(HTTPError) as caught:
                urlopen(url)
            self.assertEqual(caught.exception.code, 404)

    def test_location(self) -> None:
        storage = self.new_storage(location="media")
        name = storage.save("docs/f", ContentFile(DATA))
        self.assertEqual(self.read(name), DATA)
        storage.flush()
        self.assertEqual(list(storage.walk())[-1][2], ["f"])
        whole = WholeTree.of(storage)
        self.assertEqual(list(whole.run(lambda tree, _: tree.list(["media"]))), [ANCHORS])
        self.assertEqual(self.old_storage().listdir("media"), ([], []))


class Asynchronous(CapStorageTestCase):
    def test_the_asynchronous_twins_do_the_same(self) -> None:
        storage = self.storage

        async def use() -> None:
            name = await storage.asave("docs/f.txt", ContentFile(DATA), max_length=255)
            self.assertEqual(self.carried(name).file, "f.txt")
            self.assertEqual(await storage.asize(name), len(DATA))
            self.assertTrue(await storage.aexists(name))
            self.assertTrue((await storage.aurl(name)).endswith("/f.txt"))
            async with await storage.aopen(name) as file:
                self.assertEqual(await file.aread(), DATA)
            files = [(f"d/{n}", ContentFile(b"%d" % n * 60)) for n in range(3)]
            names = await storage.asave_many(files)
            self.assertEqual([self.carried(name).file for name in names], ["0", "1", "2"])
            await storage.aflush()
            self.assertEqual(await storage.alistdir("docs"), ([str(self.carried(name).cap)], []))
            await storage.adelete(name)
            with self.assertRaises(NotImplementedError):
                await storage.aget_modified_time(name)

        asyncio.run(asyncio.wait_for(use(), 300))


class SavingMany(CapStorageTestCase):
    def test_one_request_for_each_file(self) -> None:
        with Proxy(self.gateway) as proxy:
            storage = self.new_storage(tahoe_base_url=proxy.url)
            told: list[int] = []
            files = [(f"d/{n}.txt", ContentFile(b"%d" % n * 60)) for n in range(20)]
            names = storage.save_many(files, progress=told.append)
            self.assertEqual(proxy.requests, ["PUT /uri"] * 20)
        self.assertEqual(sum(told), 20)
        for number, name in enumerate(names):
            self.assertEqual(self.read(name), b"%d" % number * 60)

    def test_a_file_that_fails_does_not_lose_the_others(self) -> None:
        class Broken(ContentFile):  # type: ignore[type-arg]
            def chunks(self, chunk_size: int | None = None) -> Any:
                raise OSError("the disk is broken")

        files: list[tuple[str, File[Any]]] = [
            ("a", ContentFile(DATA)),
            ("../b", ContentFile(DATA)),
            (f"{self.cap}/c", ContentFile(DATA)),
            ("d", Broken(b"")),
            ("e", ContentFile(DATA)),
        ]
        with self.assertRaises(SomeFailed) as caught:
            self.storage.save_many(files)
        results = caught.exception.results
        self.assertEqual([self.carried(results[n]).file for n in (0, 4)], ["a", "e"])
        kinds = [type(error).__name__ for error in caught.exception.errors]
        self.assertEqual(kinds, ["SuspiciousFileOperation", "SuspiciousFileOperation", "OSError"])


class Links(CapStorageTestCase):
    """The links that are made in the background."""

    def setUp(self) -> None:
        super().setUp()
        self.names = [
            self.storage.save(f"docs/{n % 2}/{n}.txt", ContentFile(b"%d" % n * 60))
            for n in range(6)
        ]
        self.storage.flush()

    def tree(self, operation: Any) -> Any:
        whole = self.storage.operations.tree
        return done(whole.run(lambda tree, _: operation(Tree(tree.client, tree.root))))

    def test_the_root_alone_leads_to_every_file_with_its_name(self) -> None:
        found = {
            posixpath.join(directory, file)
            for directory, _, files in apart(self.new_storage()).walk()
            for file in files
        }
        self.assertEqual(found, set(self.names))
        self.assertEqual(self.storage.listdir("docs"), (["0", "1"], []))
        cap = str(self.carried(self.names[0]).cap)
        self.assertIn(cap, self.storage.listdir("docs/0")[0])
        self.assertEqual(self.storage.listdir(f"docs/0/{cap}"), ([], ["0.txt"]))
        self.assertRaises(NoSuchChild, self.storage.listdir, "missing")

    def test_links_can_be_read_without_this_package(self) -> None:
        async def labels(tree: Tree) -> list[str]:
            found = [
                (path[-1], node.cap)
                async for path, children in tree.walk()
                for path, node in (((*path, name), node) for name, node in children.items())
                if not node.is_directory
            ]
            self.assertEqual({cap for _, cap in found}, {self.carried(n).cap for n in self.names})
            return [label for label, _ in found]

        for label in self.tree(labels):
            self.assertRegex(label, r"^docs%2F[01]%2F[a-z2-7]{12}%2F\d\.txt$")

    def test_maintenance_goes_by_the_links(self) -> None:
        self.assertTrue(self.tree(check).is_healthy)
        self.assertTrue(self.tree(renew).is_complete)
        self.assertEqual(self.tree(take_snapshot).files, 6)

    def test_names_of_two_kinds_are_listed_together(self) -> None:
        self.old_storage().save("docs/0/old.txt", ContentFile(DATA))
        self.assertEqual(self.storage.listdir("docs/0")[1], ["old.txt"])
        walked = {directory: (below, files) for directory, below, files in self.storage.walk()}
        self.assertEqual(walked[""], (["docs"], []))
        self.assertEqual(walked["docs/0"][1], ["old.txt"])
        self.assertEqual(len(walked["docs/0"][0]), 3)


class WrittenDown(CapStorageTestCase):
    def test_the_storage_shows_no_cap(self) -> None:
        self.assertEqual(repr(self.storage), "<TahoeCapStorage: />")
        text, imports = MigrationWriter.serialize(self.new_storage())
        self.assertIn("tahoestorage.capstorage.TahoeCapStorage(", text)
        self.assertNotIn("URI:", text)
        self.assertIs(copy.deepcopy(self.storage), self.storage)
        again = pickle.loads(pickle.dumps(self.storage))
        self.assertIsInstance(again, TahoeCapStorage)
        self.assertEqual(again.place, self.storage.place)
        self.assertNotIn(conf.base_cap(self.storage.options).fingerprint, "")

    def test_its_place_differs_from_that_of_a_plain_storage(self) -> None:
        self.assertNotEqual(self.storage.place, self.old_storage().place)

    def test_no_log_shows_a_name(self) -> None:
        storage = self.new_storage(tahoe_base_url=[NOWHERE, self.gateway])
        with self.assertLogs(level=logging.DEBUG) as logs:
            logging.getLogger("tests").info("begin")
            name = storage.save("f", ContentFile(os.urandom(1000)))
            with self.assertRaises(GatewayUnreachable) as caught:
                storage.flush()
        self.assert_redacted("\n".join(logs.output), name)
        self.assert_redacted(str(caught.exception), name)


class OtherRoot(CapStorageTestCase):
    def test_a_name_leads_to_its_file_below_any_root(self) -> None:
        name = self.storage.save("docs/f", ContentFile(DATA))
        other = self.new_storage(tahoe_base_cap=make_directory(self.gateway))
        with other.open(name) as file:
            self.assertEqual(file.read(), DATA)
