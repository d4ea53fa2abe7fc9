"""
The costs of sites larger than this machine: `python -m tests.bench.plan --help`.

This module measures prices; `sites` calculates costs from them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from time import perf_counter

from attrs import evolve, frozen
from django.core.files.base import ContentFile

from tests.bench.place import Place, random_content
from tests.bench.prices import Measuring, Price, Prices, load_prices, random_links
from tests.bench.report import duration
from tests.bench.sites import (
    DEADLINE,
    PAGE,
    PROCESSES,
    Caps,
    Cost,
    Fanout,
    Flat,
    Layout,
    Site,
    most_saves,
    waits,
)
from txtahoe.testing.grid import Grid

FILES = tuple(10**power for power in range(3, 9))
HOSTS = (1, 10, 100)
RATES = (0.1, 1.0, 10.0, 100.0)
DAYS = 1_000
"""On which the files came, where they are kept by day."""

# The limits of a good layout.
_SAVE_SECONDS = 1.0
_PAGE_SECONDS = 2.0
_WRITE_SECONDS = 10.0
_MOST_SECONDS = 2.0
_RENEW_DAYS = 15.0

_NOTES = f"""\
Measured: the price list, on one machine that runs the gateway, three storage servers and what
measures; its load is told above. "alone" is the fastest of some, and "gateway" processor time,
which load changes least.
Extrapolated: directories of more than 10,000 names, by a straight line. A request ends after
{DEADLINE:g} s without an answer: what takes longer fails.
Assumed: {PROCESSES} processes on a host, each saving as often; a gateway a host, which is one
Python process, so one processor; the first host's gateway changes all directories. Names are
spread evenly. By day means {DAYS:,} days of as many files each, links of caps too, and a day at
its end. Directories that are spread have grown name by name; a page is of files of any age.
Simulations are of 1,000 saves from the first one on: where more come than can be done, waits grow.
It breaks where the network or the servers are slower than here: each request takes some round
trips to them, so a save takes longer, while what a gateway does at the same time stays about the
same, until the disks of the servers are busy, which harms all layouts alike. It breaks too where
others read much through the same gateways, or where directories are of uneven size.
Not in here: the database, and the bytes of the files."""


@frozen
class Choice:
    """A layout with a way to name files."""

    name: str
    layout: Layout
    days: int = 0

    def site(self, files: float, hosts: int = 1) -> Site:
        return Site(files, hosts, self.days)


def choices(prices: Prices) -> list[Choice]:
    """All choices; the simplest first."""
    return [
        Choice("flat", Flat(prices)),
        Choice("flat, by day", Flat(prices), DAYS),
        Choice("fanout", Fanout(prices)),
        Choice("fanout, by day", Fanout(prices), DAYS),
        # Its links are in a directory for each day, whatever its names are.
        Choice("caps", Caps(prices), DAYS),
    ]


def price_table(prices: Prices) -> str:
    """The price list; for directories, with 0 names and for 1,000 more."""
    rows = []
    for name in ("upload", "file_read", "renew", "read", "write", "make"):
        price: Price = getattr(prices, name)
        lines = (price.alone, price.together, price.gateway)
        rows.append([name.replace("_", " "), *(duration(line.constant) for line in lines)])
        rows[-1] += [duration(1_000 * line.each) if line.each else "" for line in lines]
    head = ["request", "alone", "8 at once", "gateway", "+1,000: alone", "8 at once", "gateway"]
    told = [
        f"A directory has {prices.size.constant:.0f} bytes and {prices.size.each:.0f} a name, "
        f"on all servers; the gateway takes {prices.memory.each / 1e3:.1f} kB a name to change it.",
        f"Load when it was measured: {prices.load[0]:.1f} to {prices.load[1]:.1f}, "
        f"{prices.processors} processors.",
    ]
    return "\n".join([table(head, rows), *told])


def save_table(every: Sequence[Choice]) -> str:
    """A save of a process that saves all the time, and the first save of a process."""

    def cell(choice: Choice, files: int) -> str:
        layout, site = choice.layout, choice.site(files)
        costs = layout.save(site), layout.first_save(site)
        return " / ".join(_cost(layout, site, cost) for cost in costs)

    return _by_files(every, cell)


def cost_table(every: Sequence[Choice], cost: Callable[[Layout, Site], Cost]) -> str:
    """Seconds and requests of an operation."""

    def cell(choice: Choice, files: int) -> str:
        layout, site = choice.layout, choice.site(files)
        return _cost(layout, site, cost(layout, site))

    return _by_files(every, cell)


def size_table(every: Sequence[Choice]) -> str:
    """The bytes and number of all directories, and the cost of a change of the largest."""

    def cell(choice: Choice, files: int) -> str:
        directories = choice.layout.directories(choice.site(files))
        number = sum(number for number, _ in directories)
        memory = choice.layout.prices.memory.of(max(names for _, names in directories))
        size = choice.layout.bytes(choice.site(files))
        return f"{_bytes(size)} {_number(number)} {_bytes(memory)}"

    return _by_files(every, cell)


def rate_table(every: Sequence[Choice], files: Sequence[int] = FILES) -> str:
    """The highest rates: by simulation; in brackets by the formula, without shared writes."""
    rows = []
    for number in files:
        for hosts in HOSTS:
            row = [f"{number:,}", str(hosts)]
            for choice in every:
                work = choice.layout.work(choice.site(number, hosts))
                most = most_saves(work, hosts, _MOST_SECONDS)
                row.append(f"{_number(most)} ({_number(work.most(hosts))})")
            rows.append(row)
    return table(["files", "hosts", *(choice.name for choice in every)], rows)


def wait_table(every: Sequence[Choice], files: int) -> str:
    """The time of saves at several rates: the median, and the 95th percentile."""
    rows = []
    for hosts in HOSTS:
        for rate in RATES:
            row = [str(hosts), f"{rate:g}"]
            for choice in every:
                told = waits(choice.layout.work(choice.site(files, hosts)), hosts, rate)
                row.append(f"{_wait(told.median)} / {_wait(told.most)}")
            rows.append(row)
    return table(["hosts", "saves/s", *(choice.name for choice in every)], rows)


def linking_table(caps: Choice) -> str:
    """The part of the writer's processor that links of caps take, at several rates."""
    assert isinstance(caps.layout, Caps)
    rows = []
    for hosts in HOSTS:
        shares = (caps.layout.linking(hosts * PROCESSES, rate) for rate in (*RATES, 1_000.0))
        rows.append([str(hosts), *(f"{_number(100 * share)} %" for share in shares)])
    return table(["hosts", *(f"{rate:g} saves/s" for rate in (*RATES, 1_000.0))], rows)


