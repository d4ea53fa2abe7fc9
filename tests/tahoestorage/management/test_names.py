"""`manage.py tahoe ls|du|get|put|rm|url`."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any
from unittest import mock

from tests.grid.proxy import Proxy
from tests.tahoestorage.management.case import CommandTestCase
from txtahoe import Tree


def contents(folder: Path) -> dict[str, bytes]:
    return {
        each.relative_to(folder).as_posix(): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file()
    }


class Listing(CommandTestCase):
    def test_a_directory(self) -> None:
        self.save(b=b"", a__x=b"1", a__y__z=b"22")
        self.assertEqual(self.lines("ls"), ["a/", "b"])
        self.assertEqual(self.lines("ls", "a"), ["a/x", "a/y/"])
        self.assertEqual(self.lines("ls", "a/x"), ["a/x"])
        self.assertEqual(self.lines("ls", "-R"), ["a/", "a/x", "a/y/", "a/y/z", "b"])
        self.assertEqual(self.run_verb("ls", "-R", "a/y"), "a/y/z\n")

    def test_with_sizes_and_times(self) -> None:
        self.save(b=b"1" * 3000)
        headings, line = self.lines("ls", "-l")
        self.assertEqual(headings.split(), ["size", "linked", "name"])
        self.assertRegex(line, r"^2\.9 KB  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d  b$")
        [told] = self.told("ls")
        self.assertEqual((told["name"], told["type"], told["size"]), ("b", "file", 3000))
        self.assertGreater(told["linked"], 1.7e9)

    def test_names_begin_in_the_location(self) -> None:
        self.save(media__a=b"1", b=b"2")
        self.use(location="media")
        self.assertEqual(self.lines("ls"), ["a"])
        self.assertIn("outside", self.fail_verb("ls", "../b"))

    def test_a_missing_name_is_an_error_and_an_empty_storage_is_none(self) -> None:
        self.assertIn("nothing", self.fail_verb("ls", "nothing"))
        self.assertEqual(self.run_verb("ls"), "")


class Usage(CommandTestCase):
    def test_by_directory(self) -> None:
        self.save(b=b"1", a__x=b"1" * 1000, a__y__z=b"1" * 24)
        self.assertEqual(
            [line.split() for line in self.lines("du")],
            [
                ["size", "files", "directory"],
                ["1.0", "KB", "3", "/"],
                ["1.0", "KB", "2", "a/"],
                ["24", "bytes", "1", "a/y/"],
            ],
        )
        self.assertEqual(len(self.lines("du", "--depth", "0")), 2)
        self.assertEqual([each["name"] for each in self.told("du", "--depth", "1")], ["", "a"])
        self.assertEqual([each["size"] for each in self.told("du", "a")], [1024, 24])
        self.assertIn("not a directory", self.fail_verb("du", "b"))

    def test_without_a_name_it_counts_all_that_is_under_the_cap(self) -> None:
        self.save(media__a__x=b"1", other=b"22")
        self.use(location="media")
        printed = [line.split()[-1] for line in self.lines("du")[1:]]
        self.assertEqual(printed, ["/", "./", "a/"])
        self.assertEqual([each["name"] for each in self.told("du")], ["/", "", "a"])
        self.assertEqual([each["name"] for each in self.told("du", "")], ["", "a"])


class Getting(CommandTestCase):
    def test_a_file(self) -> None:
        self.save(a__b=b"content")
        target = self.folder / "copy"
        self.assertEqual(self.lines("get", "a/b", str(target)), [str(target)])
        self.assertEqual(contents(self.folder), {"copy": b"content"})
        self.assertEqual(target.stat().st_mode & 0o700, 0o600)
        self.run_verb("get", "a/b", str(self.folder))
        self.assertEqual(contents(self.folder), {"copy": b"content", "b": b"content"})

    def test_an_existing_file_is_replaced_only_with_replace(self) -> None:
        self.save(a=b"new")
        target = self.folder / "a"
        target.write_bytes(b"old")
        self.assertIn("there already", self.fail_verb("get", "a", str(target)))
        self.assertEqual(contents(self.folder), {"a": b"old"})
        self.run_verb("get", "a", str(target), "--replace")
        self.assertEqual(contents(self.folder), {"a": b"new"})

    def test_a_directory(self) -> None:
        self.save(a__b=b"1", a__c__d=os.urandom(300_000), e=b"2")
        self.run_verb("get", "a", str(self.folder / "copy"))
        self.assertEqual(set(contents(self.folder)), {"copy/b", "copy/c/d"})
        self.assertEqual(contents(self.folder)["copy/c/d"], self.read("a/c/d"))
        self.run_verb("get", "", str(self.folder / "all"))
        self.assertEqual(set(contents(self.folder / "all")), {"a/b", "a/c/d", "e"})

    def test_one_failure_leaves_no_part_and_the_others_are_copied(self) -> None:
        self.save(a__b=b"1", a__c=b"2")
        (self.folder / "c").mkdir()
        said = self.fail_verb("get", "a", str(self.folder))
        self.assertIn("a/c: ", said)
        self.assertEqual(contents(self.folder), {"b": b"1"})

    def test_a_name_never_leads_out_of_the_folder(self) -> None:
        self.save(a__b=b"1")
        self.link_strangely("a", "../../escaped")
        said = self.fail_verb("get", "a", str(self.folder / "in" / "here"))
        self.assertIn("can't be the name", said)
        self.assertEqual(contents(self.folder), {"in/here/b": b"1"})

    def link_strangely(self, directory: str, name: str) -> None:
        """Link a file by a name that another Tahoe client may give it."""

        async def link(tree: Tree, caller: object) -> None:
            parent = (await tree.resolve(directory)).cap
            await tree.client.link(parent, name, (await tree.resolve(f"{directory}/b")).cap)

        from tahoestorage.care.wholetree import WholeTree

        WholeTree.of(self.storage).run(link)

    def test_ctrl_c_ends_the_copy_and_leaves_no_part(self) -> None:
        self.save(**{f"a__{number}": os.urandom(100) for number in range(40)})
        self.run_verb("get", "a/0", str(self.folder / "whole"))
        main = threading.main_thread().ident
        with Proxy(self.gateway) as proxy:
            self.use(tahoe_base_url=proxy.url)

            interrupting, over = threading.Lock(), threading.Event()
            self.addCleanup(over.set)
            # trial leaves the handler of its reactor behind, which would stop the reactor.
            usual = signal.signal(signal.SIGINT, signal.default_int_handler)
            self.addCleanup(signal.signal, signal.SIGINT, usual)

            def sent(client: socket.socket, data: bytes) -> None:
                if len(proxy.requests) >= 12:
                    if interrupting.acquire(blocking=False):
                        signal.pthread_kill(main, signal.SIGINT)
                    over.wait()  # no answer comes any more

            proxy.sent = sent  # type: ignore[method-assign]
            self.assertEqual(
                self.fail_verb("get", "a", str(self.folder), status=130), "interrupted"
            )
            self.assertLess(len(proxy.requests), 25)
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".")], [])

    def test_a_disk_without_hard_links_replaces_no_file(self) -> None:
        self.save(a__b=b"1", a__c=b"2")
        (self.folder / "c").write_bytes(b"old")
        with mock.patch("os.link", side_effect=PermissionError(errno.EPERM, "not permitted")):
            said = self.fail_verb("get", "a", str(self.folder))
        self.assertIn("a/c: ", said)
        self.assertIn("there already", said)
        self.assertEqual(contents(self.folder), {"b": b"1", "c": b"old"})

    def test_a_file_that_appears_during_the_copy_is_not_replaced(self) -> None:
        for error in (FileExistsError(), PermissionError(errno.EPERM, "not permitted")):
            target = self.folder / type(error).__name__

            def link(part: str, local: Path, target: Path = target) -> None:
                target.write_bytes(b"new")
                raise error

            self.save(a=b"1")
            with mock.patch("os.link", link):
                self.assertIn("there already", self.fail_verb("get", "a", str(target)))
            self.assertEqual(target.read_bytes(), b"new")

    def test_a_name_can_have_the_greatest_length_of_the_disk(self) -> None:
        name = "本" * 85
        self.save(**{name: b"1"})
        self.run_verb("get", name, str(self.folder / name))
        self.assertEqual(contents(self.folder), {name: b"1"})

    def test_two_names_of_one_local_file_are_an_error(self) -> None:
        self.save(a__b__x=b"1", a__c__x=b"2", a__c__y=b"3")
        (self.folder / "b").mkdir()
        (self.folder / "c").symlink_to("b")
        (self.folder / "b" / "x").write_bytes(b"old")
        said = self.fail_verb("get", "a", str(self.folder), "--replace")
        self.assertRegex(said, "a/[bc]/x: another file of this copy is at ")
        self.assertIn((self.folder / "b" / "x").read_bytes(), (b"1", b"2"))
        self.assertEqual((self.folder / "b" / "y").read_bytes(), b"3")

    def test_a_copy_has_the_mode_of_any_new_file(self) -> None:
        self.save(a=b"1")
        before = os.umask(0o027)
        self.addCleanup(os.umask, before)
        self.run_verb("get", "a", str(self.folder / "a"))
        self.assertEqual((self.folder / "a").stat().st_mode & 0o777, 0o640)

    def test_to_standard_output(self) -> None:
        data = os.urandom(400_000)
        self.save(a__b=data)
        output = io.TextIOWrapper(io.BytesIO())
        with mock.patch.object(sys, "stdout", output):
            self.run_verb("get", "a/b", "-")
        self.assertEqual(output.buffer.getvalue(), data)
        self.assertIn("can't be printed", self.fail_verb("get", "a", "-"))


class Putting(CommandTestCase):
    def test_a_file_and_a_folder(self) -> None:
        (self.folder / "x" / "y").mkdir(parents=True)
        (self.folder / "x" / "1").write_bytes(b"one")
        (self.folder / "x" / "y" / "2").write_bytes(os.urandom(300_000))
        self.assertEqual(self.lines("put", str(self.folder / "x")), ["x/1", "x/y/2"])
        self.assertEqual(self.read("x/y/2"), (self.folder / "x/y/2").read_bytes())
        self.run_verb("put", str(self.folder / "x" / "1"), "other/name")
        self.assertEqual(self.read("other/name"), b"one")

    def test_a_taken_name_is_an_error_and_the_others_are_saved(self) -> None:
        (self.folder / "1").write_bytes(b"new")
        (self.folder / "2").write_bytes(b"new")
        self.save(x__1=b"old")
        said = self.fail_verb("put", str(self.folder), "x")
        self.assertRegex(said, "^x/2\nx/1: .*taken; --replace replaces ")
        self.assertEqual((self.read("x/1"), self.read("x/2")), (b"old", b"new"))
        self.run_verb("put", "--replace", str(self.folder / "1"), "x/1")
        self.assertEqual(self.read("x/1"), b"new")

    def test_names_that_are_equal_on_the_grid_are_errors(self) -> None:
        for name in ("caf\u00e9", "cafe\u0301", "x\\y", "plain"):
            (self.folder / name).write_bytes(name.encode())
        (self.folder / "x").mkdir()
        (self.folder / "x" / "y").write_bytes(b"other")
        self.save(d__café=b"old")
        said = self.fail_verb("put", "--replace", str(self.folder), "d")
        self.assertIn("d/plain\n", said)
        for name in ("d/caf\u00e9", "d/cafe\u0301", "'d/x\\y'", "d/x/y"):
            self.assertIn(f"{name}: another file here has the same name on the grid", said)
        self.assertEqual(self.lines("ls", "-R"), ["d/", "d/café", "d/plain"])
        self.assertEqual(self.read("d/café"), b"old")

    def test_an_impossible_name_is_an_error_and_the_others_are_saved(self) -> None:
        os.close(os.open(os.fsencode(self.folder) + b"/\xff", os.O_CREAT))
        (self.folder / "1").write_bytes(b"1")
        told = json.JSONDecoder().raw_decode(
            self.fail_verb("put", str(self.folder), "d", "--json")
        )[0]
        self.assertEqual((told["saved"], list(told["failed"])), (["d/1"], ["d/\udcff"]))

    def test_links_to_folders_and_pipes_are_reported(self) -> None:
        (self.folder / "1").write_bytes(b"1")
        (self.folder / "below" / "closed").mkdir(parents=True)
        (self.folder / "below" / "link").symlink_to("..")
        (self.folder / "below" / "dangling").symlink_to("nowhere")
        (self.folder / "below" / "linked").symlink_to("../1")
        os.mkfifo(self.folder / "pipe")

        def list_all_but_one(path: Any = ".", scandir: Any = os.scandir) -> Any:
            if str(path).endswith("closed"):
                raise PermissionError(errno.EACCES, "Permission denied", path)
            return scandir(path)

        with mock.patch("os.scandir", list_all_but_one):
            said = self.fail_verb("put", str(self.folder), "d")
        self.assertEqual(
            said.splitlines(),
            [
                "d/1",
                "d/below/linked",
                "d/below/closed: Permission denied",
                "d/below/dangling: No such file or directory",
                "d/below/link: it is a link to a folder, which is not followed",
                "d/pipe: it is no file and no folder",
            ],
        )

    def test_a_missing_file_or_an_empty_folder_is_an_error(self) -> None:
        self.assertIn("No such file", self.fail_verb("put", str(self.folder / "missing")))
        self.assertIn("no file in", self.fail_verb("put", str(self.folder)))

    def test_a_read_cap_saves_and_removes_nothing(self) -> None:
        (self.folder / "1").write_bytes(b"1")
        self.save(a=b"1")
        self.use(tahoe_base_cap=str(self.storage.place[0].base_cap.reader))
        for arguments in (("put", str(self.folder / "1")), ("rm", "a")):
            self.assertIn("right to write", self.fail_verb(*arguments))


class Removing(CommandTestCase):
    def test_files_and_empty_directories(self) -> None:
        self.save(a__b=b"1", c=b"2", d=b"3")
        self.assertEqual(self.run_verb("rm", "a/b", "c"), "")
        self.run_verb("rm", "a")
        self.assertEqual(self.lines("ls"), ["d"])

    def test_errors_name_the_option_that_helps(self) -> None:
        self.save(a__b=b"1", c=b"2")
        said = self.fail_verb("rm", "missing", "a", "c")
        self.assertIn("missing: ", said)
        self.assertRegex(said, r"\na: .*; -r removes it")
        self.assertIn("`manage.py tahoe ls` lists", said)
        self.assertEqual(self.lines("ls", "-R"), ["a/", "a/b"])
        self.assertEqual(self.run_verb("rm", "-f", "missing"), "")

    def test_recursive_removes_everything_below_a_directory(self) -> None:
        self.save(a__b=b"1", a__c__d__e=b"2", f=b"3")
        self.assertEqual(self.told("rm", "-r", "a")["failed"], {})
        self.assertEqual(self.lines("ls", "-R"), ["f"])
        self.assertIn("not removed", self.fail_verb("rm", "-r", ""))

    def test_a_name_below_a_removed_directory_counts_as_removed(self) -> None:
        self.save(a__b=b"1")
        told = self.told("rm", "-rf", "a", "a/b")
        self.assertEqual(told, {"removed": ["a/b", "a"], "failed": {}})


class Urls(CommandTestCase):
    def test_by_cap(self) -> None:
        self.use(base_url=self.gateway)
        self.save(a__b=b"content")
        [url] = self.lines("url", "a/b")
        self.assertEqual(url, self.storage.url("a/b"))
        self.assertEqual(self.told("url", "a/b"), {"a/b": url})
        self.assertIn("no file 'c'", self.fail_verb("url", "a/b", "c"))
        self.assertIn("'a' is a directory", self.fail_verb("url", "a/b", "a"))

    def test_without_a_public_address(self) -> None:
        self.save(a=b"1")
        self.assertIn("TAHOE_PUBLIC_BASE_URL", self.fail_verb("url", "a"))
