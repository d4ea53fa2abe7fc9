"""The cost of bare requests at a gateway, one at a time and side by side."""

from __future__ import annotations

import json
import os
import time
from base64 import b32encode
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil
from attrs import asdict, field, frozen

from tests.bench.bare import Bare
from tests.bench.place import FILE_SIZE, random_content
from txtahoe.caps import Cap
from txtahoe.nodes import parse_child
from txtahoe.testing.grid import Grid

FITTED = (16, 1_000, 4_000)
"""The sizes of directories, in names, from which prices are made."""
LEFT_OUT = (250, 10_000)
"""The prices with which they are compared."""
AT_ONCE = 8

_TIMES = 8
_MANY = 32


@frozen
class Line:
    """Seconds or bytes: a constant, and a part for each name in a directory."""

    constant: float
    each: float = 0.0

    def of(self, names: float = 0) -> float:
        return self.constant + self.each * names

    @classmethod
    def through(cls, points: Sequence[tuple[float, float]]) -> Line:
        """The rising line from above zero with the smallest relative errors at some points."""
        weights = [1 / max(value, 1e-9) ** 2 for _, value in points]
        total = sum(weights)
        x = sum(w * names for w, (names, _) in zip(weights, points, strict=True)) / total
        y = sum(w * value for w, (_, value) in zip(weights, points, strict=True)) / total
        above = sum(w * (n - x) * (v - y) for w, (n, v) in zip(weights, points, strict=True))
        below = sum(w * (n - x) ** 2 for w, (n, _) in zip(weights, points, strict=True))
        each = max(above / below, 0.0) if below else 0.0
        return cls(max(y - each * x, 0.0), each)


@frozen
class Price:
    """
    The price of a kind of request. `alone`: the fewest seconds to its answer, on an idle gateway.
    `together`: seconds for each, if AT_ONCE of them are under way.
    `gateway`: busy seconds of the gateway's processor.
    """

    alone: Line
    together: Line
    gateway: Line


