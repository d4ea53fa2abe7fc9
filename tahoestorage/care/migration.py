"""Copies all files of one storage to another."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from enum import Enum
from hashlib import sha256
from itertools import islice
from queue import SimpleQueue
from threading import Event
from typing import Any

from attrs import define, evolve, field, frozen
from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage

from tahoestorage.care.sides import Find, Side, Stored
from tahoestorage.grid.paths import Location
from tahoestorage.grid.reader import reads_grid
from tahoestorage.storage import TahoeStorage
from txtahoe.errors import ExistingChild, TahoeError

# Files that are looked up together. On a grid each of their directories costs one look.
_LOOK = 250
# Bytes that are copied before they get names, at most. If the process is killed, the next run
# copies them again.
_UNNAMED = 2**26
# Files that are tried once more at the end, at most.
_AGAIN = 1000


class State(Enum):
    """The result for a file. In a `CONFLICT` another file has its name, and both are unchanged."""

    COPIED = "copied"
    THERE = "there"
    CONFLICT = "conflict"
    FAILED = "failed"


@frozen
class Outcome:
    """The result for the file of a name. `size`: the bytes that were copied."""

    name: str
    state: State
    size: int = 0
    problem: Exception | None = None


# A copy that may still need its name, and the number of its bytes.
_Copy = tuple[Stored, int]
# A Stored is a file that must be tried again.
_Result = Outcome | _Copy | Stored


class HashedFile(File):  # type: ignore[type-arg]  # no generic at run time
    """
    A file that knows the SHA-256 of its bytes once it was read, in any order: some storages read
    all chunks, others look for the end first, or read it twice.

    `on_read` is called after each read; an exception from it ends the reading.
    """

    def __init__(
        self, file: File[Any], name: str, on_read: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(file, name)
        self.file: Any
        self._on_read = on_read
        self._read = 0
        self._digest = sha256()
        self.hashed = 0
        """How many bytes from the start on are in `so_far`."""

    def read(self, size: int = -1) -> bytes:
        start = self._position()
        data: bytes = self.file.read(size)
        self._read += len(data)
        if start <= self.hashed < start + len(data):
            self._digest.update(memoryview(data)[self.hashed - start :])
            self.hashed = start + len(data)
        self._on_read()
        return data

    @property
    def so_far(self) -> str:
        """The digest of the first `hashed` bytes, in hexadecimal."""
        return self._digest.hexdigest()

    def digest(self) -> str:
        """The digest of the whole file, in hexadecimal. It reads the bytes that nobody has read."""
        if self._position() != self.hashed:
            self.seek(self.hashed)
        while self.read(self.DEFAULT_CHUNK_SIZE):
            pass
        return self.so_far

    def _position(self) -> int:
        try:
            return int(self.file.tell())
        except (AttributeError, OSError):  # it can only be read from the start to the end
            return self._read


@define(eq=False)
class Migration:
    """
    Copies the files of `source` to `destination`, under their names. It can be ended at any moment,
    and run again.

    It compares a file that exists already, first by size, then by content; it does not read the
    content if its digest was kept. It replaces and deletes no file, except for the part of a file
    that a killed process has left: it is shorter than the file, and the file begins with it.

    `at_once`: files at a time. `verify`: read the copies back and compare them; on a grid a copy
    gets its name after that. `dry_run`: change nothing.
    """

    source: Side
    destination: Side
    at_once: int = 8
    verify: bool = True
    dry_run: bool = False
    _ready: list[_Copy] = field(factory=list, init=False)
    _again: list[Stored] = field(factory=list, init=False)
    _is_first: bool = field(default=True, init=False)
    _stopping: Event = field(factory=Event, init=False)

    def run(self, directory: str = "") -> Generator[Outcome, None, None]:
        """
        Copy the files in a directory and below it; it can be called once. Yields their outcomes.

        Closing the iterator, or Ctrl-C while it waits, ends it and leaves no part of a file.

        Raises: what listing the directory raises. An error of one file does not end the others.
        """
        pool = ThreadPoolExecutor(self.at_once, "migration")
        try:
            yield from self._side_by_side(pool, self.source.files(directory))
            # A grid takes only one of equal files that are uploaded at the same moment.
            self._is_first = False
            yield from self._side_by_side(pool, self._again)
            yield from self._keep()
        finally:
            self._stopping.set()
            pool.shutdown(cancel_futures=True)

    def _side_by_side(self, pool: ThreadPoolExecutor, files: Iterable[Stored]) -> Iterator[Outcome]:
        # Futures are not waited for: Ctrl-C in `wait` can leave their locks held for ever.
        results: SimpleQueue[_Result] = SimpleQueue()

        def migrate(file: Stored, find: Find) -> None:
            results.put(self._migrate(file, find))

        left, running = iter(files), 0
        while some := list(islice(left, _LOOK)):
            find = self.destination.look([file.name for file in some])
            for file in some:
                pool.submit(migrate, file, find)
            running += len(some)
            while running > self.at_once:  # the next ones do not wait for a file that is slow
                yield from self._settle(results.get())
                running -= 1
        for _ in range(running):
            yield from self._settle(results.get())

    def _settle(self, result: _Result) -> Iterator[Outcome]:
        if isinstance(result, Outcome):
            yield result
        elif isinstance(result, Stored):
            self._again.append(result)
        else:
            self._ready.append(result)
            unnamed = sum(size for _, size in self._ready)
            if len(self._ready) >= self.destination.together or unnamed >= _UNNAMED:
                yield from self._keep()

    def _keep(self) -> Iterator[Outcome]:
        copies, self._ready = self._ready, []
        errors = self.destination.keep([copy for copy, _ in copies])
        for (copy, size), error in zip(copies, errors, strict=True):
            if error is None:
                yield Outcome(copy.name, State.COPIED, size)
            elif isinstance(error, ExistingChild):  # another process has saved it meanwhile
                yield Outcome(copy.name, State.CONFLICT)
            else:
                yield Outcome(copy.name, State.FAILED, problem=error)

    # The methods below run in the threads of the pool.

    def _migrate(self, file: Stored, find: Find) -> _Result:
        try:
            if "\\" in file.name:
                raise OSError("Django takes a backslash for a slash, so it can't keep its name")
            there = find(file.name)
            state = State.COPIED if there is None else self._compare(file, there)
            if state is not State.COPIED:
                return Outcome(file.name, state)
            if self.dry_run:
                return Outcome(file.name, state, file.size())
            if there is not None:
                self.destination.discard(file.name)
            return self._copy(file)
        except Exception as error:  # storages raise errors of many kinds
            is_transient = isinstance(error, TahoeError) and error.transient
            if is_transient and self._is_first and len(self._again) < _AGAIN:
                return file
            return Outcome(file.name, State.FAILED, problem=error)

    def _compare(self, file: Stored, there: Stored) -> State:
        """The state of a file whose name is taken. COPIED: it is to be, since a part has it."""
        try:
            size, size_there = file.size(), there.size()
            if size == size_there and self._digest(file) == self._digest(there):
                return State.THERE
            if self.destination.leaves_parts and size_there < size and _begins(file, there):
                return State.COPIED
        except IsADirectoryError:
            pass
        return State.CONFLICT

    def _copy(self, file: Stored) -> _Copy:
        with file.open() as opened:
            content = HashedFile(opened, file.name, self._go_on)
            try:
                copy = self.destination.put(file.name, content)
            except Exception:
                self._discard_part(file, content)
                raise
            if copy.name != file.name:
                self.destination.discard(copy.name)
                raise OSError(f"the storage did not save it under this name, but as {copy.name!r}")
            digest = content.digest()
        if self.verify and self._read_back(copy) != digest:
            self.destination.discard(file.name)
            raise OSError("the copy differs from the file when it is read back, and was deleted")
        return evolve(copy, digest=digest), content.hashed

    def _discard_part(self, file: Stored, content: HashedFile) -> None:
        there = self.destination.find(file.name) if self.destination.leaves_parts else None
        if there is None or there.size() >= file.size():
            return
        # A source that fails can't be read again. A migration that is ended must do this still.
        is_what_was_read = there.size() == content.hashed and _digest(there) == content.so_far
        if is_what_was_read or _begins(file, there):
            self.destination.discard(file.name)

    def _read_back(self, copy: Stored) -> str:
        """The digest of a copy as it is on the grid, whatever this host keeps of it."""
        context = copy_context()
        context.run(reads_grid.set, True)
        return context.run(self._digest, copy)

    def _digest(self, file: Stored) -> str:
        return file.digest or _digest(file, self._go_on)

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise InterruptedError("the migration was ended")


def overlap(one: Storage, other: Storage) -> bool:
    """Whether two storages are known to have files in common. Raises: ImproperlyConfigured."""
    if isinstance(one, TahoeStorage) and isinstance(other, TahoeStorage):
        roots = Location(one.location).root, Location(other.location).root
        length = min(map(len, roots))
        is_same_root = one.connection.base_cap.names_same(other.connection.base_cap)
        return is_same_root and roots[0][:length] == roots[1][:length]
    if isinstance(one, FileSystemStorage) and isinstance(other, FileSystemStorage):
        folders = [os.path.realpath(storage.location) for storage in (one, other)]
        return os.path.commonpath(folders) in folders
    return one is other


def _begins(file: Stored, part: Stored) -> bool:
    """Whether a file begins with the bytes of another one."""
    with file.open() as whole, part.open() as beginning:
        return all(whole.read(len(chunk)) == chunk for chunk in beginning.chunks())


def _digest(file: Stored, on_read: Callable[[], object] = lambda: None) -> str:
    with file.open() as opened:
        return HashedFile(opened, file.name, on_read).digest()
