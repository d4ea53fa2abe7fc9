"""A run of a seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from hashlib import sha256

from attrs import evolve, frozen

from tests.simulation.gateway import Gateway
from tests.simulation.history import History
from tests.simulation.processes import Habits, Process
from tests.simulation.protocols import PROTOCOLS, Make, Protocol
from tests.simulation.world import World
from txtahoe.tree.spread.states import Fanout

# Seconds of calm after the users' last operations, in which all must end.
_REST = 3000.0


@frozen
class Run:
    """
    A run. `operations`, `requests`: their numbers. `found`: the properties that did not hold.
    `trace`: a line for each event.
    """

    seed: int
    operations: int
    requests: int
    faults: Counter[str]
    found: list[str]
    trace: list[str]

    @property
    def digest(self) -> str:
        """Tells whether two runs were the same."""
        return sha256("\n".join(self.trace).encode()).hexdigest()


def run(name: str, seed: int, mutant: str = "") -> Run:
    """Run a protocol, or a mutant of it."""
    protocol = PROTOCOLS[name]
    world = World(f"{name} {seed}")
    with world.alone():
        gateway = Gateway(world)
        with protocol.mutants[mutant](gateway) if mutant else nullcontext():
            history = History(world, gateway)
            with protocol.place(world, gateway, history) as make:
                processes = _live(world, gateway, history, protocol, make)
            found = [*_waiting(history, processes), *protocol.broken(history)]
            trace = [f"{seconds:10.3f}  {where:9} {what}" for seconds, where, what in world.trace]
            for process in processes:
                process.end()
    return Run(seed, len(history.operations), gateway.requests, world.faults, found, trace)


def _live(
    world: World, gateway: Gateway, history: History, protocol: Protocol, make: Make
) -> list[Process]:
    """Let processes live and die, then end in calm. Returns them all."""
    random = world.random
    scene = protocol.begin(random)
    seconds, habits = scene.seconds, scene.habits
    processes: list[Process] = []

    def begin(until: float, habits: Habits) -> Process:
        process = make(f"p{len(processes) + 1}", habits)
        processes.append(process)
        process.start(until)
        return process

    def replace() -> None:
        process = random.choice([process for process in processes if not process.is_over])
        process.close() if world.happens(0.3) else process.kill()
        begin(seconds, next(habits))

    gateway.is_calm = True
    first = begin(seconds, next(habits))
    for name in first.habits.names[: scene.filled]:
        first.begin("link", name)
    world.go_on(5)
    gateway.is_calm = False
    for _ in range(random.choice([1, 2])):
        world.clock.callLater(random.uniform(0, seconds / 3), lambda: begin(seconds, next(habits)))
    for _ in range(random.choice([0, 0, 1, 3])):
        world.clock.callLater(random.uniform(0, seconds), replace)
    for _ in range(random.choice([0, 0, 0, 1])):
        down = random.choice([0.5, 5.0, 40.0])
        world.clock.callLater(random.uniform(0, seconds), gateway.restart, down)
    world.go_on(seconds)
    gateway.is_calm = True
    world.go_on(_REST)
    # New processes must find every link.
    names = list(dict.fromkeys([*first.habits.names, *history.names]))
    for fanout in (None, Fanout()):
        reader = begin(0, evolve(next(habits), fanout=fanout))
        directories = {name.rpartition("/")[0]: name for name in names}
        for name in names:
            reader.begin("look", name)
        for name in directories.values():
            reader.begin("list", name)
    world.go_on(_REST)
    return processes


def _waiting(history: History, processes: list[Process]) -> Iterator[str]:
    """The operations of living processes that have not ended."""
    living = {process.who for process in processes if not process.is_dead}
    for operation in history.operations:
        if operation.ended is None and operation.who in living:
            yield f"No operation waits for ever: {operation}"
