"""Text for people: tables, sizes, times, and bars that show progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import NamedTuple

from django.template.defaultfilters import filesizeformat

from txtahoe.maintenance import Progress


class Line(NamedTuple):
    """A line of output. `style` is one of Django's, such as "ERROR"; "" is for no colour."""

    text: str
    style: str = ""


def table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], styles: Sequence[str] = ()
) -> list[Line]:
    """The lines of a table whose columns are as wide as their cells; one of `styles` for a row."""
    texts = [list(headings), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in texts]
    return list(map(Line, lines, ["", *(styles or [""] * len(lines))]))


@contextmanager
def bar(doing: str, unit: str = "", *, hidden: bool = False) -> Iterator[Progress]:
    """
    Show progress on standard error while something goes on; nothing if it is no terminal.

    `unit`: what is counted; "B" is for bytes, which are shown as kB, MB… Without a unit nothing is
    counted, and only `doing` is shown.
    """
    from tqdm import tqdm  # type: ignore[import-untyped]  # only where a command draws a bar

    shape = {"unit_scale": unit == "B", "unit": unit if unit == "B" else f" {unit}"}
    if not unit:
        shape = {"bar_format": "{desc}…"}
    with tqdm(desc=doing, leave=False, disable=hidden or None, **shape) as shown:

        def progress(done: int, known: int) -> None:
            shown.total = known
            shown.update(done - shown.n)

        yield progress


def adding(known: int, progress: Progress) -> Callable[[int], None]:
    """A function that adds up for a bar what several threads do."""
    lock, done = Lock(), 0

    def add(number: int) -> None:
        nonlocal done
        with lock:
            done += number
            progress(done, max(done, known))

    return add


def counted(number: int, thing: str) -> str:
    """A number of things for people: `1 file`, `2,000 directories`."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number:,} {thing if number == 1 else plural}"


def size(number: int | None) -> str:
    """A number of bytes for people."""
    return "?" if number is None else filesizeformat(number).replace("\xa0", " ")


def time(timestamp: float | None) -> str:
    """Seconds since 1970 UTC for people, in the time zone of this machine."""
    if timestamp is None:
        return "never"
    try:
        return datetime.fromtimestamp(timestamp).astimezone().isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):  # gateways and links can give any number
        return "?"
