"""`manage.py tahoe ls [NAME]`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tahoestorage.management.finding import find
from tahoestorage.management.printing import Line, size, table, time
from tahoestorage.management.verb import Verb
from txtahoe.nodes import Node


class Ls(Verb):
    help = """
    List a directory, or everything below it.

    Example, everything below a directory, with sizes and times:
      manage.py tahoe ls -lR documents
    """

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "name", nargs="?", default="", help="a directory or a file; default: the whole storage"
        )
        parser.add_argument("-l", "--long", action="store_true", help="show sizes and times")
        parser.add_argument(
            "-R", "--recursive", action="store_true", help="list everything below the directory"
        )

    def run(self) -> None:
        path, is_recursive = self.path, self.options["recursive"]
        found = self.work(
            "reading", "names", lambda tree, told: find(tree, path, told, is_recursive=is_recursive)
        )
        listed = [(self.whole.name_of(path), node) for path, node in sorted(found.items())]
        self.tell([_told(name, node) for name, node in listed], self._lines(listed))

    def _lines(self, listed: list[tuple[str, Node]]) -> list[Line]:
        names = [self.shown(name) + ("/" if node.is_directory else "") for name, node in listed]
        if not self.options["long"]:
            return list(map(Line, names))
        rows = [
            ["" if node.is_directory else size(node.size), time(node.modified), name]
            for name, (_, node) in zip(names, listed, strict=True)
        ]
        return table(["size", "linked", "name"], rows)


def _told(name: str, node: Node) -> dict[str, Any]:
    kind = {"dirnode": "directory", "filenode": "file"}.get(node.type, node.type)
    return {"name": name, "type": kind, "size": node.size, "linked": node.modified}
