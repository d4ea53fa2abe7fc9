"""Two ways to wait for the reactor thread: in a thread that blocks, or in a task of asyncio."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Thread, local
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tahoestorage.reactor.loop import current_loop, require_waiting_thread, stopped
from txtahoe.errors import RequestTimeout

T = TypeVar("T")
Job = Callable[[], Coroutine[Any, Any, None]]


class _Here(local):
    below: Any = ...  # the task, or None, below which `done` runs in this thread, if it does


_here = _Here()


def _task() -> asyncio.Task[Any] | None:
    loop = asyncio._get_running_loop()
    return None if loop is None else asyncio.current_task(loop)


def _is_blocking() -> bool:
    """Whether `done` runs this coroutine, and not a task of a loop that code below `done` runs."""
    return _here.below is _task()


def done(steps: Coroutine[Any, Any, T]) -> T:
    """
    Block until a coroutine has its result, and return that.

    So code that waits is written once, as `async def`: `in_reactor` and `unblocked` block the
    thread below `done`, and suspend the task if a task of asyncio awaits the coroutine.

    Raises: what the coroutine raises; as `require_waiting_thread`, even if the result is in memory.
    """
    was_below = _here.below
    try:
        _here.below = _task()
        require_waiting_thread()
        steps.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        _here.below = was_below
        steps.close()
    raise RuntimeError("a coroutine that blocks cannot be suspended")


async def unblocked(function: Callable[[], T]) -> T:
    """
    Return the result of a function that can block, such as a question to a cache.

    For a task, it runs where Django runs what blocks, in the thread of `sync_to_async`.
    """
    return function() if _is_blocking() else await sync_to_async(function)()


async def in_reactor(operation: Callable[[Caller], Awaitable[T]]) -> T:
    """
    Return the result of an operation, which runs in the reactor thread, in the caller's context (as
    of `contextvars`). An exception that ends the waiting, such as KeyboardInterrupt, cancels the
    operation.

    Raises: what the operation raises; ConnectionAbortedError if the reactor is stopped; as
    `current_loop`.
    """
    caller = _Thread() if _is_blocking() else _Task()
    loop = caller.loop
    context = copy_context()
    running: list[Deferred[None]] = []
    outcome: list[T | Failure] = []

    async def run() -> T:
        return await operation(caller)

    def finish(result: T | Failure) -> None:
        outcome.append(result)
        caller.end()

    def begin() -> None:
        running.append(context.run(Deferred.fromCoroutine, run()).addBoth(finish))

    def cancel() -> None:
        for work in running:
            work.cancel()

    with loop.until_stopped(caller.end):
        try:
            if loop.is_running:
                loop.call_soon(begin)
            while (job := await caller.next_job()) is not None:
                await job()
        except BaseException:
            loop.call_soon(cancel)
            raise
    if not outcome:
        raise stopped()
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return outcome[0]


class Caller(ABC):
    """
    A thread or task that waits for an operation in the reactor thread, and meanwhile runs what the
    operation asks for.

    So the thread that was asked to save a file also reads it: the reactor does not block, and the
    file can use a database connection of its thread.
    """

    def __init__(self) -> None:
        self.loop = current_loop()

    @abstractmethod
    async def next_job(self) -> Job | None: ...

    @abstractmethod
    def _put(self, job: Job | None) -> None:
        """Hand over a job, or the end of the waiting. Any thread can call it; it never blocks."""

    def run(self, function: Callable[[], T], *, blocks: bool = False) -> Deferred[T]:
        """
        Run a function where this caller waits. To be called in the reactor thread.

        `blocks`: whether it can take a while, because it reads a file, for example.
        """
        result: Deferred[T] = Deferred()

        async def job() -> None:
            outcome: T | Failure
            try:
                outcome = await unblocked(function) if blocks else function()
            except Exception:
                outcome = Failure()
            self.loop.call_soon(partial(result.callback, outcome))

        self._put(job)
        return result

    def call_soon(self, function: Callable[[], None]) -> None:
        """Run a function where this caller waits. Its exception ends the operation."""

        async def job() -> None:
            function()

        self._put(job)

    def end(self) -> None:
        self._put(None)


class _Thread(Caller):
    def __init__(self) -> None:
        super().__init__()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()

    async def next_job(self) -> Job | None:
        return self._jobs.get()

    def _put(self, job: Job | None) -> None:
        self._jobs.put(job)


class _Task(Caller):
    """It runs its jobs itself: its context goes along, and with it Django's choice of a thread."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: asyncio.Queue[Job | None] = asyncio.Queue()
        self._asyncio = asyncio.get_running_loop()

    async def next_job(self) -> Job | None:
        return await self._jobs.get()

    def _put(self, job: Job | None) -> None:
        with suppress(RuntimeError):  # in a closed loop, no task waits
            self._asyncio.call_soon_threadsafe(self._jobs.put_nowait, job)


def is_in_event_loop() -> bool:
    return asyncio._get_running_loop() is not None


def in_any_thread(function: Callable[[], T], seconds: float) -> T:
    """
    Return the result of a function that blocks, in the thread of an event loop too.

    The event loop stands still meanwhile, for so many seconds at most. So this is for work that a
    process does once, where it cannot await.

    Raises: what the function raises; RequestTimeout.
    """
    if not is_in_event_loop():
        return function()
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=copy_context().run, args=(work,), daemon=True).start()
    if not wait([outcome], seconds).done:
        raise RequestTimeout(
            f"there was no result within {seconds:g} seconds, in which the event loop stood still"
        )
    return outcome.result()
