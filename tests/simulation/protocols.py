"""The habits of processes in each protocol, and its mutants: each breaks a rule of the code."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial, partialmethod
from random import Random
from secrets import token_hex
from typing import Any
from unittest.mock import patch

from attrs import evolve, field, frozen

from tests.simulation.gateway import FAULTS, Gateway, Weather
from tests.simulation.history import History
from tests.simulation.hosts import one_host
from tests.simulation.processes import Habits, Process
from tests.simulation.promises import broken_promises
from tests.simulation.properties import broken
from tests.simulation.world import World
from txtahoe.api.directories import DirectoryOperations
from txtahoe.errors import ExistingChild, NoSuchChild, TahoeError, UnknownOutcome
from txtahoe.spool import Entry, Spool, Uploader, entries
from txtahoe.spool.uploader import after
from txtahoe.tree.commits import CommitQueue
from txtahoe.tree.spread import building, format
from txtahoe.tree.spread.changing import Changer
from txtahoe.tree.spread.states import RULES, Fanout, State

# Makes a process, which is called by a name.
Make = Callable[[str, Habits], Process]

# Breaks a rule while a block runs; it is called with the gateway.
Mutant = Callable[[Gateway], AbstractContextManager[Any]]


@frozen
class Scene:
    """
    The beginning of a run. `seconds`: for so long users work. `filled`: so many names are there at
    the beginning. `habits`: of one process after the other.
    """

    seconds: float
    filled: int
    habits: Iterator[Habits]


@contextmanager
def _grid(world: World, gateway: Gateway, history: History) -> Iterator[Make]:
    yield partial(Process, world, gateway, history)


@frozen
class Protocol:
    """
    A protocol. `begin`: the scene of a run. `mutants`: by the rule that they break. `untried`: the
    reasons why others, which the models have, are not among them. `place`: where its processes are.
    `broken`: the properties that do not hold.
    """

    begin: Callable[[Random], Scene]
    mutants: Mapping[str, Mutant]
    untried: Mapping[str, str] = field(factory=dict)
    place: Callable[[World, Gateway, History], AbstractContextManager[Make]] = _grid
    broken: Callable[[History], Iterator[str]] = broken


def _weather(random: Random, usual: float, slow: float) -> Weather:
    kinds = random.sample(list(FAULTS), random.choice([1, 2, 4, len(FAULTS)]))
    rate = random.choice([0.0, 0.03, 0.1, 0.5])
    return Weather(usual, slow, rate, tuple(random.choice([kinds, ["slow request"]])))


# The commit queue.


def _commit_scene(random: Random) -> Scene:
    seconds = random.choice([3.0, 20.0, 60.0])
    return Scene(seconds, 0, _commit_habits(random, seconds / 5))


def _commit_habits(random: Random, rest: float) -> Iterator[Habits]:
    weights = {
        "link": 5.0,
        "replace": 3.0,
        "save": 2.0,
        "replace if unchanged": 2.0,
        "link many": 1.0,
        "unlink": 5.0,
        "remove directory": 0.5,
        "look": 1.0,
        "list": 1.0,
    }
    names = ["f", "g", "d/f", "d/g"][: random.choice([3, 4])]
    leaving = random.choice([0.0, 0.0, 0.1])
    while True:
        users = random.choice([1, 2, 3])
        usual, slow = random.choice([0.02, 0.2, 1.0]), random.choice([10.0, 50.0, 100.0])
        weather = _weather(random, usual, slow)
        yield Habits(None, users, rest, weights, names, leaving, weather)


def _no_turns(gateway: Gateway) -> AbstractContextManager[Any]:
    add = CommitQueue._add

    def add_alone(queue: CommitQueue, path: Any, changes: Any) -> Any:
        queue._queues.pop(path, None)
        return add(queue, path, changes)

    return patch.object(CommitQueue, "_add", add_alone)


def _no_reading_back(gateway: Gateway) -> AbstractContextManager[Any]:
    async def change(
        client: Any, request: Callable[[], Awaitable[object]], directory: Any, is_done: Any
    ) -> None:
        for pause in (*client._transport.pauses, None):
            try:
                await request()
                return
            except (ExistingChild, NoSuchChild):
                raise
            except TahoeError as error:
                failure = error
            if pause is not None:
                await client._transport.pause(pause, failure)
        raise UnknownOutcome(str(failure))

    return patch.object(DirectoryOperations, "_change", change)


@contextmanager
def _reorders(gateway: Gateway) -> Iterator[None]:
    gateway.reorders = True
    yield


COMMIT = Protocol(
    _commit_scene,
    {
        "no mark in the link": lambda _: patch("txtahoe.api.directories.token_hex", lambda _: "0"),
        "no reading back": _no_reading_back,
        "no turns": _no_turns,
        "the gateway reorders requests": _reorders,
    },
)

# Spreading a directory.

_NAMES = [f"name{number}" for number in range(200)]


def _spread_scene(random: Random) -> Scene:
    pace = random.choice([1.0, 2.0, 5.0, Fanout().pace])
    seconds, limit = pace * 8, random.choice([1, 2, 3])
    habits = _spread_habits(random, pace, limit, pace * random.choice([0.2, 0.5]))
    return Scene(seconds, random.choice([0, limit - 1, limit]), habits)


def _spread_habits(random: Random, pace: float, limit: int, rest: float) -> Iterator[Habits]:
    weights = {
        "link": 5.0,
        "replace": 4.0,
        "save": 2.0,
        "replace if unchanged": 1.0,
        "link many": 2.0,
        "unlink": 5.0,
        "remove directory": 0.2,
        "look": 2.0,
        "list": 1.0,
    }
    # Of few digits, so that parts have several names.
    digits = random.choice(["5", "05", "05a"])
    names = [name for name in _NAMES if format.digit_of(name, 0) in digits]
    names = random.sample(names, random.choice([2, 3, 4]))
    directories = random.choice([[""], ["d/"], ["", "d/"]])
    names = [random.choice(directories) + name for name in names]
    leaving = random.choice([0.0, 0.0, 0.05])
    # In a race one process makes late changes only, while others close the directory.
    is_race = random.choice([True, False])
    for number in itertools.count():
        # Each may have a limit of its own, and some may spread nothing.
        fanout: Fanout | None = Fanout(random.choice([limit, limit + 1]), pace)
        usual, slow = pace * random.choice([0.01, 0.1, 0.3]), pace * random.choice([2, 4, 12])
        weather, moves = _weather(random, usual, slow), {"spread": random.choice([0.0, 3.0])}
        if is_race:
            slow = pace * random.choice([2, 4, 4])
            rate = 0.0 if number else 1.0
            weather = Weather(pace * 0.01, slow, rate, ("slow request",), spares="GET")
        if is_race and not number:
            fanout, moves = Fanout(100, pace), {}
        elif pace == Fanout().pace and number and random.random() < 0.5:
            fanout, moves = None, {}  # such a process counts with the usual pace
        users = 3 if is_race and not number else random.choice([1, 2])
        yield Habits(fanout, users, rest, {**weights, **moves}, names, leaving, weather)


def _rule(state: State, **changes: Any) -> Mutant:
    return lambda _: patch.dict(RULES, {state: evolve(RULES[state], **changes)})


async def _never(*_: Any) -> bool:
    return False


async def _has_any_link(changer: Any, path: Any, directory: Any, name: str, node: Any) -> bool:
    target = await changer.target(path, directory, name)
    return name in (await changer._ask(path, target)).names


def _two_parts(gateway: Gateway) -> AbstractContextManager[Any]:
    links = format.part_links

    def with_names_of_their_own(parts: Any, names: Any) -> Any:
        return {f"{name}{token_hex(2)}": link for name, link in links(parts, names).items()}

    return patch.object(building, "part_links", with_names_of_their_own)


SPREAD = Protocol(
    _spread_scene,
    {
        "no second look": lambda _: patch.object(Changer, "_is_too_late", _never),
        "no second look while closing": _rule(State.CLOSING, sure_within=2),
        "sure for 4t instead of 2t": _rule(State.OPEN, sure_within=4),
        "closes after t instead of 3t": _rule(State.CLOSING, next_after=1),
        "two parts for a digit": _two_parts,
        "no look at the link": lambda _: patch.object(Changer, "_has_link", _has_any_link),
    },
    {
        "an older reading counts as new": "not tried: a process shares the reading that is under "
        "way, and forgets it after a change, so an older one has to get past both"
    },
)

# The spool.


def _spool_scene(random: Random) -> Scene:
    seconds = random.choice([3.0, 20.0, 60.0])
    return Scene(seconds, 0, _spool_habits(random, seconds / random.choice([5, 10])))


def _spool_habits(random: Random, rest: float) -> Iterator[Habits]:
    weights = {
        "take": 2.0,
        "overwrite": random.choice([0.0, 2.0]),
        "edit": 5.0,
        "delete": random.choice([0.5, 3.0]),
        "look": 2.0,
        "list": 1.0,
    }
    elsewhere = {"save": 3.0, "save over": 1.0, "unlink": random.choice([0.0, 2.0]), "look": 1.0}
    names = ["f", "g", "d/f", "d/g"][: random.choice([1, 2, 4])]
    other_host = random.choice([1, 2])
    for number in itertools.count():
        is_elsewhere = number == other_host
        kinds = elsewhere if is_elsewhere else weights
        users = random.choice([1, 2, 3])
        usual, slow = random.choice([0.02, 0.2, 1.0]), random.choice([10.0, 50.0, 100.0])
        weather = _weather(random, usual, slow)
        yield Habits(None, users, rest, kinds, names, 0.0, weather, is_elsewhere)


def _links_before_it_tells(gateway: Gateway) -> AbstractContextManager[Any]:
    note = Uploader._note

    async def late(uploader: Uploader, given: Any, outcomes: Any) -> Any:
        is_early = all(
            isinstance(outcome, Entry)
            and outcome.state == entries.State.UPLOADED
            and not outcome.note
            for outcome in outcomes
        )
        return (outcomes, []) if is_early else await note(uploader, given, outcomes)

    return patch.object(Uploader, "_note", late)


def _forgets(gateway: Gateway) -> AbstractContextManager[Any]:
    replaceable = entries.replaceable

    def newest(*known: Any) -> Any:
        return replaceable(*known) is True or ()

    return patch("txtahoe.spool.spool.replaceable", newest)


def _updates_any_entry(gateway: Gateway) -> AbstractContextManager[Any]:
    update = Spool.update

    def of_path(spool: Spool, given: Any) -> list[Entry]:
        there = [(entry, spool.find(entry.path) or entry) for entry in given]
        return update(spool, [evolve(entry, number=now.number) for entry, now in there])

    return patch.object(Spool, "update", of_path)


async def _replace_any(uploader: Uploader, entry: Entry) -> Entry:
    assert entry.cap is not None
    await uploader._tree.link(entry.path, entry.cap, replace="only-files")
    return after(entry, entries.State.LINKED)


def _is_pending(spool: Spool, entry: Entry) -> bool:
    return entry.is_pending


def _delete_at_once(gateway: Gateway) -> AbstractContextManager[Any]:
    discard = partialmethod(Spool.discard, is_linked=True)
    return patch.object(Spool, "discard", discard)


SPOOL = Protocol(
    _spool_scene,
    {
        "no lock": lambda _: patch("txtahoe.spool.files.fcntl.flock"),
        "links before it tells": _links_before_it_tells,
        "forgets older versions": _forgets,
        "updates any entry": _updates_any_entry,
        "replaces any file": lambda _: patch.object(Uploader, "_settle", _replace_any),
        "deletes at once": _delete_at_once,
        "linked entries answer nobody": lambda _: patch.object(Spool, "_shows", _is_pending),
        "requests overtake given-up ones": _reorders,
    },
    place=one_host,
    broken=broken_promises,
)

PROTOCOLS = {"commit": COMMIT, "spread": SPREAD, "spool": SPOOL}

# A seed with which each mutant was found.
SEEDS = {
    "no turns": 270,
    "the gateway reorders requests": 43,
    "no second look": 27,
    "no second look while closing": 148,
    "sure for 4t instead of 2t": 476,
    "closes after t instead of 3t": 373,
    "two parts for a digit": 9,
    "no look at the link": 29,
    "linked entries answer nobody": 162,
    "requests overtake given-up ones": 178,
}
