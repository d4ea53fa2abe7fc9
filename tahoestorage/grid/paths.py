"""The names of a storage: normalised, and as paths below its root cap."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from os import PathLike, fspath
from unicodedata import normalize

from django.core.exceptions import SuspiciousFileOperation

from txtahoe.caps import redact
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path, is_reserved, split

Name = str | PathLike[str]


class Location:
    """The directory in which the names of a storage begin, given by its path."""

    def __init__(self, path: str) -> None:
        self.root = split(slashed(path))
        # No name can hold it, because libraries, such as easy-thumbnails, cut it out of names.
        self.path = "//" + "/".join(self.root) if self.root else ""

    def path_of(self, name: Name) -> Path:
        """
        The path of a name below the root cap. As for `safe_join`, a name can be absolute.

        Raises: SuspiciousFileOperation if it lies outside, cannot be a name, or belongs to the tree
        itself.
        """
        text = slashed(name)
        below = posixpath.normpath(text)
        if posixpath.isabs(below) and self.path:
            below = posixpath.relpath(below, self.path)
        if posixpath.isabs(below) or below.split("/")[0] == "..":
            raise SuspiciousFileOperation(f"{redact(text)!r} lies outside of the storage")
        try:
            return (*self.root, *split(below))
        except ValueError as error:
            reason = f"{redact(text)!r} cannot be the name of a file: {error}"
        raise SuspiciousFileOperation(reason)

    def clean(self, name: Name) -> str:
        """The normal form of a name. Raises: as `path_of`."""
        return self.name_of(self.path_of(name))

    def name_of(self, path: Path) -> str:
        return "/".join(path[len(self.root) :])


def is_for_files(name: Name) -> bool:
    """Whether the last component of a name is for files; others belong to the tree itself."""
    return not is_reserved([slashed(name).rpartition("/")[2]])


def names_shown(children: Mapping[str, Node]) -> tuple[list[str], list[str]]:
    shown = {name: node for name, node in children.items() if not is_reserved([name])}
    directories = [name for name, node in shown.items() if node.is_directory]
    return directories, [name for name, node in shown.items() if not node.is_directory]


def slashed(name: Name) -> str:
    """A name with slashes between its parts, composed as the gateway does it (NFC)."""
    return normalize("NFC", fspath(name)).replace("\\", "/")
