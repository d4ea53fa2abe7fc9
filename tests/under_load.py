"""
Run tests beside processes that do nothing but compute: `python -m tests.under_load`.

A test must pass on a slow machine too. The command runs all tests three times beside four such
processes, and stops at the first run that fails. What follows `--` goes to trial instead of
`tests`: `python -m tests.under_load --times 1 -- tests.faults`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """So many processes compute for as long as the `with` block lasts."""
    processes = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> int:
    """The exit status of the last run."""
    parser = argparse.ArgumentParser(prog="python -m tests.under_load", description=__doc__)
    parser.add_argument("--processes", type=int, default=4, help="busy processes (default: 4)")
    parser.add_argument("--times", type=int, default=3, help="runs (default: 3)")
    parser.add_argument("trial", nargs="*", default=["tests"], help="arguments of trial")
    arguments = parser.parse_args()
    with busy_processes(arguments.processes):
        for number in range(1, arguments.times + 1):
            began = time.monotonic()
            run = subprocess.run([sys.executable, "-m", "twisted.trial", *arguments.trial])
            minutes = (time.monotonic() - began) / 60
            told = "passed" if run.returncode == 0 else "failed"
            print(f"run {number} of {arguments.times} {told} in {minutes:.1f} minutes", flush=True)
            if run.returncode != 0:
                return run.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
