"""Files by their paths: read, measured, served, and unlinked where they may be missing."""

from __future__ import annotations

from twisted.web.test.requesthelper import DummyRequest

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Node
from txtahoe.errors import IsADirectory, NoSuchChild, NotADirectory, Unrecoverable

DATA = bytes(range(256)) * 40


class Files(ClockTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cap = self.now(self.tree.save("a/file.txt", DATA))

    def test_a_file_is_read_by_its_path(self) -> None:
        self.assertEqual(self.now(self.tree.size("a/file.txt")), len(DATA))
        self.assertEqual(self.now(self.tree.read("a/file.txt")), DATA)
        self.assertEqual(self.now(self.tree.read(["a", "file.txt"], 5, 10)), DATA[5:15])
        download = self.now(self.tree.download("a/file.txt", offset=10_000))
        self.assertEqual(self.now(download.rest()), DATA[10_000:])

    def test_missing_files_and_directories_are_errors_of_their_own(self) -> None:
        for path, expected in (
            ("none", NoSuchChild),
            ("a/none", NoSuchChild),
            ("a/file.txt/below", NotADirectory),
            ("a", IsADirectory),
            ("", IsADirectory),
        ):
            for method in (self.tree.read, self.tree.download, self.tree.size):
                self.failureResultOf(start(method(path)), expected)
            serving = start(self.tree.serve(DummyRequest([]), path))
            self.failureResultOf(serving, expected)

    def test_it_exists_unless_a_directory_that_was_read_says_no(self) -> None:
        for path, there in (("a", True), ("a/file.txt", True), ("a/none", False), ("none", False)):
            self.assertIs(self.now(self.tree.exists(path)), there, path)
        self.assertIs(self.now(self.tree.exists("a/file.txt/below")), False)
        self.fake.lose(self.now(self.tree.resolve("a")).cap)
        asking = start(self.tree.exists("a/other"))
        self.clock.pump([1.0] * 3)
        self.failureResultOf(asking, Unrecoverable)

    def test_a_name_that_may_be_missing_is_unlinked(self) -> None:
        for path in ("a/none", "none/none"):
            self.now(self.tree.unlink(path, missing_ok=True))
            self.failureResultOf(start(self.tree.unlink(path)), NoSuchChild)
        self.failureResultOf(start(self.tree.unlink("a", missing_ok=True)), IsADirectory)
        self.now(self.tree.unlink("a/file.txt", missing_ok=True))
        self.assertIs(self.now(self.tree.exists("a/file.txt")), False)


class WithoutANode(ClockTestCase):
    """`Client.unlink`."""

    def setUp(self) -> None:
        super().setUp()
        self.cap = self.now(self.client.upload(DATA))

    def test_whatever_the_name_leads_to_is_unlinked(self) -> None:
        self.now(self.client.link(self.root, "é", self.cap))
        self.now(self.client.unlink(self.root, "e\N{COMBINING ACUTE ACCENT}"))
        self.assertEqual(self.now(self.client.list(self.root)), {})
        self.failureResultOf(start(self.client.unlink(self.root, "é")), NoSuchChild)
        self.now(self.client.unlink(self.root, "é", missing_ok=True))

    def test_another_file_stays(self) -> None:
        self.now(self.client.link(self.root, "f", self.cap))
        other = Node("filenode", self.now(self.client.upload(b"other")))
        unlinking = start(self.client.unlink(self.root, "f", other))
        self.failureResultOf(unlinking, NoSuchChild)
        self.now(self.client.unlink(self.root, "f", other, missing_ok=True))
        self.assertEqual(list(self.now(self.client.list(self.root))), ["f"])
