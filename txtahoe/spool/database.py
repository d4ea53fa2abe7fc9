"""The database of a journal, which all threads and processes of the host share."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock
from weakref import WeakSet

_PATIENCE = 30.0  # seconds that a change waits for those of other processes
_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE entries (
    number INTEGER PRIMARY KEY, place BLOB NOT NULL UNIQUE, state INTEGER NOT NULL,
    size INTEGER NOT NULL, since REAL NOT NULL, due REAL NOT NULL, tries INTEGER NOT NULL,
    sealed BLOB NOT NULL
);
CREATE INDEX work ON entries (state, tries, since, size);
"""


class _Opened:
    """A connection that the threads of this process use by turns, to the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.turn = Lock()
        self._path = path
        self._file: os.stat_result | None = None
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()
        _all.add(self)

    def connection(self) -> sqlite3.Connection:
        """The connection to the file that has the path now. The caller has the turn."""
        told = self._path.stat()
        if self._process != os.getpid():  # a fork that Python was not told of, as by uWSGI
            _inherited.append(self._connection)  # SQLite forbids to use or close it here
            self._connection, self._process = None, os.getpid()
        if self._connection is None or not (self._file and os.path.samestat(self._file, told)):
            self.close()
            self._file = told
            self._connection = sqlite3.connect(
                self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA synchronous = FULL")
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Database:
    """An SQLite database (WAL, synchronous=FULL) at `path`; `make` makes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Questions have a connection of their own, so that they do not wait for a sync.
        self._opened = _Opened(path), _Opened(path)

    def is_there(self) -> bool:
        """Whether the file is. Raises: OSError, where `Path.exists` says no since Python 3.14."""
        try:
            self.path.stat()
        except FileNotFoundError:
            return False
        return True

    def make(self) -> None:
        """
        Make the file, if there is none: it is whole as soon as it is there.

        Raises: OSError.
        """
        new = self.path.with_suffix(f".{os.urandom(8).hex()}")
        with self._told_as_oserror():
            try:
                with closing(sqlite3.connect(new)) as connection:
                    connection.executescript(_SCHEMA)
                with suppress(FileExistsError):
                    os.link(new, self.path)
            finally:
                new.unlink(missing_ok=True)

    @contextmanager
    def use(self, *, changes: bool = False) -> Iterator[sqlite3.Connection]:
        """
        A connection for this block. If the block changes something, it is one transaction, which is
        synced at the end.

        Raises: OSError.
        """
        opened = self._opened[changes]
        with self._told_as_oserror(), opened.turn, opened.connection() as connection:
            if changes:
                connection.execute("BEGIN IMMEDIATE")
            yield connection

    @contextmanager
    def _told_as_oserror(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, FileNotFoundError) as error:
            # If the journal has gone, that must not mean that a file of the grid is missing.
            text = f"the journal of the spool {self.path} cannot be used: {error}"
            raise OSError(errno.EIO, text) from None


# SQLite remembers which locks its process has. A forked child has none of them: if it was told that
# it has some, other processes would remove the log of the journal while the child saves to it.
_all: WeakSet[_Opened] = WeakSet()
_waiting: list[_Opened] = []
_inherited: list[sqlite3.Connection | None] = []


def _before_fork() -> None:
    for opened in list(_all):
        opened.turn.acquire()
        opened.close()
        _waiting.append(opened)


def _after_fork() -> None:
    while _waiting:
        _waiting.pop().turn.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
