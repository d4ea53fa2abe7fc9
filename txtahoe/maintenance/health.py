"""The health of everything under a root: checked, repaired if the caller wants that, and kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from operator import attrgetter
from time import time
from typing import Any

from attrs import asdict, define, evolve, field, frozen
from attrs.filters import exclude

from txtahoe.api.client import Client
from txtahoe.api.reports import CheckReport
from txtahoe.caps import Cap
from txtahoe.concurrency import all_of
from txtahoe.errors import GatewayUnreachable, NotAGateway, TahoeError, Unrecoverable
from txtahoe.maintenance import records
from txtahoe.maintenance.walking import AT_ONCE, Place, Progress, explore
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path, is_reserved, split
from txtahoe.tree.tree import Tree

# After so many failures in a row the check ends: it is likely that all others would fail too.
_FAILURES = 3 * AT_ONCE

_CHECKED = "checked"
# The last check keeps so many problems by name, and so many names of one object.
_MOST = 1000
_MOST_NAMES = 10
# The errors of reading JSON of any other form.
_STRANGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class State(Enum):
    """The state of an object after its check, and after its repair if there was one."""

    HEALTHY = "healthy"
    LITERAL = "literal"
    """It is in its own cap, and has no shares."""
    REPAIRED = "repaired"
    """Shares were missing, and are there now."""
    UNHEALTHY = "unhealthy"
    """Shares are missing or damaged. There are enough to read it."""
    REPAIR_FAILED = "repair failed"
    """As UNHEALTHY, after a repair. Only a write cap repairs what is mutable."""
    UNRECOVERABLE = "unrecoverable"
    """Too few shares are within reach."""
    UNCHECKED = "unchecked"
    """The check failed."""
    UNKNOWN = "unknown"
    """The gateway does not know this kind of cap, or the cap gives no right to read."""


_GOOD = (State.HEALTHY, State.LITERAL)
_UNREAD = (State.UNRECOVERABLE, State.UNCHECKED, State.UNKNOWN)


@frozen
class Problem:
    """
    An object that is not healthy, or was not before it was repaired.

    `paths`: all that the check met. `cap`: None in the result of `last_check`.
    `good`: how many shares it found; `needed`: how many it takes to read it; `expected`: how many
    there should be; None: unknown. `is_closed`: it is a directory that can't be read, so nothing
    below it was seen. `reason`: what the gateway says.
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
    `counts`: how many links lead to objects in each state. `objects`: how many objects there are;
    one with several names counts once, and so does each part of a directory. `problems`: in the
    order of their first paths; objects of an unknown kind are among them. `began`: in seconds since
    1970 UTC. `seconds`: how long it took. `taken`: the paths of files with reserved names.
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
) -> Health:
    """
    Check what a path leads to and everything below it, with what is hidden or removed.

    `verify`: read every share and compare its hashes, instead of asking which servers have one.
    `repair`: make new shares if some are missing. `add_lease`: keep everything for 31 more days.
    It reports a directory that can't be read, and goes on beside it; `Client.deep_check` ends.

    Raises: NoSuchChild for the path itself; the errors of `Client` if nothing goes on; ValueError
    for an `at_once` below 1.
    """
    names = split(path)
    start = Place(names, await tree.resolve(names, fresh=True))
    checking = _Checking(tree.client, verify, repair, add_lease)
    began, asked = time(), tree.client.reactor.seconds()
    if checking.is_new(start):
        await explore(start, checking.visit, at_once, progress)
    objects = checking.objects.values()
    counts = Counter({State.LITERAL: checking.literals})
    for each in objects:
        counts[each.state] += each.links
    problems = [each.problem for each in objects if each.problem is not None]
    return Health(
        counts=counts,
        objects=len(objects) + checking.literals,
        problems=sorted(problems, key=lambda problem: problem.paths[0]),
        began=began,
        seconds=tree.client.reactor.seconds() - asked,
        taken=sorted(checking.taken),
    )


async def keep_check(tree: Tree, health: Health) -> None:
    """
    Keep the result of a check of the whole tree, in the place of the one before: its numbers, and
    1,000 problems without their caps, first those that hide others.

    Raises: NotADirectory; NotWriteable; the errors of `Client`.
    """
    kept = sorted(health.problems, key=lambda problem: not problem.is_closed)[:_MOST]
    told = {
        "counts": {state.value: number for state, number in health.counts.items()},
        "objects": health.objects,
        "problems": [
            asdict(evolve(problem, paths=problem.paths[:_MOST_NAMES]), filter=exclude("cap"))
            for problem in kept
        ],
        "began": health.began,
        "seconds": health.seconds,
    }
    data = json.dumps(told, default=attrgetter("value"))  # of a State
    await records.write(tree, _CHECKED, data.encode())


async def last_check(tree: Tree) -> Health | None:
    """The result that was kept last. Raises: NotADirectory; the errors of `Client`."""
    data = await records.read(tree, _CHECKED)
    with suppress(*_STRANGE):
        return None if data is None else _read(json.loads(data))
    return None


