"""The sources that a tree uploads, and which of them are small."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from txtahoe.api.files import Uploadable
from txtahoe.http.sources import ISource

# Opens the source when its turn has come.
Opener = Callable[[], Awaitable[Uploadable]]

# A file of fewer bytes is small. One of more, or of unknown length, is large.
SMALL = 2**20


def is_small(source: Uploadable | Opener) -> bool:
    """Whether a source is known to be small."""
    if isinstance(source, bytes | bytearray | memoryview):
        return len(source) < SMALL
    length = source.length if ISource.providedBy(source) else None
    return length is not None and length < SMALL
