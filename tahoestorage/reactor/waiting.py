"""Two ways to wait for the reactor thread: in a thread of one's own, or in a task of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from threading import Thread
from typing import Any, Protocol, TypeVar

from asgiref.sync import sync_to_async
from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from tahoestorage.reactor.loop import Caller, CallingThread, current_loop, require_waiting_thread
from txtahoe.errors import RequestTimeout

T = TypeVar("T")
# Runs in the reactor thread, and is told who waits for it.
Operation = Callable[[Caller], Awaitable[T]]


class Waiting(Protocol):
    """
    A way to wait.

    What is written with it once, as `async def`, serves both: with Blocking it is run by `done`,
    with Awaiting it is awaited.
    """

    async def run(self, operation: Operation[T]) -> T:
        """The result of an operation in the reactor thread. Raises: what the operation raises."""

    async def call(self, function: Callable[[], T]) -> T:
        """The result of a function that may block, such as a question to a cache."""


@frozen
class Blocking:
    """The thread waits. Raises: as `Loop.run`."""

    async def run(self, operation: Operation[T]) -> T:
        caller = CallingThread()
        return current_loop().run(lambda: operation(caller), caller)

    async def call(self, function: Callable[[], T]) -> T:
        return function()


@frozen
class Awaiting:
    """
    The task waits, and its loop goes on; cancelling the task cancels the operation.

    No thread is needed for a call, but for what may block: that runs where Django runs it too, in
    the thread of `sync_to_async`.
    """

    async def run(self, operation: Operation[T]) -> T:
        caller = CallingTask()
        with current_loop().working(lambda: operation(caller), caller) as work:
            while (job := await caller.jobs.get()) is not None:
                await job()
        return work.result()

    async def call(self, function: Callable[[], T]) -> T:
        return await sync_to_async(function)()


def done(steps: Coroutine[Any, Any, T]) -> T:
    """
    The result of what is written for both ways, and was given the blocking one.

    Raises: as `require_waiting_thread`, be the result in memory or not.
    """
    try:
        require_waiting_thread()
        steps.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()
    raise RuntimeError("what blocks cannot be suspended")


def in_any_thread(function: Callable[[], T], seconds: float) -> T:
    """
    The result of a function that blocks, in the thread of an event loop too.

    The event loop stands still meanwhile, for so many seconds at most. So this is for what a
    process does once, where nothing can be awaited.

    Raises: what the function raises; RequestTimeout.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function()
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=work, daemon=True).start()
    wait([outcome], seconds)
    if not outcome.done():
        raise RequestTimeout(
            f"there was no result within {seconds:g} seconds, in which the event loop stood still"
        )
    return outcome.result()


class CallingTask:
    """
    A task of asyncio that waits for an operation in the reactor thread, and meanwhile runs what it
    asks for; see `Caller`.

    It runs that itself: its context goes along, and with it Django's choice of a thread.
    """

    def __init__(self) -> None:
        self.loop: Any = None
        self.jobs: asyncio.Queue[Callable[[], Awaitable[None]] | None] = asyncio.Queue()
        self._asyncio = asyncio.get_running_loop()

    def run(self, function: Callable[[], T], *, blocks: bool = False) -> Deferred[T]:
        """As `Caller.run`. What blocks runs in the thread of `sync_to_async`."""
        result: Deferred[T] = Deferred()

        async def job() -> None:
            outcome: T | Failure
            try:
                outcome = await sync_to_async(function)() if blocks else function()
            except Exception:
                outcome = Failure()
            self.loop.reactor.callFromThread(result.callback, outcome)

        self._put(job)
        return result

    def call_soon(self, function: Callable[[], None]) -> None:
        """As `Caller.call_soon`."""

        async def job() -> None:
            function()

        self._put(job)

    def end(self) -> None:
        """As `Caller.end`."""
        self._put(None)

    def _put(self, job: Callable[[], Awaitable[None]] | None) -> None:
        with suppress(RuntimeError):  # a loop that is closed has nobody waiting
            self._asyncio.call_soon_threadsafe(self.jobs.put_nowait, job)
