"""The command: `python -m tests.bench --help`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm  # type: ignore[import-untyped]

from tests.bench import charts
from tests.bench.case import Case
from tests.bench.cases import every_case
from tests.bench.growth import Growth, growth_cases
from tests.bench.line import far_grid
from tests.bench.measuring import Bench, Result
from tests.bench.place import Concurrency
from tests.bench.report import document, table
from tests.bench.spreading import spreading_cases
from txtahoe.testing.grid import Grid, interrupt_once


def command_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Time the storage and bare HTTP requests that do the same, in turn, on a grid"
        " on this machine, and count the storage's requests. Ctrl-C and SIGTERM end it, with what"
        " was measured until then. The exit status is 1 where a case failed, 0 else, also where"
        " targets are missed: times are of this machine and moment.",
    )
    parser.add_argument(
        "--case",
        metavar="NAME",
        action="append",
        default=[],
        help="only cases with this in their names; may be given several times",
    )
    parser.add_argument(
        "--rounds", metavar="N", type=_positive, default=5, help="times for each side (5)"
    )
    parser.add_argument(
        "--large-megabytes",
        metavar="N",
        type=_positive,
        default=300,
        help="the size of the large file (300)",
    )
    parser.add_argument(
        "--growth",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also time calls in directories of up to 10,000 names and 8 levels",
    )
    parser.add_argument(
        "--most-names",
        metavar="N",
        type=_positive,
        default=10_000,
        help="names in the largest directory that is spread (10000); 100000 take long",
    )
    parser.add_argument(
        "--rtt",
        metavar="MS,MS…",
        type=_milliseconds,
        help="put a storage server behind each of these round trip times, in milliseconds",
    )
    parser.add_argument(
        "--mbit",
        metavar="N",
        type=float,
        default=inf,
        help="with --rtt: megabits a second from and to each server (any number)",
    )
    parser.add_argument("--list", action="store_true", help="print the cases and their targets")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all results to a file")
    parser.add_argument(
        "--charts", metavar="FOLDER", type=Path, help="draw charts, where matplotlib is installed"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases, and print the results."""
    parser = command_parser()
    options = parser.parse_args(arguments)
    wanted = _filter(options.case)
    cases = [case for case in every_case(options.large_megabytes) if wanted(case)]
    grown = [*growth_cases(), *spreading_cases(options.most_names)]
    growth = [point for point in grown if options.growth and wanted(point.case)]
    if not cases and not growth:
        parser.error("no case has such a name; --list shows them")
    if options.list:
        _print_list([*cases, *(point.case for point in growth)])
        return 0
    for interrupting in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupting, interrupt_once)
    try:
        return _run(options, cases, growth)
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted before anything was measured", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace, cases: list[Case], growth: list[Growth]) -> int:
    every = [*cases, *(point.case for point in growth)]
    concurrency, measured = _measured(every, options)
    results = measured[: len(cases)]
    grown = list(zip(growth, measured[len(cases) :], strict=True))
    print(f"Best concurrency of bare requests: {concurrency}.\n")
    for title, section in (("Cases", results), ("Growth", [result for _, result in grown])):
        if section:
            print(f"{title}\n\n{table(section)}\n")
    if options.json:
        told = document(results, grown, concurrency, options.rounds)
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    if options.charts:
        _draw(options.charts, results, grown)
    return int(any(result.is_failure for result in measured))


def _measured(cases: list[Case], options: argparse.Namespace) -> tuple[Concurrency, list[Result]]:
    results = []
    if options.rtt:
        grid = far_grid(options.rtt, options.mbit)
    else:
        grid = Grid(servers=3, gateways=1, needed=2, total=3, happy=2)
    bar = tqdm(desc="starting a grid", leave=False, disable=None)
    with bar, grid, TemporaryDirectory() as folder:
        bar.set_description_str("looking for the best concurrency")
        bench = Bench(grid.gateway_urls[0], Path(folder), options.rounds)
        bar.reset(sum(map(bench.steps, cases)))
        try:
            for case in cases:
                bar.set_description_str(case.name)
                results.append(bench.measure(case, bar.update))
        except KeyboardInterrupt:  # show the results so far: they took minutes
            results += [_interrupted(case) for case in cases[len(results) :]]
    return bench.concurrency, results


def _interrupted(case: Case) -> Result:
    return Result(case, [], [], problem="failed: interrupted", is_failure=True)


def _draw(folder: Path, results: list[Result], growth: list[tuple[Growth, Result]]) -> None:
    if charts.is_available():
        for path in charts.draw(folder, results, growth):
            print(path)
    else:
        print("No charts: matplotlib is not installed.")


def _print_list(cases: list[Case]) -> None:
    width = max(len(case.name) for case in cases)
    for case in cases:
        print(f"{case.name:<{width}}  {case.target}".rstrip())


def _filter(parts: list[str]) -> Callable[[Case], bool]:
    return lambda case: not parts or any(part in case.name for part in parts)


def _milliseconds(text: str) -> list[float]:
    return [float(each) / 1000 for each in text.split(",")]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
