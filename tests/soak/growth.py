"""Whether long-lived processes, and their folders, take more and more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import psutil
from attrs import define, field, frozen

from tests.soak.load import Turns
from tests.soak.place import CACHE_BYTES, Place

_PACE = 5  # operations between two samples
_LEAST = 14  # samples of a third
_MEGABYTE = 2**20


@frozen
class Bound:
    """
    The most that the last third may have beyond the second: a share of it, and a number. It may
    have `up_to` in any case.
    """

    share: float
    number: float
    up_to: float = 0

    def allows(self, before: float, after: float) -> bool:
        return after <= max(before * (1 + self.share) + self.number, self.up_to)


# Caches of a process still fill in a short run, and its heap has holes after large files. Pools of
# connections and threads can fill late: full ones have less than `up_to`.
BOUNDS = {
    "memory, MiB": Bound(0.1, 24),
    "descriptors": Bound(0.1, 8, up_to=64),
    "threads": Bound(0.1, 4, up_to=16),
    "files in its folder": Bound(0.1, 8),
    "content cache, MB": Bound(0, 0, up_to=CACHE_BYTES / 1e6),
    "spool, MB": Bound(0.1, 20),
}


@frozen
class Sample:
    """
    A process or a folder, as it is measured at a moment.

    `moment`: operations of the run so far. `work`: a process counts its own, in seconds of the
    processor, because it may get its first request late; for a folder it is the moment.
    """

    moment: float
    work: float
    had: dict[str, float]


@frozen
class Judgement:
    """The medians of the second and the last third of all its work."""

    who: str
    what: str
    before: float
    after: float

    @property
    def is_grown(self) -> bool:
        return not BOUNDS[self.what].allows(self.before, self.after)


@define
class Growth:
    """Samples of all processes and folders: memory, threads, files and so on."""

    samples: dict[str, list[Sample]] = field(factory=lambda: defaultdict(list))

    def work(self, place: Place, turns: Turns) -> None:
        """Take samples until there are no more operations."""
        while moment := turns.more(_PACE):
            self.take(place, moment)

    def take(self, place: Place, moment: float) -> None:
        for name, server in place.servers.items():
            with suppress(psutil.Error):  # the server is down
                for process in server.processes():
                    with suppress(psutil.Error):  # it was killed meanwhile
                        self.samples[f"{name} {process.pid}"].append(_taken_by(process, moment))
        for host in place.hosts:
            had: dict[str, float] = {
                "files in its folder": len(_sizes(host.folder / "temporary")),
                "content cache, MB": sum(_sizes(host.folder / "contents")) / 1e6,
                "spool, MB": sum(_sizes(host.folder / "spool")) / 1e6,
            }
            self.samples[f"host {host.folder.name}"].append(Sample(moment, moment, had))
        for gateway in place.grid.gateways:
            had = {"files in its folder": len(_sizes(gateway.folder / "tmp"))}
            self.samples[gateway.name].append(Sample(moment, moment, had))

    def judged(self) -> list[Judgement]:
        """The judgements of every process that worked for long, and of every folder."""
        return [each for who, taken in self.samples.items() for each in judge(who, taken)]


def judge(who: str, taken: Sequence[Sample]) -> list[Judgement]:
    """
    Compare the last third of the work of a process with the second. In the first one it loads its
    modules and fills its caches. Nothing if there are too few samples.
    """
    began, ended = taken[0].work, taken[-1].work
    third = (ended - began) / 3 or 1
    before, after = (
        [each.had for each in taken if start < (each.work - began) / third <= start + 1]
        for start in (1, 2)
    )
    if min(len(before), len(after)) < _LEAST:
        return []
    return [
        Judgement(
            who, what, median(had[what] for had in before), median(had[what] for had in after)
        )
        for what in before[0]
    ]


def _taken_by(process: psutil.Process, moment: float) -> Sample:
    with process.oneshot():
        times = process.cpu_times()
        had = {
            "memory, MiB": process.memory_info().rss / _MEGABYTE,
            "descriptors": process.num_fds(),
            "threads": process.num_threads(),
        }
        return Sample(moment, times.user + times.system, had)


def _sizes(folder: Path) -> list[int]:
    """The sizes of the files in a folder and below it, in bytes."""
    sizes = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # it was removed meanwhile
            if path.is_file():
                sizes.append(path.stat().st_size)
    return sizes
