"""The files of a storage, compared with the rows that name them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from time import time

from attrs import define, field, frozen
from django.core.exceptions import SuspiciousFileOperation

from tahoestorage.care.references import Column, Reference, columns_around, site_storages
from tahoestorage.care.wholetree import WholeTree
from tahoestorage.grid.paths import Location
from tahoestorage.reactor.waiting import done
from tahoestorage.storage import TahoeStorage
from txtahoe.caps import Cap
from txtahoe.errors import NoSuchChild, NotADirectory, SomeFailed
from txtahoe.maintenance import Progress
from txtahoe.maintenance.walking import Place
from txtahoe.tree.paths import Path

_LOOK = 500
# In seconds. The gateway tells its time in whole seconds, and its answer takes a while to arrive.
_APART = 60.0
_SEPARATOR = re.compile(r"[._-]+")


@frozen
class Missing:
    """A reference to a file that is missing or can't be looked at, and the problem."""

    reference: Reference
    problem: str


@define
class Comparison:
    """
    `references`, `files`: how many there are. `named`: how many files have a row. `unread`:
    why directories of the storage can't be read, by name. `unnamed`: files that no row names, where
    a field puts its files. `others`: the same in other directories, or named after a file beside
    them, as thumbnails are. `recent`: how many files are so new that their rows may follow.
    """

    references: int = 0
    files: int = 0
    named: int = 0
    missing: list[Missing] = field(factory=list)
    unread: dict[str, str] = field(factory=dict)
    unnamed: list[str] = field(factory=list)
    others: list[str] = field(factory=list)
    recent: int = 0


