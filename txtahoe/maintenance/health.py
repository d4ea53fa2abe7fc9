"""The health of everything under a root: found, and mended where that is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from time import time

from attrs import define, evolve, field, frozen

from txtahoe.api.client import Client
from txtahoe.api.reports import CheckReport
from txtahoe.caps import Cap
from txtahoe.errors import GatewayUnreachable, NotAGateway, TahoeError, Unrecoverable
from txtahoe.maintenance.walking import AT_ONCE, Place, Progress, explore
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path, is_reserved, split
from txtahoe.tree.spread.format import contents_of
from txtahoe.tree.tree import Tree

# After so many failures in a row nobody waits for those of all the others.
_FAILURES = 3 * AT_ONCE


class State(Enum):
    """How an object was found, and left."""

    HEALTHY = "healthy"
    LITERAL = "literal"
    """It is in its own cap, and there are no shares."""
    REPAIRED = "repaired"
    """Shares were missing, and are there now."""
    UNHEALTHY = "unhealthy"
    """Shares are missing or damaged, and enough are there to read it."""
    REPAIR_FAILED = "repair failed"
    """As UNHEALTHY, though a repair was tried. It takes a write cap to repair what is mutable."""
    UNRECOVERABLE = "unrecoverable"
    """Too few shares are within reach."""
    UNCHECKED = "unchecked"
    """The check failed."""
    UNKNOWN = "unknown"
    """The gateway does not know this kind of cap, or it gives no right to read."""


_GOOD = (State.HEALTHY, State.LITERAL)
_READABLE = (*_GOOD, State.REPAIRED, State.UNHEALTHY, State.REPAIR_FAILED)


@frozen
class Problem:
    """
    An object that is not healthy, or was not before it was repaired.

    `paths`: all that were found to lead to it.
    `good`: how many shares were found; `needed`: how many it takes to read it; `expected`: how
    many there should be. All are None where nothing could be found out.
    `cap`: None in what is read of an earlier check; see `last_check`.
    `is_closed`: it is a directory that can't be read: what is below it was not seen.
    `reason`: what the gateway says.
    """

    paths: Sequence[Path]
    state: State
    cap: Cap | None
    good: int | None = None
    needed: int | None = None
    expected: int | None = None
    is_closed: bool = False
    reason: str = ""


@frozen
class Health:
    """
    What a check has found.

    `counts`: how many links led to objects in each state. `objects`: how many objects were
    looked at: what has several names is one of them. The parts of a directory count, too.
    `problems`: in the order of their first paths.
    `taken`: the paths of files that have names which belong to the tree itself.
    `began`: in seconds since 1970 UTC. `seconds`: how long it took.

    What is of an unknown kind is a problem, and no more is said of it.
    """

    counts: Counter[State]
    objects: int
    problems: Sequence[Problem] = field(repr=False)
    began: float
    seconds: float
    taken: Sequence[Path] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether everything is healthy now."""
        broken = State.UNHEALTHY, State.REPAIR_FAILED
        return self.is_recoverable and not any(self.counts[state] for state in broken)

    @property
    def is_recoverable(self) -> bool:
        """Whether everything can be read."""
        return self.is_complete and not self.counts[State.UNRECOVERABLE]

    @property
    def is_complete(self) -> bool:
        """Whether everything was seen and checked."""
        closed = any(problem.is_closed for problem in self.problems)
        return not closed and not self.counts[State.UNCHECKED]


async def check(
    tree: Tree,
    path: str | Sequence[str] = (),
    *,
    verify: bool = False,
    repair: bool = False,
    add_lease: bool = False,
    at_once: int = AT_ONCE,
    progress: Progress | None = None,
    found: Callable[[Problem], None] | None = None,
) -> Health:
    """
    Check what a path leads to and everything below it, what is hidden or removed included.

    `verify`: read every share and compare its hashes, instead of asking who has them.
    `repair`: make new shares where some are missing. `add_lease`: keep it for another 31 days.
    `found` is called with each problem as soon as it is known.

    A directory that can't be read is reported, and the check goes on beside it, as one of the
    gateway's own (`Client.deep_check`) does not.

    Raises: NoSuchChild for the path itself; the errors of `Client` where nothing goes on.
    """
    names = split(path)
    start = Place(names, await tree.resolve(names, fresh=True))
    checking = _Checking(tree.client, verify, repair, add_lease, found)
    return await checking.run(start, at_once, progress)


@define(eq=False)
class _Object:
    """`state` and `problem` are None while nothing is known; a healthy one has no `problem`."""

    state: State | None = None
    links: int = 0
    paths: list[Path] = field(factory=list)
    problem: Problem | None = None


