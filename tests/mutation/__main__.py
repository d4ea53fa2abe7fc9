"""
`python -m tests.mutation [MODULE[:LINE]…] [--jobs N] [--sample N --seed S]`

Prints each mutant that lives, and a table. The exit status is 0 if all are dead that should be.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from random import Random

from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.running import KILLED, SURVIVED, TIMED_OUT, Reach, Tests
from tests.mutation.table import LIVE, TESTS

_MODULES = f"of these, or PATH:LINE; by default all: {', '.join(TESTS)}"

# The result of a mutant that may live: it is not tried.
MAY_LIVE = "may live"

_tests: Tests


def _load(modules: Sequence[str]) -> None:
    """Load the tests in a process of the pool."""
    global _tests
    _tests = Tests(modules)


def _reach(paths: Sequence[str]) -> list[Reach]:
    return _tests.reach(paths)


def _try_out(mutant: Mutant, tests: Sequence[Reach]) -> str:
    return _tests.try_out(mutant, tests)


def _may_live(mutant: Mutant) -> bool:
    return not LIVE.get(mutant.path, {}).keys().isdisjoint(mutant.names())


def _results(
    tests: Sequence[str], mutants: Sequence[Mutant], jobs: int
) -> Iterator[tuple[Mutant, str, int]]:
    """The mutants as they are done, with the result, and how many tests reach them."""
    paths = sorted({mutant.path for mutant in mutants})
    with ProcessPoolExecutor(jobs, get_context("fork"), _load, (tests,)) as pool:
        reaches = sorted(pool.submit(_reach, paths).result(), key=lambda reach: reach.seconds)
        waiting = {}
        for mutant in mutants:
            if _may_live(mutant):
                yield mutant, MAY_LIVE, 0
                continue
            able = [one for one in reaches if one.reaches(mutant)]
            waiting[pool.submit(_try_out, mutant, able)] = mutant, len(able)
        for done in as_completed(waiting):
            mutant, count = waiting[done]
            yield mutant, done.result(), count


def main(arguments: Sequence[str]) -> int:
    parser = ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("module", nargs="*", help=_MODULES)
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time (default: 1)")
    parser.add_argument("--sample", type=int, help="try so many mutants alone")
    parser.add_argument("--seed", type=int, default=0, help="which ones (default: 0)")
    given = parser.parse_args(arguments)
    mutants = []
    for module in given.module or TESTS:
        path, _, line = module.partition(":")
        if path not in TESTS:
            parser.error(f"tests.mutation has no tests for {path!r}")
        mutants += [mutant for mutant in mutants_of(path) if line in ("", str(mutant.line))]
    if given.sample is not None and given.sample < len(mutants):
        mutants = Random(given.seed).sample(mutants, given.sample)
    counts: dict[str, Counter[str]] = {mutant.path: Counter() for mutant in mutants}
    total = 0
    for tests in dict.fromkeys(TESTS[path] for path in counts):
        chosen = [mutant for mutant in mutants if TESTS[mutant.path] == tests]
        for mutant, result, count in _results(tests, chosen, given.jobs):
            total += 1
            counts[mutant.path][result] += 1
            print(f"\r{total}/{len(mutants)}", end="", file=sys.stderr, flush=True)
            if result == SURVIVED:
                before, after = mutant.diff()
                print(
                    f"\r{mutant.path}:{mutant.line}: {count} tests\n-{before}\n+{after}", flush=True
                )
    columns = KILLED, TIMED_OUT, SURVIVED, MAY_LIVE
    print(f"\n{'module':34}   mutants", *(f"{word:>9}" for word in columns), "     %")
    for path, count in counts.items():
        dead = 100 * (count[KILLED] + count[TIMED_OUT]) / max(1, count.total())
        numbers = (f"{count[word]:9}" for word in columns)
        print(f"{path:34} {count.total():9}", *numbers, f"{dead:6.1f}")
    # Their code has changed, or the table names them wrongly.
    unknown = [(path, name) for path in counts for name in unknown_mutants(path)]
    for path, name in unknown:
        print(f"{path} has no such mutant: {name}")
    return 1 if unknown or any(count[SURVIVED] for count in counts.values()) else 0


def unknown_mutants(path: str) -> Iterator[str]:
    """The names of mutants that may live by the table, of which the module has none."""
    there = {name for mutant in mutants_of(path) for name in mutant.names()}
    yield from (name for name in LIVE.get(path, {}) if name not in there)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
