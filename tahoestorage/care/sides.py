"""What a migration goes from and to: any storage of Django's, or one whose files are on a grid."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NoReturn, Protocol

from attrs import evolve, field, frozen
from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import Storage

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.grid.digests import digest_of, with_digest
from tahoestorage.grid.file import TahoeFile
from tahoestorage.reactor.waiting import done
from tahoestorage.storage import TahoeStorage
from txtahoe.errors import NoSuchChild, NotADirectory, SomeFailed
from txtahoe.maintenance.walking import Place
from txtahoe.nodes import Link, Node
from txtahoe.tree.paths import Path, is_reserved, split


@frozen
class Stored:
    """
    A file of a storage.

    `size`: asks for its bytes' number. `open`: opens it for reading; both raise what the storage
    raises. `digest`: the SHA-256 of its bytes, in hexadecimal, where the storage has kept it.
    `node`: what its name leads to, or is to lead to, on a grid.
    """

    name: str
    size: Callable[[], int]
    open: Callable[[], File[Any]]
    digest: str | None = None
    node: Node | None = field(default=None, repr=False)


Find = Callable[[str], Stored | None]
"""The file of a name, or None where that is free."""


class Side(Protocol):
    """
    A storage, as a migration uses it, from several threads.

    `leaves_parts`: whether a process that is killed may leave a part of a file under its name.
    `together`: how many copies had better be `keep`-ed at once.
    """

    leaves_parts: bool
    together: int

    def files(self, directory: str) -> Iterator[Stored]:
        """
        Those in a directory and below it. A directory below it that can't be read is among them,
        and raises when it is opened, so that it ends nothing. Raises: where it can't be read
        itself.
        """

    def look(self, names: Sequence[str]) -> Find:
        """Ask about many names at once; what is returned knows about them, and about no others."""

    def find(self, name: str) -> Stored | None:
        """Ask about one name."""

    def put(self, name: str, content: File[Any]) -> Stored:
        """
        Save a file under a name which is free; on a grid it has none before `keep`. The storage
        may choose another one.
        """

    def keep(self, copies: Sequence[tuple[Stored, str]]) -> list[Exception | None]:
        """Give names to what was `put`, with its digests; the exception of each that has none."""

    def discard(self, name: str) -> None:
        """Take away what `put` has saved."""


def side_of(storage: Storage) -> Side:
    """Raises: ImproperlyConfigured."""
    # A subclass that saves in a way of its own, static files' for one, is asked to do it.
    own = ("open", "_open", "save", "_save", "save_many", "exists", "listdir", "size", "walk")
    if isinstance(storage, TahoeStorage) and all(
        getattr(type(storage), name) is getattr(TahoeStorage, name) for name in own
    ):
        return GridSide(WholeTree.of(storage))
    return StorageSide(storage)


@frozen
class StorageSide:
    """Any storage, by the methods that each has."""

    storage: Storage
    leaves_parts = True
    together = 1

    def files(self, directory: str) -> Iterator[Stored]:
        waiting = [directory]
        while waiting:
            here = waiting.pop()
            try:
                directories, names = self.storage.listdir(here)
            except Exception as error:  # storages raise errors of many kinds
                if here == directory:
                    raise
                yield _unreadable(here, error)
                continue
            waiting += [posixpath.join(here, name) for name in directories]
            for name in names:
                yield self._stored(posixpath.join(here, name))

    def look(self, names: Sequence[str]) -> Find:
        return self.find

    def find(self, name: str) -> Stored | None:
        return self._stored(name) if self.storage.exists(name) else None

    def put(self, name: str, content: File[Any]) -> Stored:
        return self._stored(self.storage.save(name, content))

    def keep(self, copies: Sequence[tuple[Stored, str]]) -> list[Exception | None]:
        return [None] * len(copies)

    def discard(self, name: str) -> None:
        self.storage.delete(name)

    def _stored(self, name: str) -> Stored:
        return Stored(name, lambda: self.storage.size(name), lambda: self.storage.open(name))


@frozen
class GridSide:
    """
    A storage on a grid, by its tree: copies are uploaded one by one, and linked together, so that
    each directory is written once for many, and nothing that is there is replaced.
    """

    whole: WholeTree
    leaves_parts = False
    together = 250

    def files(self, directory: str) -> Iterator[Stored]:
        start = self.whole.path_of(directory)
        waiting = [Place(start, done(self.whole.tree.resolve(start, directory)))]
        while waiting:
            place = waiting.pop()
            try:
                children = self._list(place.path)
            except OSError as error:
                if place.above is None:
                    raise
                yield _unreadable(self.whole.name_of(place.path), error)
                continue
            for child in place.enter(children):
                if is_reserved(child.path):
                    continue
                if not child.node.is_directory:
                    yield self._stored(child.path, child.node)
                elif not child.is_below_itself:
                    waiting.append(child)

    def look(self, names: Sequence[str]) -> Find:
        paths = set(self._paths_of(names))
        try:
            nodes = self.whole.run(lambda tree, _: tree.prefetch(paths))
        except SomeFailed:
            return self.find  # each one fails by itself, or does not

        def find(name: str) -> Stored | None:
            path = self.whole.path_of(name)
            return self._stored(path, nodes[path]) if path in nodes else None

        return find

    def find(self, name: str) -> Stored | None:
        path = self.whole.path_of(name)
        try:
            return self._stored(path, done(self.whole.tree.resolve(path, name)))
        except (NoSuchChild, NotADirectory):
            return None

    def put(self, name: str, content: File[Any]) -> Stored:
        path = self.whole.path_of(name)
        cap = done(self.whole.tree.upload(content, name))
        # It may be composed otherwise there, and is found by this name nevertheless.
        return evolve(self._stored(path, Link(cap).node), name=name)

    def keep(self, copies: Sequence[tuple[Stored, str]]) -> list[Exception | None]:
        links = [
            (self.whole.path_of(copy.name), Link(copy.node.cap, with_digest(copy.node.cap, digest)))
            for copy, digest in copies
            if copy.node is not None
        ]
        try:
            self.whole.run(lambda tree, _: tree.link_many(links))
        except SomeFailed as error:
            return error.results
        except OSError as error:
            return [error] * len(links)
        return [None] * len(links)

    def discard(self, name: str) -> None:
        pass

    def _list(self, path: Path) -> dict[str, Node]:
        return self.whole.run(lambda tree, _: tree.list(path))

    def _paths_of(self, names: Iterable[str]) -> Iterator[Path]:
        for name in names:
            with suppress(SuspiciousFileOperation):  # it is raised again when its turn comes
                yield self.whole.path_of(name)

    def _stored(self, path: Path, node: Node) -> Stored:
        name, tree = self.whole.name_of(path), self.whole.tree
        if not _is_name(path):
            return _unreadable(name, OSError("no storage can have a file of this name"))

        def size() -> int:
            known = None if node.is_directory else node.size
            return (done(tree.file(path, name)).size or 0) if known is None else known

        found = None if node.is_directory or node.size is None or node.cap.is_mutable else node
        return Stored(
            name, size, lambda: TahoeFile(tree, path, name, found=found), digest_of(node), node
        )


def _is_name(path: Path) -> bool:
    """Whether a path can be written with slashes: another client may use them within a name."""
    try:
        return split("/".join(path)) == path
    except ValueError:
        return False


def _unreadable(name: str, error: Exception) -> Stored:
    def fail() -> NoReturn:
        raise error

    return Stored(name, fail, fail)
