"""The command line of `manage.py tahoe`: its help, and the arguments that it refuses."""

from __future__ import annotations

import re
import shlex
import sys
from inspect import cleandoc
from unittest import mock

from tahoestorage.management.commands.tahoe import Command
from tahoestorage.management.verbs import VERBS
from tests.tahoestorage.management.case import CommandTestCase, Terminal


class Help(CommandTestCase):
    def printed(self, *arguments: str) -> str:
        """The output of a command line, on a terminal."""
        terminal = Terminal()
        with mock.patch.multiple(sys, stdout=terminal, stderr=terminal):
            try:
                Command().run_from_argv(["manage.py", "tahoe", *arguments])
            except SystemExit:
                pass
        # Python's own words have colours since 3.14.
        return re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue())

    def test_the_overview_fits_on_one_screen(self) -> None:
        lines = self.printed("--help").splitlines()
        self.assertLessEqual(len(lines), 24)
        self.assertLessEqual(max(map(len, lines)), 80)
        for name, verb in VERBS.items():
            self.assertIn(f"  {name:<9} {cleandoc(verb.help).splitlines()[0]}", lines)

    def test_the_help_of_every_verb_has_an_example_that_parses(self) -> None:
        parser = Command().create_parser("manage.py", "tahoe")
        for name in VERBS:
            printed = self.printed(name, "--help")
            examples = [line for line in printed.splitlines() if line.startswith("  manage.py")]
            self.assertTrue(examples, name)
            for example in examples:
                words = shlex.split(example.split(" | ")[0].split(" > ")[0])
                self.assertEqual(words[:3], ["manage.py", "tahoe", name])
                parser.parse_args(words[2:])
            self.assertIn("--settings", printed)


class DjangoOptions(CommandTestCase):
    def test_an_option_can_stand_before_or_after_the_verb(self) -> None:
        parser = Command().create_parser("manage.py", "tahoe")
        options = ["-v2", "--settings=x", "--pythonpath=y", "--traceback", "--skip-checks"]
        for colour in ("--no-color", "--force-color"):
            for words in ([*options, colour, "ls"], ["ls", *options, colour]):
                parsed = vars(parser.parse_args(words))
                self.assertEqual((parsed["verbosity"], parsed["settings"]), (2, "x"))
                self.assertTrue(parsed["traceback"] and parsed["skip_checks"])
                self.assertTrue(parsed[colour[2:].replace("-", "_")])
        self.assertEqual(parser.parse_args(["ls"]).verbosity, 1)


class Colours(CommandTestCase):
    """Only a terminal gets colours, unless --force-color is given."""

    def test_a_result_has_a_colour_on_a_terminal(self) -> None:
        self.save(a=b"1")
        with mock.patch.multiple(sys, stdout=Terminal(), stderr=Terminal()):
            Command(force_color=True).run_from_argv(["manage.py", "tahoe", "check"])
            self.assertIn("\x1b[", sys.stdout.getvalue())

    def test_a_pipe_gets_a_colour_only_if_it_is_forced(self) -> None:
        self.save(a=b"1")
        self.assertNotIn("\x1b", self.run_verb("check"))
        self.assertIn("\x1b[", self.run_verb("check", "--force-color"))
        self.assertNotIn("\x1b", self.run_verb("check", "--no-color"))


class Numbers(CommandTestCase):
    def test_a_number_out_of_range_is_refused_with_the_range(self) -> None:
        migrate = "migrate", "--from=default", "--to=default"
        for arguments, least in (
            (("du", "--depth=-1"), "whole number from 0 "),
            (("du", "--depth=1.5"), "whole number from 0 "),
            (("du", "--depth=many"), "whole number from 0 "),
            (("status", "--timeout=-1"), "number from 0.1 "),
            (("status", "--timeout=0"), "number from 0.1 "),
            (("status", "--timeout=inf"), "number from 0.1 "),
            (("status", "--timeout=1e300"), "number from 0.1 "),
            (("check", "--database", "--older-than=nan"), "number from 0 "),
            (("check", "--database", "--older-than=-1"), "number from 0 "),
            (("init", "--servers=-1"), "whole number from 1 "),
            (("init", "--servers=0"), "whole number from 1 "),
            ((*migrate, "--jobs=0"), "whole number from 1 "),
            ((*migrate, f"--jobs={'9' * 5000}"), "whole number from 1 "),
        ):
            option, value = arguments[-1].split("=")
            said = self.fail_verb(*arguments)
            self.assertIn(f"argument {option}: it must be a {least}", said)
            self.assertIn(f"not '{value}'", said)


class Combinations(CommandTestCase):
    def test_options_of_the_database_check_need_database(self) -> None:
        for option in ("--remove-unnamed", "--older-than=5", "--no-input", "--noinput"):
            said = self.fail_verb("check", option, status=2)
            name = option.split("=")[0].replace("--noinput", "--no-input")
            self.assertIn(f"{name} needs --database", said)

    def test_arguments_of_the_share_check_exclude_database(self) -> None:
        for option in ("a/b", "--verify", "--repair"):
            said = self.fail_verb("check", "--database", option, status=2)
            self.assertIn("can't be used with --database", said)
