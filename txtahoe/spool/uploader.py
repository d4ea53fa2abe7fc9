"""Brings the files of a spool to the grid, as long as it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from logging import getLogger
from math import inf
from os import urandom
from os.path import splitext
from time import monotonic
from typing import Any, BinaryIO

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import LoopingCall

from txtahoe import errors
from txtahoe.api.directories import Replace
from txtahoe.api.files import Uploadable
from txtahoe.api.keeping import disk_threads
from txtahoe.caps import Cap, base32, redact
from txtahoe.concurrency import all_of, each
from txtahoe.http.sources import BlockingSource
from txtahoe.http.terms import Terms, asking
from txtahoe.nodes import Node
from txtahoe.spool.entries import Entry, State
from txtahoe.spool.files import Damaged
from txtahoe.spool.spool import REMEMBERED, Spool
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import TOGETHER, Tree
from txtahoe.tree.uploads import SMALL

logger = getLogger("txtahoe")

_LARGE = range(SMALL, 2**62)  # bytes
_AT_ONCE = 32  # links that are looked at one by one
_POLL = 0.5  # seconds between two looks at what is not due yet, or with another process
_LONGEST_PAUSE = 30.0  # seconds between two attempts while the grid is away

FINAL = (
    *(errors.FileTooLarge, errors.NotADirectory, errors.IsADirectory),
    *(errors.BadRequest, errors.Prohibited, Damaged, ValueError, TypeError),
)
"""Problems that do not pass by themselves."""


class Uploader:
    """
    Brings what is pending in a spool to the grid, while no other process of the host does. Small
    files do not wait for large ones. Files that are uploaded together are linked with one write for
    each directory.

    `terms`: the time limits of its requests. `mark`: called in a thread that can block, with the
    paths whose files are replaced, before that and after it.
    """

    def __init__(
        self,
        spool: Spool,
        tree: Tree,
        terms: Terms,
        mark: Callable[[Collection[Path]], None] = lambda paths: None,
    ) -> None:
        self.spool = spool
        self.reactor = tree.client.reactor
        self.in_thread: Any = disk_threads(self.reactor)
        self._tree = tree
        self._terms = terms
        self._mark = mark
        self._lanes = Lane(self, range(SMALL), TOGETHER), Lane(self, _LARGE, 8)
        self._look, self._linking = DeferredLock(), DeferredLock()
        self._lock: BinaryIO | None = None
        self._busy = 0
        self._tidied = -inf
        self.woken = monotonic()
        """When it was last asked to begin."""

    def wake(self) -> None:
        """Bring what is pending to the grid, in the background. In the reactor thread."""
        self.woken = monotonic()
        for lane in self._lanes:
            lane.wake()

    async def upload(self) -> bool:
        """
        Bring all that is due now to the grid, if no other process does; return whether the grid
        took it. Raises: OSError if the spool cannot be used.
        """
        return all(await all_of(self._lanes, Lane.work, len(self._lanes)))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Whether this process brings files to the grid while the block lasts, and no other."""
        async with self._look:
            if self._lock is None:
                self._lock = await self.in_thread(self.spool.lock)
        self._busy += 1
        try:
            yield self._lock is not None
        finally:
            self._busy -= 1
            if self._lock is not None and not self._busy:
                self._lock.close()
                self._lock = None

    async def bring(self, entries: Sequence[Entry]) -> list[Exception]:
        """Bring files to the grid; return the problems of those that still count, and failed."""
        with asking(self._terms):
            contents = [entry.cap or partial(self._open, entry) for entry in entries]
            caps = await self._tree.upload_many(contents)
            outcomes = [
                cap if isinstance(cap, Exception) else _uploaded(entry, cap)
                for entry, cap in zip(entries, caps, strict=True)
            ]
            async with self._linking:  # in the order in which they replace each other
                uploaded, problems = await self._note(entries, outcomes)
                mark = partial(self._mark, [entry.path for entry in uploaded if entry.over])
                await self.in_thread(mark)
                _, others = await self._note(uploaded, await self._link(uploaded))
                await self.in_thread(mark)
        return problems + others

    async def tidy(self) -> None:
        """As `Spool.tidy`, if this process has not done it lately."""
        if monotonic() > self._tidied + REMEMBERED:
            self._tidied = monotonic()
            await self.in_thread(self.spool.tidy)

    async def _note(
        self, entries: Sequence[Entry], outcomes: Sequence[Entry | Exception]
    ) -> tuple[list[Entry], list[Exception]]:
        """
        Write down what a step has done with each entry: an entry, or why it has failed. Return
        those of each kind, but of none that was replaced or removed meanwhile.
        """
        failed: dict[int, Exception] = {}
        changed: list[Entry] = []
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, Exception):
                failed[entry.number] = outcome
                outcome = _failed(entry, outcome)
            changed.append(outcome)
        there: list[Entry] = await self.in_thread(partial(self.spool.update, changed))
        problems = [failed[entry.number] for entry in there if entry.number in failed]
        return [entry for entry in there if entry.number not in failed], problems

    async def _open(self, entry: Entry) -> Uploadable:
        if entry.size >= SMALL:
            return BlockingSource(partial(self._chunks, entry), self.in_thread, repeatable=True)
        data: bytes = await self.in_thread(lambda: b"".join(self._chunks(entry)))
        return data

    def _chunks(self, entry: Entry) -> Iterator[bytes]:
        file, _ = self.spool.open(entry.node)
        assert file is not None  # no other process gives it a cap meanwhile
        try:
            yield from file.chunks()
        finally:
            file.close()

    async def _link(self, entries: Sequence[Entry]) -> list[Entry | Exception]:
        results: dict[int, Exception | None] = {}
        ways: tuple[tuple[Replace, Any], ...] = (False, ()), ("only-files", True)
        for replace, over in ways:
            links = {e.number: (e.path, e.cap) for e in entries if e.over == over and e.cap}
            results.update(dict.fromkeys(links))
            try:
                await self._tree.link_many(links.values(), replace=replace)
            except errors.SomeFailed as error:
                results.update(zip(links, error.results, strict=True))

        async def link(entry: Entry) -> Entry:
            error = results.get(entry.number)
            is_taken = isinstance(error, errors.ExistingChild)
            if is_taken and entry.over is True:
                raise errors.IsADirectory("there is a directory of this name")
            if is_taken or entry.number not in results:
                return await self._settle(entry)
            if error is not None:
                raise error
            return _linked(entry)

        return await each(entries, link, _AT_ONCE)

    async def _settle(self, entry: Entry) -> Entry:
        """Link a file whose name is taken, or may be. Rules 4 and 5."""
        assert entry.cap is not None
        assert entry.over is not True
        there: Node | None = None
        with suppress(errors.NoSuchChild):
            there = await self._tree.resolve(entry.path, fresh=True)
        if there is None or there.cap in (entry.cap, *entry.over):
            await self._tree.replace(entry.path, entry.cap, there)
            return _linked(entry)
        base, extension = splitext(entry.path[-1])
        beside = *entry.path[:-1], f"{base}_{base32(urandom(5))}{extension}"
        note = redact(
            f"the name {'/'.join(entry.path)!r} leads to another file: the file that was saved "
            f"here is {'/'.join(beside)!r}"
        )
        logger.warning("%s", note)
        return after(entry, State.UPLOADED, path=beside, over=(), note=note)


