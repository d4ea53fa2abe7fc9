"""What the verbs of `manage.py tahoe` share: arguments, storage, output, errors, progress."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import InvalidStorageError, Storage, storages
from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    OutputWrapper,
)

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.printing import Line, bar
from tahoestorage.management.quoting import quoted, shown, write
from tahoestorage.storage import TahoeStorage
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
_CURES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (
        (GatewayUnreachable, NotAGateway, RequestTimeout, AnswerLost),
        "`manage.py tahoe status` shows which gateways and storage servers answer",
    ),
    (NoSuchChild, "`manage.py tahoe ls` lists the names that exist"),
    (NotWriteable, "give the storage a write-cap in TAHOE_STORAGE_BASE_CAP or its file"),
)


class Verb:
    """
    One call of a verb. Each verb is a subclass with its `help`, its arguments, and `run`.

    `command` writes the output; `options` are the parsed arguments.
    """

    help: ClassVar[str]
    """
    The overview shows the first line, in at most 66 characters. The verb's own help shows all of
    it; it ends with an example.
    """
    has_storage: ClassVar[bool] = True
    has_json: ClassVar[bool] = True

    def __init__(self, command: BaseCommand, options: dict[str, Any]) -> None:
        self.command = command
        self.options = options

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        """Add the arguments of this verb alone."""

    @classmethod
    def add_all_arguments(cls, parser: CommandParser) -> None:
        """Add the arguments of this verb, and those that it shares with others."""
        cls.add_arguments(parser)
        if cls.has_storage:
            parser.add_argument(
                "--storage",
                metavar="ALIAS",
                help="a storage of STORAGES; default: 'default' if it is a TahoeStorage, else a "
                "storage made of the TAHOE_ settings",
            )
        if cls.has_json:
            parser.add_argument("--json", action="store_true", help="print JSON, for programs")

    def run(self) -> None:
        """
        Do what the verb is for.

        Raises: CommandError; OSError, ImproperlyConfigured and SuspiciousFileOperation, whose
        texts the command prints with the `cure`.
        """
        raise NotImplementedError

    def cure(self, error: Exception) -> str:
        """The command or option that helps against an error; "" if there is none."""
        return next((cure for kind, cure in _CURES if isinstance(error, kind)), "")

    def problem(self, error: Exception) -> str:
        """An error's text without number and name, followed by the cure."""
        return self.cured(str(getattr(error, "strerror", None) or error), error)

    def cured(self, text: str, error: Exception) -> str:
        """A text about an error, followed by the cure."""
        cure = self.cure(error)
        return f"{text.rstrip('.')}; {cure}" if cure else text

    @cached_property
    def storage(self) -> TahoeStorage:
        """The storage of `--storage`. Raises: CommandError if it is not a TahoeStorage."""
        alias = self.options["storage"]
        found = storage_of(alias or "default")
        if isinstance(found, TahoeStorage):
            return found
        if alias is None:
            return TahoeStorage()
        kind = type(found).__name__
        raise CommandError(
            f"--storage: {alias!r} is no TahoeStorage but a {kind}; give the alias of one."
        )

    @cached_property
    def whole(self) -> WholeTree:
        """The tree of the storage. Raises: as `storage`; ImproperlyConfigured."""
        return WholeTree.of(self.storage)

    @property
    def path(self) -> Path:
        """The path of the argument `name`; without one that of the root, above the location."""
        name = self.options["name"]
        return () if name is None else self.whole.path_of(name)

    def work(self, doing: str, unit: str, operation: Callable[[Tree, Progress], Awaitable[T]]) -> T:
        """The result of an operation on the tree, with a `bar` until it is there."""
        with bar(doing, unit) as progress:
            return self.whole.run(operation, progress)

    def shown(self, name: str) -> str:
        """A name as standard output shows it."""
        return shown(self.command, name)

    def print(self, *lines: str | Line) -> None:
        """Write lines to standard output, each `Line` in its style."""
        for line in lines:
            self._write(self.command.stdout, *((line,) if isinstance(line, str) else line))

    def warn(self, text: str) -> None:
        """Write to standard error what the user should know, though the verb goes on."""
        self._write(self.command.stderr, text, "WARNING")

    def _write(self, stream: OutputWrapper, text: str, style: str = "") -> None:
        has_colours = style and (stream.isatty() or self.options["force_color"])
        write(stream, text, getattr(self.command.style, style) if has_colours else None)

    def print_json(self, value: Any) -> None:
        """Print one JSON document, with times in ISO 8601."""
        self.command.stdout.write(json.dumps(value, indent=2, default=datetime.isoformat))

    def tell(self, value: Any, lines: Iterable[str | Line]) -> None:
        """Print what was asked for: `value` if `--json` is given, else `lines`."""
        if self.options["json"]:
            self.print_json(value)
        else:
            self.print(*lines)

    def tell_done(self, value: Any, lines: Iterable[str | Line]) -> None:
        """Print what was done, as `tell`; nothing with `--verbosity 0`."""
        self.tell(value, lines if self.options["verbosity"] else ())

    def finish(self, doing: str, names: list[str], failed: Mapping[str, str]) -> None:
        """
        Print the names of what was done, and of what failed, with the reasons.

        Raises: CommandError if anything failed.
        """
        self.tell_done({doing: names, "failed": failed}, map(self.shown, names))
        raise_failed(failed)


def raise_failed(problems: Mapping[str, str]) -> None:
    """Raises: CommandError with the problems by name, if there are any."""
    if problems:
        raise CommandError("\n".join(f"{quoted(name)}: {text}" for name, text in problems.items()))


def storage_of(alias: str) -> Storage:
    """The storage of an alias. Raises: CommandError if STORAGES has none that can be made."""
    try:
        return storages[alias]
    except (InvalidStorageError, ImproperlyConfigured) as error:
        raise CommandError(str(error)) from None
