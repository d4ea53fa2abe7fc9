"""The database of a journal, which all threads and processes of the host share."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock

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


class Database:
    """An SQLite database (WAL, synchronous=FULL) at `path`; `make` makes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: dict[tuple[object, ...], tuple[sqlite3.Connection, Lock]] = {}

    def make(self) -> None:
        """Make the file, if there is none: it is whole as soon as it is there."""
        new = self.path.with_suffix(f".{os.urandom(8).hex()}")
        with closing(sqlite3.connect(new)) as connection:
            connection.executescript(_SCHEMA)
        with suppress(FileExistsError):
            os.link(new, self.path)
        new.unlink()

    @contextmanager
    def use(self, *, changes: bool = False) -> Iterator[sqlite3.Connection]:
        """
        A connection for this block, which threads of this process take by turns. If the block
        changes something, it is one transaction, which is synced at the end.

        Raises: OSError.
        """
        try:
            connection, turn = self._connection(changes)
            with turn, connection:
                if changes:
                    connection.execute("BEGIN IMMEDIATE")
                yield connection
        except sqlite3.Error as error:
            text = f"the journal of the spool {self.path.parent} cannot be used: {error}"
            raise OSError(errno.EIO, text) from None

    def _connection(self, changes: bool) -> tuple[sqlite3.Connection, Lock]:
        """
        The connection of this process to the file that has the path now. Questions have one of
        their own, so that they do not wait for a sync. All stay open: a forked child must not even
        close those of its parent.
        """
        try:
            told = self.path.stat()
        except FileNotFoundError:  # which would mean that a file of the grid is missing
            text = f"the journal of the spool has gone: {self.path}"
            raise OSError(errno.EIO, text) from None
        key = changes, os.getpid(), told.st_dev, told.st_ino
        if key not in self._opened:
            connection = sqlite3.connect(
                self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA synchronous = FULL")
            # Two threads can come here at once; the connection of one of them is not used then.
            self._opened.setdefault(key, (connection, Lock()))
        return self._opened[key]
