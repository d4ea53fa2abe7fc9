"""
The journal of a spool: what is saved on this host, and not yet known to be on the grid.

An entry is the pending file of one path. Its states:

    state       its bytes            who changes it, to what
    WAITING     in the spool alone   the holder of the path's lock: UPLOADED, ASIDE
    UPLOADED    on the grid          the holder of the path's lock: LINKED, ASIDE; or another path
    LINKED      on the grid          anyone, after `max_age`: removes it
    ASIDE       in the spool         a person, by `manage.py tahoe upload`: WAITING
    GONE        for a while          nobody; see rules 5 and 6

Rules:

1. A file is synced before its entry is; `save()` returns after that. A process that dies before
   leaves a file without an entry, which `Files.sweep` removes.
2. A saver replaces the entry of its path at any time, without the lock. So each change of an entry
   names the number of its file, and does nothing if that is not there any more.
3. Only the holder of a path's lock links the path. It writes the cap down before it links, so a
   name that is found taken by this cap, or by the cap of an entry that was replaced (`ours`), was
   linked by this host: it is no collision, however a process died.
4. A name that something else has taken meanwhile is never replaced, unless the file was saved to
   do that. The entry gets another path beside it, and a message is written down.
5. A LINKED entry answers readers for `max_age` seconds, because each process can have an older
   answer of the grid in memory for so long. Then it is GONE.
6. An entry that was removed or replaced is GONE too: it has no path, and its file is removed ten
   seconds later, because readers can have just found it. For an hour it tells the cap to a program
   that opened the file while it was pending, and saves a new version now.

The journal is an SQLite database (WAL, synchronous=FULL) for all processes of the host. It shows
sizes and times; paths, caps and messages are encrypted, and found by keyed hashes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from hashlib import blake2b
from logging import getLogger
from pathlib import Path as FolderPath
from time import monotonic, time
from typing import Any

from attrs import evolve
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from txtahoe.caps import Cap
from txtahoe.contentcache.blocks import decrypted, encrypted
from txtahoe.errors import ExistingChild, IsADirectory, NotADirectory
from txtahoe.spool.database import Database
from txtahoe.spool.entries import UNFINISHED, Entry, State, Summary, entry_of, number_of
from txtahoe.tree.paths import Path

logger = getLogger("txtahoe")

_LATEST = 3600.0  # seconds: no entry is due later; the clock began anew, as after a restart
_OPENING = 10.0  # seconds from finding an entry to opening its file; see rule 6
_REMEMBERED = 3600.0  # seconds; see rule 6
_KEPT_MESSAGES = 100


class Journal:
    """
    The journal at `path`; `seal` encrypts its entries, and `key` hashes paths. `max_age` is that of
    the rules, in seconds.

    Any thread can call it, and blocks as the disk does. Raises: OSError.
    """

    def __init__(self, path: FolderPath, seal: AESGCM, key: bytes, max_age: float) -> None:
        self._database = Database(path)
        self._seal = seal
        self._key = key
        self.max_age = max_age

    # Questions.

    def find(self, path: Path) -> Entry | None:
        """The entry of a path."""
        with self._database.connection() as connection:
            return self._find(connection, path)

    def below(self, directory: Path) -> list[Entry]:
        """The entries below a directory, at any depth; the path itself counts for a file."""
        with self._database.connection() as connection:
            return self._at(connection, directory)

    def is_known(self, number: int) -> bool:
        """Whether a file has an entry, or had one."""
        with self._database.connection() as connection:
            return bool(self._rows(connection, "number = ?", number))

    def due(self, most: int, sizes: range) -> list[Entry]:
        """The entries that are to be brought to the grid now; those that have failed come last."""
        now = monotonic()
        with self._database.connection() as connection:
            return self._rows(
                connection,
                "state < ? AND (due <= ? OR due > ?) AND size >= ? AND size < ?"
                " ORDER BY tries, since LIMIT ?",
                State.LINKED,
                now,
                now + _LATEST,
                sizes.start,
                sizes.stop,
                most,
            )

    def next_due(self) -> float | None:
        """Seconds until there is something to do again; None if nothing is left to do."""
        with self._database.connection() as connection:
            (due,) = connection.execute(
                "SELECT min(due) FROM entries WHERE state != ? AND size >= 0", (State.ASIDE,)
            ).fetchone()
        return None if due is None else max(0.0, min(due - monotonic(), _LATEST))

    def summary(self) -> Summary:
        with self._database.connection() as connection:
            found = connection.execute(
                "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(state = ?), 0), min(since)"
                " FROM entries WHERE state IN (?, ?, ?)",
                (State.ASIDE, *UNFINISHED),
            ).fetchone()
            where = "state IN (?, ?, ?) AND tries ORDER BY tries DESC LIMIT 1"
            failed = self._rows(connection, where, *UNFINISHED)
        files, size, aside, oldest = found
        return Summary(files, size, aside, oldest, failed[0].problem if failed else "")

    def used(self) -> int:
        """The bytes of all files that are pending."""
        with self._database.connection() as connection:
            select = "SELECT coalesce(sum(size), 0) FROM entries WHERE state IN (?, ?, ?)"
            (total,) = connection.execute(select, UNFINISHED).fetchone()
        return int(total)

    def aside(self) -> list[Entry]:
        """The entries that are set aside."""
        with self._database.connection() as connection:
            return self._rows(connection, "state = ? ORDER BY since", State.ASIDE)

    def messages(self) -> list[tuple[float, str]]:
        """What a person should know of files that have another name now, and the times of that."""
        with self._database.connection() as connection:
            found = connection.execute("SELECT * FROM messages ORDER BY id").fetchall()
        return [(since, decrypted(self._seal, told, id).decode()) for id, since, told in found]

    # Changes. Each is one transaction, and synced when it returns.

    def add(self, entry: Entry, expected: Cap | None = None) -> None:
        """
        Add an entry, in place of that of its path.

        `expected`: the cap of the file that the entry replaces, if it `replaces` not just any.

        Raises: ExistingChild, if the path has another pending file; IsADirectory; NotADirectory.
        """
        path = entry.path
        with self._database.change() as connection:
            for depth in range(1, len(path)):
                if self._find(connection, path[:depth]) is not None:
                    raise NotADirectory(f"{path[depth - 1]!r} is not a directory")
            if any(len(other.path) > len(path) for other in self._at(connection, path)):
                raise IsADirectory(f"{path[-1]!r} is a directory")
            ours = self._replaced(connection, entry, expected)
            for other in self._rows(connection, "path = ?", self.place(path)):
                self._remove(connection, other.number)
            self._insert(connection, evolve(entry, ours=tuple(dict.fromkeys(ours))))

    def _replaced(
        self, connection: sqlite3.Connection, entry: Entry, expected: Cap | None
    ) -> list[Cap]:
        """The caps that an entry can replace on the grid. Raises: ExistingChild."""
        there = self._find(connection, entry.path)
        if there is None and expected is not None and not expected.is_known:
            gone = self._rows(connection, "number = ?", number_of(expected))
            expected = next((entry.cap for entry in gone), None)
            if expected is None and not entry.replaces:
                raise ExistingChild("the file has changed since it was opened")
        if there is None:
            return [] if expected is None else [expected]
        if not entry.replaces and not (expected and there.is_file(expected)):
            raise ExistingChild(f"the name {entry.path[-1]!r} is taken")
        older = () if there.state is State.LINKED else there.ours
        return [*older, *([] if there.cap is None else [there.cap])]

    def discard(self, path: Path) -> bool:
        """Remove the entry of a path if nothing of it can be on the grid; return whether it was."""
        with self._database.change() as connection:
            there = self._find(connection, path)
            if there is None or there.cap or there.ours or there.replaces:
                return False
            self._remove(connection, there.number)
            return True

    def remove(self, number: int) -> None:
        """Remove an entry, by the holder of its path's lock."""
        with self._database.change() as connection:
            self._remove(connection, number)

    def change_all(
        self, changes: dict[int, Callable[[Entry], Entry]], message: str = ""
    ) -> list[int]:
        """
        Change entries, by the holder of their paths' locks; return the numbers of those that were
        still there.

        `message`: for a person; see `messages`. Raises: ExistingChild, if a new path is taken.
        """
        done = []
        with self._database.change() as connection:
            for number, changed in changes.items():
                for entry in self._rows(connection, "number = ? AND path NOT NULL", number):
                    after = changed(entry)
                    if after.path != entry.path and self._at(connection, after.path):
                        raise ExistingChild(f"the name {after.path[-1]!r} is taken")
                    self._delete(connection, number)
                    self._insert(connection, after)
                    done.append(number)
            if message and done:
                self._tell(connection, message)
        return done

    def clean(self, remove: Callable[[int], None]) -> None:
        """Remove what rules 5 and 6 keep no longer; `remove` is called for each file."""
        now = monotonic()
        with self._database.connection() as connection:
            old: list[tuple[int, int, int]] = connection.execute(
                "SELECT number, state, size FROM entries"
                " WHERE state >= ? AND state != ? AND (due <= ? OR due > ?)",
                (State.LINKED, State.ASIDE, now, now + _LATEST),
            ).fetchall()
        for number, state, size in old:
            if state == State.GONE and size >= 0:
                remove(number)
        if not old:
            return
        with self._database.change() as connection:
            for number, state, size in old:
                if state == State.LINKED:
                    self._remove(connection, number)
                elif size >= 0:
                    connection.execute(
                        "UPDATE entries SET size = -1, due = ? WHERE number = ?",
                        (now + _REMEMBERED, number),
                    )
                else:
                    self._delete(connection, number)

    def again(self) -> None:
        """Try the entries again that were set aside, and all others at once."""
        with self._database.change() as connection:
            connection.execute(
                "UPDATE entries SET state = ? WHERE state = ?", (State.WAITING, State.ASIDE)
            )
            connection.execute("UPDATE entries SET due = 0 WHERE state < ?", (State.LINKED,))

    def forget_messages(self) -> None:
        with self._database.change() as connection:
            connection.execute("DELETE FROM messages")

    # The rows.

    def _find(self, connection: sqlite3.Connection, path: Path) -> Entry | None:
        found = self._rows(connection, "path = ?", self.place(path), is_strict=True)
        return next(filter(self._shows, found), None)

    def _shows(self, entry: Entry) -> bool:
        """Whether an entry answers readers."""
        left = entry.due - monotonic()
        return entry.state is not State.LINKED or 0 < left <= self.max_age

    def _at(self, connection: sqlite3.Connection, directory: Path) -> list[Entry]:
        where = "number IN (SELECT number FROM places WHERE place = ?)"
        found = self._rows(connection, where, self.place(directory))
        return list(filter(self._shows, found))

    def _rows(
        self, connection: sqlite3.Connection, where: str, *values: Any, is_strict: bool = False
    ) -> list[Entry]:
        """Entries; without those that are damaged on the disk, unless they raise an OSError."""
        select = "SELECT number, state, size, since, due, tries, sealed FROM entries WHERE "
        found = []
        for row in connection.execute(select + where, values).fetchall():
            try:
                found.append(entry_of(row, self._seal))
            except OSError:
                if is_strict:
                    raise
                logger.error("an entry of the spool's journal is damaged: %s", self._database.path)
        return found

    def _insert(self, connection: sqlite3.Connection, entry: Entry) -> None:
        row = entry.state, entry.size, entry.since, entry.due, entry.tries, entry.stored(self._seal)
        connection.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (entry.number, self.place(entry.path), *row),
        )
        connection.executemany(
            "INSERT INTO places VALUES (?, ?)",
            [
                (self.place(entry.path[:depth]), entry.number)
                for depth in range(len(entry.path) + 1)
            ],
        )

    def _remove(self, connection: sqlite3.Connection, number: int) -> None:
        connection.execute(
            "UPDATE entries SET state = ?, path = NULL, due = ? WHERE number = ?",
            (State.GONE, monotonic() + _OPENING, number),
        )
        connection.execute("DELETE FROM places WHERE number = ?", (number,))

    def _delete(self, connection: sqlite3.Connection, number: int) -> None:
        connection.execute("DELETE FROM entries WHERE number = ?", (number,))
        connection.execute("DELETE FROM places WHERE number = ?", (number,))

    def _tell(self, connection: sqlite3.Connection, message: str) -> None:
        inserted = connection.execute("INSERT INTO messages VALUES (NULL, ?, '')", (time(),))
        id = inserted.lastrowid or 0
        told = encrypted(self._seal, message.encode(), id)
        connection.execute("UPDATE messages SET sealed = ? WHERE id = ?", (told, id))
        connection.execute("DELETE FROM messages WHERE id <= ?", (id - _KEPT_MESSAGES,))

    def place(self, path: Path) -> bytes:
        """A keyed hash of a path."""
        return blake2b(json.dumps(path).encode(), digest_size=16, key=self._key).digest()
