"""The commit queue: changes of a directory wait their turn, and many links go out as one write."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from functools import partial
from weakref import WeakValueDictionary

from attrs import define, field
from twisted.internet.defer import Deferred, TimeoutError

from txtahoe.api.directories import Replace
from txtahoe.caps import Cap
from txtahoe.errors import (
    ExistingChild,
    NoSuchChild,
    NotADirectory,
    TahoeError,
    Unrecoverable,
    another,
)
from txtahoe.http.terms import timeout
from txtahoe.nodes import Link, Node
from txtahoe.tree.lookup import Lookup
from txtahoe.tree.paths import Path
from txtahoe.tree.spread.changing import Changer, Outcome, taken
from txtahoe.turns import in_turns

# After so many refusals in a row, of names that all look free, the queue gives a write up.
_REFUSALS = 3

# Called with the node that a name leads to now, or None. Returns a Link for the name; None, to
# unlink it; or its argument, to leave it as it is.
Decide = Callable[[Node | None], Awaitable[Node | Link | None]]


@define(eq=False)
class _Change:
    """A change of one name: to `link`, or to what `decide` returns in the change's turn."""

    name: str
    since: float
    link: Link | None = None
    replace: Replace = False
    decide: Decide | None = None
    context: Context = field(factory=copy_context)
    done: Deferred[None] = field(factory=Deferred)

    def end(self, error: BaseException | None = None) -> None:
        """Tell the caller the result, unless it has gone."""
        if self.done.called:
            return
        if error is None:
            self.done.callback(None)
        else:
            self.done.errback(another(error))


@define(eq=False)
class _Queue:
    """
    The changes that wait for one directory, in their order.

    `expected`: a token for each link that is about to come. `awaited`: those of them that the next
    write waits for; `wake` ends its waiting.
    `writing`: the last write. `waiting`: the changes that wait for it.
    """

    changes: list[_Change] = field(factory=list)
    expected: set[object] = field(factory=set)
    awaited: set[object] = field(factory=set)
    is_working: bool = False
    wake: Deferred[None] | None = None
    writing: Deferred[None] | None = None
    waiting: set[_Change] = field(factory=set)


