"""Paths: the names that lead from a root to a file or directory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import hexdigits
from unicodedata import is_normalized, normalize

from txtahoe.errors import IsADirectory

Path = tuple[str, ...]
AnyPath = str | Sequence[str]
"""A path as a caller gives it; see `split`."""

MOST_NAMES = 255
"""Names in a path, at most: each unknown one costs a request, and a visitor can ask for any."""

RECORDS = ".tahoe-maintenance"
"""The directory of `txtahoe.maintenance`'s records. Listings and snapshots leave it out."""

ANCHORS = ".tahoe-anchors"
"""The directory of links to files whose names carry their caps."""

PART = ".tahoe-part-"
"""The name of a part of a spread directory begins so, and goes on with a hexadecimal digit."""

RESERVED = frozenset({RECORDS, ANCHORS, *(f"{PART}{digit}" for digit in hexdigits[:16])})
"""
Names that belong to the tree itself, at any depth. Below them are deleted files, and files that not
every user may see. A path that a caller gives as text never leads there.
"""


def split(path: AnyPath, *, may_be_reserved: bool = False) -> Path:
    """
    Split a path into names, normalised to NFC as the gateway does it.

    `path`: a str with slashes, which a user can have written; or a sequence of names, which can
    have any characters, and reserved names. `may_be_reserved`: accept those in a str too.

    Raises: ValueError if a name is empty, or cannot be encoded as UTF-8; if there are more than 255
    names; if a str has `..`, or a reserved name that is not accepted.
    """
    is_text = isinstance(path, str)
    if isinstance(path, str):
        path = [name for name in path.split("/") if name not in ("", ".")]
        if ".." in path:
            raise ValueError("a path must not climb with '..'")
    names = tuple(name if is_normalized("NFC", name) else normalize("NFC", name) for name in path)
    if len(names) > MOST_NAMES:
        raise ValueError(f"a path must not have more than {MOST_NAMES} names")
    if "" in names:
        raise ValueError("a name must not be empty")
    "".join(names).encode()
    if is_text and not may_be_reserved and is_reserved(names):
        raise ValueError(
            f"the names {RECORDS}, {ANCHORS} and {PART}0 to {PART}f belong to the tree itself"
        )
    return names


def is_reserved(path: Iterable[str]) -> bool:
    """Whether one of the names of a path is reserved."""
    return not RESERVED.isdisjoint(path)


def split_name(path: AnyPath) -> tuple[Path, str]:
    """
    A path as the directory's path and the name in it.

    Raises: as `split`; IsADirectory for the root.
    """
    names = split(path)
    if not names:
        raise IsADirectory("the root itself cannot be linked, unlinked or renamed")
    return names[:-1], names[-1]