class _Checking:
    """Objects are told apart by their shares: what has two names is checked once."""

    def __init__(
        self,
        client: Client,
        verify: bool,
        repair: bool,
        add_lease: bool,
        found: Callable[[Problem], None] | None,
    ) -> None:
        self._client = client
        self._verify = verify
        self._repair = repair
        self._add_lease = add_lease
        self._found = found
        self._objects: dict[str | Cap, _Object] = {}
        self._literals = 0
        self._failures = 0
        self._taken: list[Path] = []

    async def run(self, start: Place, at_once: int, progress: Progress | None) -> Health:
        began, asked = time(), self._client.reactor.seconds()
        if self._is_new(start):
            await explore(start, self._visit, at_once, progress)
        counts = Counter({State.LITERAL: self._literals})
        for each in self._objects.values():
            counts[each.state or State.UNCHECKED] += each.links
        problems = [each.problem for each in self._objects.values() if each.problem is not None]
        return Health(
            counts=counts,
            objects=len(self._objects) + self._literals,
            problems=sorted(problems, key=lambda problem: problem.paths[0]),
            began=began,
            seconds=self._client.reactor.seconds() - asked,
            taken=sorted(self._taken),
        )

    def _is_new(self, place: Place) -> bool:
        """Count a link; whether its object is still to be looked at."""
        cap = place.node.cap
        if is_reserved(place.path[-1:]) and not place.node.is_directory:
            self._taken.append(place.path)
        if cap.literal is not None:
            self._literals += 1
            return False
        each = self._objects.setdefault(_key(cap), _Object())
        each.links += 1
        if each.state not in _GOOD:
            each.paths.append(place.path)
        return each.links == 1

    async def _visit(self, place: Place) -> Iterable[Place]:
        cap = place.node.cap
        problem = await self._examine(place.node)
        below: list[Place] = []
        if cap.is_directory and cap.is_readable:
            try:
                contents = contents_of(await self._client.list(cap), place.depth, place.path)
                below += place.parts(contents)
                below += place.enter(contents.shown)
            except TahoeError as error:
                problem = self._closed(problem, error)
        self._settle(cap, problem)
        return [each for each in below if self._is_new(each)]

    def _settle(self, cap: Cap, problem: Problem) -> None:
        each = self._objects[_key(cap)]
        each.state = problem.state
        if problem.state in _GOOD:
            each.paths = []
            return
        each.problem = evolve(problem, paths=each.paths)
        if self._found is not None:
            self._found(each.problem)

    async def _examine(self, node: Node) -> Problem:
        """What there is to say of an object, be it that it is healthy."""
        cap = node.cap
        if node.type == "unknown" or not cap.is_readable:
            return Problem((), State.UNKNOWN, cap)
        if cap.storage_index is None:
            return Problem((), State.LITERAL, cap)
        try:
            report = await self._client.check(cap, verify=self._verify, add_lease=self._add_lease)
        except TahoeError as error:
            self._fail(error)
            return Problem((), State.UNCHECKED, cap, reason=str(error))
        self._failures = 0
        problem = _found_by(report, cap)
        if self._repair and problem.state is State.UNHEALTHY:
            return await self._mended(cap, problem)
        return problem

    async def _mended(self, cap: Cap, problem: Problem) -> Problem:
        # A check with repair of what can't be read is an error, which says nothing of the shares.
        try:
            report = await self._client.check(cap, verify=self._verify, repair=True)
        except TahoeError as error:
            self._fail(error)
            return evolve(problem, state=State.REPAIR_FAILED, reason=str(error))
        state = State.REPAIRED if report.is_healthy else State.REPAIR_FAILED
        return evolve(problem, state=state, reason=report.summary)

    def _closed(self, problem: Problem, error: TahoeError) -> Problem:
        self._fail(error)
        state = problem.state
        if state in _READABLE:
            is_lost = isinstance(error, Unrecoverable)
            state = State.UNRECOVERABLE if is_lost else State.UNCHECKED
        return evolve(problem, state=state, is_closed=True, reason=str(error))

    def _fail(self, error: TahoeError) -> None:
        """Raises: the error, where it is likely that nothing else would go well."""
        self._failures += 1
        is_away = isinstance(error, GatewayUnreachable | NotAGateway)
        if is_away or self._failures == _FAILURES:
            raise error


def _key(cap: Cap) -> str | Cap:
    index = cap.storage_index
    if index is None:
        return cap
    # A directory is a file as well, and may be linked as both.
    return f"{index}/" if cap.is_directory else index


def _found_by(report: CheckReport, cap: Cap) -> Problem:
    if report.is_healthy:
        return Problem((), State.HEALTHY, cap)
    counts = report.counts
    good = counts.get("count-shares-good")
    # Of a mutable object without shares the gateway tells its own numbers, and not the object's.
    is_blank = cap.is_mutable and not good
    return Problem(
        (),
        State.UNHEALTHY if report.is_recoverable else State.UNRECOVERABLE,
        cap,
        good,
        None if is_blank else counts.get("count-shares-needed"),
        None if is_blank else counts.get("count-shares-expected"),
        reason=report.summary,
    )
