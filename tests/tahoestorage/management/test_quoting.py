"""`manage.py tahoe` shows names that somebody else has chosen, and a terminal obeys none."""

from __future__ import annotations

import json
import subprocess
import sys
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.management.commands.tahoe import Command
from tahoestorage.management.printing import time
from tahoestorage.management.quoting import quoted
from tests.environment import environment
from tests.tahoestorage.management.case import CommandTestCase, Terminal
from txtahoe.errors import TahoeError

HOSTILE = "\x1b[2J\u202etxt.exe\r\nfake"
SHOWN = r"\033[2J\342\200\256txt.exe\015\012fake'"


class Quoting(SynchronousTestCase):
    def test_a_plain_name_is_shown_as_it_is(self) -> None:
        for name in ("a/b.txt", "é", "e\u0301", "日本.txt", "a~", "b#c", "c]", "-r", ""):
            self.assertEqual(quoted(name), name)

    def test_other_names_are_words_of_the_shell(self) -> None:
        for name, shown in (
            ("a b", "'a b'"),
            ("~a", "'~a'"),
            ("$(x)", "'$(x)'"),
            ("a\\b", r"'a\b'"),
            ("a\tb", r"$'a\011b'"),
            ("a\x00b", r"$'a\000b'"),
            ("a\x9b\u2066\udc80\ud800", r"$'a\302\233\342\201\246\200\355\240\200'"),
            ("it's\\\n", r"$'it\'s\\\012'"),
            (HOSTILE, f"$'{SHOWN}"),
        ):
            self.assertEqual(quoted(name), shown)

    def test_a_shell_reads_the_same_name(self) -> None:
        for name in (HOSTILE, "it's", "it's\\\n", "a b", "$(x)`y`", "a\tb", "~", "{a,b}", "!x"):
            shell = ["bash", "-c", f"printf %s {quoted(name)}"]
            printed = subprocess.run(shell, stdout=subprocess.PIPE, check=True).stdout
            self.assertEqual(printed.decode(), name)


class Times(SynchronousTestCase):
    def test_a_number_that_is_no_time_is_a_question_mark(self) -> None:
        for number in (1e300, -1e300, float("nan"), float("inf"), 1e15):
            self.assertEqual(time(number), "?")
        self.assertEqual(time(None), "never")


class Terminals(CommandTestCase):
    """Verbs quote names on a terminal, and print them as they are elsewhere."""

    def setUp(self) -> None:
        super().setUp()
        self.save(**{f"d__{HOSTILE}": b"1", "d__a b": b"2"})

    def on_terminal(self, *arguments: str) -> str:
        """The output of a verb on a terminal."""
        terminal = Terminal()
        command = ["manage.py", "tahoe", *arguments, "--no-color"]
        with mock.patch.multiple(sys, stdout=terminal, stderr=terminal):
            try:
                Command().run_from_argv(command)
            except SystemExit:
                pass
        shown = terminal.getvalue().rpartition("\r")[2]  # after the bars
        self.assertTrue(shown.replace("\n", "").isprintable(), shown)
        return shown

    def test_ls(self) -> None:
        self.assertEqual(self.on_terminal("ls", "d"), f"$'d/{SHOWN}\n'd/a b'\n")
        self.assertEqual(self.run_verb("ls", "d"), f"d/{HOSTILE}\nd/a b\n")
        self.assertIn(f"  $'d/{SHOWN}\n", self.on_terminal("ls", "-l", "d"))
        self.assertEqual(json.loads(self.on_terminal("ls", "d", "--json")), self.told("ls", "d"))

    def test_du(self) -> None:
        self.save(**{f"{HOSTILE}__x": b"1"})
        self.assertIn(f"  $'{SHOWN}/\n", self.on_terminal("du"))

    def test_get_and_put(self) -> None:
        copy, end = str(self.folder / "copy"), f"/{SHOWN}"
        self.assertIn(end, self.on_terminal("get", "d", copy))
        self.assertIn(f"$'d{end}: ", self.on_terminal("get", "d", copy))
        self.assertIn(f"$'e{end}\n", self.on_terminal("put", copy, "e"))
        self.assertIn(f"$'e{end}: ", self.on_terminal("put", copy, "e"))

    def test_snapshot_diff_restore_and_rm(self) -> None:
        self.run_verb("snapshot")
        self.assertIn(f"$'{SHOWN}: ", self.on_terminal("rm", HOSTILE))
        self.run_verb("rm", f"d/{HOSTILE}")
        self.assertIn(f"  $'d/{SHOWN}\n", self.on_terminal("diff", "latest"))
        self.assertIn(f"$'d/{SHOWN}\n", self.on_terminal("restore", "latest"))

    def test_check(self) -> None:
        self.save(**{f"{HOSTILE}__x": b"1"})
        self.lose(self.cap_of(HOSTILE))
        self.assertIn(f"  $'{SHOWN}  ", self.on_terminal("check"))
        self.assertIn(f"\n$'{SHOWN}: ", self.on_terminal("snapshot"))

    def test_messages_of_a_gateway(self) -> None:
        with mock.patch("tahoestorage.management.verb.WholeTree.of") as of:
            of.side_effect = TahoeError("the gateway says: \x1b]0;title\x07")
            said = self.on_terminal("ls")
        self.assertEqual(said, "CommandError: the gateway says: \\033]0;title\\007\n")


class Encodings(CommandTestCase):
    """On a system that prints, and stores as names of files, ASCII alone."""

    def run_in_ascii(self, *arguments: str) -> tuple[int, str, str]:
        ascii_alone = environment(
            LC_ALL="C",
            PYTHONUTF8="0",
            DJANGO_SETTINGS_MODULE="tests.tahoestorage.management.migrating_settings",
            GATEWAYS=self.gateway,
            CAP=self.cap,
            MEDIA="",
            BACK="",
        )
        command = [sys.executable, "-m", "django", "tahoe", *arguments, "--storage=grid"]
        ran = subprocess.run(command, env=ascii_alone, capture_output=True, text=True)
        return ran.returncode, ran.stdout, ran.stderr

    def test_ls_escapes_characters_beyond_ascii(self) -> None:
        self.save(a__é=b"1", b=b"2")
        self.assertEqual(self.run_in_ascii("ls", "-R"), (0, "a/\na/\\xe9\nb\n", ""))

    def test_get_reports_names_that_no_file_can_have(self) -> None:
        self.save(a__é=b"1", a__b=b"2")
        copy = str(self.folder / "copy")
        status, printed, said = self.run_in_ascii("get", "a", copy)
        self.assertEqual((status, printed), (1, f"{copy}/b\n"))
        self.assertIn("it can't be the name of a file of this machine", said)
        self.assertNotIn("Traceback", said)
