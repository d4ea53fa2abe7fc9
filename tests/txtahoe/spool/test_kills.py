"""Processes that are killed in the midst of a save, at each call that they make of the system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep
from typing import Any

from tests.needs import TIME, needs
from tests.txtahoe.spool.case import SpoolTestCase

CONTENT = b"the bytes of a file " * 500
_CALLS = 10_000  # more than a save makes


def killed_after(calls: int, function: Callable[[], object]) -> bool:
    """
    Run a function in a process that is killed after so many calls of functions written in C, of
    which each can be one of the system. Return whether it came to its end.
    """
    process = os.fork()
    if not process:
        left = calls

        def count(frame: Any, event: str, arg: Any) -> None:
            nonlocal left
            if event in ("c_call", "c_return"):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.setprofile(count)
            function()
            sys.setprofile(None)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


class KilledSavers(SpoolTestCase):
    def test_a_save_is_whole_or_leaves_nothing(self) -> None:
        self.assertNotIn((True, False), self.outcomes(range(0, _CALLS, 29)))

    @needs(TIME)
    def test_a_save_is_whole_or_leaves_nothing_wherever_it_is_killed(self) -> None:
        # Between the last sync and the end of the call, a file is saved though nobody knows it yet.
        self.assertEqual(
            self.outcomes(range(_CALLS)), {(False, False), (False, True), (True, True)}
        )

    def test_the_first_save_of_all_can_be_killed_too(self) -> None:
        for calls in range(0, _CALLS, 41):
            self.spool = self.new_spool_in(f"first{calls}")
            if killed_after(calls, lambda: self.save(("first",), CONTENT)):
                break
            self.save(("second",), CONTENT)
            self.tidy()
            entries = self.spool.below(())
            self.assertEqual(len(self.files()), len(entries))
            self.assertIn(("second",), [entry.path for entry in entries])
        else:
            self.fail("no save came to its end")

    def new_spool_in(self, folder: str) -> Any:
        self.path = self.path.with_name(folder)
        return self.new_spool()

    def outcomes(self, numbers: range) -> set[tuple[bool, bool]]:
        """
        Kill a save after each of those numbers of calls, until one comes to its end. Return the
        outcomes: whether it was acknowledged, and whether its file is there; which is whole.
        """
        self.save(("a",), CONTENT)
        outcomes = set()
        for calls in numbers:
            path = ("a directory", f"{calls}")
            is_acknowledged = killed_after(calls, lambda path=path: self.save(path, CONTENT))
            is_there = self.spool.find(path) is not None
            outcomes.add((is_acknowledged, is_there))
            if is_there:
                self.assertEqual(self.read(path), CONTENT)
            self.tidy()
            self.assertEqual(len(self.files()), len(self.spool.below(())))
            if is_acknowledged:
                break
        else:
            self.fail("no save came to its end")
        self.assertTrue(self.upload())
        self.assertEqual(set(self.on_grid().values()), {CONTENT})
        return outcomes

    def tidy(self) -> None:
        """Remove what dead processes have left, as after an hour."""
        for path in self.files():
            os.utime(path, (0, 0))
        self.spool.tidy()


class Forks(SpoolTestCase):
    def test_a_process_that_is_killed_with_a_lock_hinders_nobody(self) -> None:
        self.save(("a",), CONTENT)

        def hold() -> None:
            self.assertIsNotNone(self.spool.lock())
            os.kill(os.getpid(), signal.SIGKILL)

        self.assertFalse(killed_after(_CALLS, hold))
        self.assertIsNotNone(self.spool.lock())

    def test_a_forked_child_saves_for_good_though_its_parent_had_the_journal_open(self) -> None:
        self.save(("a",), CONTENT)
        (told, tell), (asked, ask) = os.pipe(), os.pipe()
        child = os.fork()
        if not child:
            try:
                self.save(("b",), CONTENT)
                os.write(tell, b"saved")
                os.read(asked, 9)
                self.save(("c",), CONTENT)
            finally:
                os._exit(0)
        self.assertEqual(os.read(told, 9), b"saved")
        for opened in self.spool._database._opened:
            opened.close()  # as at the end of the parent
        # The last process that closes a journal removes its log.
        self.assertTrue(killed_after(_CALLS, lambda: self.save(("d",), CONTENT)))
        program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('ANALYZE').close()"
        journal = str(self.spool._database.path)
        subprocess.run([sys.executable, "-c", program, journal], check=True)
        os.write(ask, b"go on")
        os.waitpid(child, 0)
        self.assertEqual({entry.path[0] for entry in self.spool.below(())}, set("abcd"))

    def test_a_fork_waits_for_a_thread_that_uses_the_journal(self) -> None:
        self.save(("a",), CONTENT)
        begun = Event()

        def use() -> None:
            with self.spool._database.use(changes=True):
                begun.set()
                sleep(0.1)

        with ThreadPoolExecutor(1) as pool:
            using = pool.submit(use)
            begun.wait()
            child = os.fork()
            if not child:
                try:
                    self.save(("b",), CONTENT)
                finally:
                    os._exit(0)
            using.result()
        os.waitpid(child, 0)
        self.assertEqual({entry.path[0] for entry in self.spool.below(())}, set("ab"))

    def test_a_forked_child_does_not_hold_the_locks_of_its_parent(self) -> None:
        self.save(("a",), CONTENT)
        lock = self.spool.lock()
        assert lock is not None
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            os.write(tell, b"taken" if self.spool.lock() else b"not taken")
            signal.pause()
        self.addCleanup(os.waitpid, child, 0)
        self.addCleanup(os.kill, child, signal.SIGKILL)
        self.assertEqual(os.read(told, 99), b"not taken")
        self.assertIsNone(self.spool.lock())
        lock.close()  # as if this process was killed
        self.assertIsNotNone(self.spool.lock())
