"""The list of a directory, with the usage of its sub-directories as far as time allows."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from django.core.paginator import Page, Paginator

from tahoestorage.gridpage.inquiry import Inquiry, Part
from txtahoe.concurrency import all_of
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
    """An entry of a directory. `usage`: the usage below it, if it is a directory."""

    path: Path
    node: Node
    usage: Part[Usage]

    @property
    def label(self) -> str:
        """The name; a directory's name ends with a slash."""
        return f"{self.path[-1]}/" if self.node.is_directory else self.path[-1]


@frozen
class Listing:
    """
    One page of a directory: first its directories, then its files, each by name.

    `page`: of all names. `files`: the usage of the files directly in the directory.
    """

    rows: Sequence[Row]
    page: Page[str]
    files: Usage

    @property
    def directories(self) -> list[Row]:
        """The directories on this page."""
        return [row for row in self.rows if row.node.is_directory]

    @property
    def total(self) -> Usage:
        """The usage of everything that was counted."""
        found = [row.usage.value for row in self.directories if row.usage.value is not None]
        return sum(found, start=self.files + Usage(directories=len(self.directories)))

    @property
    def is_total(self) -> bool:
        """Whether everything was counted."""
        are_counted = all(row.usage.value is not None for row in self.directories)
        are_more = self.page.has_next() and self.rows[-1].node.is_directory
        return are_counted and self.page.number == 1 and not are_more


async def list_directory(
    inquiry: Inquiry, tree: Tree, path: Path, page: str | int = 1
) -> Part[Listing]:
    """A page of a directory: the first one if `page` is no number, the last one if it is none."""
    listed = await inquiry.ask(tree.list(path))
    children = listed.value
    if children is None:
        return Part(problem=listed.problem)

    async def row_of(name: str) -> Row:
        node = children[name]
        counted: Part[Usage] = Part()
        if node.is_directory and node.cap.is_readable:
            counted = await inquiry.ask(_usage(Tree(tree.client, node.cap)))
        return Row((*path, name), node, counted)

    names = sorted(children, key=lambda name: (not children[name].is_directory, name))
    shown = Paginator(names, ON_A_PAGE).get_page(page)
    rows = await all_of(shown.object_list, row_of, _AT_ONCE)
    files = [node for node in children.values() if not node.is_directory]
    sizes = [node.size for node in files if node.size is not None]
    return Part(Listing(rows, shown, Usage(sum(sizes), len(files), len(files) - len(sizes))))


async def _usage(tree: Tree) -> Usage:
    return (await usage(tree, at_once=_REQUESTS))[()]
