"""
Count files and bytes by directory.

The storage servers hold more than these bytes: half more on a grid that needs 2 of 3 shares.

Example, the sums of the directories at the top:
  manage.py tahoe du --depth 1
"""

from __future__ import annotations

from tahoestorage.management.arguments import argument, number
from tahoestorage.management.printing import size, table
from tahoestorage.management.verb import ALL_BELOW, Verb, picked
from txtahoe.maintenance import usage


class Du(Verb):
    help = __doc__
    arguments = (
        argument("name", nargs="?", help=ALL_BELOW),
        argument(
            "--depth",
            type=number(int, 0, 1000),
            metavar="N",
            help="show directories at most so many levels below it; 0: only the sum",
        ),
    )

    def run(self) -> None:
        start, depth = self.path, self.options["depth"]
        found = self.work(
            "counting", "directories", lambda tree, told: usage(tree, start, progress=told)
        )
        told, rows = [], []
        for path, used in found.items():
            if depth is not None and len(path) - len(start) > depth:
                continue
            name = self.whole.name_of(path)
            told.append({"name": name, **picked(used, "size files directories unsized unread")})
            notes = [
                *([f"{used.unsized} files of unknown size"] if used.unsized else []),
                *([f"{used.unread} directories can't be read"] if used.unread else []),
            ]
            shown = f"{self.shown(name)}/" if path else "/"
            rows.append([size(used.size), used.files, shown, ", ".join(notes)])
        self.tell(told, table(["size", "files", "directory", ""], rows))
