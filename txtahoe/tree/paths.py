"""Paths: the names that lead from a root to a file or directory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from unicodedata import is_normalized, normalize

from txtahoe.errors import IsADirectory

Path = tuple[str, ...]

MOST_NAMES = 255
"""Of a path. Each one that is not known yet costs a request, so anybody may cause so many."""

RECORDS = ".tahoe-maintenance"
"""
The directory in which `txtahoe.maintenance` keeps what it knows of the tree under a root. No
listing and no snapshot has it; other Tahoe clients show it.
"""

ANCHORS = ".tahoe-anchors"
"""The directory with the links to files whose names carry their caps."""

RESERVED = frozenset({RECORDS, ANCHORS})
"""
Names that belong to the tree itself, at whatever depth: what is below them may show what was
deleted, or what its reader may not see. A path that is given as text never leads there.
"""


def split(path: str | Sequence[str], *, may_be_reserved: bool = False) -> Path:
    """
    The names of a path, normalised to NFC as the gateway does it, from a str with slashes or from
    a sequence of names, which may hold any character.

    A str is what a user has written. A program that works with reserved names gives a sequence.

    Raises: ValueError for a name that is empty or cannot be encoded as UTF-8, and for more than 255
    names; in a str also for `..`, and for a reserved name unless it `may_be_reserved`.
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
        raise ValueError(f"the names {' and '.join(sorted(RESERVED))} belong to the tree itself")
    return names


def is_reserved(path: Iterable[str]) -> bool:
    """Whether a path leads to what belongs to the tree itself."""
    return not RESERVED.isdisjoint(path)


def split_name(path: str | Sequence[str]) -> tuple[Path, str]:
    """A path as the directory's path and the name in it. Raises: IsADirectory for the root."""
    names = split(path)
    if not names:
        raise IsADirectory("the root itself cannot be linked, unlinked or renamed")
    return names[:-1], names[-1]