class Inventory:
    """
    The files of a storage, and the rows of all databases that name files of it. It leaves out files
    of other storages, whose location or root directory is inside of this one. It holds the names of
    all files in memory, about 200 bytes each. Raises: ImproperlyConfigured.
    """

    def __init__(self, storage: TahoeStorage) -> None:
        self._storage = storage
        self._whole = WholeTree.of(storage)
        self._files: dict[Path, float | None] = {}  # when they were linked
        self._unread: dict[Path, str] = {}
        self._columns = columns_around(storage)
        # The other storages: their locations inside of this one, and their root directories.
        self._inner: set[Path] = set()
        self._caps: set[Cap] = set()
        for other in site_storages():
            cap, root = other.connection.base_cap, Location(other.location).root
            if not cap.names_same(self._whole.connection.base_cap):
                self._caps.add(cap)
            elif len(root) > len(self._whole.location.root):
                self._inner.add(root)

    @property
    def unseen(self) -> list[Column]:
        """The columns whose table no database has."""
        return [column for column in self._columns if not column.databases]

    def compare(self, older_than: float, progress: Progress | None = None) -> Comparison:
        """
        Read the names of all files, then all rows. A file without a row counts as `unnamed` once
        its link is `older_than` seconds old, by the gateway's clock and by this host's.

        Raises: the errors of django.db; the errors of the grid if the storage can't be read at all.
        """
        ahead = self._ahead()
        self._read(progress)
        unread = {self._whole.name_of(path): problem for path, problem in self._unread.items()}
        found = Comparison(files=len(self._files), unread=unread)
        named = self._follow(found)
        found.named = len(named)
        self._sort(found, named, time() - ahead - older_than)
        return found

    def remove(self, names: Collection[str]) -> tuple[list[str], dict[str, str]]:
        """
        Delete files that `compare` found unnamed, if no row names them now and their links are the
        same. Returns the names of the deleted files, and by name why others could not be deleted.
        """
        left = {self._whole.path_of(name): name for name in names}
        for reference in self._references():
            left.pop(_path(reference) or (), None)
        removed: list[str] = []
        failed: dict[str, str] = {}
        for path, name in left.items():
            try:
                node = done(self._whole.tree.resolve(path, name, fresh=True))
                if node.modified == self._files[path]:
                    self._storage.delete(name)
                    removed.append(name)
            except NoSuchChild:
                pass
            except OSError as error:
                failed[name] = str(error)
        return removed, failed

    def _references(self) -> Iterator[Reference]:
        for column in self._columns:
            for reference in column.references():
                if not reference.is_carrying:
                    yield reference

    def _ahead(self) -> float:
        """
        Seconds by which this host's clock is ahead of the gateway's, which dates the links. If they
        did not count, all files would look old, also those that get their rows just now.
        """
        gateway = self._whole.run(lambda tree, _: tree.client.time())
        ahead = 0.0 if gateway is None else time() - gateway
        return ahead if ahead > _APART else 0.0

    def _read(self, progress: Progress | None) -> None:
        """Note all files, and the directories that can't be read."""
        self._files, self._unread = {}, {}
        files = self._whole.files(
            self._whole.location.root, leaves_out=self._is_of_others, progress=progress
        )
        with suppress(NoSuchChild):  # nothing was ever saved
            for path, found in files:
                if isinstance(found, OSError):
                    self._unread[path] = str(found)
                else:
                    self._files[path] = found.modified

    def _is_of_others(self, place: Place) -> bool:
        return place.path in self._inner or any(map(place.node.cap.names_same, self._caps))

    def _follow(self, found: Comparison) -> set[Path]:
        """Count the references, and note the missing ones. Returns the files that have a row."""
        named: set[Path] = set()
        references = self._references()
        while some := list(islice(references, _LOOK)):
            doubtful = []
            for reference in some:
                path = _path(reference)
                if path is not None and not self._is_ours(path):
                    continue
                found.references += 1
                if path in self._files:
                    named.add(path)
                else:
                    doubtful.append(reference)
            found.missing += self._look_again(doubtful)
        return named

    def _is_ours(self, path: Path) -> bool:
        root = self._whole.location.root
        above = (path[:length] for length in range(len(path)))
        return path[: len(root)] == root and self._inner.isdisjoint(above)

    def _look_again(self, references: list[Reference]) -> Iterator[Missing]:
        """Look again for files that were not there. Yields those that are still missing."""
        paths = {path for reference in references if (path := _path(reference))}
        paths = {path for path in paths if self._problem_above(path) is None}
        known: Collection[Path]
        try:
            known = self._whole.run(lambda tree, _: tree.prefetch(paths))
        except SomeFailed:
            known = paths  # they are asked about one by one
        for reference in references:
            problem = self._problem(reference, known)
            if problem is not None and reference.is_there:
                yield Missing(reference, problem)

    def _problem(self, reference: Reference, known: Collection[Path]) -> str | None:
        """Why a reference leads to no file; None if it does. `known`: paths of possible files."""
        try:
            path = reference.path()
            if path in known:
                done(self._whole.tree.file(path, reference.name, fresh=True))
                return None
        except (NoSuchChild, NotADirectory):
            pass
        except (OSError, SuspiciousFileOperation) as error:
            return str(error)
        return self._problem_above(path) or "there is no such file"

    def _problem_above(self, path: Path) -> str | None:
        """Why a directory on a path can't be read."""
        above = (self._unread.get(path[:length]) for length in range(len(path)))
        return next(filter(None, above), None)

    def _sort(self, found: Comparison, named: set[Path], since: float) -> None:
        """Tell the files without a row apart."""
        directories = {path[:-1] for path in named}
        for path in sorted(self._files.keys() - named):
            directory, linked = path[:-1], self._files[path]
            is_place = directory in directories or any(
                column.is_upload_directory(directory) for column in self._columns
            )
            if not is_place or self._is_derived(path):
                found.others.append(self._whole.name_of(path))
            elif linked is None or linked > since:
                found.recent += 1
            else:
                found.unnamed.append(self._whole.name_of(path))

    def _is_derived(self, path: Path) -> bool:
        """Whether a file is named after one beside it, as `a.jpg.80x80.jpg`, `thumb-a.jpg`."""
        *directory, name = path
        cuts = [separator.span() for separator in _SEPARATOR.finditer(name)]
        parts = [part for start, end in cuts for part in (name[:start], name[end:])]
        return any((*directory, part) in self._files for part in parts)


def _path(reference: Reference) -> Path | None:
    """The path of a reference; None if no file can have its name."""
    try:
        return reference.path()
    except SuspiciousFileOperation:
        return None
