"""Paths: the names that lead from a root to a file or directory."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import is_normalized, normalize

from txtahoe.errors import IsADirectory

Path = tuple[str, ...]

MOST_NAMES = 255
"""Of a path. Each one that is not known yet costs a request, so anybody may cause so many."""


def split(path: str | Sequence[str]) -> Path:
    """
    The names of a path, normalised to NFC as the gateway does it, from a str with slashes or from
    a sequence of names, which may hold any character.

    Raises: ValueError for `..`, for a name that is empty or cannot be encoded as UTF-8, and for
    more than 255 names.
    """
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
    return names


def split_name(path: str | Sequence[str]) -> tuple[Path, str]:
    """A path as the directory's path and the name in it. Raises: IsADirectory for the root."""
    names = split(path)
    if not names:
        raise IsADirectory("the root itself cannot be linked, unlinked or renamed")
    return names[:-1], names[-1]
