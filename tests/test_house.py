"""
The house keeps its limits: short modules, small folders, and each folder says what it is for; and
each folder with long tests has a lane.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tahoestorage

TOP = Path(__file__).parent.parent
PACKAGES = TOP / "txtahoe", TOP / "tahoestorage"
MOST_LINES = 400
MOST_MODULES = 12


def modules() -> Iterator[Path]:
    """The modules of both packages, without the migrations that Django writes."""
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            if "migrations" not in path.parts:
                yield path


class House(SynchronousTestCase):
    def test_no_module_is_long(self) -> None:
        lines = {path: len(path.read_text().splitlines()) for path in modules()}
        self.assertEqual([path for path, count in lines.items() if count > MOST_LINES], [])

    def test_no_folder_has_many_modules(self) -> None:
        counts = Counter(path.parent for path in modules() if path.name != "__init__.py")
        self.assertEqual({path: n for path, n in counts.items() if n > MOST_MODULES}, {})

    def test_each_folder_says_what_it_is_for(self) -> None:
        packages = [path for path in modules() if path.name == "__init__.py"]
        self.assertGreater(len(packages), 20)
        silent = [path for path in packages if not ast.get_docstring(ast.parse(path.read_text()))]
        self.assertEqual(silent, [])


class Lanes(SynchronousTestCase):
    """The lanes of .ci/run."""

    def test_each_folder_with_long_tests_belongs_to_a_lane(self) -> None:
        long = re.compile(r"needs\([^)]*\bTIME\b|^@everywhere|is_long_wanted", re.MULTILINE)
        tests = TOP / "tests"
        modules = [path for path in tests.glob("*/**/test_*.py") if long.search(path.read_text())]
        folders = {path.relative_to(tests).parts[0] for path in modules}
        lanes = re.findall(r"tests/(\w+|\{[\w,]+\})", (TOP / ".ci/run").read_text())
        # `python -m tests.models` runs the long tests of the models.
        self.assertEqual(folders - set(re.findall(r"\w+", " ".join(lanes))), {"models"})


def imported(path: Path) -> Iterator[str]:
    """The packages that a module imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def normal(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", name)[0]).lower()


class Distribution(SynchronousTestCase):
    """Tests of pyproject.toml: dependencies, bounds and the version."""

    def setUp(self) -> None:
        self.project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]

    def test_each_package_that_is_imported_is_declared(self) -> None:
        lists = {"": self.project["dependencies"], **self.project["optional-dependencies"]}
        declared = {normal(line) for extra in lists.keys() - {"test"} for line in lists[extra]}
        own = {"txtahoe", "tahoestorage", "_typeshed", *sys.stdlib_module_names}
        names = {name for path in modules() for name in imported(path)} - own
        self.assertGreater(len(names), 10)
        owners = packages_distributions()
        missing = {n for n in names if declared.isdisjoint(map(normal, owners.get(n, [n])))}
        self.assertEqual(missing, set())

    def test_no_version_of_python_or_of_a_package_is_refused_for_being_new(self) -> None:
        bounds = [self.project["requires-python"], *self.project["dependencies"]]
        self.assertEqual([bound for bound in bounds if re.search("<|==|~=", bound)], [])

    def test_the_version_is_that_of_the_installed_distribution(self) -> None:
        self.assertEqual(tahoestorage.__version__, version("django-tahoestorage"))