Criterion = tuple[str, Callable[[Choice, float], bool]]

CRITERIA: tuple[Criterion, ...] = (
    (
        f"a save within {_SAVE_SECONDS:g} s",
        lambda c, n: c.layout.save(c.site(n)).seconds <= _SAVE_SECONDS,
    ),
    (
        f"a directory write within {_WRITE_SECONDS:g} s",
        lambda c, n: c.layout.work(c.site(n)).write[0] <= _WRITE_SECONDS,
    ),
    (
        f"a page of {PAGE} within {_PAGE_SECONDS:g} s",
        lambda c, n: c.layout.page(c.site(n)).seconds <= _PAGE_SECONDS,
    ),
    (
        "a listing within a minute",
        lambda c, n: c.layout.listing(c.site(n)).seconds <= 60,
    ),
    (
        f"leases renewed in {_RENEW_DAYS:g} days",
        lambda c, n: renewal_days(c, n) <= _RENEW_DAYS,
    ),
)


def renewal_days(choice: Choice, files: float) -> float:
    """The days that one gateway takes to renew all leases."""
    directories = sum(number for number, _ in choice.layout.directories(choice.site(files)))
    return (files + directories) * choice.layout.prices.renew.together.of() / 86_400


def limit(choice: Choice, is_good: Callable[[Choice, float], bool]) -> float:
    """The highest number of files for which something holds; 0 if it holds for none."""
    steps = [10 ** (power / 8) for power in range(8 * 3, 8 * 8 + 1)]
    good = 0.0
    for files in steps:
        if not is_good(choice, files):
            break
        good = files
    return good


