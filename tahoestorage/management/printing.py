"""What verbs say: to a person, to a program, and while they are at it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.template.defaultfilters import filesizeformat
from tqdm import tqdm  # type: ignore[import-untyped]

from txtahoe.maintenance import Progress


def add_json_argument(parser: CommandParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def print_json(command: BaseCommand, value: Any) -> None:
    """One document of JSON, with times as ISO 8601 texts."""
    command.stdout.write(json.dumps(value, indent=2, default=datetime.isoformat))


def print_table(
    command: BaseCommand, headings: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Columns as wide as what is in them; those of numbers and sizes are not told apart."""
    texts = [list(headings), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for line in texts:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        command.stdout.write("  ".join(cells).rstrip())


class Counter:
    """Adds up how much is done, by several threads, for a bar."""

    def __init__(self, known: int, progress: Progress) -> None:
        self._known = known
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, number: int) -> None:
        with self._lock:
            self._done += number
            self._progress(self._done, max(self._done, self._known))


@contextmanager
def bar(what: str, unit: str = "") -> Iterator[Progress]:
    """
    A bar on the terminal that goes away at the end; nothing where there is no terminal.

    `unit`: what is counted; "B" is for bytes, which are shown as kB, MB…
    """
    scaled = {"unit_scale": unit == "B", "unit": unit if unit == "B" else f" {unit}"}
    with tqdm(desc=what, leave=False, disable=None, **scaled) as shown:

        def progress(done: int, known: int) -> None:
            shown.total = known
            shown.update(done - shown.n)

        yield progress


def size(number: int | None) -> str:
    """A number of bytes for people."""
    return "?" if number is None else filesizeformat(number).replace("\xa0", " ")


def time(timestamp: float | None) -> str:
    """Seconds since 1970 UTC for people, in the time zone of this machine."""
    if timestamp is None:
        return "never"
    try:
        return datetime.fromtimestamp(timestamp).astimezone().isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):  # gateways and links may tell any number
        return "?"
