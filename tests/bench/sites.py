"""
The costs of a site, from a price list: by formulas, and by simulation where saves wait for each
other.

Three layouts. `Flat`: a directory of names is a directory on the grid. `Fanout`: it is spread over
parts of at most LIMIT names, sixteen in each that is full. `Caps`: names carry their caps, and
links to them are made later.

Assumed, and not measured: each host has PROCESSES processes and a gateway of its own, which is one
Python process and so uses one processor; the first host's gateway changes all directories. Servers
and networks are no slower than where the prices were measured, and never the bottleneck. Files are
as large as the one in the price list, names are spread evenly, and so are days.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from heapq import heappop, heappush
from itertools import count
from math import ceil, exp, expm1, log1p
from random import Random
from statistics import quantiles

from attrs import define, field, frozen

from tests.bench.prices import AT_ONCE, Prices

PROCESSES = 4
"""On each host."""
LIMIT = 128
"""Names up to which a directory is not spread: that of `OPTIONS["fanout"]`."""
LINKS = 500
"""Names in a directory of links, at most."""
PAGE = 100
"""Names on a page."""

DEADLINE = 60.0
"""Seconds without an answer after which a request is given up: the option `timeout`."""

_KNOWN = 10_000  # the names and directories that a process keeps
_PACE = 10.0  # seconds for which a process uses what it has read of a part
_LINK_EVERY = 5.0  # seconds that links wait for others
_LINK_READERS = 4
_COMMIT_DELAY = 0.5
_MARKS = 18  # the parts of a directory, and its marks
_ABOVE = 12  # names in a directory of years, months or days, about
_FIRST_DAY = date(2026, 1, 1)


@frozen
class Site:
    """`files` in one directory below the root, or with `days` in `%Y/%m/%d/` from a January on."""

    files: float
    hosts: int = 1
    days: int = 0

    @property
    def names(self) -> float:
        """The number of names in one directory of names."""
        return self.files / max(self.days, 1)

    @property
    def above(self) -> list[int]:
        """The number of directories on each level above those of names."""
        if not self.days:
            return [1]
        dates = [_FIRST_DAY + timedelta(days=number) for number in range(self.days)]
        return [1, len({day.year for day in dates}), len({(day.year, day.month) for day in dates})]

    @property
    def processes(self) -> int:
        return self.hosts * PROCESSES


Round = tuple[float, float]
"""So many directories of so many names are read side by side."""


@frozen
class Cost:
    """
    Requests for an operation, and its `seconds` while nobody else asks anything.

    `reads`: rounds of reads of directories, one round after the other.
    """

    seconds: float
    uploads: int = 0
    reads: tuple[Round, ...] = ()
    writes: int = 0

    @property
    def read_count(self) -> float:
        return sum(number for number, _ in self.reads)

    @property
    def requests(self) -> float:
        return self.uploads + self.read_count + self.writes


@frozen
class Work:
    """
    The work that saves give to gateways. `upload` and `read` by the own gateway of a host, at the
    same time, then `write` by the common one: seconds until the answer, and of these the seconds
    of the processor. `places`: among how many directories the writes are spread; 0: none is
    written.
    `background`: the part of the common gateway's processor that other work takes, from the rate.
    """

    upload: tuple[float, float]
    read: tuple[float, float]
    write: tuple[float, float]
    places: float
    background: Callable[[float], float] = field(default=lambda rate: 0.0)

    def most(self, hosts: int) -> float:
        """The saves a second at which a processor, or the only directory, is always busy."""
        own = self.upload[1] + self.read[1]
        if not self.places:  # without the background
            return hosts / own
        common = own / hosts + self.write[1]
        alone = self.write[0] if self.places < 2 else 0.0
        return 1 / max(common, alone)


@frozen
class Layout(ABC):
    """A way to keep names, at these prices."""

    prices: Prices

    @abstractmethod
    def save(self, site: Site) -> Cost:
        """A save of a process that has saved once a second for long."""

    @abstractmethod
    def first_save(self, site: Site) -> Cost:
        """The first save of a process."""

    def listing(self, site: Site) -> Cost:
        """A listing of all names, by a new process."""
        reads = tuple(self.directories(site))
        return Cost(self.seconds_of(reads), 0, reads)

    @abstractmethod
    def page(self, site: Site) -> Cost:
        """The URLs of PAGE files of any age, by `prefetch` and `url` in a new process."""

    @abstractmethod
    def directories(self, site: Site) -> list[Round]:
        """The number of directories, and of the names in each."""

    @abstractmethod
    def work(self, site: Site) -> Work:
        """The work of a save of a process that has saved for long."""

    def bytes(self, site: Site) -> float:
        """The bytes of all directories on all servers."""
        return sum(number * self.prices.size.of(names) for number, names in self.directories(site))

    def is_possible(self, cost: Cost, site: Site) -> bool:
        """Whether each request of an operation ends before its deadline."""
        seconds = [self.prices.read.alone.of(names) for number, names in cost.reads if number]
        if cost.writes:
            seconds.append(self.work(site).write[0])
        return max(seconds, default=0.0) <= DEADLINE

    def seconds_of(self, reads: tuple[Round, ...], at_once: int = AT_ONCE) -> float:
        """The seconds of reads, round by round."""
        return sum(self._round(number, names, at_once) for number, names in reads)

    def _round(self, number: float, names: float, at_once: int) -> float:
        alone = self.prices.read.alone.of(names)
        # The last requests, with fewer than AT_ONCE under way, take no longer than alone.
        together = self.prices.read.together.of(names) * number * AT_ONCE / at_once
        parsing = self.prices.parse.of(names) * number
        return min(alone * number, max(alone * min(number, 1), together)) + parsing

    def _upload(self, reads: tuple[Round, ...] = ()) -> float:
        """The seconds of an upload while reads go on."""
        return max(self.prices.upload.alone.of(), self.seconds_of(reads))

    def _first(self, site: Site, reads: tuple[Round, ...], names: float) -> Cost:
        """
        The cost of the first save into a directory of so many names, which these reads lead to. If
        the upload ends before the reads do, the tree repeats the read that is under way.
        """
        # Which gateway makes the changes of all hosts is looked up in the root, before the change.
        asking: tuple[Round, ...] = ((1, 1),) if site.hosts > 1 else ()
        write = self.prices.write.alone.of(names)
        seconds = self._upload(reads) + self.seconds_of(asking) + write
        return Cost(seconds, 1, (*reads, *asking), 1)

    def _shown(self, reads: list[Round], last: Round) -> Cost:
        """
        The cost of a page. These reads lead to the names. Names beyond _KNOWN push out others, and
        `url` asks for those again, one by one. If the page takes longer than `max_age`, `url` asks
        for all again, which is not counted here.
        """
        learnt = sum(number * names for number, names in [*reads, last])
        forgotten = PAGE * max(0.0, 1 - _KNOWN / learnt)
        again = (1.0, last[1])
        every = (*reads, last)
        seconds = self.seconds_of(every) + forgotten * self.seconds_of((again,))
        return Cost(seconds, 0, (*every, (forgotten, last[1])))


class Flat(Layout):
    """A directory on the grid for each directory of names."""

    def save(self, site: Site) -> Cost:
        seconds = self._upload() + self.prices.write.alone.of(site.names)
        return Cost(seconds, 1, (), 1)

    def first_save(self, site: Site) -> Cost:
        return self._first(site, _way(site), site.names)

    def page(self, site: Site) -> Cost:
        return self._shown(_above_page(site), (_distinct(max(site.days, 1)), site.names))

    def directories(self, site: Site) -> list[Round]:
        return [*((number, _ABOVE) for number in site.above), (max(site.days, 1), site.names)]

    def work(self, site: Site) -> Work:
        prices = self.prices
        write = prices.write.alone.of(site.names), prices.write.gateway.of(site.names)
        upload = prices.upload.alone.of(), prices.upload.gateway.of()
        return Work(upload, (0.0, 0.0), write, places=1)


class Fanout(Layout):
    """A directory of names is spread over parts."""

    def save(self, site: Site) -> Cost:
        spread = spread_of(site.names)
        names, reads = spread.names_of_part, spread.usual_reads
        looking = reads * self.seconds_of(((1, names),))  # one after the other
        seconds = max(self._upload(), looking) + self.prices.write.alone.of(names)
        return Cost(seconds, 1, ((reads, names),), 1)

    def first_save(self, site: Site) -> Cost:
        spread = spread_of(site.names)
        way = [(1.0, spread.names_at(depth)) for depth in range(round(spread.depth) + 1)]
        return self._first(site, (*_way(site), *way), spread.names_of_part)

    def page(self, site: Site) -> Cost:
        spread = spread_of(site.names)
        days = _distinct(max(site.days, 1))
        levels: list[Round] = []
        for depth, number in enumerate(spread.levels):
            # Of those on the level, a directory of each day has as many as its names need.
            wanted = days * _distinct(16**depth, PAGE / days) * number / 16**depth
            levels.append((wanted, spread.names_at(depth)))
        return self._shown([*_above_page(site), *levels[:-1]], levels[-1])

    def directories(self, site: Site) -> list[Round]:
        spread = spread_of(site.names)
        days = max(site.days, 1)
        parts = [(days * n, spread.names_at(depth)) for depth, n in enumerate(spread.levels)]
        return [*((number, _ABOVE) for number in site.above), *parts]

    def work(self, site: Site) -> Work:
        prices, spread = self.prices, spread_of(site.names)
        names, reads = spread.names_of_part, spread.usual_reads
        # A part is made once: its names pay for it.
        making = prices.make.gateway.of(names) + prices.write.gateway.of(LIMIT + _MARKS)
        share = (sum(spread.levels) - 1) / site.names * making
        write = prices.write.alone.of(names), prices.write.gateway.of(names) + share
        read = reads * self.seconds_of(((1, names),)), reads * prices.read.gateway.of(names)
        upload = prices.upload.alone.of(), prices.upload.gateway.of()
        return Work(upload, read, write, places=max(spread.parts, 1))


class Caps(Layout):
    """Names carry caps. They are in no directory, but are linked later, for leases and listings."""

    def save(self, site: Site) -> Cost:
        return Cost(self._upload(), 1)

    def first_save(self, site: Site) -> Cost:
        return self.save(site)

    def listing(self, site: Site) -> Cost:
        """A listing by the links. A site asks its database instead."""
        reads = tuple(self.directories(site))
        return Cost(self.seconds_of(reads, _LINK_READERS), 0, reads)

    def page(self, site: Site) -> Cost:
        return Cost(0.0)

    def directories(self, site: Site) -> list[Round]:
        days = max(site.days, 1)
        # A process has a batch of its own, and a new one each day.
        names = site.names / site.processes
        batches = days * site.processes * max(names / LINKS, 1 - exp(-names))
        above = [(1.0, 1.0), *((number, float(_ABOVE)) for number in site.above[1:])]
        return [*above, (days, batches / days), (batches, site.files / batches)]

    def work(self, site: Site) -> Work:
        upload = self.prices.upload.alone.of(), self.prices.upload.gateway.of()
        return Work(
            upload, (0.0, 0.0), (0.0, 0.0), 0, lambda rate: self.linking(site.processes, rate)
        )

    def linking(self, processes: int, rate: float) -> float:
        """
        The part of the common gateway's processor that links take at so many saves a second, all
        day long. Above 1 they are made later and later.
        """
        write, make = self.prices.write.gateway, self.prices.make.gateway
        each = rate / processes
        writes = processes / (_LINK_EVERY + 1 / each) * ceil((1 + each * _LINK_EVERY) / LINKS)
        batches = rate / LINKS
        # A batch is half full, and the day half over, on average.
        day = write.of(batches * 86_400 / 2)
        return writes * write.of(LINKS / 2) + batches * (make.of(LINKS / 2) + day)


@frozen
class Spread:
    """
    How one directory of names is spread, on average, after it has grown name by name.

    `levels`: directories on each level, the first being the directory itself.
    """

    names: float
    levels: tuple[float, ...]
    full: tuple[float, ...]
    """The share of each level that is full, and has parts."""

    @property
    def parts(self) -> float:
        """The number of parts that take names."""
        pairs = zip(self.levels, self.full, strict=True)
        return sum(number * (1 - full) for number, full in pairs)

    @property
    def depth(self) -> float:
        """The number of parts on the way to a name."""
        return sum(self.full)

    @property
    def names_of_part(self) -> float:
        """The number of names in the part of a name."""
        shares = [1.0, *self.full]
        return sum(
            (above - full) * min(self.names / 16**depth, LIMIT)
            for depth, (above, full) in enumerate(zip(shares, self.full, strict=False))
        )

    def names_at(self, depth: int) -> float:
        """The number of names in a directory of a level. A full one keeps its names."""
        full = self.full[depth]
        return full * (LIMIT + _MARKS) + (1 - full) * min(self.names / 16**depth, LIMIT)

    @property
    def usual_reads(self) -> float:
        """The reads for each save of a process that has saved a name each second for long."""
        return _usual_reads(self)


@cache
def spread_of(names: float) -> Spread:
    """The average spread of a directory of so many names."""
    levels, full = [1.0], [1.0 if names > LIMIT else 0.0]
    while full[-1] > 1e-6:
        levels.append(16.0 ** len(levels) * full[-1])
        full.append(_more_than(LIMIT, names / 16 ** len(full)))
    return Spread(names, tuple(levels), tuple(full))


def _more_than(limit: int, mean: float) -> float:
    """The probability that a part has more names than the limit, from its average (Poisson)."""
    if mean > 4 * limit:
        return 1.0
    term = total = exp(-mean)
    for number in range(1, limit + 1):
        term *= mean / number
        total += term
    return max(1 - total, 0.0)


@cache
def _usual_reads(spread: Spread) -> float:
    """A process keeps the last _KNOWN directories that it has read, and parts for _PACE seconds."""
    random = Random(1)
    full: dict[tuple[int, int], bool] = {}
    known: dict[tuple[int, int], int] = {}
    reads = 0
    saves = 2 * _KNOWN
    for now in range(saves):
        where = random.random()
        for depth in count():
            place = depth, int(where * 16**depth)
            is_full = full.setdefault(place, random.random() < spread.full[depth])
            since = known.get(place)
            if since is None or (not is_full and now - since >= _PACE):
                known.pop(place, None)
                known[place] = now
                reads += now >= saves / 2
                if len(known) > _KNOWN:
                    del known[next(iter(known))]
            if not is_full:
                break
    return reads / (saves / 2)


def _way(site: Site) -> tuple[Round, ...]:
    return tuple((1.0, float(_ABOVE)) for _ in site.above)


def _above_page(site: Site) -> list[Round]:
    return [(_distinct(number), float(_ABOVE)) for number in site.above]


def _distinct(number: float, names: float = PAGE) -> float:
    """The average number of equal places that so many names reach."""
    return 1.0 if number <= 1 else number * -expm1(names * log1p(-1 / number))


# Saves wait for each other.


@frozen
class Waits:
    """The times of saves, in seconds. `writes`: of directories, for each save."""

    median: float
    most: float
    """The longest of all but 5 in 100 saves."""
    mean: float
    writes: float


def waits(work: Work, hosts: int, rate: float, saves: int = 1_000, seed: int = 1) -> Waits:
    """The times of saves that come by chance, `rate` a second, to any process of any host."""
    return _Saving(work, hosts, rate, seed).run(saves)


def most_saves(work: Work, hosts: int, seconds: float, saves: int = 1_000) -> float:
    """The highest rate at which no more than 5 in 100 saves take longer than that."""
    if work.upload[0] + work.write[0] > seconds:
        return 0.0
    low, high = 1e-3, hosts / (work.upload[1] + work.read[1])
    while high / low > 1.05:
        rate = (low * high) ** 0.5
        if waits(work, hosts, rate, saves).most <= seconds:
            low = rate
        else:
            high = rate
    return low


@define(eq=False)
class _Processor:
    """A processor, which does one thing after another."""

    speed: float = 1.0
    free: float = 0.0

    def work(self, now: float, seconds: float) -> float:
        """Do some more work; return the time of its end."""
        self.free = max(self.free, now) + seconds / self.speed
        return self.free


@define(eq=False)
class _Process:
    """
    A process of the site. `links`: when the saves began that wait for a write; `uploading` those
    that are about to; `awaited` of them, those for which the next write waits.
    """

    links: list[float] = field(factory=list)
    uploading: set[object] = field(factory=set)
    awaited: set[object] = field(factory=set)
    is_writing: bool = False
    is_gathering: bool = False
    pending: int = 0


class _Saving:
    def __init__(self, work: Work, hosts: int, rate: float, seed: int) -> None:
        self._work = work
        self._rate = rate
        self._random = Random(seed)
        self._gateways = [_Processor() for _ in range(hosts)]
        self._gateways[0].speed = max(1 - work.background(rate), 1e-6)
        self._processes = [_Process() for _ in range(hosts * PROCESSES)]
        self._directories: dict[int, list[Callable[[float], None]]] = {}
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._waits: list[float] = []
        self._writes = 0

    def run(self, saves: int) -> Waits:
        now = 0.0
        for _ in range(saves):
            now += self._random.expovariate(self._rate)
            self._at(now, self._begin)
        while self._events:
            now, _, event = heappop(self._events)
            event(now)
        cuts = quantiles(self._waits, n=20, method="inclusive")
        mean = sum(self._waits) / saves
        return Waits(cuts[9], cuts[18], mean, self._writes / saves)

    def _at(self, time: float, event: Callable[[float], None]) -> None:
        heappush(self._events, (time, next(self._order), event))

    def _begin(self, now: float) -> None:
        number = self._random.randrange(len(self._processes))
        process = self._processes[number]
        token = object()
        process.uploading.add(token)
        work = self._work
        busy = work.upload[1] + work.read[1]
        done = self._gateways[number // PROCESSES].work(now, busy)
        rest = max(work.upload[0], work.read[0]) - busy
        self._at(done + max(rest, 0.0), lambda later: self._uploaded(later, now, process, token))

    def _uploaded(self, now: float, began: float, process: _Process, token: object) -> None:
        process.uploading.discard(token)
        process.awaited.discard(token)
        if not self._work.places:
            self._waits.append(now - began)
            return
        process.links.append(began)
        if process.is_gathering:
            self._write_if_due(now, process)
        elif not process.is_writing:
            self._gather(now, process)

    def _gather(self, now: float, process: _Process) -> None:
        """Wait for uploads that are under way, as `txtahoe.tree.commits` does."""
        process.is_gathering = True
        process.awaited = set(process.uploading)
        awaited = process.awaited

        def end(now: float) -> None:
            if process.awaited is awaited:
                awaited.clear()
                self._write_if_due(now, process)

        self._at(now + _COMMIT_DELAY, end)
        self._write_if_due(now, process)

    def _write_if_due(self, now: float, process: _Process) -> None:
        if process.awaited or not process.is_gathering:
            return
        process.is_gathering, process.is_writing = False, True
        batch, process.links = process.links, []
        places = max(round(self._work.places), 1)
        wanted = {self._random.randrange(places) for _ in batch}
        process.pending = len(wanted)
        for place in wanted:
            self._write(now, place, lambda later: self._written(later, process, batch))

    def _write(self, now: float, place: int, done: Callable[[float], None]) -> None:
        """The gateway makes the changes of one directory one after the other."""
        queue = self._directories.setdefault(place, [])
        queue.append(done)
        self._writes += 1
        if len(queue) == 1:
            self._next(now, place)

    def _next(self, now: float, place: int) -> None:
        seconds, busy = self._work.write
        end = self._gateways[0].work(now, busy) + max(seconds - busy, 0.0)
        self._at(end, lambda later: self._end(later, place))

    def _end(self, now: float, place: int) -> None:
        queue = self._directories[place]
        done = queue.pop(0)
        if queue:
            self._next(now, place)
        else:
            del self._directories[place]
        done(now)

    def _written(self, now: float, process: _Process, batch: list[float]) -> None:
        process.pending -= 1
        if process.pending:
            return
        self._waits += [now - began for began in batch]
        process.is_writing = False
        if process.links:
            self._gather(now, process)
