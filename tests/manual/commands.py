"""
The commands of the manual: how each one is run, or why it is not.

`manage.py` is run in the site of its chapter, all in one process (`inside`). `Command.output` is
compared with what is printed.
"""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import PurePath

from django.core.management import CommandError, load_command_class

from tests.manual.pages import Command

NOT_RUN = {
    "pip": "it needs a package index",
    "git": "it needs the network",
    **dict.fromkeys(
        ("apt-get", "systemctl", "useradd", "install", "crontab", "certbot", "nginx", "sudo"),
        "it changes the machine",
    ),
    **dict.fromkeys(("tahoe", "gunicorn", "uwsgi", "docker"), "it runs until it is stopped"),
    **dict.fromkeys((".", "cd", "export"), "it is of the reader's shell"),
    **dict.fromkeys(("ruff", "mypy", "lint-imports", ".ci/run"), "it is what a change must pass"),
    **dict.fromkeys(("curl", "python"), "tests.manual.test_programs does the same"),
    **dict.fromkeys(("tar", "twist"), "tests.manual.test_processes does the same"),
    "django-admin": "tests.manual.site runs it",
}
"""Programs that no test runs as they are written, and the reason."""

NOT_RUN_MODULES = {
    "venv": "it is of the reader's shell",
    "twisted.trial": "it runs these tests",
    "tests.suites": "it needs the network",
    "tests.under_load": "it takes minutes",
}
"""Modules behind `python -m` that no test runs, and the reason."""

NOT_RUN_HERE = {
    "runserver": "it runs until it is stopped",
    "startapp": "tests.manual.site runs it",
    "createsuperuser": "it asks for a password",
    "makemigrations": "tests.manual.inside makes the tables",
    "migrate": "tests.manual.inside makes the tables",
    "tahoe init": "tests.manual.test_quickstart runs it",
    "tahoe writer": "it needs two gateways and two minutes; tests.tahoestorage.management runs it",
}
"""Commands and verbs of manage.py that tests only parse, and the reason."""

PARSERS: dict[str, str] = {
    "tahoestorage.demo": "tahoestorage.demo.__main__",
    "txtahoe.testing.grid": "txtahoe.testing.grid",
    "tests.contract": "tests.contract.__main__",
    "tests.bench": "tests.bench.__main__",
    "tests.bench.plan": "tests.bench.plan",
}
"""Modules behind `python -m` that tests only parse, because they take minutes."""
_NUMBER = re.compile(r"\d[\d,.:]*")


def words_of(line: str) -> list[list[str]]:
    """The words of each program of a shell's line, without redirections and assignments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    programs: list[list[str]] = [[]]
    skip = False
    for word in lexer:
        if skip or word in (">", ">>", "<"):
            skip = not skip
        elif set(word) <= set("|&;"):
            programs.append([])
        elif programs[-1] or not re.match(r"\w+=", word):
            programs[-1].append(word)
    return [program for program in programs if program]


def managed(words: list[str]) -> list[str] | None:
    """The arguments of `manage.py`; None for another program."""
    names = [PurePath(word).name for word in words[:2]]
    if "manage.py" not in names:
        return None
    return words[names.index("manage.py") + 1 :]


def is_run(arguments: list[str]) -> bool:
    """Whether tests run a command of manage.py, and do not only parse it."""
    name = " ".join(arguments[:2]) if arguments[0] == "tahoe" else arguments[0]
    return name not in NOT_RUN_HERE


def problem_of(arguments: list[str]) -> str | None:
    """The error of the real parser of `manage.py tahoe`; None if it accepts the arguments."""
    command = load_command_class("tahoestorage", "tahoe")
    try:
        with redirect_stdout(StringIO()):
            command.create_parser("manage.py", "tahoe").parse_args(arguments)
    except CommandError as error:
        # A text may name a verb without its arguments.
        return None if len(arguments) == 1 and "required" in str(error) else str(error)
    except SystemExit:
        pass  # after --help
    return None


def is_module(words: list[str]) -> bool:
    """
    Whether a command runs a known module by `python -m`, with arguments that its parser accepts.

    Raises: SystemExit if the parser refuses them.
    """
    if words[0] not in ("python", "python3") or words[1] != "-m":
        return False
    if words[2] in NOT_RUN_MODULES:
        return True
    make: Callable[[], ArgumentParser] = import_module(PARSERS[words[2]]).command_parser
    make().parse_args(words[3:])
    return True


def expected(command: Command) -> re.Pattern[str]:
    """The pattern of an output: `…` is any text, a number any number, blanks any blanks."""
    parts = (re.escape(_plain(part)) for part in command.output.split("…"))
    return re.compile(r"\s*" + ".*".join(parts).replace(r"\ ", r"\s*") + r"\s*", re.DOTALL)


def printed(output: str) -> str:
    """An output as `expected` matches it."""
    return _plain(output)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"[─-]{2,}", "", _NUMBER.sub("0", text))).strip()
