"""
Print the names of the tests that take long: `python -m tests.long tests/servers tests/faults`.

A module that asks itself whether it may take long is printed whole. Trial runs what it is given by
name, and so these tests without the quick ones beside them.
"""

from __future__ import annotations

import sys
import unittest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from twisted.trial.runner import TestLoader

from tests.needs import TIME, needed_by


def names_in(folder: str) -> Iterator[str]:
    """The names of the long tests in a folder and those below it."""
    for file in sorted(Path(folder).rglob("test_*.py")):
        name = ".".join(file.with_suffix("").parts)
        module = import_module(name)
        if {"is_long_wanted", "everywhere"} & vars(module).keys():
            yield name
        else:
            tests = _tests_of(TestLoader().loadModule(module))
            yield from (test.id() for test in tests if TIME in needed_by(test))


def _tests_of(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from _tests_of(part)
        else:
            yield part


if __name__ == "__main__":
    print(*(name for folder in sys.argv[1:] for name in names_in(folder)))
