"""
Needs of tests that some machines cannot meet. A test class declares them:

    @needs(GRID, CHROMIUM)
    class Pages(SynchronousTestCase): ...

If a need cannot be met, trial skips the tests of the class and prints the reason. With
TAHOE_TESTS=all in the environment every test runs, the long ones too, and a need that cannot be met
is an error. Long tests also run if trial is given their name, or that of their class, module or
package, but not `tests` alone.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import frozen

from txtahoe.testing.node import GridError, tahoe_command

T = TypeVar("T", bound=type)

_GIVEN = os.environ.get("TAHOE_TESTS", "")
if _GIVEN not in ("", "all"):
    raise ValueError(f"TAHOE_TESTS must be 'all', or not set, not {_GIVEN!r}")
ALL_TESTS = _GIVEN == "all"
"""Whether every test is to run."""

# Debian keeps servers in a folder that is not on the PATH of a user.
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


@frozen
class Need:
    """A need of a test. `missing` gives the reason why it cannot be met here; None if it can."""

    missing: Callable[[], str | None]


def program(*names: str) -> Need:
    """Programs of this machine."""

    def missing() -> str | None:
        absent = [name for name in names if shutil.which(name, path=PATH) is None]
        return f"{' and '.join(absent)} cannot be found on this machine" if absent else None

    return Need(missing)


def package(name: str, extra: str) -> Need:
    """A package that an extra of this project installs."""

    def missing() -> str | None:
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed: pip install 'django-tahoestorage[{extra}]'"
        return None

    return Need(missing)


def _why_no_grid() -> str | None:
    try:
        tahoe_command()
    except GridError as problem:
        return str(problem)
    return None


GRID = Need(_why_no_grid)
"""A grid of tahoe-lafs; see `tests.grid.shared`."""
TIME = Need(lambda: "it takes long: TAHOE_TESTS=all runs it")
"""Patience; see `is_long_wanted`."""
CHROMIUM = Need(
    lambda: program("chromium", "chromedriver").missing() or package("selenium", "test").missing()
)
NGINX = program("nginx")
APACHE = program("apache2")
LIGHTTPD = program("lighttpd")
REDIS = program("redis-server")
STRACE = program("strace")
# The model checker; it writes programs in C.
SPIN = program("spin", "gcc")


def is_long_wanted(module: str) -> bool:
    """Whether the tests of a module may take long: it, or a part or package, was asked for."""
    asked = [f"{word}." for word in sys.argv[1:] if word.startswith("tests.")]
    name = f"{module}."
    return ALL_TESTS or any(name.startswith(word) or word.startswith(name) for word in asked)


def needs(*things: Need) -> Callable[[T], T]:
    """Say what the tests of a class need, or a single test."""

    def decorate(test: Any) -> Any:
        test.needs = frozenset({*getattr(test, "needs", ()), *things})
        wanted = set(things) - ({TIME} if is_long_wanted(test.__module__) else set())
        missing = [why for thing in wanted if (why := thing.missing()) is not None]
        if missing and ALL_TESTS:
            raise AssertionError(f"TAHOE_TESTS=all, and {missing[0]}")
        if missing:
            test.skip = missing[0]
        return test

    return decorate


def needed_by(test: Any) -> frozenset[Need]:
    """The needs of a test case: those of its class and those of the test that it runs."""
    method = getattr(test, test._testMethodName)
    return getattr(test, "needs", frozenset()) | getattr(method, "needs", frozenset())
