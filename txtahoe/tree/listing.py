"""Lists directories below a root, several side by side, with one request for all callers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredSemaphore

from txtahoe.api.client import Client
from txtahoe.caps import Cap
from txtahoe.nodes import Node
from txtahoe.tree.known import Known, Recent
from txtahoe.tree.paths import Path
from txtahoe.tree.removed import counts_for_nothing
from txtahoe.tree.singleflight import Flight, SingleFlight
from txtahoe.tree.spread.format import Contents, contents_of
from txtahoe.tree.spread.memory import Layouts
from txtahoe.turns import in_turns

# The path of a directory, and its cap or that of a part of it.
_Place = tuple[Path, Cap]


@define(eq=False)
class _Answer:
    """
    The contents of a directory or part, by a request that began at `asked`.

    `is_learnt`: a caller has kept what it tells.
    """

    contents: Contents
    asked: float
    is_learnt: bool = False


@define(eq=False)
class _Reading:
    """
    The reading of a directory or part by one operation.

    `is_new`: the request began after this. `is_outdated`: this tree has changed the directory
    meanwhile.
    """

    directory: Cap
    answer: Deferred[_Answer] = field(init=False)
    is_new: bool = False
    is_outdated: bool = False


# The readings that the present operation has begun and not yet used. A directory that has moved is
# another place: what is learnt from a reading is learnt of its path.
_begun: ContextVar[dict[_Place, _Reading] | None] = ContextVar("begun", default=None)


class Listings(Known):
    """
    Lists the directories below `root`, and keeps what their names lead to.

    An operation can begin to read a directory before it knows that the path still leads there. It
    keeps an answer when it uses that, for `max_age` seconds from the request on.
    """

    def __init__(
        self, client: Client, root: Cap, max_age: float, max_known: int, at_once: int, spreads: bool
    ) -> None:
        super().__init__(Node("dirnode", root), client.reactor.seconds, max_age, max_known)
        self.client = client
        self.layouts = Layouts(root, max_known, spreads)
        # Directories, and whether they are empty.
        self._emptiness: Recent[tuple[Cap, bool]] = Recent(self.now, max_age, max_known)
        self._flights: SingleFlight[_Place, _Answer] = SingleFlight()
        self._readings: set[_Reading] = set()
        self._room = DeferredSemaphore(at_once)
        self.changes = 0
        """How many changes of directories this tree has made."""

    @contextmanager
    def changing(self, path: Path, directory: Cap) -> Iterator[None]:
        """
        Change the directory of a path, or a part of it, in this block: answers that are on their
        way at its end count no more.
        """
        try:
            yield
        finally:
            self.changes += 1
            self._flights.outdate(lambda place: place[1] == directory)
            for reading in self._readings:
                reading.is_outdated |= reading.directory == directory
            self._forget_emptiness(path)

    def _forget_emptiness(self, path: Path) -> None:
        """Forget whether the directory of a path, and those above it, are empty."""
        for depth in range(len(path) + 1):
            self._emptiness.pop(path[:depth])

    async def ask(self, path: Path, directory: Cap, depth: int, *, anew: bool) -> Contents:
        """
        The contents of a directory, or of a part that is `depth` parts below that of a path.

        `anew`: the request must begin after this call; one that is under way does not do.
        """
        return (await self._ask(path, directory, depth, anew))[0]

    async def _ask(
        self, path: Path, directory: Cap, depth: int, anew: bool
    ) -> tuple[Contents, bool]:
        """As `ask`; and whether the request began after this call, or this operation."""
        begun = (_begun.get() or {}).pop((path, directory), None)
        reading = begun or self._begin(path, directory, depth, anew)
        try:
            answer = await reading.answer
            if reading.is_new or not anew:
                await self._learn(path, depth, reading, answer)
                return answer.contents, reading.is_new
        finally:
            self._readings.discard(reading)
        # Another operation had begun it before.
        return await self._ask(path, directory, depth, anew)

    def _begin(self, path: Path, directory: Cap, depth: int, anew: bool) -> _Reading:
        read = partial(self._read, path, directory, depth)
        reading = _Reading(directory)

        # Its result is no tuple: `anext(iterator, default)` cannot wait for one (Python 3.11).
        async def ask() -> _Answer:
            asking = self._flights.ask((path, directory), read, anew=anew)
            answer, reading.is_new = await asking
            return answer

        reading.answer = Deferred.fromCoroutine(ask())
        self._readings.add(reading)
        return reading

    async def _read(
        self, path: Path, directory: Cap, depth: int, flight: Flight[_Answer]
    ) -> _Answer:
        async with self._room if depth else nullcontext():
            asked = self.now()
            children = await self.client.list(directory)
        contents = contents_of(children, depth, path)
        self.layouts.learn(directory, contents, depth, asked, self.now())
        is_filled = not all(map(counts_for_nothing, contents.names.values()))
        if is_filled and not flight.is_outdated:
            self._forget_emptiness(path)  # the directories above can have been empty before
            if not depth:
                self._emptiness.put(path, (directory, False), asked)
        return _Answer(contents, asked)

    async def _learn(self, path: Path, depth: int, reading: _Reading, answer: _Answer) -> None:
        """Keep what an answer tells, once for all callers."""
        if answer.is_learnt:
            return
        answer.is_learnt = True
        async for some in in_turns(self.client.reactor, answer.contents.names.items()):
            # In between, the directory can have changed or moved.
            directory = self._last_known(path)
            way = [] if directory is None else self.layouts.way(directory, some[0][0])
            if reading.is_outdated or way[depth : depth + 1] != [reading.directory]:
                break
            self.learn_below(path, way[0], dict(some), answer.asked)

    async def learn_change(
        self, path: Path, directory: Cap, children: Mapping[str, Node], since: float
    ) -> None:
        """Keep what names in a directory lead to, by a change of this tree; see `learn_below`."""
        async for some in in_turns(self.client.reactor, children.items()):
            self.learn_below(path, directory, dict(some), since)

    @contextmanager
    def _side_by_side(
        self, path: Path, depths: range, names: Set[str] | None = None, *, anew: bool = False
    ) -> Iterator[None]:
        """
        Begin to read the directories on a path at these depths, which this block will probably
        read one after another. In the block, `_ask` takes these answers.

        `names`: those of interest in the directory of the path itself. `anew`: as for `ask`.
        """
        outer = _begun.get()
        begun = {} if outer is None else outer
        caps = {path[:depth]: self._last_known(path[:depth]) for depth in depths}
        readings = [(here, cap) for here, cap in caps.items() if cap is not None]
        for here, cap in readings if len(readings) > 1 else ():
            wanted = names if here == path else {path[len(here)]}
            for way in [self.layouts.way(cap, name) for name in wanted or ()] or [[cap]]:
                if (here, way[-1]) not in begun:
                    begun[here, way[-1]] = self._begin(here, way[-1], len(way) - 1, anew)
        _begun.set(begun)
        try:
            yield
        finally:
            _begun.set(outer)  # not `reset`: a generator can be closed in another context
            if outer is None:
                for unused in begun.values():
                    self._readings.discard(unused)
                    unused.answer.addErrback(lambda _: None)
                    unused.answer.cancel()
