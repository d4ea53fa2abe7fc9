"""
The spool of one root on this host, and its journal: what is saved here, and not yet on the grid.

An entry is the newest file of one path that this host has saved. Its states, and why each is there:

    WAITING     Its bytes are here alone.
    UPLOADED    Its bytes are on the grid, and its cap is in the journal. That comes first, so that
                a name which has this cap, however a process died, was linked by this host.
    LINKED      It is on the grid, and its file is removed. The entry goes on for an hour. For
                `max_age` seconds it answers readers, as each process can have an older answer of
                the grid in memory. After that it tells the cap to a program that opened the file
                while it was pending, and saves a new version now.
    BESIDE      As LINKED, but under another name: it stays until a person has read its note.
    ASIDE       The grid refuses it. It stays until a person tries again, by `tahoe upload`.

Rules:

1. A file is synced before its entry is; `save()` returns after that. A process that dies before
   leaves a file without an entry, which `tidy` removes when nobody has written to it for an hour.
2. Savers wait for nobody. At any time they put a new entry in the place of another, or remove one.
   So whatever else changes an entry names its number, and does nothing if that is not there.
3. Only an uploader changes states. It holds a lock, so one process of the host does this at a time:
   no older version can be linked after a newer one.
4. A new entry takes over, in `over`, the versions that its predecessor was to replace, and that one
   itself if it is UPLOADED, because it can be on the grid by now.
5. A name that leads to anything else is never replaced, unless the file was saved to do that. The
   entry gets another path beside it, and a note.

The journal shows sizes and times, and which files lie in one directory. Everything else is sealed
with a key that is made from the root's write-cap. A path is found by keyed hashes, one for each of
its beginnings, in a row: so all that is below a directory is a range of keys.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import copy
from hashlib import blake2b
from logging import getLogger
from math import inf
from pathlib import Path as FolderPath
from sqlite3 import Connection
from threading import Lock
from time import monotonic, time
from typing import Any, BinaryIO

from attrs import asdict, define, evolve
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from txtahoe.caps import Cap
from txtahoe.contentcache.blocks import decrypted, encrypted, key_of
from txtahoe.errors import IsADirectory, NoSuchChild, NotADirectory
from txtahoe.nodes import Node
from txtahoe.sealing import sealed
from txtahoe.spool.database import Database
from txtahoe.spool.entries import PENDING, Entry, State, Summary, replaceable
from txtahoe.spool.files import Damaged, SealedFile, lock, sync_folder, write
from txtahoe.tree.paths import Path

logger = getLogger("txtahoe")

_HASH = 8  # bytes of each hash of a place
_LATEST = 60.0  # seconds: nothing is due later; the clock began anew, as after a restart
REMEMBERED = 3600.0
"""Seconds that a LINKED entry stays, and a file without an entry."""

_SUFFIX = ".file"
_SELECT = "SELECT number, state, due, sealed FROM entries WHERE "


@define
class _Adding:
    entry: Entry
    expected: Node | None
    error: OSError | None = None


class Spool:
    """
    Files below the root `cap`, a write-cap, that are saved in the folder `path` of this host, and
    brought to the grid later. Any number of processes of this host can share it, and each root has
    a folder of its own in it.

    `max_bytes`: of the files in it. `min_free`: bytes that stay free on its disk. `max_age`:
    seconds for which a process uses what it knows of a name.

    Any thread can call it, and blocks as the disk does. Each method raises OSError if the folder
    cannot be used. The first file makes the folder.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cap: Cap,
        *,
        max_bytes: int = 10 * 2**30,
        min_free: int = 2**30,
        max_age: float = 10.0,
    ) -> None:
        self.above = FolderPath(path).absolute()
        self.path = self.above / key_of(cap, "txtahoe spool 1: folder", 8).hex()
        self._limits = max_bytes, min_free
        self._max_age = max_age
        self._seal = AESGCM(key_of(cap, "txtahoe spool 1: contents"))
        self._key = key_of(cap, "txtahoe spool 1: paths")
        self._database = Database(self.path / "journal.sqlite3")
        self._adding: dict[int, tuple[Lock, dict[int, _Adding]]] = {}

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever saved in it: then it is empty."""
        return not self._database.is_there()

    # Questions.

    def find(self, path: Path) -> Entry | None:
        """The entry of a path, if it answers readers. Raises: OSError, also if it is damaged."""
        rows = self._rows(_SELECT + "place = ?", self._place(path))
        return next(filter(self._shows, map(self._entry, rows)), None)

    def below(self, directory: Path) -> list[Entry]:
        """The entries below a directory, at any depth, that answer readers."""
        where, *ends = self._range(directory)
        where += " AND (state <= ? OR due > ?)"  # there can be many that were linked before
        values = *ends, State.ASIDE, monotonic() - self._max_age
        return list(filter(self._shows, self._entries(where, *values)))

    def present(self, entry: Entry) -> Entry | None:
        """The same entry as it is now, perhaps of another path, if it is still there."""
        return next(iter(self._entries("number = ?", entry.number)), None)

    def open(self, node: Node) -> tuple[SealedFile | None, Cap]:
        """
        The bytes of a file, if they are here; and its cap.

        Raises: NoSuchChild, if it was pending and is removed or replaced; OSError; Damaged.
        """
        number, cap = node.metadata.get(PENDING), node.cap
        if not number:
            return None, cap
        opened = SealedFile.open(self._file(number), self._seal, number, node.size or 0)
        if opened is None:  # it is on the grid by now
            entries = self._entries("number = ?", number)
            if not entries:
                raise NoSuchChild("the file was deleted or replaced while it was opened")
            cap = entries[0].cap or cap
            if not cap.is_readable:
                raise Damaged
        return opened, cap

    def due(self, sizes: range, most: int, *, at: float | None = None) -> list[Entry]:
        """The files that are due, now or `at` a time; those that have failed come last."""
        now = monotonic() if at is None else at
        where = "state <= ? AND (due <= ? OR due > ?) AND size >= ? AND size < ?"
        order = " ORDER BY tries, since LIMIT ?"
        values = State.UPLOADED, now, now + _LATEST, sizes.start, sizes.stop, most + 100
        return self._entries(where + order, *values)[:most]  # so damaged ones hide no others

    def has_work(self) -> bool:
        """Whether any file is to be brought to the grid, now or later."""
        return bool(self.due(range(2**62), 1, at=inf))

    def summary(self) -> Summary:
        select = "SELECT count(*), coalesce(sum(size), 0), min(since) FROM entries WHERE state <= ?"
        ((files, size, oldest),) = self._rows(select, State.ASIDE) or [(0, 0, None)]
        failed = self._entries("state <= ? AND tries ORDER BY due DESC LIMIT 1", State.ASIDE)
        aside = {"/".join(e.path): e.problem for e in self._entries("state = ?", State.ASIDE)}
        notes = tuple(e.note for e in self._entries("state = ? ORDER BY since", State.BESIDE))
        return Summary(files, size, oldest, "".join(e.problem for e in failed), aside, notes)

    # Changes. Each is one transaction, and synced when it returns.

    def write(self, entry: Entry, chunks: Iterable[bytes]) -> Entry:
        """
        Save the bytes of an entry that `add` is to add. Return it with its size.

        Raises: OSError ENOSPC if there is no room; what `chunks` raises.
        """
        self._make()
        max_bytes, min_free = self._limits
        select = "SELECT coalesce(sum(size), 0) FROM entries WHERE state <= ?"
        ((used,),) = self._rows(select, State.ASIDE)

        def room(size: int) -> int:
            disk = os.statvfs(self.path)
            return min(max_bytes - int(used), size + disk.f_bavail * disk.f_frsize - min_free)

        number = entry.number
        return evolve(entry, size=write(self._file(number), self._seal, number, chunks, room))

    def add(self, entry: Entry, expected: Node | None = None) -> None:
        """
        Add an entry in place of that of its path. Entries of several threads are synced together.

        `expected`: the file that it replaces, if not just any.

        Raises: ExistingChild if the path has another file; IsADirectory; NotADirectory.
        """
        turn, waiting = self._adding.setdefault(os.getpid(), (Lock(), {}))
        mine = _Adding(entry, expected)
        waiting[id(mine)] = mine
        try:
            with turn:  # if another thread has taken it along, it does not wait any more
                together = list(waiting.values())
                try:
                    self._add(together)
                except OSError as error:
                    for each in together:
                        each.error = each.error or copy(error)
                for each in together:
                    waiting.pop(id(each), None)
        finally:
            # If Ctrl-C interrupts this, nobody must add it later, over a newer file.
            waiting.pop(id(mine), None)
        if mine.error is not None:
            raise mine.error

    def _add(self, together: Sequence[_Adding]) -> None:
        if not together:
            return
        self._make()
        sync_folder(self.path)
        older: list[int] = []
        with self._database.use(changes=True) as connection:
            for each in together:
                try:
                    older += self._insert(connection, each.entry, each.expected)
                except OSError as error:
                    each.error = error
        self.remove(older)

    def _insert(self, connection: Connection, entry: Entry, expected: Node | None) -> list[int]:
        """Add an entry; return the number of that in its place, if there is one."""
        path = entry.path

        def select(where: str, *values: bytes) -> list[Entry]:
            return self._readable(connection.execute(_SELECT + where, values))

        for depth in range(1, len(path)):
            if any(map(self._shows, select("place = ?", self._place(path[:depth])))):
                raise NotADirectory(f"{path[depth - 1]!r} is not a directory")
        if any(map(self._shows, select(*self._range(path)))):
            raise IsADirectory(f"{path[-1]!r} is a directory")
        if entry.cap is None and not self._file(entry.number).exists():
            raise Damaged  # it was not added for so long that `tidy` has removed it
        place = self._place(path)
        # If Ctrl-C interrupts `add`, the entry can be there already.
        there = [e for e in select("place = ?", place) if e.number != entry.number]
        known = [older for older in there if self._shows(older) or older.is_file(expected)]
        entry = evolve(entry, over=entry.over or replaceable(known, expected))
        connection.execute(
            "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._row(entry)
        )
        return [older.number for older in there]

    def discard(self, entry: Entry, *, is_linked: bool = False) -> bool:
        """
        Remove an entry, and return whether that was done. If not `is_linked`, do it only if neither
        this file nor an older version can be on the grid.
        """
        most = State.BESIDE if is_linked else State.WAITING
        delete = "DELETE FROM entries WHERE number = ? AND (state <= ? OR state = ?)"
        if entry.over and not is_linked:
            return False
        is_done = bool(self._execute(delete, entry.number, most, State.ASIDE))
        if is_done:
            self.remove([entry.number])
        return is_done

    def update(self, entries: Iterable[Entry]) -> list[Entry]:
        """
        Change entries. Return those that are still there; the files of linked ones are removed.
        """
        update = (
            "UPDATE entries SET number = ?, place = ?, state = ?, size = ?, since = ?, due = ?,"
            " tries = ?, sealed = ? WHERE number = ?"
        )
        rows = [(entry, (*self._row(entry), entry.number)) for entry in entries]
        with self._database.use(changes=True) as connection:
            there = [entry for entry, row in rows if connection.execute(update, row).rowcount]
        self.remove(entry.number for entry in there if not entry.is_pending)
        return there

    def again(self) -> None:
        """Try the entries again that were set aside, and all others at once."""
        self._execute(
            "UPDATE entries SET due = 0, state = CASE state WHEN ? THEN ? ELSE state END"
            " WHERE state <= ?",
            *(State.ASIDE, State.WAITING, State.ASIDE),
        )

    def forget_notes(self) -> None:
        self._execute("UPDATE entries SET state = ? WHERE state = ?", State.LINKED, State.BESIDE)

    def tidy(self) -> None:
        """Remove entries that were linked long ago, and files that have no entry."""
        if self.is_new:
            return
        now, old = monotonic(), time() - REMEMBERED
        with self._database.use(changes=True) as connection:
            # In one transaction, so that a file can't get its entry meanwhile.
            connection.execute(
                "DELETE FROM entries WHERE state = ? AND (due <= ? OR due > ?)",
                (State.LINKED, now - REMEMBERED, now),
            )
            known = {number for (number,) in connection.execute("SELECT number FROM entries")}
            with os.scandir(self.path) as files:
                for file in files:
                    name, suffix = os.path.splitext(file.name)
                    # Another process can remove it; it can be somebody else's.
                    with suppress(FileNotFoundError, ValueError):
                        is_old = suffix == _SUFFIX and file.stat().st_mtime < old
                        if is_old and int(name, 16) not in known:
                            os.unlink(file)

    # Folder and rows.

    def lock(self) -> BinaryIO | None:
        """Take the lock of the process that brings files to the grid, as `lock`."""
        return None if self.is_new else lock(self.path / "uploader.lock")

    def _make(self) -> None:
        if self.is_new:
            for folder in (self.above, self.path):
                with suppress(FileExistsError):
                    folder.mkdir(0o700)
                sync_folder(folder.parent)
            self._database.make()

    def _file(self, number: int) -> FolderPath:
        return self.path / f"{number:016x}{_SUFFIX}"

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove files that have no entry any more, if they are there. `tidy` tries again."""
        for number in numbers:
            with suppress(OSError):  # the change itself is made
                self._file(number).unlink()

    def _place(self, path: Path) -> bytes:
        return b"".join(
            blake2b(
                json.dumps(path[: depth + 1]).encode(), digest_size=_HASH, key=self._key
            ).digest()
            for depth in range(len(path))
        )

    def _range(self, directory: Path) -> tuple[str, bytes, bytes]:
        place = self._place(directory)
        return "place > ? AND place < ?", place, place + b"\xff" * (_HASH + 1)

    def _shows(self, entry: Entry) -> bool:
        age = monotonic() - entry.due
        return entry.state <= State.ASIDE or 0 <= age < self._max_age

    def _rows(self, select: str, *values: Any) -> list[Any]:
        if self.is_new:
            return []
        with self._database.use() as connection:
            return connection.execute(select, values).fetchall()

    def _execute(self, statement: str, *values: Any) -> int:
        """Make a change; return how many rows it has changed."""
        if self.is_new:
            return 0
        with self._database.use(changes=True) as connection:
            return connection.execute(statement, values).rowcount

    def _entries(self, where: str, *values: Any) -> list[Entry]:
        """Entries, without those that are damaged on the disk."""
        return self._readable(self._rows(_SELECT + where, *values))

    def _readable(self, rows: Iterable[Any]) -> list[Entry]:
        found = []
        for row in rows:
            try:
                found.append(self._entry(row))
            except OSError:
                logger.error("an entry of the spool's journal is damaged: %s", self.path)
        return found

    @sealed
    def _row(self, entry: Entry) -> tuple[Any, ...]:
        told = json.dumps(asdict(entry, recurse=False), default=str).encode()
        columns = entry.state, entry.size, entry.since, entry.due, entry.tries
        stored = encrypted(self._seal, told, entry.number)
        return entry.number, self._place(entry.path), *columns, stored

    @sealed
    def _entry(self, row: tuple[int, int, float, bytes]) -> Entry:
        number, state, due, stored = row
        try:
            told = json.loads(decrypted(self._seal, stored, number))
        except InvalidTag:
            raise OSError(errno.EIO, "an entry of the spool's journal is damaged") from None
        return Entry(**{**told, "state": state, "due": due})