def limit_table(every: Sequence[Choice]) -> str:
    """The highest number of files for which each criterion holds."""
    rows = []
    for name, is_good in CRITERIA:
        rows.append([name, *(_up_to(limit(choice, is_good)) for choice in every)])
    return table(["up to … files", *(choice.name for choice in every)], rows)


def advice(every: Sequence[Choice]) -> str:
    """The simplest layout that is good enough, for 10 hosts."""
    limits = [[limit(choice, is_good) for _, is_good in CRITERIA[:3]] for choice in every]
    rows = []
    for files in FILES:
        most = [
            most_saves(choice.layout.work(choice.site(files, 10)), 10, _MOST_SECONDS)
            for choice in every
        ]

        def simplest(
            rate: float, criteria: int, files: int = files, most: list[float] = most
        ) -> str:
            for choice, its_most, its_limits in zip(every, most, limits, strict=True):
                if its_most >= rate and min(its_limits[:criteria]) >= files:
                    return choice.name
            return "none"

        saving = [simplest(rate, 2) for rate in RATES]
        rows.append([f"{files:,}", *saving, simplest(1, 3)])
    head = [f"{rate:g} saves/s" for rate in RATES]
    return table(["files", *head, f"1 save/s, pages of {PAGE}"], rows)


def predictions(prices: Prices, measured: Sequence[tuple[str, int, float]]) -> str:
    """Measurements apart from the price list, and the predictions for them."""
    flat = Flat(prices)
    predicted: dict[str, Callable[[int], float]] = {
        "directory read": prices.read.alone.of,
        "directory write": prices.write.alone.of,
        "save": lambda names: flat.save(Site(names)).seconds,
        "first save": lambda names: flat.first_save(Site(names)).seconds,
        "listing": lambda names: flat.listing(Site(names)).seconds,
        "page": lambda names: flat.page(Site(names)).seconds,
    }
    rows = []
    for what, names, seconds in measured:
        told = predicted[what](names)
        rows.append(
            [what, f"{names:,}", duration(told), duration(seconds), f"{told / seconds:.2f}"]
        )
    return table(["", "names", "predicted", "measured", "ratio"], rows)


def real_saves(place: Place, names: int) -> list[tuple[str, int, float]]:
    """The time of a real save in a directory of so many names. No price uses it."""
    links = random_links(names)
    bare = place.bare
    root = bare.make_directory({"d": bare.make_directory(links)})
    page = [f"d/{name}" for name in list(links)[:PAGE]]

    def save(storage: object) -> None:
        storage.save(f"d/{token_hex(8)}", ContentFile(random_content()))  # type: ignore[attr-defined]

    def show(storage: object) -> None:
        storage.prefetch(page)  # type: ignore[attr-defined]

    found = []
    for what, act in (
        ("first save", save),
        ("listing", lambda storage: storage.listdir("d")),
        ("page", show),
    ):
        found.append((what, names, min(_timed(act, place.storage(root)) for _ in range(5))))
    storage = place.storage(root)
    save(storage)
    found.append(("save", names, min(_timed(save, storage) for _ in range(5))))
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their names; the first is aligned to the left."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = [
            cell.ljust(width) if not number else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join([first, *others]).rstrip()

    return "\n".join(map(line, [head, *rows]))


def command_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.plan",
        description="Measure what requests cost at a gateway of a grid on this machine, which"
        " takes about a minute, and calculate what sites of up to 100,000,000 files and 100 hosts"
        " pay with each layout of names.",
    )
    parser.add_argument("--prices", metavar="FILE", type=Path, help="use these; measure nothing")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the price list to a file")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the plan."""
    parser = command_parser()
    options = parser.parse_args(arguments)
    try:
        prices = measure() if options.prices is None else load_prices(options.prices)
        if options.json:
            prices.dump(options.json)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for title, text in sections(prices):
        print(f"{title}\n\n{text}\n", flush=True)
    return 0


