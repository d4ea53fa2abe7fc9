"""The house keeps its limits: short modules, small folders, and each folder says what it is for."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

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