@define(eq=False)
class Lane:
    """
    Files of some `sizes`, which do not wait for others, `most` at a time. Failed ones are tried
    again, with growing pauses. If two or more fail and no other succeeds, the grid is away: then
    one file is tried at a time, with growing pauses too.
    """

    uploader: Uploader
    sizes: range
    most: int
    _turn: DeferredLock = field(factory=DeferredLock)
    _is_woken: bool = False
    _pause: float = 0.0
    _until: float = 0.0
    _loop: LoopingCall = field()

    @_loop.default
    def _looping(self) -> LoopingCall:
        loop = LoopingCall(lambda: Deferred.fromCoroutine(self._tick()))
        loop.clock = self.uploader.reactor
        return loop

    def wake(self) -> None:
        """Work at once, or soon, until no file is left."""
        self._is_woken = True
        if not self._loop.running:
            self._loop.start(_POLL)

    async def work(self) -> bool:
        """
        Go on until nothing is due, or the grid is away; return whether it is not. Raises: OSError
        if the spool cannot be used.
        """
        async with self._turn, self.uploader.turn() as is_ours:
            if is_ours:
                await self.uploader.tidy()  # at the start: entries of an earlier start of the host
            while is_ours and await self._round():
                pass
            return not self._pause

    async def _tick(self) -> None:
        uploader = self.uploader
        if uploader.reactor.seconds() < self._until:
            return
        self._is_woken = False
        try:
            await self.work()
            # While another lane is at work, no other process takes the files of this one.
            is_over = not await uploader.in_thread(uploader.spool.has_work)
            if is_over and not self._is_woken:
                self._loop.stop()
        except Exception as error:
            logger.warning("the spool %s cannot be uploaded now: %s", uploader.spool.path, error)
            self._until = uploader.reactor.seconds() + _LONGEST_PAUSE

    async def _round(self) -> bool:
        """Return whether to go on."""
        uploader = self.uploader
        most = 1 if self._pause else self.most
        entries = await uploader.in_thread(partial(uploader.spool.due, self.sizes, most))
        if not entries:
            return False
        problems = await uploader.bring(entries)
        if problems:
            text = redact(str(problems[-1]))
            logger.warning("files in the spool failed: %d, the last one: %s", len(problems), text)
        passing = [problem for problem in problems if not isinstance(problem, FINAL)]
        is_away = len(passing) == len(entries) and (self._pause or len(entries) > 1)
        self._pause = min(max(1.0, 2 * self._pause), _LONGEST_PAUSE) if is_away else 0.0
        self._until = uploader.reactor.seconds() + self._pause
        return not is_away


def _uploaded(entry: Entry, cap: Cap) -> Entry:
    return entry if entry.state == State.UPLOADED else after(entry, State.UPLOADED, cap=cap)


def _linked(entry: Entry) -> Entry:
    return after(entry, State.BESIDE if entry.note else State.LINKED)


def after(entry: Entry, state: State, **changes: Any) -> Entry:
    """An entry that has come to a state, and whose next step is due."""
    return evolve(entry, state=state, due=monotonic(), tries=0, problem="", **changes)


def _failed(entry: Entry, error: Exception) -> Entry:
    return evolve(
        entry,
        state=State.ASIDE if isinstance(error, FINAL) else entry.state,
        due=monotonic() + min(2.0 ** min(entry.tries, 9), _LONGEST_PAUSE),
        tries=entry.tries + 1,
        problem=redact(str(error)),
    )
