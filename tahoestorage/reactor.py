"""The reactor thread: started at the first call, one a process, new after a fork."""

from __future__ import annotations

import atexit
import errno
import os
import select
import sys
import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from crochet import EventLoop  # type: ignore[attr-defined]
from django.core.exceptions import SynchronousOnlyOperation
from django.utils.asyncio import async_unsafe
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.python import threadable
from twisted.python.failure import Failure

T = TypeVar("T")
Job = Callable[[], None]


class Loop:
    """
    A reactor that runs in another thread than those that wait for it, and what belongs to it.

    `kept`: what the users of the loop keep for its lifetime, such as clients with their
    connections. It is changed in the reactor thread only.
    """

    def __init__(self, reactor: Any) -> None:
        self._waiting: set[SimpleQueue[Job | None]] = set()
        self._thread: int | None = None
        self._process = os.getpid()
        self.reactor = reactor
        self.kept: dict[Any, Any] = {}

        ready = threading.Event()

        def started() -> None:
            self._thread = threading.get_ident()
            reactor.addSystemEventTrigger("before", "shutdown", self._wake_all)
            ready.set()

        reactor.callFromThread(started)
        ready.wait()

    @property
    def is_running(self) -> bool:
        return os.getpid() == self._process and bool(self.reactor.running)

    @async_unsafe(
        "A blocking storage method was called in the thread of a running event loop. "
        "Use sync_to_async() or a thread."
    )
    def run(self, operation: Callable[[], Awaitable[T]], caller: CallingThread | None = None) -> T:
        """
        Run `operation` in the reactor thread and wait for its result.

        `caller`: does meanwhile in this thread what the operation asks of it.
        An exception in this thread, such as KeyboardInterrupt, cancels the operation.

        Raises: what the operation raises; SynchronousOnlyOperation in the thread of a reactor or
        of a running asyncio loop; ConnectionAbortedError where the reactor is stopped.
        """
        _require_other_thread(self._thread)
        caller = caller or CallingThread()
        caller.reactor = self.reactor
        self._waiting.add(caller.jobs)
        try:
            return self._wait(operation, caller)
        finally:
            self._waiting.discard(caller.jobs)

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call a function in the reactor thread, and do not wait for it."""
        self.reactor.callFromThread(function)

    def _wait(self, operation: Callable[[], Awaitable[T]], caller: CallingThread) -> T:
        work: list[Deferred[None]] = []
        outcome: list[T | Failure] = []

        def finish(result: T | Failure) -> None:
            outcome.append(result)
            caller.jobs.put(None)

        async def awaited() -> T:
            return await operation()

        def begin() -> None:
            work.append(Deferred.fromCoroutine(awaited()).addBoth(finish))

        if self.is_running:
            self.reactor.callFromThread(begin)
            try:
                while (job := caller.jobs.get()) is not None:
                    job()
            except BaseException:
                self.reactor.callFromThread(lambda: work[0].cancel())
                raise
        if not outcome:
            raise _stopped()
        result = outcome[0]
        if isinstance(result, Failure):
            result.raiseException()
        return result

    def _wake_all(self) -> None:
        for jobs in list(self._waiting):
            jobs.put(None)


class CallingThread:
    """
    Runs functions in the thread that waits for an operation in the reactor thread.

    So a file is read by the thread that was asked to save it: the reactor does not block, and
    what the file belongs to, such as a database connection, stays with its thread.
    """

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.reactor: Any = None

    def run(self, function: Callable[[], T]) -> Deferred[T]:
        """The Deferred result of `function`. To be called in the reactor thread."""
        done: Deferred[T] = Deferred()

        def job() -> None:
            result: T | Failure
            try:
                result = function()
            except Exception:
                result = Failure()
            self.reactor.callFromThread(done.callback, result)

        self.jobs.put(job)
        return done

    def call_soon(self, function: Job) -> None:
        """Run a function, whose result nobody waits for. What it raises ends the operation."""
        self.jobs.put(function)


class _Events(EventLoop):  # type: ignore[misc]
    def _startReapingProcesses(self) -> None:
        """Does nothing: no processes are started here, and ten wake-ups a second are not free."""


_lock = threading.Lock()
_loop: Loop | None = None
# Loops that were running when this process was forked. They are kept and never touched: to
# finalise them would be to act on sockets that the parent goes on using.
_inherited: list[Any] = []


def current_loop() -> Loop:
    """
    The loop of this process, which is started if it is not running.

    Raises: SynchronousOnlyOperation in the thread of a reactor.
    """
    global _loop
    _require_other_thread(None)
    with _lock:
        if _loop is None or not _loop.is_running:
            if sys.is_finalizing():  # a thread can't be started any more, and would be waited for
                raise _stopped()
            foreign = _running_reactor()
            _loop = _start(lambda: foreign, _Events.no_setup) if foreign else _start_private()
        return _loop


def _require_other_thread(reactor_thread: int | None) -> None:
    # Twisted's own answer outlives the reactor, and its thread's identifier may be another's then.
    is_applications = threadable.isInIOThread() and _running_reactor() is not None
    if is_applications or threading.get_ident() == reactor_thread:
        raise SynchronousOnlyOperation(
            "A blocking storage method was called in the reactor thread, which would then "
            "wait for itself. Use twisted.internet.threads.deferToThread()."
        )


def running_loop() -> Loop | None:
    """The loop of this process, if it is running."""
    return _loop if _loop is not None and _loop.is_running else None


def _stopped() -> ConnectionAbortedError:
    return ConnectionAbortedError(
        errno.ECONNABORTED, "the reactor was stopped, because the process ends"
    )


def _start_private() -> Loop:
    # Threads inherit "daemon", and crochet starts its thread without saying which it is: the
    # interpreter must not wait for the reactor when it exits.
    loops: list[Loop] = []
    starter = threading.Thread(
        target=lambda: loops.append(_start(_new_reactor, _Events.setup)), daemon=True
    )
    starter.start()
    starter.join()
    return loops[0]


def _start(factory: Callable[[], Any], setup: Callable[[EventLoop], None]) -> Loop:
    events = _Events(factory, _at_exit)
    setup(events)
    return Loop(events._reactor)


def _new_reactor() -> IReactorCore:
    """A reactor that is not the global one, which belongs to the application."""
    if hasattr(select, "epoll"):
        from twisted.internet.epollreactor import EPollReactor as Reactor
    else:
        from twisted.internet.selectreactor import SelectReactor as Reactor
    return Reactor()


def _running_reactor() -> Any:
    """The application's own reactor, where one runs in this process."""
    reactor = sys.modules.get("twisted.internet.reactor")
    is_ours = reactor is not None and reactor not in _inherited
    return reactor if is_ours and getattr(reactor, "running", False) else None


def _at_exit(function: Callable[..., object], *args: object) -> None:
    process = os.getpid()

    def unless_forked() -> None:
        if os.getpid() == process:
            function(*args)

    atexit.register(unless_forked)


def _after_fork_in_child() -> None:
    global _lock, _loop
    _inherited.extend([_loop, sys.modules.get("twisted.internet.reactor")])
    _lock, _loop = threading.Lock(), None


os.register_at_fork(after_in_child=_after_fork_in_child)
