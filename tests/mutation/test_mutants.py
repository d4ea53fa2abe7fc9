"""The mutants of a module, and the table of those that may live."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

from tests.mutation import mutants
from tests.mutation.__main__ import unknown_mutants
from tests.mutation.mutants import TOP, Mutant, mutants_of
from tests.mutation.running import SURVIVED, Reach, Tests
from tests.mutation.table import LIVE, TESTS

SOURCE = '''\
"""A module with 1 docstring."""
_LIMIT = 5


class Gate:
    async def open(self, guests: int, is_late: bool = False) -> None:
        assert guests > 0
        if guests < _LIMIT and not is_late:
            self.count += 1
            await self.wait()
        with self.lock:
            raise ValueError(f"{guests + 1} are too many")
'''
CHANGES = {
    ("_LIMIT = 5", "_LIMIT = 6"),
    ("if guests < _LIMIT and not is_late:", "if guests <= _LIMIT and not is_late:"),
    ("if guests < _LIMIT and not is_late:", "if guests < _LIMIT or not is_late:"),
    ("if guests < _LIMIT and not is_late:", "if (not is_late):"),
    ("if guests < _LIMIT and not is_late:", "if (guests < _LIMIT):"),
    ("if guests < _LIMIT and not is_late:", "if guests < _LIMIT and (is_late):"),
    (
        "if guests < _LIMIT and not is_late:",
        "if (not (guests < _LIMIT and (not is_late))):",
    ),
    ("self.count += 1", "pass"),
    ("self.count += 1", "self.count -= 1"),
    ("self.count += 1", "self.count += 2"),
    ("self.count += 1 await self.wait()", "await self.wait() self.count += 1"),
    ("await self.wait()", "pass"),
    ("with self.lock:", "with __import__('contextlib').nullcontext():"),
    (
        'raise ValueError(f"{guests + 1} are too many")',
        "pass",
    ),
}


class Mutants(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.patch(mutants, "TOP", Path(folder.name))
        (mutants.TOP / "gate.py").write_text(SOURCE)
        self.found = mutants_of("gate.py")

    def test_each_has_one_change(self) -> None:
        self.assertEqual({mutant.diff() for mutant in self.found}, CHANGES)

    def test_each_is_a_module(self) -> None:
        for mutant in self.found:
            compile(mutant.source(), "gate.py", "exec")

    def test_each_knows_the_lines_that_show_it(self) -> None:
        by_line = {mutant.line: (mutant.lines, mutant.function) for mutant in self.found}
        self.assertEqual(by_line[2], ({8}, None))
        self.assertEqual(by_line[8], ({8}, "Gate.open"))


class Running(SynchronousTestCase):
    def test_a_module_without_any_change_survives_a_quick_test_and_a_slow_one(self) -> None:
        tests = Tests(["tests.mutation.test_mutants.Mutants"])
        text = (TOP / "txtahoe/caps.py").read_bytes()
        unchanged = Mutant("txtahoe/caps.py", text, ((0, 0, ""),), 1, None, "Cap.parse")
        name = "tests.mutation.test_mutants.Mutants.test_each_is_a_module"
        reaches = [Reach(name, {}, seconds) for seconds in (0.0, 60.0)]
        self.assertEqual(tests.try_out(unchanged, reaches), SURVIVED)


class Table(SynchronousTestCase):
    def test_every_module_and_every_test_is_there(self) -> None:
        for path, tests in TESTS.items():
            self.assertTrue((TOP / path).exists(), path)
            for test in tests:
                namedAny(test)

    def test_every_mutant_that_may_live_is_there(self) -> None:
        for path in LIVE:
            self.assertEqual([*unknown_mutants(path)], [], path)
