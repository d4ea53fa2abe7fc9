"""The two sides of a migration: any storage of Django, or one on a grid."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, NoReturn

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
from txtahoe.nodes import Link, Node
from txtahoe.tree.paths import Path, split


@frozen
class Stored:
    """
    A file of a storage. `size` returns the number of its bytes, and `open` opens it for reading;
    both raise what the storage raises. `digest`: the SHA-256 of its bytes, in hexadecimal, if the
    storage knows it. `node`: on a grid, what its name leads to, or will lead to.
    """

    name: str
    size: Callable[[], int]
    open: Callable[[], File[Any]]
    digest: str | None = None
    node: Node | None = field(default=None, repr=False)


# Returns the file of a name, or None if the name is free.
Find = Callable[[str], Stored | None]


@frozen
class Side:
    """
    Any storage, through the methods that all storages have. Several threads may use it.

    `leaves_parts`: whether a process that is killed can leave a part of a file under its name.
    `together`: how many copies are best given to `keep` at once.
    """

    storage: Storage
    leaves_parts: ClassVar[bool] = True
    together: ClassVar[int] = 1

    def files(self, directory: str) -> Iterator[Stored]:
        """
        The files in a directory and below it. A directory below it that can't be read is among
        them, and raises its error when it is opened. Raises: the error of the directory itself.
        """
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
        """Look up many names together; the result is for these names only."""
        return self.find

    def find(self, name: str) -> Stored | None:
        """Look up one name."""
        return self._stored(name) if self.storage.exists(name) else None

    def put(self, name: str, content: File[Any]) -> Stored:
        """Save a file under a free name. The storage may choose another name."""
        return self._stored(self.storage.save(name, content))

    def keep(self, copies: Sequence[Stored]) -> Sequence[Exception | None]:
        """Give copies their names, if `put` has not. Returns the exception of each that failed."""
        return [None] * len(copies)

    def discard(self, name: str) -> None:
        """Delete a file that `put` has saved."""
        self.storage.delete(name)

    def _stored(self, name: str) -> Stored:
        return Stored(name, lambda: self.storage.size(name), lambda: self.storage.open(name))


@frozen
class GridSide(Side):
    """
    A storage on a grid, through its tree. `put` uploads a copy; `keep` links many, with their
    digests. So each directory is written once for many files, and no file is replaced.
    """

    whole: WholeTree
    leaves_parts = False
    together = 250

    def files(self, directory: str) -> Iterator[Stored]:
        for path, found in self.whole.files(self.whole.path_of(directory)):
            if isinstance(found, OSError):
                yield _unreadable(self.whole.name_of(path), found)
            else:
                yield self._at(path, found)

    def look(self, names: Sequence[str]) -> Find:
        paths = set()
        for name in names:
            with suppress(SuspiciousFileOperation):  # `find` raises it again
                paths.add(self.whole.path_of(name))
        try:
            nodes = self.whole.run(lambda tree, _: tree.prefetch(paths))
        except SomeFailed:
            return self.find  # so that only the names that cannot be looked up fail

        def find(name: str) -> Stored | None:
            path = self.whole.path_of(name)
            return self._at(path, nodes[path]) if path in nodes else None

        return find

    def find(self, name: str) -> Stored | None:
        path = self.whole.path_of(name)
        try:
            return self._at(path, done(self.whole.tree.resolve(path, name)))
        except (NoSuchChild, NotADirectory):
            return None

    def put(self, name: str, content: File[Any]) -> Stored:
        path = self.whole.path_of(name)
        cap = done(self.whole.tree.upload(content, name))
        # The name in the tree may be composed in another way. This one leads there too.
        return evolve(self._at(path, Link(cap).node), name=name)

    def keep(self, copies: Sequence[Stored]) -> Sequence[Exception | None]:
        links = [
            (self.whole.path_of(copy.name), Link(copy.node.cap, with_digest(copy.node.cap, digest)))
            for copy in copies
            if copy.node is not None and (digest := copy.digest)
        ]
        try:
            self.whole.run(lambda tree, _: tree.link_many(links))
        except SomeFailed as error:
            return error.results
        except OSError as error:
            return [error] * len(links)
        return [None] * len(links)

    def discard(self, name: str) -> None:
        """An uploaded copy without a name needs no deletion."""

    def _at(self, path: Path, node: Node) -> Stored:
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


def side_of(storage: Storage) -> Side:
    """Raises: ImproperlyConfigured."""
    # A subclass that saves in its own way, such as that for static files, is asked to do it.
    own = ("open", "_open", "save", "_save", "save_many", "exists", "listdir", "size", "walk")
    if isinstance(storage, TahoeStorage) and all(
        getattr(type(storage), name) is getattr(TahoeStorage, name) for name in own
    ):
        return GridSide(storage, WholeTree.of(storage))
    return Side(storage)


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
