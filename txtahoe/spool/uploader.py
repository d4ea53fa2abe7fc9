"""Brings the files of a spool to the grid, as long as it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from logging import getLogger
from math import inf
from os import urandom
from os.path import splitext
from time import monotonic
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import LoopingCall

from txtahoe import errors
from txtahoe.api.directories import Replace
from txtahoe.api.files import Uploadable
from txtahoe.api.keeping import disk_threads
from txtahoe.caps import base32, redact
from txtahoe.concurrency import all_of, each
from txtahoe.http.sources import BlockingSource
from txtahoe.http.terms import Terms, asking
from txtahoe.nodes import Node
from txtahoe.spool.entries import Entry, State
from txtahoe.spool.files import Damaged, release
from txtahoe.spool.spool import REMEMBERED, Spool
from txtahoe.tree.tree import TOGETHER, Tree
from txtahoe.tree.uploads import SMALL

logger = getLogger("txtahoe")

_ALL = range(2**62)  # bytes
_AT_ONCE = 32  # links that are looked at one by one
_POLL = 0.5  # seconds between two looks at what is not due yet, or with another process
_LONGEST_PAUSE = 30.0  # seconds between two attempts while the grid is away

Outcome = Entry | Exception  # the entry after a step, or why the step has failed

FINAL = (
    *(errors.FileTooLarge, errors.NotADirectory, errors.IsADirectory),
    *(errors.BadRequest, errors.Prohibited, Damaged, ValueError, TypeError),
)
"""Problems that do not pass by themselves."""


class Uploader:
    """
    Brings what is pending in a spool to the grid, from one process; any number of others can do the
    same. Small files do not wait for large ones; those that are uploaded are linked together, with
    one write for each directory, while others are uploaded.

    `terms`: the time limits of its requests.
    """

    def __init__(self, spool: Spool, tree: Tree, terms: Terms) -> None:
        self._spool = spool
        self._tree = tree
        self._in_thread: Any = disk_threads(tree.client.reactor)
        self._tidied = -inf
        step = partial(Step, spool, tree.client.reactor, terms)
        links = step("links", State.UPLOADED, _ALL, TOGETHER, self._link)
        small = step("small", State.WAITING, range(SMALL), TOGETHER, self._upload)
        large = step("large", State.WAITING, range(SMALL, _ALL.stop), 8, self._upload)
        small.next = large.next = links
        self._steps = small, large, links

    def wake(self) -> None:
        """Bring what is pending to the grid, in the background. In the reactor thread."""
        for step in self._steps:
            step.wake()

    async def upload(self) -> bool:
        """
        Bring all that is due now to the grid, but what other processes are bringing; return whether
        the grid took it. Raises: OSError if the spool cannot be used.
        """
        *uploads, links = self._steps
        uploaded = await all_of(uploads, Step.work, len(uploads))
        return await links.work() and all(uploaded)

    async def _upload(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        contents = [entry.cap or partial(self._open, entry) for entry in entries]
        caps = await self._tree.upload_many(contents)
        return [
            cap if isinstance(cap, Exception) else after(entry, State.UPLOADED, cap=cap)
            for entry, cap in zip(entries, caps, strict=True)
        ]

    async def _open(self, entry: Entry) -> Uploadable:
        if entry.size >= SMALL:
            return BlockingSource(partial(self._chunks, entry), self._in_thread, repeatable=True)
        data: bytes = await self._in_thread(lambda: b"".join(self._chunks(entry)))
        return data

    def _chunks(self, entry: Entry) -> Iterator[bytes]:
        file, _ = self._spool.open(entry.node)
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

    async def _link(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        if monotonic() > self._tidied + REMEMBERED:
            self._tidied = monotonic()
            await self._in_thread(self._spool.tidy)
        results: dict[int, Exception | None] = {}
        ways: dict[Replace, list[Entry]] = {
            False: [entry for entry in entries if not entry.over],
            "only-files": [entry for entry in entries if entry.over is True],
        }
        for replace, some in ways.items():
            links = {entry.number: (entry.path, entry.cap) for entry in some if entry.cap}
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
            f"another host has taken the name {'/'.join(entry.path)!r}: the file of this host is "
            f"{'/'.join(beside)!r}"
        )
        logger.warning("%s", note)
        return after(entry, State.UPLOADED, path=beside, over=(), note=note)


@define(eq=False)
class Step:
    """
    Takes entries of one `state` and some `sizes`, at `most` so many at a time, as long as they are
    due; `act` does with them what the step is for. Failed ones are tried again, with growing
    pauses. If two or more fail and no other succeeds, the grid is away: then the step tries one
    entry at a time, with growing pauses too.

    `next`: the step that goes on with those that succeed.
    """

    spool: Spool
    reactor: Any
    terms: Terms
    name: str
    state: State
    sizes: range
    most: int
    act: Callable[[Sequence[Entry]], Awaitable[Sequence[Outcome]]]
    next: Step | None = None
    _turn: DeferredLock = field(factory=DeferredLock)
    _is_woken: bool = False
    _pause: float = 0.0
    _until: float = 0.0
    _in_thread: Any = field()
    _loop: LoopingCall = field()

    @_in_thread.default
    def _disk_threads(self) -> Any:
        return disk_threads(self.reactor)

    @_loop.default
    def _looping(self) -> LoopingCall:
        loop = LoopingCall(lambda: Deferred.fromCoroutine(self._tick()))
        loop.clock = self.reactor
        return loop

    def wake(self) -> None:
        """Work at once, or soon, until there is no entry of the state any more."""
        self._is_woken = True
        if not self._loop.running:
            self._loop.start(_POLL)

    async def work(self) -> bool:
        """
        Go on until nothing is due, or the grid is away; return whether it is not. Do nothing if
        another process has this step. Raises: OSError if the spool cannot be used.
        """
        async with self._turn:
            lock = await self._in_thread(partial(self.spool.lock, self.name))
            if lock is None:
                return True
            try:
                while await self._round():
                    pass
            finally:
                release(lock)
            return not self._pause

    async def _tick(self) -> None:
        if self.reactor.seconds() < self._until:
            return
        self._is_woken = False
        try:
            await self.work()
            is_over = not await self._in_thread(partial(self.spool.has, self.state, self.sizes))
            if is_over and not self._is_woken:
                self._loop.stop()
        except Exception as error:
            logger.warning("the spool %s cannot be uploaded now: %s", self.spool.path, error)
            self._until = self.reactor.seconds() + _LONGEST_PAUSE

    async def _round(self) -> bool:
        """Return whether to go on."""
        most = 1 if self._pause else self.most
        entries: list[Entry] = await self._in_thread(
            partial(self.spool.due, self.state, self.sizes, most)
        )
        if not entries:
            return False
        with asking(self.terms):
            outcomes = await self.act(entries)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        changed = [
            _failed(entry, outcome) if isinstance(outcome, Exception) else outcome
            for entry, outcome in zip(entries, outcomes, strict=True)
        ]
        await self._in_thread(partial(self.spool.update, changed))
        if failures:
            text = redact(str(failures[-1]))
            count = len(failures)
            logger.warning("%d files in the spool are not on the grid yet: %s", count, text)
        if self.next is not None and len(failures) < len(entries):
            self.next.wake()
        passing = [error for error in failures if not isinstance(error, FINAL)]
        is_away = len(passing) == len(entries) and (self._pause or len(entries) > 1)
        self._pause = min(max(1.0, 2 * self._pause), _LONGEST_PAUSE) if is_away else 0.0
        self._until = self.reactor.seconds() + self._pause
        return not is_away


def _linked(entry: Entry) -> Entry:
    return after(entry, State.BESIDE if entry.note else State.LINKED)


def after(entry: Entry, state: State, **changes: Any) -> Entry:
    """An entry that has come to a state, and whose next step is due."""
    return evolve(entry, state=state, due=monotonic(), tries=0, problem="", **changes)


def _failed(entry: Entry, error: Exception) -> Entry:
    return evolve(
        entry,
        state=State.ASIDE if isinstance(error, FINAL) else entry.state,
        due=monotonic() + min(2.0**entry.tries, _LONGEST_PAUSE),
        tries=entry.tries + 1,
        problem=redact(str(error)),
    )
