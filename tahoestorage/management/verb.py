"""The base of all verbs of `manage.py tahoe`: storage, output, errors, progress."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from django.conf import DEFAULT_STORAGE_ALIAS
from django.core.files.storage import storages
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.arguments import Argument, argument, flag
from tahoestorage.management.printing import Line, bar
from tahoestorage.management.quoting import quoted, visible
from tahoestorage.storage import TahoeStorage, storage_of
from txtahoe.errors import (
    AnswerLost,
    GatewayUnreachable,
    NoSuchChild,
    NotAGateway,
    NotWriteable,
    RequestTimeout,
)
from txtahoe.maintenance import Progress
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree

T = TypeVar("T")
_STATUS = "`manage.py tahoe status` shows which gateways and storage servers answer"
_CURES: dict[type[Exception], str] = {
    **dict.fromkeys((GatewayUnreachable, NotAGateway, RequestTimeout, AnswerLost), _STATUS),
    NoSuchChild: "`manage.py tahoe ls` lists the names that exist",
    NotWriteable: "give the storage a write-cap in TAHOE_STORAGE_BASE_CAP or its file, and not "
    "the option read_only=True",
}
_STORAGE = argument(
    "--storage",
    metavar="ALIAS",
    help="a storage of STORAGES; default: 'default' if it is a TahoeStorage, else a storage made "
    "of the TAHOE_ settings",
)
_JSON = flag("--json", help="print JSON, for programs")
# The statuses with which verbs end, for cron and scripts. 0: all is well. 1: something failed;
# standard error says why. 2: the command line is wrong. Others:
NOT_HEALTHY = 3
"""Every file can be read; some shares are missing, or something else needs repair."""
LOST = 4
"""Something cannot be read, or could not be checked."""

RESTORE = (
    "If all storage servers are connected (`manage.py tahoe status`), restore from a snapshot "
    "(`manage.py tahoe restore`) or a backup."
)
ALL_BELOW = "a directory with everything below it; default: all that is under the cap"


class Verb:
    """
    One call of a verb. Each verb is a subclass with its `help`, its `arguments` and `run`.

    `help`: the overview shows the first line, in at most 66 characters. The verb's own help shows
    all of it; it ends with an example.
    `command` writes the output; `options` are the parsed arguments.
    """

    help: ClassVar[str]
    arguments: ClassVar[tuple[Argument, ...]] = ()
    has_storage: ClassVar[bool] = True
    has_json: ClassVar[bool] = True

    def __init__(self, command: BaseCommand, options: dict[str, Any]) -> None:
        self.command = command
        self.options = options

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        shared = [*([_STORAGE] if cls.has_storage else []), *([_JSON] if cls.has_json else [])]
        for names, how in (*cls.arguments, *shared):
            parser.add_argument(*names, **how)

    def run(self) -> None:
        """
        Do the work of the verb. Raises: CommandError; OSError, ImproperlyConfigured and
        SuspiciousFileOperation, whose texts the command prints with the `cure`.
        """
        raise NotImplementedError

    def cure(self, error: Exception) -> str:
        """The command or option that helps against an error; "" if there is none."""
        return next((cure for kind, cure in _CURES.items() if isinstance(error, kind)), "")

    def cured(self, text: str, error: Exception) -> str:
        """A text about an error, followed by the cure."""
        cure = self.cure(error)
        return f"{text.rstrip('.')}; {cure}" if cure else text

    def problem(self, error: Exception) -> str:
        """An error's text without number and name, followed by the cure."""
        return self.cured(str(getattr(error, "strerror", None) or error), error)

    def problems(self, outcomes: Mapping[Path, Exception | None]) -> dict[str, str]:
        """The texts of the errors among the outcomes of paths, by name."""
        errors = ((path, error) for path, error in outcomes.items() if error is not None)
        return {self.whole.name_of(path): self.problem(error) for path, error in errors}

    @cached_property
    def storage(self) -> TahoeStorage:
        """The storage of `--storage`. Raises: CommandError or ImproperlyConfigured for another."""
        alias = self.options["storage"]
        found = storage_of(alias or DEFAULT_STORAGE_ALIAS)
        if alias and found is not storages[alias]:
            raise CommandError(
                f"STORAGES[{alias!r}] is not a TahoeStorage. Give the alias of one; without "
                "--storage, the TAHOE_ settings count."
            )
        return found

    @cached_property
    def whole(self) -> WholeTree:
        """The tree of the storage. Raises: ImproperlyConfigured."""
        return WholeTree.of(self.storage)

    @property
    def path(self) -> Path:
        """The path of the argument `name`; without one that of the root, above the location."""
        name = self.options["name"]
        return () if name is None else self.whole.path_of(name)

    def work(
        self, doing: str, unit: str, operation: Callable[..., Awaitable[T]], *args: Any, **how: Any
    ) -> T:
        """Run an operation on the tree under a `bar`; with a `unit`, it takes a `progress`."""

        def operate(tree: Tree, told: Progress) -> Awaitable[T]:
            return operation(tree, *args, **how, **({"progress": told} if unit else {}))

        with bar(doing, unit) as progress:
            return self.whole.run(operate, progress)

    def shown(self, name: str) -> str:
        """A name on standard output: quoted on a terminal, unchanged for programs."""
        return quoted(name) if self.command.stdout.isatty() else name

    def print(self, *lines: str | Line) -> None:
        """Write lines to standard output, each `Line` in its style."""
        for line in lines:
            self._write(self.command.stdout, *((line,) if isinstance(line, str) else line))

    def warn(self, text: str) -> None:
        """Write to standard error what the user should know, though the verb goes on."""
        self._write(self.command.stderr, text, "WARNING")

    def _write(self, stream: OutputWrapper, text: str, style: str = "") -> None:
        paint = getattr(self.command.style, style) if style else None
        if paint and stream.isatty():
            paint = visible(paint)
        stream.write(text, paint if stream.isatty() or self.options["force_color"] else None)

    def tell(self, value: Any, lines: Iterable[str | Line]) -> None:
        """Print the answer: `value` if `--json` is given, else `lines`."""
        if self.options["json"]:
            self.command.stdout.write(json.dumps(value, indent=2))
        else:
            self.print(*lines)

    def tell_done(self, value: Any, lines: Iterable[str | Line]) -> None:
        """Print what was done, as `tell`; nothing with `--verbosity 0`."""
        self.tell(value, lines if self.options["verbosity"] else ())

    def finish(self, doing: str, names: list[str], failed: Mapping[str, str]) -> None:
        """Print the names of what was done. Raises: CommandError with the reasons of failures."""
        self.tell_done({doing: names, "failed": failed}, map(self.shown, names))
        raise_failed(failed)


def raise_failed(problems: Mapping[str, str], *heading: str, status: int = 1) -> None:
    """Raises: CommandError with the problems by name, if there are any."""
    if problems:
        told = (f"{quoted(name)}: {text}" for name, text in problems.items())
        raise CommandError("\n".join([*heading, *told]), returncode=status)


def picked(record: object, names: str) -> dict[str, Any]:
    """The attributes of a record whose names are given, separated by blanks, for JSON."""
    return {name: getattr(record, name) for name in names.split()}
