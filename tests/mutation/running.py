"""Runs tests in forked processes, with the code of a mutant or as it is."""

from __future__ import annotations

import gc
import os
import pickle
import resource
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from types import CodeType, FrameType, FunctionType
from typing import Any, NoReturn

from attrs import frozen
from twisted.trial.reporter import Reporter
from twisted.trial.runner import TestLoader, TrialRunner
from twisted.trial.unittest import TestSuite

from tests.environment import environment
from tests.mutation.mutants import TOP, Mutant

KILLED, TIMED_OUT, SURVIVED = "killed", "timed out", "survived"

# With a mutant, a test may take so many seconds of the processor more than without it, and so many
# times as long. A test that waits, and uses no processor, ends after `_PATIENCE` times as long.
_MORE_SECONDS, _TIMES = 1, 5
_PATIENCE = 20
_MEMORY = 2**32  # bytes of addresses
_TRACED_DEPTH = 2000  # frames: the trace takes some of its own


@frozen
class Reach:
    """A test and the lines that it reaches, by the module's path. `seconds`: of the processor."""

    test: str
    lines: Mapping[str, frozenset[int]]
    seconds: float

    def reaches(self, mutant: Mutant) -> bool:
        """Whether the test can notice a mutant."""
        return mutant.lines is None or bool(self.lines[mutant.path] & mutant.lines)

    def passes(self, test: Any) -> bool:
        """Run the test, which ends this process if it takes far too long; whether it passes."""
        seconds = ceil(process_time() + _MORE_SECONDS + _TIMES * self.seconds)
        # A hard limit could not be raised for a slower test after this one.
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(ceil(_PATIENCE * (_MORE_SECONDS + _TIMES * self.seconds)))
        return run(test)


class Tests:
    """The tests of some modules, loaded in this process, which then forks and runs none itself."""

    def __init__(self, modules: Sequence[str]) -> None:
        if "twisted.internet.reactor" not in sys.modules:
            # Forked processes would share the one epoll of their parent.
            from twisted.internet import pollreactor

            pollreactor.install()
        loaded = TestLoader().loadByNames(modules)
        self._tests = {test.id(): test for test in _each(loaded)}
        self._functions: dict[tuple[str, str, int], list[FunctionType]] = defaultdict(list)
        for thing in gc.get_objects():
            if type(thing) is FunctionType and thing.__code__.co_filename.startswith(str(TOP)):
                self._functions[_name_of(thing.__code__)].append(thing)

    def reach(self, paths: Sequence[str]) -> list[Reach]:
        """
        The lines of these modules that each test reaches.

        Raises: AssertionError if a test fails.
        """
        reading, writing = os.pipe()

        def measure() -> bool:
            found = []
            sys.setrecursionlimit(_TRACED_DEPTH)
            for name, test in self._tests.items():
                began = process_time()
                with _traced(paths) as lines:
                    passed = run(test)
                if not passed:
                    return False
                found.append(Reach(name, lines, process_time() - began))
            with open(writing, "wb") as pipe:
                pickle.dump(found, pipe)
            return True

        child = _fork(measure)
        os.close(writing)
        with open(reading, "rb") as pipe:
            told = pipe.read()
        os.waitpid(child, 0)
        if not told:
            raise AssertionError("the tests fail without any mutant; run them by trial")
        found: list[Reach] = pickle.loads(told)
        return found

    def try_out(self, mutant: Mutant, tests: Sequence[Reach]) -> str:
        """Whether tests kill a mutant."""
        if not tests:
            return SURVIVED
        with TemporaryDirectory(prefix="mutant-") as folder:

            def try_it() -> bool:
                if not self._put(mutant):
                    _start_anew(mutant, tests, folder)
                return all(reach.passes(self._tests[reach.test]) for reach in tests)

            _, status = os.waitpid(_fork(try_it, folder), 0)
        code = os.waitstatus_to_exitcode(status)
        if code in (-signal.SIGALRM, -signal.SIGXCPU, -signal.SIGKILL):
            return TIMED_OUT
        return SURVIVED if code == 0 else KILLED

    def _put(self, mutant: Mutant) -> bool:
        """Give the functions of this process the code of a mutant; whether that is possible."""
        path = str(TOP / mutant.path)
        try:
            changed = compile(mutant.source(), path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):  # such as an `await` in a comprehension
            os._exit(1)
        if mutant.function is None:
            return False
        for code in _codes_in(changed):
            for function in self._functions.get(_name_of(code), ()):
                if code.co_qualname == mutant.function:
                    if code.co_freevars != function.__code__.co_freevars:
                        return False
                    function.__code__ = code
        return True


def run(test: Any) -> bool:
    """Run a test by trial; whether it passes."""
    return bool(TrialRunner(Reporter, stream=sys.stdout).run(TestSuite([test])).wasSuccessful())


def _fork(work: Callable[[], bool], folder: str | None = None) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        with TemporaryDirectory() as own:
            os.chdir(folder or own)
            code = 0 if work() else 1
    finally:
        os._exit(code)


def _start_anew(mutant: Mutant, tests: Sequence[Reach], folder: str) -> NoReturn:
    """Run the tests in a new interpreter: the mutant differs while it is imported."""
    source = Path(folder) / "mutant.py"
    source.write_text(mutant.source())
    reaches = Path(folder) / "reaches"
    reaches.write_bytes(pickle.dumps(tests))
    script = Path(__file__).with_name("anew.py")
    arguments = [sys.executable, str(script), mutant.path, str(source), str(reaches)]
    os.execve(sys.executable, arguments, environment())


class _traced:
    """Notes the lines of modules that run in a block."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = {str(TOP / path): path for path in paths}
        self._lines: dict[str, set[int]] = {path: set() for path in paths}

    def __enter__(self) -> dict[str, set[int]]:
        global _tracer
        _tracer = self
        threading.settrace(_trace)
        sys.settrace(_trace)
        return self._lines

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def note(self, frame: FrameType) -> bool:
        """Note the line of a frame; whether it is in one of the modules."""
        path = self._paths.get(frame.f_code.co_filename)
        if path is not None:
            self._lines[path].add(frame.f_lineno)
        return path is not None


_tracer: _traced


def _trace(frame: FrameType, event: str, _: object) -> Any:
    # A thread of an earlier test lives on, and comes here for the present one.
    return _trace if _tracer.note(frame) else None


def _name_of(code: CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield part
            yield from _codes_in(part)


def _each(suite: Any) -> Iterator[Any]:
    try:
        parts = iter(suite)
    except TypeError:
        yield suite
    else:
        for part in parts:
            yield from _each(part)
