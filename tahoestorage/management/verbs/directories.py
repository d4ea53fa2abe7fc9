"""Count what directories hold, and spread large ones."""

from __future__ import annotations

from attrs import asdict
from django.core.management.base import CommandError

from tahoestorage.management.arguments import argument, number
from tahoestorage.management.printing import Line, counted, size, table
from tahoestorage.management.verb import ALL_BELOW, Verb, picked
from txtahoe.maintenance import spread, usage


class Du(Verb):
    help = """
    Count files and bytes by directory.

    The storage servers hold more than these bytes: half more on a grid that needs 2 of 3 shares.

    Example, the sums of the directories at the top:
      manage.py tahoe du --depth 1
    """
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
        told, rows = [], []
        for path, used in self.work("counting", "directories", usage, start).items():
            if depth is not None and len(path) - len(start) > depth:
                continue
            name = self.whole.name_of(path)
            told.append({"name": name, **picked(used, "size files directories unsized unread")})
            notes = [
                *([f"{counted(used.unsized, 'file')} of unknown size"] if used.unsized else []),
                *([f"{counted(used.unread, 'directory')} can't be read"] if used.unread else []),
            ]
            shown = f"{self.shown(name or '.')}/" if path else "/"
            rows.append([size(used.size), used.files, shown, ", ".join(notes)])
        self.tell(told, table(["size", "files", "directory", ""], rows))


class SpreadOut(Verb):
    help = """
    Spread directories that are larger than `fanout` allows.

    The site can go on meanwhile. You can interrupt it at any time, and start it again.

    Example:
      manage.py tahoe spread documents
    """
    arguments = (argument("name", nargs="?", help=ALL_BELOW),)

    def run(self) -> None:
        if self.whole.connection.fanout is None:
            raise CommandError(
                "The storage may not spread directories. Set its option 'fanout', on all hosts, "
                "and run `manage.py tahoe spread` again."
            )
        result = self.work("spreading", "directories", spread, self.path)
        text = (
            f"Directories spread: {result.directories:,}, with {counted(result.names, 'name')}. "
            f"Links that were left behind: {result.swept:,} are gone, {result.unswept:,} still "
            "there."
        )
        self.tell_done(asdict(result), [Line(text, "WARNING" if result.unswept else "SUCCESS")])