class CommitQueue:
    """
    Changes directories, with one write of a directory at a time.

    Links that arrive while a write is under way gather, and go out as the next write. Changes of
    one name keep their order. A change that depends on what the name leads to looks in its own
    turn, so no other change by this process comes in between. A change by another process can: the
    gateway has no operation that compares and replaces.

    It makes a missing directory with the waiting links as its first children. It writes each part
    of a spread directory once.

    `commit_delay`: seconds that a link waits, at most, for others that are `expected`.
    """

    def __init__(self, lookup: Lookup, changer: Changer, commit_delay: float) -> None:
        self._lookup = lookup
        self._changer = changer
        self._reactor = lookup.client.reactor
        self._commit_delay = commit_delay
        # A queue is there while something works on it, waits in it or is expected.
        self._queues: WeakValueDictionary[Path, _Queue] = WeakValueDictionary()
        self._calls: deque[Callable[[], object]] = deque()
        self._is_calling = False

    def link(self, path: Path, name: str, link: Link, replace: Replace = False) -> Deferred[None]:
        """
        Link a name in the directory of a path. When this returns, the link is in the queue.

        The Deferred fails with the errors of `Client.set_children`.
        """
        return self.link_together(path, [(name, link, replace)])[0]

    def link_together(
        self, path: Path, links: Iterable[tuple[str, Link, Replace]]
    ) -> list[Deferred[None]]:
        """As `link`, for many: none is written before all are in the queue."""
        now = self._lookup.now()
        return self._add(path, [_Change(name, now, link, replace) for name, link, replace in links])

    def change(self, path: Path, name: str, decide: Decide) -> Deferred[None]:
        """
        Change a name in the directory of a path as `decide` says in the change's turn.

        The Deferred fails with the errors of `decide`, `Client.set_children` and `Client.delete`.
        """
        return self._add(path, [_Change(name, self._lookup.now(), decide=decide)])[0]

    def is_taken(self, path: Path, name: str) -> bool:
        """Whether a name is known to be taken, or soon will be, by a link that waits here."""
        queue = self._queues.get(path)
        links = [] if queue is None else [*queue.changes, *queue.waiting]
        is_waiting = any(change.name == name and change.link is not None for change in links)
        return is_waiting or self._lookup.is_taken((*path, name))

    @contextmanager
    def expected(self, path: Path) -> Iterator[None]:
        """Announce a link: others in the directory wait for it, up to the commit delay."""
        queue = self._queues.setdefault(path, _Queue())
        token = object()
        queue.expected.add(token)
        try:
            yield
        finally:
            queue.expected.discard(token)
            queue.awaited.discard(token)
            self._call(partial(_wake, queue))

    async def new(self, links: Mapping[str, Link]) -> Cap:
        """A new directory with first children, which is not linked yet."""
        return await self._changer.builder.make(links)

    async def make(self, path: Path, links: Mapping[str, Link]) -> Cap:
        """
        Make the directory of a path, with its first children.

        Raises: ExistingChild if another process has made it first.
        """
        began = self._lookup.now()
        nodes = {name: link.node for name, link in links.items()}
        with self.expected(path[:-1]):
            cap = await self.new(links)
            linked = self.link(path[:-1], path[-1], Link(cap))
        await linked
        await self._lookup.learn_change(path, cap, nodes, began)
        return cap

    def _add(self, path: Path, changes: list[_Change]) -> list[Deferred[None]]:
        queue = self._queues.setdefault(path, _Queue())
        for change in changes:
            change.done = Deferred(partial(self._withdraw, queue, change))
        queue.changes += changes
        if not queue.is_working:
            queue.is_working = True
            self._call(lambda: Deferred.fromCoroutine(self._work(path, queue)))
        return [change.done for change in changes]

    def _withdraw(self, queue: _Queue, change: _Change, done: Deferred[None]) -> None:
        """Drop a change whose caller has gone; cancel a write for which no caller waits."""
        if change in queue.changes:
            queue.changes.remove(change)
        queue.waiting.discard(change)
        if not queue.waiting and queue.writing is not None:
            self._call(queue.writing.cancel)

    def _call(self, call: Callable[[], object]) -> None:
        """
        Call a function after those that are being called.

        A missing directory waits for the one above it. If each called the next, a long path would
        overflow the stack.
        """
        self._calls.append(call)
        if self._is_calling:
            return
        self._is_calling = True
        try:
            while self._calls:
                self._calls.popleft()()
        finally:
            self._is_calling = False

    async def _work(self, path: Path, queue: _Queue) -> None:
        try:
            while queue.changes:
                await self._commit_next(path, queue)
        finally:
            queue.is_working = False

    async def _commit_next(self, path: Path, queue: _Queue) -> None:
        batch: list[_Change] = []
        try:
            await self._gather(queue)
            if not queue.changes:  # all callers have gone
                return
            batch = _next_batch(queue)
            queue.waiting = set(batch)
            # In the context of the caller that waits longest: no other is cut short.
            usual = self._lookup.client.timeout
            contexts = [change.context for change in batch]
            context = max(contexts, key=lambda context: context.run(timeout, usual))
            queue.writing = context.run(Deferred.fromCoroutine, self._commit(path, queue, batch))
            await queue.writing
        except GeneratorExit:  # the reactor has ended: no caller waits
            raise
        except BaseException as error:
            if not batch:  # it can be the fault of any of them
                batch, queue.changes = queue.changes, []
            async for some in in_turns(self._reactor, batch):
                for change in some:
                    self._call(partial(change.end, error))
        finally:
            queue.waiting = set()

    async def _gather(self, queue: _Queue) -> None:
        """
        Wait for the links that are expected now, up to the commit delay of the first change.

        A link that is announced later waits for the next write.
        """
        first = queue.changes[0]
        left = first.since + self._commit_delay - self._lookup.now()
        if queue.expected and left > 0 and first.link is not None:
            queue.awaited = set(queue.expected)
            queue.wake = Deferred()
            with suppress(TimeoutError):
                await queue.wake.addTimeout(left, self._reactor)

    async def _commit(self, path: Path, queue: _Queue, batch: list[_Change]) -> None:
        """Write a batch: one change that decides in its turn, or links that are made together."""
        change = batch[0]
        if change.decide is not None:
            there = await self._lookup.look((*path, change.name))
            after = await change.decide(there)
            if not isinstance(after, Link):
                if after is None and there is not None:
                    await self._unlink(path, change.name, there)
                self._call(change.end)
                return
            change.link = after
            if there is not None:
                change.replace = True if there.is_directory else "only-files"
        await self._link(path, queue, batch)

    async def _unlink(self, path: Path, name: str, there: Node) -> None:
        directory = await self._lookup.directory(path)
        try:
            await self._changer.unlink(path, directory, name, there)
        finally:
            self._lookup.forget(path, [name])

    async def _link(self, path: Path, queue: _Queue, batch: list[_Change]) -> None:
        refusals = 0
        while batch := [change for change in batch if not change.done.called]:
            outcome = await self._write(path, batch)
            left = [
                change
                async for some in in_turns(self._reactor, batch)
                for change in some
                if not self._is_told(change, outcome)
            ]
            self._refuse(queue, outcome.results)
            refusals = refusals + 1 if len(left) == len(batch) else 0
            if refusals == _REFUSALS:
                assert outcome.refusal is not None
                raise outcome.refusal
            batch = left

    async def _write(self, path: Path, batch: list[_Change]) -> Outcome:
        try:
            directory = await self._lookup.directory(path, or_make=True)
        except NoSuchChild:
            return await self._write_new(path, batch)
        links = _links_of(batch)
        outcome = await self._changer.write(path, directory, links, batch[0].replace)
        lost = [
            change
            for change in batch
            if isinstance(outcome.results.get(change.name), NotADirectory | Unrecoverable)
        ]
        if lost:
            try:
                outcome.add(await self._write_again(path, directory, lost))
            except TahoeError as error:  # the others may be made
                outcome.results.update({change.name: error for change in lost})
        return outcome

    async def _write_again(self, path: Path, lost: Cap, batch: list[_Change]) -> Outcome:
        """Another attempt with links, after their directory or part could not be used."""
        try:
            directory = await self._lookup.again(path, lost)
        except NoSuchChild:
            return await self._write_new(path, batch)
        if directory is None:
            return Outcome()
        return await self._changer.write(path, directory, _links_of(batch), batch[0].replace)

    async def _write_new(self, path: Path, batch: list[_Change]) -> Outcome:
        links = _links_of(batch)
        try:
            await self.make(path, links)
            return Outcome({name: link.node for name, link in links.items()})
        except ExistingChild:
            directory = await self._lookup.directory(path)
        return await self._changer.write(path, directory, _links_of(batch), batch[0].replace)

    def _is_told(self, change: _Change, outcome: Outcome) -> bool:
        """Tell the caller of a link its result; whether there is one."""
        result = outcome.results.get(change.name)
        if isinstance(result, Node):
            self._call(change.end)
        elif result is not None:
            error = taken(change.name) if isinstance(result, ExistingChild) else result
            self._call(partial(change.end, error))
        return result is not None

    def _refuse(self, queue: _Queue, results: Mapping[str, object]) -> None:
        """Fail queued links to names that this commit has just taken."""
        undecided = {change.name for change in queue.changes if change.link is None}
        made = {name for name, result in results.items() if isinstance(result, Node)} - undecided
        refused: list[_Change] = []
        left: list[_Change] = []
        for change in queue.changes:
            is_refused = change.name in made and not change.replace
            (refused if is_refused else left).append(change)
        queue.changes = left
        for change in refused:  # its caller can add changes to the queue, and cancel others
            self._call(partial(change.end, taken(change.name)))


def _wake(queue: _Queue) -> None:
    """End the waiting of a write, if all links that it waits for have come."""
    if queue.wake is not None and not queue.awaited and not queue.wake.called:
        queue.wake.callback(None)


def _next_batch(queue: _Queue) -> list[_Change]:
    """Take the first change from a queue; if it is a link, all that one write can make with it."""
    first, *others = queue.changes
    batch, seen, left = [first], {first.name}, []
    for change in others:
        is_alike = None not in (first.link, change.link) and change.replace == first.replace
        if is_alike and change.name not in seen:
            batch.append(change)
        else:
            left.append(change)
        seen.add(change.name)
    queue.changes = left
    return batch


def _links_of(batch: Iterable[_Change]) -> dict[str, Link]:
    """The links whose callers have not gone."""
    return {
        change.name: change.link
        for change in batch
        if change.link is not None and not change.done.called
    }
