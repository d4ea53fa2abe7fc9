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
from importlib import import_module
from pathlib import PurePath

from django.core.management import load_command_class

from tests.manual.pages import Command

NOT_RUN = {
    "pip": "it needs a package index",
    "git": "it needs the network",
    **dict.fromkeys(
        ("apt-get", "systemctl", "useradd", "install", "crontab", "certbot", "nginx", "sudo"),
        "it changes the machine",
    ),
    **dict.fromkeys(("tahoe", "gunicorn", "uwsgi", "docker"), "it runs until it is stopped"),
    **dict.fromkeys(("cd", "export", "python3", ".ci/run"), "it is of the reader's shell"),
    "curl": "tests.manual.test_programs asks instead",
    "django-admin": "tests.manual.site runs it",
}
"""Programs that no test runs, and the reason; their names are all that is tested."""

NOT_RUN_HERE = {
    "runserver": "it runs until it is stopped",
    "startapp": "tests.manual.site runs it",
    "createsuperuser": "it asks for a password",
    "makemigrations": "tests.manual.inside makes the tables",
    "migrate": "tests.manual.inside makes the tables",
    "init": "tests.manual.test_quickstart runs it",
    "writer": "it needs two gateways and two minutes; tests.tahoestorage.management runs it",
}
"""Commands and verbs of manage.py whose arguments are parsed, and the reason for no more."""

PARSERS: dict[str, str] = {
    "tahoestorage.demo": "tahoestorage.demo.__main__",
    "txtahoe.testing.grid": "txtahoe.testing.grid",
    "tests.bench": "tests.bench.__main__",
    "tests.bench.plan": "tests.bench.plan",
}
"""Modules behind `python -m` whose arguments are parsed: they take minutes."""
_NUMBER = re.compile(r"\d[\d,.:]*")


def words_of(line: str) -> list[list[str]]:
    """The words of each program of a shell's line, without redirections and assignments."""
    words = list(shlex.shlex(line, posix=True, punctuation_chars="|&;<>"))
    if any(word in line for word in ("|", "&", ";", "<", ">")):
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words = list(lexer)
    else:
        words = shlex.split(line, comments=True)
    programs: list[list[str]] = [[]]
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in (">", ">>", "<"):
            skip = True
        elif set(word) <= set("|&;"):
            programs.append([])
        elif programs[-1] or not re.match(r"\w+=", word):
            programs[-1].append(word)
    return [program for program in programs if program]


def managed(words: list[str]) -> list[str] | None:
    """The arguments of `manage.py`, if that is what is run."""
    names = [PurePath(word).name for word in words[:2]]
    if "manage.py" not in names:
        return None
    return words[names.index("manage.py") + 1 :]


def is_run(arguments: list[str]) -> bool:
    """Whether a command of manage.py is run, and not only parsed."""
    return not set(arguments[:2]) & set(NOT_RUN_HERE)


def parse_verb(arguments: list[str]) -> None:
    """Have the real parser read the arguments of `manage.py tahoe`. Raises: CommandError."""
    command = load_command_class("tahoestorage", "tahoe")
    command.create_parser("manage.py", "tahoe").parse_args(arguments)


def parse_module(words: list[str]) -> bool:
    """Have its parser read `python -m MODULE …`. Raises: SystemExit. False: it has none."""
    module = PARSERS.get(words[2])
    if module is None:
        return False
    make: Callable[[], ArgumentParser] = import_module(module).command_parser
    make().parse_args(words[3:])
    return True


def expected(command: Command) -> re.Pattern[str]:
    """What the output must be like: `…` is any text, a number any number, blanks any blanks."""
    parts = (re.escape(_plain(part)) for part in command.output.split("…"))
    return re.compile(r"\s*" + ".*".join(parts).replace(r"\ ", r"\s*") + r"\s*", re.DOTALL)


def printed(output: str) -> str:
    """An output as `expected` matches it."""
    return _plain(output)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"[─-]{2,}", "", _NUMBER.sub("0", text))).strip()
