"""The reactor thread: started at the first call, one a process, new after a fork."""

from __future__ import annotations

import errno
import os
import select
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from crochet import EventLoop  # type: ignore[attr-defined]
from django.core.exceptions import SynchronousOnlyOperation
from django.utils.asyncio import async_unsafe
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.python import threadable
from twisted.python.failure import Failure

from tahoestorage.reactor import threads
from tahoestorage.reactor.kept import Kept
from txtahoe.http.clock import keep_steady

T = TypeVar("T")
Job = Callable[[], None]


class Caller(Protocol):
    """Who waits for an operation in the reactor thread, and meanwhile does what it asks for."""

    loop: Any
    """The Loop of the operation."""

    def run(self, function: Callable[[], T], *, blocks: bool = False) -> Deferred[T]:
        """
        The Deferred result of `function`. To be called in the reactor thread.

        `blocks`: whether it may take a while, because it reads a file, say.
        """

    def call_soon(self, function: Job) -> None:
        """Run a function, whose result nobody waits for. What it raises ends the operation."""

    def end(self) -> None:
        """Wait no more: the operation is over. Any thread may call it; it never blocks."""


class Loop:
    """
    A reactor that runs in another thread than those that wait for it, and what belongs to it.

    `kept`: what the users of the loop keep, such as trees and transports with their connections.
    """

    def __init__(self, reactor: Any) -> None:
        self._waiting: set[Caller] = set()
        self._thread: int | None = None
        self._process = os.getpid()
        self.reactor = reactor
        self.kept = Kept()

        ready = threading.Event()

        def started() -> None:
            self._thread = threading.get_ident()
            reactor.addSystemEventTrigger("before", "shutdown", self._wake_all)
            ready.set()

        reactor.callFromThread(started)
        if not _is_applications_thread():
            ready.wait()

    @property
    def is_running(self) -> bool:
        return os.getpid() == self._process and bool(self.reactor.running)

    @property
    def is_here(self) -> bool:
        """Whether it runs in this thread."""
        return threading.get_ident() == self._thread

    def run(self, operation: Callable[[], Awaitable[T]], caller: CallingThread | None = None) -> T:
        """
        Run `operation` in the reactor thread and wait for its result.

        `caller`: does meanwhile in this thread what the operation asks of it.
        An exception in this thread, such as KeyboardInterrupt, cancels the operation.

        Raises: what the operation raises; ConnectionAbortedError where the reactor is stopped.
        """
        caller = caller or CallingThread()
        with self.working(operation, caller) as work:
            while (job := caller.jobs.get()) is not None:
                job()
        return work.result()

    @contextmanager
    def working(self, operation: Callable[[], Awaitable[T]], caller: Caller) -> Iterator[Work[T]]:
        """Run `operation` in the reactor thread, on behalf of `caller`, who waits in the block."""
        caller.loop = self
        work = Work(operation, caller)
        self._waiting.add(caller)
        try:
            if self.is_running:
                self.reactor.callFromThread(work.begin)
            else:
                caller.end()
            yield work
        except BaseException:
            self.reactor.callFromThread(work.cancel)
            raise
        finally:
            self._waiting.discard(caller)

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call a function in the reactor thread, and do not wait for it."""
        self.reactor.callFromThread(function)

    def _wake_all(self) -> None:
        for caller in list(self._waiting):
            caller.end()


class Work(Generic[T]):
    """An operation in the reactor thread, for a caller that is told when it is over."""

    def __init__(self, operation: Callable[[], Awaitable[T]], caller: Caller) -> None:
        self._operation = operation
        self._caller = caller
        self._running: Deferred[None] | None = None
        self._outcome: list[T | Failure] = []

    def begin(self) -> None:
        self._running = Deferred.fromCoroutine(self._run()).addBoth(self._finish)

    def cancel(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def result(self) -> T:
        """Raises: what the operation raised; ConnectionAbortedError where it could not end."""
        if not self._outcome:
            raise _stopped()
        result = self._outcome[0]
        if isinstance(result, Failure):
            result.raiseException()
        return result

    async def _run(self) -> T:
        return await self._operation()

    def _finish(self, result: T | Failure) -> None:
        self._outcome.append(result)
        self._caller.end()


class CallingThread:
    """
    Runs functions in the thread that waits for an operation in the reactor thread.

    So a file is read by the thread that was asked to save it: the reactor does not block, and
    what the file belongs to, such as a database connection, stays with its thread.
    """

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.loop: Any = None

    def run(self, function: Callable[[], T], *, blocks: bool = False) -> Deferred[T]:
        """As `Caller.run`."""
        done: Deferred[T] = Deferred()

        def job() -> None:
            result: T | Failure
            try:
                result = function()
            except Exception:
                result = Failure()
            self.loop.reactor.callFromThread(done.callback, result)

        self.jobs.put(job)
        return done

    def call_soon(self, function: Job) -> None:
        """As `Caller.call_soon`."""
        self.jobs.put(function)

    def end(self) -> None:
        """As `Caller.end`."""
        self.jobs.put(None)


class _Events(EventLoop):  # type: ignore[misc]
    def _startReapingProcesses(self) -> None:
        """Does nothing: no processes are started here, and ten wake-ups a second are not free."""


class _Process:
    """
    What a process has of its own, and the children that it forks have not.

    `inherited`: the application's reactor, where that ran in the parent and does not run here.
    """

    def __init__(self, inherited: Any = None) -> None:
        # A signal handler, or a finaliser, may call while the same thread has it.
        self.lock = threading.RLock()
        self.loop: Loop | None = None
        self.inherited = inherited


# By their ids: this one, and those that it was forked from. Theirs are kept and never touched: to
# finalise a loop would be to act on sockets that the parent goes on using.
_processes = {os.getpid(): _Process()}
_namesakes: list[_Process | None] = []


def _this_process() -> _Process:
    # Made at the first look, not only after a fork: uWSGI's master does not tell Python that it
    # has forked, and any lock of before may be held by a thread that is not here.
    own = _processes.get(os.getpid())
    return own or _processes.setdefault(os.getpid(), _Process(_application_reactor()))


def current_loop() -> Loop:
    """
    The loop of this process, which is started if it is not running.

    Raises: ImproperlyConfigured where its thread would not run, see `threads.problem`;
    ConnectionAbortedError where the process ends, and no thread runs any more.
    """
    if sys.is_finalizing():
        raise _stopped()
    process = _this_process()
    with process.lock:
        if process.loop is None or not process.loop.is_running:
            foreign = _running_reactor()
            started = Loop(foreign) if foreign else _start_private()
            # Meanwhile a signal handler may have started one in this thread, and used it.
            if process.loop is None or not process.loop.is_running:
                process.loop = started
            elif not foreign:
                started.call_soon(started.reactor.stop)
        return process.loop


def running_loop() -> Loop | None:
    """The loop of this process, if it is running."""
    loop = _this_process().loop
    return loop if loop is not None and loop.is_running else None


@async_unsafe(
    "A blocking storage method was called in the thread of a running event loop. "
    "Use its asynchronous twin, such as asave(), or sync_to_async()."
)
def require_waiting_thread() -> None:
    """Raises: SynchronousOnlyOperation in the thread of an event loop or of a reactor."""
    loop = running_loop()
    if _is_applications_thread() or (loop is not None and loop.is_here):
        raise SynchronousOnlyOperation(
            "A blocking storage method was called in the reactor thread, which would then wait "
            "for itself. Use its asynchronous twin, such as asave(), where an asyncio loop runs, "
            "or twisted.internet.threads.deferToThread()."
        )


def _stopped() -> ConnectionAbortedError:
    return ConnectionAbortedError(
        errno.ECONNABORTED, "the reactor was stopped, because the process ends"
    )


def _start_private() -> Loop:
    threads.require_threads()
    threads.warn_before_fork()
    # Threads inherit "daemon", and crochet starts its thread without saying which it is: the
    # interpreter must not wait for the reactor when it exits.
    loops: list[Loop] = []
    starter = threading.Thread(target=lambda: loops.append(_started()), daemon=True)
    try:
        starter.start()
    except RuntimeError as error:  # as Python 3.12 raises it once the main thread has ended
        text = f"the reactor thread cannot be started, as when the process ends: {error}"
        raise ConnectionAbortedError(errno.ECONNABORTED, text) from None
    starter.join()
    return loops[0]


def _started() -> Loop:
    events = _Events(_new_reactor, _not_at_exit)
    events.setup()
    return Loop(events._reactor)


def _new_reactor() -> IReactorCore:
    """A reactor with a steady clock; not the global one, which belongs to the application."""
    reactor = _reactor_class()()
    keep_steady(reactor)
    return reactor


def _reactor_class() -> Callable[[], IReactorCore]:
    # gevent has a poll() that does not stop its other greenlets, and no epoll.
    if hasattr(select, "epoll") and not threads.has_greenlets():
        from twisted.internet.epollreactor import EPollReactor

        return EPollReactor
    from twisted.internet.pollreactor import PollReactor

    return PollReactor


def _running_reactor() -> Any:
    """The application's own reactor, where one runs in this process."""
    reactor = _application_reactor()
    return None if reactor is _this_process().inherited else reactor


