"""The list of a directory, with the usage of its sub-directories as far as time allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import cast

from attrs import evolve, field, frozen
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from tahoestorage.gridpage.inquiry import Inquiry, Part
from txtahoe.concurrency import all_done, each
from txtahoe.maintenance import Usage, usage
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree

ON_A_PAGE = 100

# How many directories are counted at a time, and requests at a time for each of them.
_AT_ONCE = 4
_REQUESTS = 2


@frozen
class Row:
    """
    An entry of a directory. `usage`: the usage below it, if it is a directory.

    Templates use its properties, so that no template meets a cap.
    """

    path: Path
    node: Node
    usage: Part[Usage] = field(factory=Part)

    @property
    def label(self) -> str:
        """The name; a directory's name ends with a slash."""
        return f"{self.path[-1]}/" if self.is_directory else self.path[-1]

    @property
    def is_directory(self) -> bool:
        return self.node.is_directory

    @property
    def size(self) -> int | None:
        """The size of a file in bytes; None if it is not known."""
        return self.node.size

    @property
    def modified(self) -> float | None:
        """The time of the last link, in seconds since 1970 UTC."""
        return self.node.modified


@frozen
class Listing:
    """
    One page of a directory: first its directories, then its files, each by name.

    `count`: the number of all entries. `files`: the usage of the files directly in it.
    """

    rows: Sequence[Row]
    page: int
    count: int
    files: Usage

    @property
    def pages(self) -> int:
        return _pages(self.count)

    @property
    def directories(self) -> list[Row]:
        """The directories on this page."""
        return [row for row in self.rows if row.is_directory]

    @property
    def total(self) -> Usage:
        """The usage of everything that was counted."""
        found = [row.usage.value for row in self.directories if row.usage.value is not None]
        return sum(found, start=self.files + Usage(directories=len(self.directories)))

    @property
    def is_total(self) -> bool:
        """Whether everything was counted."""
        are_counted = all(row.usage.value is not None for row in self.directories)
        are_here = self.pages == 1 or (self.page == 1 and not self.rows[-1].is_directory)
        return are_counted and are_here


async def list_directory(inquiry: Inquiry, tree: Tree, path: Path, page: int = 1) -> Part[Listing]:
    """A page of a directory; its last page if there are fewer."""
    listed = await inquiry.ask(tree.list(path))
    children = listed.value
    if children is None:
        return Part(problem=listed.problem)
    page = min(page, _pages(len(children)))
    names = sorted(children, key=lambda name: (not children[name].is_directory, name))
    start = (page - 1) * ON_A_PAGE
    rows = [Row((*path, name), children[name]) for name in names[start : start + ON_A_PAGE]]
    counted = await each(rows, lambda row: _counted(inquiry, tree, row), _AT_ONCE)
    files = _files(children.values())
    return Part(Listing(all_done(counted, "counting"), page, len(children), files))


def _pages(count: int) -> int:
    return max(1, ceil(count / ON_A_PAGE))


def _files(nodes: Iterable[Node]) -> Usage:
    files = [node for node in nodes if not node.is_directory]
    sizes = [node.size for node in files if node.size is not None]
    return Usage(sum(sizes), len(files), len(files) - len(sizes))


async def _counted(inquiry: Inquiry, tree: Tree, row: Row) -> Row:
    if not row.is_directory or not row.node.cap.is_readable:
        return row
    done = 0

    def progress(finished: int, known: int) -> None:
        nonlocal done
        done = finished

    async def count() -> Usage:
        below = Tree(tree.client, row.node.cap)
        return (await usage(below, at_once=_REQUESTS, progress=progress))[()]

    part = await inquiry.ask(count())
    if part.problem and done:
        text = gettext_lazy("{problem}; directories counted: {count}")
        problem = format_lazy(text, problem=part.problem, count=done)
        part = evolve(part, problem=cast(str, problem))
    return evolve(row, usage=part)
