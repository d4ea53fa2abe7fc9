"""The database of a journal, which all threads and processes of the host share."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from attrs import field, frozen

_PATIENCE = 30.0  # seconds that a change waits for those of other processes
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, path BLOB UNIQUE, state INTEGER NOT NULL,
    size INTEGER NOT NULL, since REAL NOT NULL, due REAL NOT NULL, tries INTEGER NOT NULL,
    sealed BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS work ON entries (state, tries, since);
CREATE TABLE IF NOT EXISTS places (
    place BLOB NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (place, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS numbers ON places (number);
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, since REAL, sealed BLOB);
"""


@frozen
class Database:
    """An SQLite database (WAL, synchronous=FULL) in the folder of a spool."""

    path: Path

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which is synced at the end of this block. Raises: OSError."""
        # Threads take turns; SQLite would let each sleep for longer and longer.
        with self._pool().turn, self.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for this thread in this block. Raises: OSError."""
        try:
            pool = self._pool()
            try:
                connection = pool.free.pop()
            except IndexError:
                connection = self._connect(pool)
            try:
                yield connection
            finally:
                pool.free.append(connection)
        except sqlite3.Error as error:
            text = f"the journal of the spool {self.path.parent} cannot be used: {error}"
            failure = OSError(errno.EIO, text)
        else:
            return
        raise failure

    def _pool(self) -> _Pool:
        """The connections of this process to the file that has this path now."""
        key = os.getpid(), self.path
        pool = _pools.get(key)
        if pool is None or pool.identity != _identity(self.path):
            if pool is not None:
                _outdated.append(pool)
            try:  # only a new file: to close another one frees its locks
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                pass
            except FileNotFoundError:  # which would mean that a file of the grid is missing
                text = f"the folder of the spool has gone: {self.path.parent}"
                raise OSError(errno.EIO, text) from None
            pool = _pools[key] = _Pool(_identity(self.path))
        return pool

    def _connect(self, pool: _Pool) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        pool.every.append(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
        return connection


@frozen
class _Pool:
    """
    The connections of one process. They stay open: a forked child must not even close those of its
    parent.
    """

    identity: tuple[int, int] | None
    every: list[sqlite3.Connection] = field(factory=list)
    free: list[sqlite3.Connection] = field(factory=list)
    turn: Lock = field(factory=Lock)


_pools: dict[tuple[int, Path], _Pool] = {}
_outdated: list[_Pool] = []


def _identity(path: Path) -> tuple[int, int] | None:
    """Tells the file of a path from another one that somebody puts in its place."""
    try:
        told = path.stat()
    except FileNotFoundError:
        return None
    return told.st_dev, told.st_ino
