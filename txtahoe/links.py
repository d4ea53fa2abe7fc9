"""Changes of directories: for each directory one queue, and one write for many links."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from math import inf

from attrs import define, field
from twisted.internet.defer import Deferred, TimeoutError, ensureDeferred

from txtahoe.caps import Cap
from txtahoe.directories import Replace
from txtahoe.errors import (
    ExistingChild,
    NoSuchChild,
    NotADirectory,
    Unrecoverable,
    another,
)
from txtahoe.names import Names
from txtahoe.nodes import Link, Node
from txtahoe.paths import Path
from txtahoe.spreading import Outcome, Spreading
from txtahoe.terms import Terms, asking, current_terms

# How often in a row a write is refused though all of its names are free when one looks.
_REFUSALS = 3


@define(eq=False)
class _Change:
    """Of one name in a directory: a link, or else what `unlink` does, given what it leads to."""

    name: str
    since: float
    link: Link | None = None
    replace: Replace = False
    node: Node | None = None
    unlink: Callable[[Cap], Awaitable[None]] | None = None
    terms: Terms = field(factory=current_terms)
    done: Deferred[None] = field(factory=Deferred)

    def succeed(self) -> None:
        if not self.done.called:  # its caller may have gone
            self.done.callback(None)

    def fail(self, error: BaseException) -> None:
        if not self.done.called:
            self.done.errback(another(error))


@define(eq=False)
class _Queue:
    """
    The changes of one directory that wait, in their order.

    `expected`: a token for each link that is about to come; `awaited`: of those, the ones that
    the next write waits for. `wake` ends its waiting.
    `writing`: what is under way, and `waiting`, who waits for it.
    """

    changes: list[_Change] = field(factory=list)
    expected: set[object] = field(factory=set)
    awaited: set[object] = field(factory=set)
    is_working: bool = False
    wake: Deferred[None] | None = None
    writing: Deferred[None] | None = None
    waiting: set[_Change] = field(factory=set)


class Links:
    """
    Changes directories, each by one writer at a time: what arrives while a write is under way
    gathers, and goes out as one. Changes of one name keep their order.

    A directory that is missing is made, with the links that wait for it as its first children.
    Where its names are spread, each part is written once.

    `commit_delay`: seconds that links wait, at most, for others that are `expected` in their
    directory.
    """

    def __init__(self, names: Names, spreading: Spreading, *, commit_delay: float) -> None:
        self._names = names
        self._spreading = spreading
        self._client = names.client
        self._commit_delay = commit_delay
        self._queues: dict[Path, _Queue] = {}

    def link(self, path: Path, name: str, link: Link, replace: Replace = False) -> Deferred[None]:
        """
        Make a link in the directory of a path. It stands in the queue when this returns.

        The Deferred fails with the errors of `Client.set_children`.
        """
        return self.link_together(path, [(name, link, replace)])[0]

    def link_together(
        self, path: Path, links: Iterable[tuple[str, Link, Replace]]
    ) -> list[Deferred[None]]:
        """As `link`, for many, of which none is written before all stand in the queue."""
        now = self._now()
        return self._add(path, [_Change(name, now, link, replace) for name, link, replace in links])

    def unlink(
        self, path: Path, name: str, node: Node, unlink: Callable[[Cap], Awaitable[None]]
    ) -> Deferred[None]:
        """Have a name, which leads to `node`, taken away by `unlink`, given where it is linked."""
        return self._add(path, [_Change(name, self._now(), node=node, unlink=unlink)])[0]

    @contextmanager
    def expected(self, path: Path) -> Iterator[None]:
        """While this lasts, a link is about to come for which others may wait."""
        queue = self._queues.setdefault(path, _Queue())
        token = object()
        queue.expected.add(token)
        try:
            yield
        finally:
            queue.expected.discard(token)
            queue.awaited.discard(token)
            if queue.wake is not None and not queue.awaited:
                queue.wake.callback(None)
            self._drop_if_idle(path, queue)

    async def new(self, links: Mapping[str, Link]) -> Cap:
        """A new directory with first children, which nobody knows of yet."""
        return await self._spreading.shaping.make(links)

    async def make(self, path: Path, links: Mapping[str, Link]) -> Cap:
        """
        Make the directory of a path, with its first children.

        Raises: ExistingChild where it is there: somebody else was faster.
        """
        with self.expected(path[:-1]):
            cap = await self.new(links)
            linked = self.link(path[:-1], path[-1], Link(cap))
        await linked
        return cap

    def _add(self, path: Path, changes: list[_Change]) -> list[Deferred[None]]:
        queue = self._queues.setdefault(path, _Queue())
        for change in changes:
            change.done = Deferred(partial(_withdraw, queue, change))
        queue.changes += changes
        if not queue.is_working:
            queue.is_working = True
            ensureDeferred(self._work(path, queue))
        return [change.done for change in changes]

    async def _work(self, path: Path, queue: _Queue) -> None:
        while queue.changes:
            await self._gather(queue)
            batch = _next_batch(queue)
            queue.waiting = set(batch)
            with asking(_most_patient(batch)):
                queue.writing = Deferred.fromCoroutine(self._commit(path, queue, batch))
            try:
                await queue.writing
            except GeneratorExit:  # the reactor has ended, and nobody waits any more
                raise
            except BaseException as error:
                for change in batch:
                    change.fail(error)
            queue.writing = None
        queue.is_working = False
        self._drop_if_idle(path, queue)

    def _drop_if_idle(self, path: Path, queue: _Queue) -> None:
        if not queue.expected and not queue.is_working:
            self._queues.pop(path, None)

    async def _gather(self, queue: _Queue) -> None:
        """
        Wait for the links that are expected now, for a time after the first one has arrived.

        One write for many is worth while, see `python -m tests.bench`; who comes later waits for
        the next one.
        """
        first = queue.changes[0]
        left = first.since + self._commit_delay - self._now()
        if queue.expected and left > 0 and first.link is not None:
            queue.awaited = set(queue.expected)
            queue.wake = Deferred()
            with suppress(TimeoutError):
                await queue.wake.addTimeout(left, self._client.reactor)
            queue.wake = None

    async def _commit(self, path: Path, queue: _Queue, batch: list[_Change]) -> None:
        if batch and batch[0].unlink is not None:
            await self._unlink(path, batch[0])
        else:
            await self._link(path, queue, batch)

    async def _unlink(self, path: Path, change: _Change) -> None:
        assert change.unlink is not None
        assert change.node is not None
        name, node, unlink = change.name, change.node, change.unlink
        directory = await self._names.directory(path)
        try:
            await self._spreading.unlink(path, directory, name, node, unlink)
        finally:
            self._names.outdate(directory)
            self._names.forget((*path, name))
        change.succeed()

    async def _link(self, path: Path, queue: _Queue, batch: list[_Change]) -> None:
        refusals = 0
        while batch:
            links = {change.name: change.link for change in batch if change.link is not None}
            outcome = await self._write(path, links, batch[0].replace)
            for name, node in outcome.made.items():
                self._names.learn((*path, name), node)
            left = [change for change in batch if not _is_told(change, outcome)]
            _refuse(queue, outcome.made)
            refusals = refusals + 1 if len(left) == len(batch) else 0
            if refusals == _REFUSALS and outcome.refusal is not None:
                raise outcome.refusal
            batch = left

    async def _write(self, path: Path, links: Mapping[str, Link], replace: Replace) -> Outcome:
        try:
            directory = await self._names.directory(path)
        except NoSuchChild:
            try:
                await self.make(path, links)
                return Outcome({name: link.node for name, link in links.items()})
            except ExistingChild:
                directory = await self._names.directory(path, fresh=True)
        outcome = await self._spreading.write(path, directory, links, replace)
        if outcome.failed and all(map(_is_lost, outcome.failed.values())):
            found = await self._names.directory(path, fresh=True)
            if found != directory:
                return await self._spreading.write(path, found, links, replace)
        return outcome

    def _now(self) -> float:
        return float(self._client.reactor.seconds())


def _withdraw(queue: _Queue, change: _Change, done: Deferred[None]) -> None:
    """Its caller has gone. A write is cancelled when nobody waits for it any more."""
    if change in queue.changes:
        queue.changes.remove(change)
    queue.waiting.discard(change)
    if not queue.waiting and queue.writing is not None:
        queue.writing.cancel()


def _next_batch(queue: _Queue) -> list[_Change]:
    """Take the first change, and with a link the others that can be made along with it."""
    batch: list[_Change] = []
    seen: set[str] = set()
    for change in queue.changes:
        first = batch[0] if batch else change
        is_alike = change.link is not None and change.replace == first.replace
        if change is first or (first.link is not None and is_alike and change.name not in seen):
            batch.append(change)
        seen.add(change.name)
    taken = set(batch)
    queue.changes = [change for change in queue.changes if change not in taken]
    return batch


def _most_patient(batch: list[_Change]) -> Terms:
    """The terms on which a write is made: nobody's part of it may be given up before its time."""
    every = [change.terms for change in batch]
    return max(every, key=lambda terms: terms.timeout or inf, default=Terms())


def _is_told(change: _Change, outcome: Outcome) -> bool:
    """Tell who waits for a link what came of it, and say whether anything did."""
    error = outcome.failed.get(change.name)
    if error is not None:
        change.fail(_taken(change.name) if isinstance(error, ExistingChild) else error)
        return True
    if change.name in outcome.made:
        change.succeed()
        return True
    return False


def _is_lost(error: Exception) -> bool:
    return isinstance(error, NotADirectory | Unrecoverable)


def _refuse(queue: _Queue, taken: Container[str]) -> None:
    """Those that wait for names that were given away just now need not be tried."""
    changed = set()
    for change in list(queue.changes):
        if change.link is None:
            changed.add(change.name)
        elif change.name in taken and change.name not in changed and not change.replace:
            queue.changes.remove(change)
            change.fail(_taken(change.name))


def _taken(name: str) -> ExistingChild:
    return ExistingChild(f"the name {name!r} is taken")
