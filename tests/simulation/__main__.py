"""
Run the real code of the protocols in a simulation: `python -m tests.simulation --runs 10000`.

Each run has a seed, from `--first` on. The command prints a line for each protocol: runs,
operations, requests, seconds, and the first finding; and below it the faults that it injected and
each run that failed. Then it prints such a line for each mutant, which breaks one rule of the code:
a mutant runs until something is found. It begins with a seed that has found something before; a
change of the code can make another one necessary. `--seed` repeats a run, and prints its trace.
"""

from __future__ import annotations

import gc
import sys
from argparse import ArgumentParser
from collections import Counter
from time import monotonic

from tests.simulation.protocols import PROTOCOLS, SEEDS
from tests.simulation.runs import Run, run

# A mutant that survives so many runs counts as not found.
_MUTANT_RUNS = 2000


def main() -> int:
    """0 if nothing was found in any run, and something in a run of every mutant."""
    parser = ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--runs", type=int, default=500, help="of each protocol")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first run")
    parser.add_argument("--protocol", choices=PROTOCOLS, help="of this one alone")
    parser.add_argument("--mutant", default="", help="of this one alone, with --seed")
    parser.add_argument("--seed", type=int, help="repeat one run")
    given = parser.parse_args()
    if given.mutant and given.seed is None:
        parser.error("a mutant is repeated with a seed: give --seed")
    gc.set_threshold(100_000)  # most objects of a run live as long as it does
    protocols = [given.protocol] if given.protocol else list(PROTOCOLS)
    if given.seed is not None:
        if given.mutant:
            protocols = [name for name in protocols if given.mutant in PROTOCOLS[name].mutants]
        if not protocols:
            parser.error(f"no such mutant: {given.mutant!r}")
        return max(_repeat(name, given.seed, given.mutant) for name in protocols)
    seeds = range(given.first, given.first + given.runs)
    head = f"{'protocol':9}{'mutant':32}{'runs':>7}{'operations':>12}{'requests':>10}{'seconds':>9}"
    print(f"{head}  found")
    is_right = True
    for name in protocols:
        is_right = _report(name, "", seeds) and is_right
    for name in protocols:
        for mutant in PROTOCOLS[name].mutants:
            first = SEEDS.get(mutant, 0)
            is_right = _report(name, mutant, range(first, first + _MUTANT_RUNS)) and is_right
        for mutant, reason in PROTOCOLS[name].untried.items():
            print(f"{name:9}{mutant:70}  {reason}")
    return 0 if is_right else 1


def _report(name: str, mutant: str, seeds: range) -> bool:
    """Print a line about runs; whether they end as they should."""
    began, done, failed = monotonic(), 0, list[Run]()
    operations, requests, faults = 0, 0, Counter[str]()
    for seed in seeds:
        result = run(name, seed, mutant)
        done += 1
        operations += result.operations
        requests += result.requests
        faults += result.faults
        if result.found and not (mutant and run(name, seed).found):
            failed.append(result)
            if mutant:
                break
    found = failed[0].found[0] if failed else "nothing"
    seconds = monotonic() - began
    print(f"{name:9}{mutant:32}{done:7,}{operations:12,}{requests:10,}{seconds:9.1f}  {found}")
    if not mutant:
        print("   ", ", ".join(f"{kind} {count:,}" for kind, count in sorted(faults.items())))
        for result in failed:
            print(f"    --protocol {name} --seed {result.seed}: {'; '.join(result.found)}")
    sys.stdout.flush()
    return bool(failed) is bool(mutant)


def _repeat(name: str, seed: int, mutant: str) -> int:
    result = run(name, seed, mutant)
    print(*result.trace, sep="\n")
    print(f"{name} {seed} {mutant}: {'; '.join(result.found) or 'nothing found'}")
    return 1 if result.found else 0


if __name__ == "__main__":
    sys.exit(main())
