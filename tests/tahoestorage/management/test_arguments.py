"""What `manage.py tahoe` refuses of its command line."""

from __future__ import annotations

from tests.tahoestorage.management.case import CommandTestCase


class Numbers(CommandTestCase):
    def test_a_number_that_makes_no_sense_is_refused_with_its_range(self) -> None:
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
            ((*migrate, "--at-once=0"), "whole number from 1 "),
            ((*migrate, f"--at-once={'9' * 5000}"), "whole number from 1 "),
        ):
            option, value = arguments[-1].split("=")
            said = self.fail_verb(*arguments)
            self.assertIn(f"argument {option}: it must be a {least}", said)
            self.assertIn(f"not '{value}'", said)


class Combinations(CommandTestCase):
    def test_what_is_about_the_database_needs_it(self) -> None:
        for option in ("--remove-unnamed", "--older-than=5", "--no-input"):
            said = self.fail_verb("check", option, status=2)
            self.assertIn(f"{option.split('=')[0]} needs --database", said)

    def test_what_is_about_shares_goes_without_the_database(self) -> None:
        for option in ("a/b", "--verify", "--repair"):
            said = self.fail_verb("check", "--database", option, status=2)
            self.assertIn("can't be used with --database", said)