def _is_applications_thread() -> bool:
    """Whether this thread is that of the application's own reactor."""
    # Twisted's own answer outlives the reactor, and its thread's identifier may be another's.
    return threadable.isInIOThread() and _running_reactor() is not None


def _application_reactor() -> Any:
    """
    The application's own reactor, if it runs, or did so when this process was forked.

    One that runs on an asyncio loop, as daphne's does, is left alone: asynchronous views run in its
    thread, which then could not wait for anything; see `in_any_thread`.
    """
    reactor = sys.modules.get("twisted.internet.reactor")
    asyncio = sys.modules.get("twisted.internet.asyncioreactor")
    if asyncio is not None and isinstance(reactor, asyncio.AsyncioSelectorReactor):
        return None
    return reactor if getattr(reactor, "running", False) else None


def _not_at_exit(*stop: object) -> None:
    """
    Leave the reactor running at the end of the process.

    Other functions of `atexit`, `weakref.finalize` and `logging` are called then, in any order, and
    may save files. The daemon thread ends with the interpreter.
    """


def _after_fork_in_child() -> None:
    _namesakes.append(_processes.pop(os.getpid(), None))  # one long ago may have had the same id
    own = _this_process()
    if threads.has_greenlets():
        # The child has the parent's greenlets too, and goes on with all of them.
        for process in _processes.values():
            if process is not own and process.loop is not None:
                _silence(process.loop.reactor)


def _silence(reactor: Any) -> None:
    reactor.removeAll()
    reactor.removeReader(reactor.waker)
    for call in reactor.getDelayedCalls():
        call.cancel()


os.register_at_fork(after_in_child=_after_fork_in_child)