def measure() -> Prices:
    """The price list of this machine, and measurements to compare it with."""
    with Grid(servers=3, gateways=1, needed=2, total=3, happy=2) as grid:
        measuring = Measuring(grid)
        prices = measuring.prices()
        measuring.close()
        with TemporaryDirectory() as folder:
            place = Place(grid.gateway_urls[0], Path(folder))
            real_saves(place, 1)  # imports everything and starts the reactor
            real = real_saves(place, 500)
            place.close()
    return evolve(prices, measured=[*prices.measured, *real])


def sections(prices: Prices) -> list[tuple[str, str]]:
    """The plan, by questions."""
    every = choices(prices)
    return [
        ("Prices", price_table(prices)),
        ("The prices against what was measured apart", predictions(prices, prices.measured)),
        ("A save, usual / first of a process: seconds, requests (one host)", save_table(every)),
        (
            "All names: seconds, requests; of caps by their links, the database being faster",
            cost_table(every, lambda layout, site: layout.listing(site)),
        ),
        (
            f"A page of {PAGE} URLs, nothing known: seconds, requests."
            " Again within max_age: no request",
            cost_table(every, lambda layout, site: layout.page(site)),
        ),
        (
            "Directories: bytes on all servers, number, memory of the gateway that changes one",
            size_table(every),
        ),
        (
            f"Saves a second, of which 95 in 100 take {_MOST_SECONDS:g} s at most: simulated"
            " (formula: a processor, or the one directory, is busy all the time)",
            rate_table(every),
        ),
        (
            "Seconds of a save at 1,000,000 files, simulated: half / 95 in 100",
            wait_table(every, 1_000_000),
        ),
        (
            "Links of caps: part of the common gateway's processor. Above 100 % they come later and"
            " later, and the saves of its own host wait",
            linking_table(every[-1]),
        ),
        ("Where each stops", limit_table(every)),
        (
            "Choose, with 10 hosts, the simplest with which all but 5 in 100 saves take"
            f" {_MOST_SECONDS:g} s at most; at last with which a page is there in time, too",
            advice(every),
        ),
        ("What this is worth", _NOTES),
    ]


def _by_files(every: Sequence[Choice], cell: Callable[[Choice, int], str]) -> str:
    rows = [[f"{files:,}", *(cell(choice, files) for choice in every)] for files in FILES]
    return table(["files", *(choice.name for choice in every)], rows)


def _cost(layout: Layout, site: Site, cost: Cost) -> str:
    """Seconds and requests."""
    if not layout.is_possible(cost, site):
        return "fails"
    return f"{_seconds(cost.seconds)} {_number(cost.requests)}"


def _wait(seconds: float) -> str:
    return _seconds(seconds) if seconds <= DEADLINE else f"> {DEADLINE:g} s"


def _timed(act: Callable[[object], object], storage: object) -> float:
    began = perf_counter()
    act(storage)
    return perf_counter() - began


def _seconds(seconds: float) -> str:
    """Seconds with two digits: the plan is not more exact."""
    if seconds >= 3 * 86_400:
        return f"{_two(seconds / 86_400)} d"
    if seconds >= 3 * 3_600:
        return f"{_two(seconds / 3_600)} h"
    return "0 s" if seconds < 0.001 else f"{_two(seconds)} s"


def _number(number: float) -> str:
    return "0" if number < 0.001 else _two(number)


def _bytes(size: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{_two(size / factor)} {unit}"
    return f"{_two(size / 1e3)} kB"


def _two(number: float) -> str:
    rounded = float(f"{number:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def _up_to(files: float) -> str:
    if not files:
        return f"< {FILES[0]:,}"
    return f">= {FILES[-1]:,}" if files >= FILES[-1] else _two(float(f"{files:.1g}"))


if __name__ == "__main__":
    sys.exit(main())