@frozen
class Prices:
    """
    The price list. A `write` gives one more name to a directory; `make` is of a directory with
    first names. `renew`: a check of a file that renews its lease. `parse`: of a listing, in our
    process. `size`: bytes of a directory on all servers; `memory`: by which the gateway grows.

    `measured`: by what, how large, and how long it took; of those that are left out of the lines.
    `load`: of the machine, before and after: how many processes wanted its `processors`.
    """

    upload: Price
    file_read: Price
    read: Price
    write: Price
    make: Price
    renew: Price
    parse: Line
    size: Line
    memory: Line
    measured: list[tuple[str, int, float]] = field(factory=list)
    load: tuple[float, float] = (0.0, 0.0)
    processors: int = 0

    def dump(self, path: Path) -> None:
        """Write the prices to a file, for `load_prices`."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def load_prices(path: Path) -> Prices:
    """Read the prices that `dump` has written. Raises: OSError, ValueError for another file."""
    try:
        told = json.loads(path.read_text())
        return Prices(
            **{name: _priced(each) for name, each in told.items() if isinstance(each, dict)},
            measured=[(what, names, seconds) for what, names, seconds in told["measured"]],
            load=tuple(told["load"]),
            processors=told["processors"],
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is no list of prices: {error}") from None


def _priced(told: dict[str, object]) -> Line | Price:
    if "constant" in told:
        return Line(**told)
    return Price(**{name: Line(**line) for name, line in told.items()})


class Measuring:
    """Measure at the first gateway of a grid. Nobody else may use it meanwhile."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._bare = _Bare(grid.gateway_urls[0])
        pid = grid.gateways[0].pid
        assert pid is not None
        self._gateway = max(_family(pid), key=lambda process: process.memory_info().rss)
        self._sample = self._bare.upload(random_content())

    def prices(self) -> Prices:
        """Measure the price list; it takes less than a minute on an idle machine."""
        before = os.getloadavg()[0]
        contents = iter(random_content, None)
        upload = self._price(lambda _: self._bare.upload(next(contents)), [0])
        file_read = self._price(lambda _: self._bare.read(self._sample), [0])
        renew = self._price(lambda _: self._bare.renew(self._sample), [0])
        directories = {names: self._directories(names) for names in FITTED}
        read = self._price(lambda cap: self._bare.listing(cap), directories)
        write = self._price(lambda cap: self._bare.link(cap, random_links(1)), directories)
        links = {names: [random_links(names)] * AT_ONCE for names in FITTED[:2]}
        make = self._price(self._bare.make_directory, links)
        parse = Line(0.0, self._seconds_to_parse(directories[FITTED[-1]][0]))
        size = Line.through([(names, self._size(caps[0])) for names, caps in directories.items()])
        memory, measured = self._largest()
        return Prices(
            upload=upload,
            file_read=file_read,
            read=read,
            write=write,
            make=make,
            renew=renew,
            parse=parse,
            size=size,
            memory=memory,
            measured=measured,
            load=(before, os.getloadavg()[0]),
            processors=os.cpu_count() or 0,
        )

    def close(self) -> None:
        self._bare.close()

    def _directories(self, names: int) -> list[str]:
        # Large ones are made once: requests for them share the processor, and nothing else.
        number = AT_ONCE if names <= FITTED[1] else 1
        return [self._bare.make_directory(random_links(names)) for _ in range(number)]

    def _price(self, ask: Callable[..., object], on: dict[int, list[object]] | list[int]) -> Price:
        """The price of a request, for directories of several sizes."""
        beds = on if isinstance(on, dict) else {0: [None]}
        alone: dict[int, list[float]] = {names: [] for names in beds}
        busy = {names: _Busy(self._gateway) for names in beds}
        # In turn, because other work of the machine comes and goes.
        for _ in range(_TIMES):
            for names, bed in beds.items():
                with busy[names]:
                    alone[names].append(_timed(ask, bed[0]))
        together = []
        for names, bed in beds.items():
            # A large one takes long, and shows nothing more.
            if names <= FITTED[1]:
                many = (bed * _MANY)[: _MANY if names <= FITTED[0] else 2 * AT_ONCE]
                began = time.perf_counter()
                self._bare.together(ask, many, AT_ONCE)
                together.append((names, (time.perf_counter() - began) / len(many)))
        return Price(
            # The fastest: other work on the machine only adds to it.
            Line.through([(names, min(seconds)) for names, seconds in alone.items()]),
            Line.through(together),
            Line.through([(names, each.seconds / _TIMES) for names, each in busy.items()]),
        )

    def _seconds_to_parse(self, directory: str) -> float:
        children = self._bare.listing(directory)
        return _timed(lambda told: list(map(parse_child, told)), children.values()) / len(children)

    def _largest(self) -> tuple[Line, list[tuple[str, int, float]]]:
        """The growth of the gateway's memory; and times for sizes that no line uses."""
        measured = []
        before = _most_memory(self._gateway)
        for names in LEFT_OUT:
            directory = self._bare.make_directory(random_links(names))
            for what, ask in (
                ("directory read", lambda: self._bare.listing(directory)),
                ("directory write", lambda: self._bare.link(directory, random_links(1))),
            ):
                seconds = min(_timed(lambda _, ask=ask: ask(), None) for _ in range(3))
                measured.append((what, names, seconds))
        return Line(0.0, (_most_memory(self._gateway) - before) / LEFT_OUT[-1]), measured

    def _size(self, directory: str) -> int:
        index = Cap.parse(directory).storage_index
        assert index is not None
        return sum(path.stat().st_size for path in self._grid.share_files(index))


class _Bare(Bare):
    def renew(self, cap: str) -> None:
        """Check a file, and renew its lease."""
        self._ask("POST", f"/uri/{cap}?t=check&add-lease=true&output=JSON")


class _Busy:
    """The processor seconds of a process in a `with` block."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.seconds = 0.0

    def __enter__(self) -> _Busy:
        self.seconds -= self._used()
        return self

    def __exit__(self, *raised: object) -> None:
        self.seconds += self._used()

    def _used(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def random_links(number: int) -> dict[str, str]:
    """Names of a usual length, with caps of files that do not exist."""
    return {f"{_random(10)}-report.pdf": _random_file() for _ in range(number)}


def _random_file() -> str:
    return f"URI:CHK:{_random(16)}:{_random(32)}:2:3:{FILE_SIZE}"


def _random(size: int) -> str:
    return b32encode(os.urandom(size)).decode().rstrip("=").lower()


def _timed(ask: Callable[[object], object], argument: object) -> float:
    began = time.perf_counter()
    ask(argument)
    return time.perf_counter() - began


def _family(pid: int) -> Iterable[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _most_memory(process: psutil.Process) -> int:
    """The peak memory of a process until now, in bytes."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return int(process.memory_info().rss)
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024
