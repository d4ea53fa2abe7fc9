"""`manage.py tahoe du [NAME]`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from tahoestorage.management.arguments import number
from tahoestorage.management.printing import size, table
from tahoestorage.management.verb import Verb
from txtahoe.maintenance import Usage, usage


class Du(Verb):
    help = """
    Count files and bytes by directory.

    The storage servers hold more than these bytes: half more on a grid that needs 2 of 3 shares.

    Example, the sums of the directories at the top:
      manage.py tahoe du --depth 1
    """

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "name", nargs="?", default="", help="a directory; default: the whole storage"
        )
        parser.add_argument(
            "--depth",
            type=number(int, 0, 1000),
            metavar="N",
            help="show directories at most so many levels below it; 0: only the sum",
        )

    def run(self) -> None:
        start, depth = self.path, self.options["depth"]
        found = self.work(
            "counting", "directories", lambda tree, told: usage(tree, start, progress=told)
        )
        used = [
            (self.whole.name_of(path), each)
            for path, each in found.items()
            if depth is None or len(path) - len(start) <= depth
        ]
        rows = [[size(each.size), each.files, self._shown(name, each)] for name, each in used]
        self.tell(
            [_told(name, each) for name, each in used], table(["size", "files", "directory"], rows)
        )

    def _shown(self, name: str, used: Usage) -> str:
        notes = []
        if used.unsized:
            notes.append(f"{used.unsized} files of unknown size")
        if used.unread:
            notes.append(f"{used.unread} directories can't be read")
        return f"{self.shown(name)}/" + (f"  ({', '.join(notes)})" if notes else "")


def _told(name: str, used: Usage) -> dict[str, Any]:
    return {
        "name": name,
        "size": used.size,
        "files": used.files,
        "directories": used.directories,
        "unsized": used.unsized,
        "unread": used.unread,
    }