@define(eq=False)
class _Object:
    """An object as far as it is known. A healthy one has no `problem`, and keeps no `paths`."""

    state: State = State.UNCHECKED
    links: int = 0
    paths: list[Path] = field(factory=list)
    problem: Problem | None = None


@define(eq=False)
class _Checking:
    """Checks objects, which it tells apart by their shares: one with two names is checked once."""

    _client: Client
    _verify: bool
    _repair: bool
    _add_lease: bool
    objects: dict[str | Cap, _Object] = field(factory=dict, init=False)
    literals: int = field(default=0, init=False)
    taken: list[Path] = field(factory=list, init=False)
    _failures: int = field(default=0, init=False)

    def is_new(self, place: Place) -> bool:
        """Count a link. Returns whether its object is to be visited."""
        cap = place.node.cap
        if is_reserved(place.path[-1:]) and not place.node.is_directory:
            self.taken.append(place.path)
        if cap.literal is not None:
            self.literals += 1
            return False
        each = self.objects.setdefault(_key(cap), _Object())
        each.links += 1
        if each.state not in _GOOD:
            each.paths.append(place.path)
        return each.links == 1

    async def visit(self, place: Place) -> Iterable[Place]:
        cap = place.node.cap
        steps: list[Callable[[], Awaitable[Any]]] = [
            partial(self._examine, place.node),
            partial(self._below, place),
        ]
        # After its repair a directory can be there in a newer version.
        at_once = 1 if self._repair else len(steps)
        problem, (below, error) = await all_of(steps, lambda step: step(), at_once)
        if error is not None:
            self._fail(error)
            state = problem.state
            if state not in _UNREAD:
                is_lost = isinstance(error, Unrecoverable)
                state = State.UNRECOVERABLE if is_lost else State.UNCHECKED
            problem = evolve(problem, state=state, is_closed=True, reason=str(error))
        each = self.objects[_key(cap)]
        each.state = problem.state
        if each.state in _GOOD:
            each.paths = []
        else:
            each.problem = evolve(problem, paths=each.paths)
        return [child for child in below if self.is_new(child)]

    async def _below(self, place: Place) -> tuple[list[Place], TahoeError | None]:
        """The places below a directory, or the error of reading it."""
        cap = place.node.cap
        if not cap.is_directory or not cap.is_readable:
            return [], None
        try:
            contents = await place.read(self._client)
            return [*place.parts(contents), *place.enter(contents.shown)], None
        except TahoeError as error:
            return [], error

    async def _examine(self, node: Node) -> Problem:
        """The state of an object, also of a healthy one."""
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
        problem = _problem_of(report, cap)
        if not self._repair or problem.state is not State.UNHEALTHY:
            return problem
        # The gateway answers a repair of an unrecoverable object with an error, which says nothing
        # of the shares. So it is asked only after the check.
        try:
            report = await self._client.check(cap, verify=self._verify, repair=True)
        except TahoeError as error:
            self._fail(error)
            return evolve(problem, state=State.REPAIR_FAILED, reason=str(error))
        state = State.REPAIRED if report.is_healthy else State.REPAIR_FAILED
        return evolve(problem, state=state, reason=report.summary)

    def _fail(self, error: TahoeError) -> None:
        """Raises: the error, if it is likely that nothing else would succeed."""
        self._failures += 1
        if isinstance(error, GatewayUnreachable | NotAGateway) or self._failures == _FAILURES:
            raise error


def _key(cap: Cap) -> str | Cap:
    index = cap.storage_index
    if index is None:
        return cap
    # A directory is a file as well, and may be linked as both.
    return f"{index}/" if cap.is_directory else index


def _problem_of(report: CheckReport, cap: Cap) -> Problem:
    if report.is_healthy:
        return Problem((), State.HEALTHY, cap)
    good = report.counts.get("count-shares-good")
    # Of a mutable object without shares the gateway tells its own numbers, not those of the object.
    counts = {} if cap.is_mutable and not good else report.counts
    return Problem(
        paths=(),
        state=State.UNHEALTHY if report.is_recoverable else State.UNRECOVERABLE,
        cap=cap,
        good=good,
        needed=counts.get("count-shares-needed"),
        expected=counts.get("count-shares-expected"),
        reason=report.summary,
    )


def _read(told: Any) -> Health:
    counts = {State(value): int(number) for value, number in told["counts"].items()}
    problems = [_problem(each) for each in told["problems"][:_MOST]]
    began, seconds = float(told["began"]), float(told["seconds"])
    is_past = records.is_past(began) and records.is_past(began + seconds)
    if not is_past or min(counts.values(), default=0) < 0:
        raise ValueError("these are no numbers of a check")
    return Health(Counter(counts), int(told["objects"]), problems, began, seconds)


def _problem(told: Any) -> Problem:
    def number(name: str) -> int | None:
        return None if told[name] is None else int(told[name])

    return Problem(
        paths=[split([str(name) for name in path]) for path in told["paths"]],
        state=State(told["state"]),
        cap=None,
        good=number("good"),
        needed=number("needed"),
        expected=number("expected"),
        is_closed=bool(told["is_closed"]),
        reason=str(told["reason"]),
    )
