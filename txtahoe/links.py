"""Changes of directories: for each directory one queue, and one write for many links."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

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

# How often in a row a write is refused though all of its names are free when one looks.
_REFUSALS = 3


@define(eq=False)
class _Change:
    """Of one name in a directory: a link, or else what `act` does."""

    name: str
    since: float
    link: Link | None = None
    replace: Replace = False
    act: Callable[[Cap], Awaitable[None]] | None = None
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

    `commit_delay`: seconds that links wait, at most, for others that are `expected` in their
    directory.
    """

    def __init__(self, names: Names, *, commit_delay: float) -> None:
        self._names = names
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

    def act(self, path: Path, name: str, act: Callable[[Cap], Awaitable[None]]) -> Deferred[None]:
        """Have a name changed by `act`, which is given the cap of its directory."""
        return self._add(path, [_Change(name, self._now(), act=act)])[0]

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

    async def make(self, path: Path, links: Mapping[str, Link]) -> Cap:
        """
        Make the directory of a path, with its first children.

        Raises: ExistingChild where it is there: somebody else was faster.
        """
        with self.expected(path[:-1]):
            cap = await self._client.mkdir(links)
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
        act = batch[0].act if batch else None
        if act is None:
            await self._link(path, queue, batch)
            return
        directory = await self._names.directory(path)
        try:
            await act(directory)
        finally:
            self._names.outdate(directory)
            self._names.forget((*path, batch[0].name))
        batch[0].succeed()

    async def _link(self, path: Path, queue: _Queue, batch: list[_Change]) -> None:
        refusals = 0
        while batch:
            links = {change.name: change.link for change in batch if change.link is not None}
            try:
                nodes = await self._write(path, links, batch[0].replace)
            except ExistingChild as error:
                refused = {change for change in batch if change.name in error.names}
                refusals = 0 if refused else refusals + 1
                if refusals == _REFUSALS:
                    raise
                for change in refused:
                    change.fail(_taken(change.name))
                batch = [change for change in batch if change not in refused]
            else:
                for name, node in nodes.items():
                    self._names.learn((*path, name), node)
                for change in batch:
                    change.succeed()
                _refuse(queue, links)
                return

    async def _write(
        self, path: Path, links: Mapping[str, Link], replace: Replace
    ) -> Mapping[str, Node]:
        """What the names lead to then. Raises: ExistingChild, which tells the names."""
        try:
            directory = await self._names.directory(path)
        except NoSuchChild:
            try:
                await self.make(path, links)
                return {name: link.node for name, link in links.items()}
            except ExistingChild:
                directory = await self._names.directory(path, fresh=True)
        try:
            return await self._set(path, directory, links, replace)
        except (NotADirectory, Unrecoverable):
            found = await self._names.directory(path, fresh=True)
            if found == directory:
                raise
            return await self._set(path, found, links, replace)

    async def _set(
        self, path: Path, directory: Cap, links: Mapping[str, Link], replace: Replace
    ) -> Mapping[str, Node]:
        try:
            return await self._client.set_children(directory, links, replace=replace)
        except BaseException:
            for name in links:  # some of them may be there, or come to be there later
                self._names.forget((*path, name))
            raise
        finally:
            self._names.outdate(directory)

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


def _refuse(queue: _Queue, taken: Mapping[str, Link]) -> None:
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
