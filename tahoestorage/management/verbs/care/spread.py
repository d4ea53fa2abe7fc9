"""
Spread directories that are larger than `fanout` allows.

The site can go on meanwhile. You can interrupt it at any time, and start it again.

Example:
  manage.py tahoe spread documents
"""

from __future__ import annotations

from attrs import asdict
from django.core.management.base import CommandError

from tahoestorage.management.arguments import argument
from tahoestorage.management.printing import Line
from tahoestorage.management.verb import ALL_BELOW, Verb
from txtahoe.maintenance import spread


class SpreadOut(Verb):
    help = __doc__
    arguments = (argument("name", nargs="?", help=ALL_BELOW),)

    def run(self) -> None:
        if self.whole.connection.fanout is None:
            raise CommandError(
                "The storage may not spread directories. Set its option 'fanout', on all hosts, "
                "and run `manage.py tahoe spread` again."
            )
        path = self.path
        result = self.work(
            "spreading", "directories", lambda tree, told: spread(tree, path, progress=told)
        )
        text = (
            f"Directories spread: {result.directories:,}, with {result.names:,} names. Links that "
            f"were left behind: {result.swept:,} are gone, {result.unswept:,} still there."
        )
        self.tell_done(asdict(result), [Line(text, "WARNING" if result.unswept else "SUCCESS")])
