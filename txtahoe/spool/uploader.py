"""Brings the files of a spool to the grid, as long as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from logging import getLogger
from os import urandom
from os.path import splitext
from time import monotonic
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, DeferredLock

from txtahoe.api.directories import Replace
from txtahoe.api.files import Uploadable
from txtahoe.api.keeping import disk_threads
from txtahoe.caps import Cap, base32, redact
from txtahoe.concurrency import all_of, each
from txtahoe.errors import (
    BadRequest,
    ExistingChild,
    FileTooLarge,
    IsADirectory,
    NoSuchChild,
    NotADirectory,
    Prohibited,
    SomeFailed,
    another,
)
from txtahoe.http.sources import BlockingSource
from txtahoe.http.terms import Terms, asking
from txtahoe.nodes import Node
from txtahoe.spool.entries import Entry, State
from txtahoe.spool.files import Damaged
from txtahoe.spool.spool import Spool
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import TOGETHER, Tree
from txtahoe.tree.uploads import SMALL

logger = getLogger("txtahoe")

# Small files do not wait for large ones: each lane has a round of its own.
_LANES = {range(SMALL): TOGETHER, range(SMALL, 2**62): 8}
_POLL = 2.0  # seconds between two looks at files whose locks other processes have
_LONGEST_PAUSE = 30.0  # seconds between two attempts while the grid is away
# If so many uploads fail in a row, the grid is away: the rest would fail too, each at its deadline.
_HOPELESS = 8
_AT_ONCE = 32  # uploads that wait for their turns


# These problems do not pass by themselves.
_FINAL = (
    *(FileTooLarge, NotADirectory, IsADirectory, BadRequest, Prohibited, Damaged),
    *(ValueError, TypeError),
)


class Uploader:
    """
    Brings what is pending in a spool to the grid, from one process; any number of others can do the
    same. A round takes all that is due: it uploads side by side, then links with one write for each
    directory. While the grid is away, it tries one file at a time, with growing pauses.

    `terms`: the time limits of its requests.
    """

    def __init__(self, spool: Spool, tree: Tree, terms: Terms) -> None:
        self._spool = spool
        self._tree = tree
        self._terms = terms
        self._reactor = tree.client.reactor
        self._in_thread: Any = disk_threads(self._reactor)
        self._turns = {lane: DeferredLock() for lane in _LANES}
        self._call: Any = None
        self._is_running = self._is_woken = self._has_swept = False
        self._pause = 0.0

    def wake(self) -> None:
        """Begin, if it does not work already, nor waits for the grid. In the reactor thread."""
        self._is_woken = True
        if not self._is_running and not (self._pause and self._call):
            self._begin()

    def stop(self) -> None:
        """Begin no other round by itself."""
        self._is_woken = False
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    async def upload(self) -> bool:
        """
        Bring all that is due now to the grid, but what other processes are bringing; return whether
        the grid took it. Raises: OSError if the spool cannot be used.
        """
        if self._spool.is_new:
            return True
        lanes = await all_of(_LANES, self._lane, len(_LANES))
        self._pause = 0.0 if all(lanes) else min(max(1.0, 2 * self._pause), _LONGEST_PAUSE)
        await self._in_thread(self._spool.clean)
        return not self._pause

    def _begin(self) -> None:
        self.stop()
        self._is_running = True
        Deferred.fromCoroutine(self._work())

    async def _work(self) -> None:
        pause: float | None = _LONGEST_PAUSE
        try:
            if not self._has_swept:
                await self._in_thread(self._spool.sweep)
                self._has_swept = True
            await self.upload()
            due = await self._in_thread(self._spool.next_due)
            # Files that are due and were not taken are those of other processes.
            pause = self._pause or (_POLL if due == 0 else due)
        except CancelledError:
            raise
        except Exception as error:
            logger.warning("the spool %s cannot be uploaded now: %s", self._spool.path, error)
        finally:
            self._is_running = False
        if self._is_woken and not self._pause:
            self._begin()
        elif pause is not None:
            self._call = self._reactor.callLater(pause, self._begin)

    async def _lane(self, lane: range) -> bool:
        async with self._turns[lane]:
            while True:
                most = 1 if self._pause else _LANES[lane]
                entries = await self._in_thread(partial(self._spool.take, most, lane))
                if not entries:
                    return True
                try:
                    with asking(self._terms):
                        failures = await self._round(entries)
                finally:
                    for entry in entries:
                        self._spool.release(entry.path)
                if failures == len(entries):
                    return False
                self._pause = 0.0

    async def _round(self, entries: list[Entry]) -> int:
        """Bring files to the grid. Return how many failed, but without those now set aside."""
        errors: dict[int, Exception] = {}
        caps: dict[int, Cap] = {}
        for entry, result in zip(entries, await self._upload(entries), strict=True):
            if isinstance(result, Exception):
                errors[entry.number] = result
            else:
                caps[entry.number] = result
        there = await self._change({n: partial(_uploaded, cap=cap) for n, cap in caps.items()})
        linking = [entry for entry in entries if entry.number in there]
        linked = []
        for entry, outcome in (await self._link(linking, caps)).items():
            if isinstance(outcome, Exception):
                errors[entry.number] = outcome
            elif outcome:
                linked.append(entry.number)
        until = monotonic() + self._spool.journal.max_age
        await self._change(dict.fromkeys(linked, partial(_linked, until=until)))
        passing = [error for error in errors.values() if not isinstance(error, _FINAL)]
        is_away = len(passing) == len(entries)
        await self._change(
            {n: partial(_failed, error=error, at_once=is_away) for n, error in errors.items()}
        )
        if errors:
            last = list(errors.values())[-1]
            logger.warning("%d files in the spool are not on the grid yet: %s", len(errors), last)
        return len(passing)

    async def _upload(self, entries: list[Entry]) -> list[Cap | Exception]:
        failures: list[Exception] = []

        async def upload(entry: Entry) -> Cap:
            if entry.cap is not None:
                return entry.cap
            if len(failures) >= _HOPELESS:
                raise another(failures[-1])
            try:
                cap = await self._tree.upload(partial(self._open, entry))
            except _FINAL:
                raise
            except Exception as error:
                failures.append(error)
                raise
            failures.clear()
            return cap

        return await each(entries, upload, _AT_ONCE)

    async def _link(
        self, entries: list[Entry], caps: dict[int, Cap]
    ) -> dict[Entry, bool | Exception]:
        """Link files; return whether each is linked now, or will be under another name."""
        results: dict[Entry, bool | Exception] = {}
        ways: dict[Replace, list[Entry]] = {
            False: [entry for entry in entries if not entry.replaces and not entry.ours],
            "only-files": [entry for entry in entries if entry.replaces],
        }
        for replace, some in ways.items():
            links = [(entry.path, caps[entry.number]) for entry in some]
            try:
                await self._tree.link_many(links, replace=replace)
                results.update(dict.fromkeys(some, True))
            except SomeFailed as error:
                for entry, result in zip(some, error.results, strict=True):
                    results[entry] = result if isinstance(result, Exception) else True
                    if entry.replaces and isinstance(result, ExistingChild):
                        results[entry] = IsADirectory("there is a directory of this name")
        taken = [e for e in entries if isinstance(results.get(e, ExistingChild("")), ExistingChild)]
        settle = partial(self._settle, caps=caps)
        results.update(zip(taken, await each(taken, settle, _AT_ONCE), strict=True))
        return results

    async def _settle(self, entry: Entry, caps: dict[int, Cap]) -> bool:
        """Link a file whose name is taken, or may be. Rules 3 and 4."""
        cap = caps[entry.number]
        there: Node | None = None
        with suppress(NoSuchChild):
            there = await self._tree.resolve(entry.path, fresh=True)
        if there is None or there.cap in (cap, *entry.ours):
            await self._tree.replace(entry.path, cap, there)
            return True
        beside = beside_of(entry.path)
        text = (
            f"another host has taken the name {'/'.join(entry.path)!r}: the file of this host is "
            f"{'/'.join(beside)!r}"
        )
        await self._change({entry.number: partial(evolve, path=beside)}, text)
        logger.warning("%s", redact(text))
        return False

    async def _change(
        self, changes: dict[int, Callable[[Entry], Entry]], message: str = ""
    ) -> list[int]:
        if not changes:
            return []
        change = partial(self._spool.journal.change_all, changes, message)
        found: list[int] = await self._in_thread(change)
        return found

    async def _open(self, entry: Entry) -> Uploadable:
        if entry.size >= SMALL:
            return BlockingSource(partial(self._chunks, entry), self._in_thread, repeatable=True)
        data: bytes = await self._in_thread(lambda: b"".join(self._chunks(entry)))
        return data

    def _chunks(self, entry: Entry) -> Iterator[bytes]:
        file = self._spool.open(entry.number)
        if file is None:
            raise Damaged
        try:
            size = 0
            for chunk in file.chunks():
                size += len(chunk)
                yield chunk
        finally:
            file.close()
        if size != entry.size:
            raise Damaged


def beside_of(path: Path) -> Path:
    """Another name in the same directory, which nobody has."""
    base, extension = splitext(path[-1])
    return (*path[:-1], f"{base}_{base32(urandom(5))}{extension}")


def _uploaded(entry: Entry, cap: Cap) -> Entry:
    return evolve(entry, state=State.UPLOADED, cap=cap)


def _linked(entry: Entry, until: float) -> Entry:
    return evolve(entry, state=State.LINKED, due=until, problem="")


def _failed(entry: Entry, error: Exception, at_once: bool) -> Entry:
    pause = 0.0 if at_once else min(2.0**entry.tries, _LONGEST_PAUSE)
    state = State.ASIDE if isinstance(error, _FINAL) else entry.state
    return evolve(
        entry,
        state=state,
        due=monotonic() + pause,
        tries=entry.tries + 1,
        problem=redact(str(error)),
    )
