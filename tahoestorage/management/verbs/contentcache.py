"""Show and clear the content cache of this host."""

from __future__ import annotations

from attrs import asdict
from django.core.management.base import CommandError

from tahoestorage.management.arguments import flag
from tahoestorage.management.printing import Line, size
from tahoestorage.management.verb import Verb
from tahoestorage.storage import TahoeStorage
from txtahoe.contentcache import Usage


def cache_usage(storage: TahoeStorage) -> tuple[Usage | None, list[Line]]:
    """The usage of a storage's content cache, if it has one that works; and lines about it."""
    cache = storage.connection.content_cache
    if cache is None:
        return None, []
    try:
        used = cache.usage()
    except OSError as error:
        return None, [Line(f"The content cache {cache.path} cannot be used: {error}", "WARNING")]
    room = f"{size(used.bytes)} of {size(used.max_bytes)}"
    reads = f"{used.hits:,} reads were answered by it, {used.misses:,} by the grid"
    return used, [Line(f"The content cache {cache.path} has {room}; {reads}.")]


class Cache(Verb):
    help = """
    Show the content cache of this host, or clear it.

    Example:
      manage.py tahoe cache --clear
    """
    arguments = (flag("--clear", help="remove all that it keeps, and its counts of reads"),)

    def run(self) -> None:
        cache = self.storage.connection.content_cache
        if cache is None:
            raise CommandError(
                "The storage has no content cache: set TAHOE_STORAGE_CONTENT_CACHE to a folder."
            )
        if self.options["clear"]:
            cache.clear()
        used, lines = cache_usage(self.storage)
        self.tell(used and asdict(used), lines)
