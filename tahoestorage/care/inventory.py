"""The files of a storage, side by side with the rows that name them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import filterfalse, islice
from operator import attrgetter
from time import time

from attrs import define, field, frozen
from django.core.exceptions import SuspiciousFileOperation

from tahoestorage.care.references import Reference, References, site_storages
from tahoestorage.care.wholetree import WholeTree
from tahoestorage.grid.paths import Location
from tahoestorage.reactor.waiting import done
from tahoestorage.storage import TahoeStorage
from txtahoe.caps import Cap
from txtahoe.errors import NoSuchChild, NotADirectory, SomeFailed
from txtahoe.maintenance import Progress
from txtahoe.maintenance.walking import AT_ONCE, Place, explore
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path, is_reserved
from txtahoe.tree.tree import Tree

_LOOK = 500
# In seconds. The gateway tells its time in whole seconds, and its answer is on the way for a while.
_APART = 60.0
_is_carrying = attrgetter("is_carrying")
_SEPARATOR = re.compile(r"[._-]+")


@frozen
class Missing:
    """A reference that leads to no file, or to one that can't be looked at, and the problem."""

    reference: Reference
    problem: str


@define
class Comparison:
    """
    `references`, `files`: how many there are. `named`: how many of the files are named by rows.

    `missing`: those that lead nowhere. `unread`: why directories of the storage can't be read, by
    name.
    `unnamed`: the files that no row names, though they are where a field puts its files.
    `others`: files that no row names and that may be of another kind: those in other directories,
    and those that are named after a file beside them, as thumbnails are.
    `recent`: how many may have rows that are about to be written.
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
    The files of a storage and the rows of all databases that name some of them.

    What belongs to another storage, in a location or a directory of its own, is left out.
    In memory are the names of all files, about 200 bytes each.

    Raises: ImproperlyConfigured.
    """

    def __init__(self, storage: TahoeStorage) -> None:
        self._storage = storage
        self._whole = WholeTree.of(storage)
        self._root = self._whole.location.root
        self._neighbours = _Neighbours.than(self._whole)
        self._files: dict[Path, float | None] = {}  # when they were linked
        self._unread: dict[Path, str] = {}
        self.references = References.into(storage)

    def compare(self, older_than: float, progress: Progress | None = None) -> Comparison:
        """
        Read the names of all files, then all rows. A file without a row is told of when its link
        is `older_than` so many seconds, by the clock of the gateway and by that of this host.

        Raises: the errors of django.db; those of the grid where the storage can't be read at all.
        """
        found = Comparison()
        ahead = self._ahead()
        self._read(progress)
        found.files = len(self._files)
        found.unread = {self._whole.name_of(path): told for path, told in self._unread.items()}
        named = self._follow(found)
        found.named = len(named)
        self._sort(found, named, time() - ahead - older_than)
        return found

    def remove(self, names: Collection[str]) -> tuple[list[str], dict[str, str]]:
        """
        Delete files that `compare` has found unnamed, if no row names them now and their links are
        the same: the names of those deleted, and by name why others could not be.
        """
        left = {self._whole.path_of(name): name for name in names}
        for reference in filterfalse(_is_carrying, self.references):
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

    def _ahead(self) -> float:
        """
        Seconds by which the clock of this host is ahead of that of the gateway, which dates links:
        all files would look old otherwise, also those that get their row just now.
        """
        gateway = self._whole.run(lambda tree, _: tree.client.time())
        ahead = 0.0 if gateway is None else time() - gateway
        return ahead if ahead > _APART else 0.0

    def _read(self, progress: Progress | None) -> None:
        """Note all files, and the directories that can't be read."""
        self._files, self._unread = {}, {}

        async def read(tree: Tree, told: Progress) -> None:
            async def visit(place: Place) -> list[Place]:
                try:
                    children = await tree.list(place.path)
                except NoSuchChild:
                    return []  # it was removed meanwhile
                except OSError as error:
                    if place is start:
                        raise
                    self._unread[place.path] = str(error)
                    return []
                return self._enter(place, children)

            try:
                start = Place(self._root, await tree.resolve(self._root))
            except NoSuchChild:
                return  # nothing was ever saved
            await explore(start, visit, AT_ONCE, told)

        self._whole.run(read, progress)

    def _enter(self, place: Place, children: dict[str, Node]) -> list[Place]:
        """Note the files of a directory. What is left are the directories in it."""
        below = []
        for child in place.enter(children):
            if not child.node.is_directory:
                self._files[child.path] = child.node.modified
            elif not child.is_below_itself and not self._is_of_others(child):
                below.append(child)
        return below

    def _is_of_others(self, place: Place) -> bool:
        """Whether a directory is another storage's, or belongs to a tree itself."""
        return is_reserved(place.path) or self._neighbours.have(place)

    def _follow(self, found: Comparison) -> set[Path]:
        """The files that are named."""
        named: set[Path] = set()
        references = filterfalse(_is_carrying, self.references)
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

    def _look_again(self, references: list[Reference]) -> Iterator[Missing]:
        """Of references to files that were not there, those that lead nowhere still."""
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
        """
        Why a reference leads to no file; None where it does. `known`: where something may be.
        """
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
        directories = {path[:-1] for path in named}
        for path in sorted(self._files.keys() - named):
            linked = self._files[path]
            name = self._whole.name_of(path)
            if not self._is_place(path[:-1], directories) or self._is_derived(path):
                found.others.append(name)
            elif linked is None or linked > since:
                found.recent += 1
            else:
                found.unnamed.append(name)

    def _is_place(self, directory: Path, directories: set[Path]) -> bool:
        """Whether fields put files into a directory."""
        columns = self.references.columns
        return directory in directories or any(c.is_upload_directory(directory) for c in columns)

    def _is_derived(self, path: Path) -> bool:
        """Whether a file is named after one beside it, as `a.jpg.80x80.jpg`, `thumb-a.jpg`."""
        *directory, name = path
        parts = (
            part
            for separator in _SEPARATOR.finditer(name)
            for part in (name[: separator.start()], name[separator.end() :])
        )
        return any((*directory, part) in self._files for part in parts)

    def _is_ours(self, path: Path) -> bool:
        return path[: len(self._root)] == self._root and not self._neighbours.are_around(path)


@frozen
class _Neighbours:
    """
    The other storages of the site.

    `roots`: the locations of those within the one that it is about. `caps`: of those that have a
    directory of their own.
    """

    roots: frozenset[Path]
    caps: tuple[Cap, ...]

    @classmethod
    def than(cls, whole: WholeTree) -> _Neighbours:
        roots = set()
        caps = set()
        for storage in site_storages():
            cap, root = storage.connection.base_cap, Location(storage.location).root
            if not cap.names_same(whole.connection.base_cap):
                caps.add(cap)
            elif len(root) > len(whole.location.root):
                roots.add(root)
        return cls(frozenset(roots), tuple(caps))

    def have(self, place: Place) -> bool:
        return place.path in self.roots or any(place.node.cap.names_same(cap) for cap in self.caps)

    def are_around(self, path: Path) -> bool:
        return any(path[:length] in self.roots for length in range(len(path)))


def _path(reference: Reference) -> Path | None:
    """Where a reference leads; None where its name can be nobody's."""
    try:
        return reference.path()
    except SuspiciousFileOperation:
        return None
