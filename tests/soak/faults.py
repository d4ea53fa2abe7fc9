"""Faults of the site, one after the other. Faults of storage servers end in a repair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from random import Random

from attrs import define, field, frozen

from tests.grid.proxy import Proxy
from tests.seeds import random_for
from tests.servers.servers import Server
from tests.soak.disks import SmallDisk
from tests.soak.load import CLIENTS, Turns
from tests.soak.place import CRON, Place
from txtahoe.testing.grid import Node

DAYS = 48 * 3600.0
_PAUSE = 2, 6
"""Operations between two faults, at least and at most."""


@frozen
class Fault:
    """
    A fault. It lasts as long as the block of `begin`.

    `lasts`: the operations in the block, at most. `old_for`: operations for which shares that the
    storage servers have missed stay old; then everything is repaired. None if they miss none.
    `ends_early`: the fault hits processes whose growth is judged, and comes only in the first third
    of the run, so that these live for long.
    """

    begin: Callable[[], AbstractContextManager[None]]
    lasts: int = 0
    old_for: int | None = None
    ends_early: bool = False


def every_fault(place: Place) -> dict[str, Fault]:
    """The table. It has the faults of disks only if there are disks for them."""
    choose = random_for("which")
    first, second = place.grid.gateways
    servers = place.grid.servers
    full = {
        f"{what}: disk full": Fault(
            partial(_full, disk), 12, 0 if what == "storage server" else None
        )
        for what, disk in place.disks.items()
    }
    lost = ("POST /uri", "PUT /uri")
    return {
        "storage server: killed": Fault(lambda: _killed(place, choose.choice(servers)), 6, 0),
        "storage server: frozen": Fault(lambda: _frozen(choose.choice(servers)), CLIENTS + 1, 0),
        "storage server: back with old shares": Fault(
            lambda: _killed(place, choose.choice(servers)), 16, 6
        ),
        "writer: killed": Fault(partial(_killed, place, first), 3),
        "gateway: killed": Fault(partial(_killed, place, second), 3),
        "introducer: killed": Fault(partial(_killed, place, place.grid.introducer), 6),
        "network: answer lost": Fault(
            partial(_now, lambda: place.proxy.lose_answer(choose.choice(lost))), 6
        ),
        "network: connections closed": Fault(partial(_now, place.proxy.close_connections)),
        "network: connections refused": Fault(partial(_refused, place.proxy), 3),
        **full,
        "clock: 2 days ahead": Fault(partial(_clock, place, DAYS), 10),
        "clock: 2 days behind": Fault(partial(_clock, place, -DAYS), 10),
        "cron: killed": Fault(lambda: place.cron.killed(choose.choice(CRON)), 8),
        **{
            f"{name}: worker killed": Fault(partial(_now, partial(_kill_youngest, server)))
            for name, server in place.servers.items()
        },
        **{
            f"{name}: all killed": Fault(partial(_crashed, server), 3, ends_early=True)
            for name, server in place.servers.items()
        },
    }


@define
class Faults:
    """
    Makes the faults of a run.

    `progress`: gives the share of the run that is over. `tally`: faults by kind. `moments`: the
    operations after which they began.
    """

    place: Place
    turns: Turns
    progress: Callable[[], float]
    tally: Counter[str] = field(factory=Counter)
    moments: list[float] = field(factory=list)
    _random: Random = field(factory=lambda: random_for("faults"))

    def work(self) -> None:
        """Make one fault after the other, each kind once before any comes again."""
        table = every_fault(self.place)
        self.tally.update(dict.fromkeys(table, 0))
        waiting: list[str] = []
        while moment := self.turns.more(self._random.randint(*_PAUSE)):
            if not waiting:
                waiting = [*table]
                self._random.shuffle(waiting)
                # The last ones come first.
                waiting.sort(key=lambda name: table[name].ends_early)
            name = waiting.pop()
            if table[name].ends_early and self.progress() > 1 / 3:
                continue
            self.moments.append(moment)
            self._make(table[name])
            self.tally[name] += 1

    def _make(self, fault: Fault) -> None:
        with fault.begin():
            self.turns.more(self._random.randint((fault.lasts + 1) // 2, fault.lasts))
        if fault.old_for is not None:
            self.turns.more(fault.old_for)
            self.place.cron.repair()


@contextmanager
def _now(happens: Callable[[], object]) -> Iterator[None]:
    happens()
    yield


@contextmanager
def _killed(place: Place, node: Node) -> Iterator[None]:
    node.kill()
    try:
        yield
    finally:
        place.mend()


@contextmanager
def _frozen(node: Node) -> Iterator[None]:
    node.freeze()
    try:
        yield
    finally:
        node.thaw()


@contextmanager
def _full(disk: SmallDisk) -> Iterator[None]:
    with disk.full():
        yield
    disk.remove_empty_shares()  # an operator must do it


@contextmanager
def _refused(proxy: Proxy) -> Iterator[None]:
    proxy.refuse()
    try:
        yield
    finally:
        proxy.refuse(False)


@contextmanager
def _clock(place: Place, ahead: float) -> Iterator[None]:
    """Set the clock of the host without Celery: a queue needs clocks that agree."""
    place.hosts[1].set_clock(ahead)
    try:
        yield
    finally:
        place.hosts[1].set_clock(0)


def _kill_youngest(server: Server) -> None:
    """Kill the youngest worker: the oldest ones live for the whole run."""
    _, *others = server.processes()
    workers = [each for each in others if "resource_tracker" not in " ".join(each.cmdline())]
    if len(workers) > 1:
        server.kill(workers[-1].pid)


@contextmanager
def _crashed(server: Server) -> Iterator[None]:
    server.__exit__()
    try:
        yield
    finally:
        server.__enter__()
