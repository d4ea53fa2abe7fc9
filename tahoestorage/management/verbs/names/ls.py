"""
List a directory, or everything below it.

Example, everything below a directory, with sizes and times:
  manage.py tahoe ls -lR documents
"""

from __future__ import annotations

from tahoestorage.management.arguments import argument, flag
from tahoestorage.management.finding import find
from tahoestorage.management.printing import Line, size, table, time
from tahoestorage.management.verb import Verb

_KINDS = {"dirnode": "directory", "filenode": "file"}


class Ls(Verb):
    help = __doc__
    arguments = (
        argument(
            "name", nargs="?", default="", help="a directory or a file; default: the whole storage"
        ),
        flag("-l", "--long", help="show sizes and times"),
        flag("-R", "--recursive", help="list everything below the directory"),
    )

    def run(self) -> None:
        path, is_recursive = self.path, self.options["recursive"]
        found = self.work(
            "reading", "names", lambda tree, told: find(tree, path, told, is_recursive=is_recursive)
        )
        told, rows = [], []
        for path, node in sorted(found.items()):
            name, kind = self.whole.name_of(path), _KINDS.get(node.type, node.type)
            told.append({"name": name, "type": kind, "size": node.size, "linked": node.modified})
            shown = self.shown(name) + ("/" if node.is_directory else "")
            rows.append(["" if node.is_directory else size(node.size), time(node.modified), shown])
        short = [Line(shown) for *_, shown in rows]
        self.tell(told, table(["size", "linked", "name"], rows) if self.options["long"] else short)
