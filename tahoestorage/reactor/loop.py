"""The reactor thread: one in each process, started at the first call, and anew after a fork."""

from __future__ import annotations

import errno
import os
import select
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from crochet import EventLoop  # type: ignore[attr-defined]
from django.core.exceptions import SynchronousOnlyOperation
from django.utils.asyncio import async_unsafe
from twisted.internet.interfaces import IReactorCore
from twisted.python import threadable

from tahoestorage.reactor import threads
from txtahoe.http.clock import keep_steady

T = TypeVar("T")

# A process uses fewer trees within `max_age`, some seconds, than this. A tree that was let go costs
# its next user a walk from the root; a tree that is kept, about a kilobyte for each name it knows.
_MOST = 64


class Kept:
    """
    Objects by key, never two of one key. The last `most` that were used stay; others live as long
    as somebody holds them, for example a request that is under way.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._recent: OrderedDict[Hashable, Any] = OrderedDict()
        self._alive: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()

    def get(self, key: Hashable) -> Any:
        """The object of a key, or None. Any thread can call it."""
        return self._alive.get(key)

    def use(self, key: Hashable, make: Callable[[], T]) -> T:
        """The object of a key; it is made if there is none. In the reactor thread."""
        thing: T | None = self._alive.get(key)
        if thing is None:
            thing = self._alive[key] = make()
        self._recent[key] = thing
        self._recent.move_to_end(key)
        if len(self._recent) > self._most:
            self._recent.popitem(last=False)
        return thing


class Loop:
    """
    A running reactor, and the objects that belong to it.

    `kept`: objects of the users of the loop, such as trees and transports with their connections.
    """

    def __init__(self, reactor: Any) -> None:
        self._ends: set[Callable[[], None]] = set()
        self._thread: int | None = None
        self._process = os.getpid()
        self.reactor = reactor
        self.kept = Kept()
        ready = threading.Event()

        def started() -> None:
            self._thread = threading.get_ident()
            reactor.addSystemEventTrigger("before", "shutdown", self._end_all)
            ready.set()

        reactor.callFromThread(started)
        if not _is_applications_thread():
            ready.wait()

    @property
    def is_running(self) -> bool:
        return os.getpid() == self._process and bool(self.reactor.running)

    @property
    def is_here(self) -> bool:
        return threading.get_ident() == self._thread

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call a function in the reactor thread, and do not wait for it."""
        self.reactor.callFromThread(function)

    @contextmanager
    def until_stopped(self, end: Callable[[], None]) -> Iterator[None]:
        """Call `end`, which must not block, if the reactor stops in the block, or has stopped."""
        self._ends.add(end)
        try:
            if not self.is_running:
                end()
            yield
        finally:
            self._ends.discard(end)

    def _end_all(self) -> None:
        for end in list(self._ends):
            end()


class _Events(EventLoop):  # type: ignore[misc]
    def _startReapingProcesses(self) -> None:
        """Do nothing: no processes are started here, and ten wake-ups a second are not free."""


class _Process:
    """
    The state of one process; its forked children have their own.

    `inherited`: the application's reactor, if it ran in the parent and does not run here.
    """

    def __init__(self, inherited: Any = None) -> None:
        # A signal handler, or a finaliser, may call while the same thread has it.
        self.lock = threading.RLock()
        self.loop: Loop | None = None
        self.inherited = inherited


# By process id: this process, and those that it was forked from. Their loops are kept and never
# touched: to finalise one would act on sockets that the parent goes on using.
_processes = {os.getpid(): _Process()}
_namesakes: list[_Process | None] = []


def _this_process() -> _Process:
    # Made at the first look too: uWSGI's master does not tell Python that it has forked, and a
    # thread of the parent may hold any older lock.
    own = _processes.get(os.getpid())
    return own or _processes.setdefault(os.getpid(), _Process(_application_reactor()))


def current_loop() -> Loop:
    """
    The loop of this process; it is started if it is not running.

    Raises: ImproperlyConfigured if its thread would not run, see `threads.problem`;
    ConnectionAbortedError if the process ends, and no thread runs any more.
    """
    if sys.is_finalizing():
        raise stopped()
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


def stopped() -> ConnectionAbortedError:
    """The error of an operation that cannot end."""
    return ConnectionAbortedError(
        errno.ECONNABORTED, "the reactor was stopped, because the process ends"
    )


def _start_private() -> Loop:
    threads.require_threads()
    threads.warn_before_fork()
    loops: list[Loop] = []

    def start() -> None:
        events = _Events(_new_reactor, _not_at_exit)
        events.setup()
        loops.append(Loop(events._reactor))

    # crochet's thread inherits "daemon" from this one, so that the interpreter exits without
    # waiting for the reactor.
    starter = threading.Thread(target=start, daemon=True)
    try:
        starter.start()
    except RuntimeError as error:  # Python 3.12 starts no thread once the main thread has ended
        text = f"the reactor thread cannot be started, as when the process ends: {error}"
        raise ConnectionAbortedError(errno.ECONNABORTED, text) from None
    starter.join()
    return loops[0]


def _new_reactor() -> IReactorCore:
    """A reactor with a steady clock; not the global one, which belongs to the application."""
    reactor: IReactorCore
    # gevent's poll() does not stop the other greenlets; it has no epoll.
    if hasattr(select, "epoll") and not threads.has_greenlets():
        from twisted.internet.epollreactor import EPollReactor

        reactor = EPollReactor()
    else:
        from twisted.internet.pollreactor import PollReactor

        reactor = PollReactor()
    keep_steady(reactor)
    return reactor


def _running_reactor() -> Any:
    reactor = _application_reactor()
    return None if reactor is _this_process().inherited else reactor


def _is_applications_thread() -> bool:
    # Twisted's own answer outlives the reactor; a later thread can have the same identifier.
    return threadable.isInIOThread() and _running_reactor() is not None


def _application_reactor() -> Any:
    """
    The application's own reactor, if it runs, or ran when this process was forked.

    A reactor on an asyncio loop, such as daphne's, is left alone: asynchronous views run in its
    thread, which could then not wait for anything; see `in_any_thread`.
    """
    reactor = sys.modules.get("twisted.internet.reactor")
    asyncio = sys.modules.get("twisted.internet.asyncioreactor")
    if asyncio is not None and isinstance(reactor, asyncio.AsyncioSelectorReactor):
        return None
    return reactor if getattr(reactor, "running", False) else None


def _not_at_exit(*stop: object) -> None:
    """
    Leave the reactor running at the end of the process.

    Functions of `atexit`, `weakref.finalize` and `logging` run then, in any order, and can save
    files. The daemon thread ends with the interpreter.
    """


def _after_fork_in_child() -> None:
    _namesakes.append(_processes.pop(os.getpid(), None))  # one long ago may have had the same id
    own = _this_process()
    if threads.has_greenlets():
        # The child has the parent's greenlets too, and goes on with all of them.
        for process in _processes.values():
            if process is not own and process.loop is not None:
                reactor = process.loop.reactor
                reactor.removeAll()
                reactor.removeReader(reactor.waker)
                for call in reactor.getDelayedCalls():
                    call.cancel()


os.register_at_fork(after_in_child=_after_fork_in_child)
