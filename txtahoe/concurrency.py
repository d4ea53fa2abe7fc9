"""Many operations side by side, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults

from txtahoe.errors import SomeFailed

S = TypeVar("S")
T = TypeVar("T")
# Called with the number of operations that have ended since the last call.
Done = Callable[[int], None]


async def run_workers(work: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    """Run a function several times side by side. If one raises, cancel the others and raise it."""
    workers = [Deferred.fromCoroutine(work()) for _ in range(count)]
    try:
        await gatherResults(workers, consumeErrors=True)
    except FirstError as error:
        for worker in workers:
            worker.cancel()
        raise error.subFailure.value from None  # type: ignore[misc]


async def each(
    things: Iterable[S],
    operation: Callable[[S], Awaitable[T]],
    at_once: int,
    progress: Done | None = None,
) -> list[T | Exception]:
    """
    The results of an operation on each of many things, in their order. If the operation raises an
    exception, that is its result.

    `at_once`: how many operations are under way at a time; this reads `things` no faster than that.

    Raises: errors of reading `things`, or of `progress`; the other operations are cancelled.
    """
    left = enumerate(things)
    results: dict[int, T | Exception] = {}

    async def work() -> None:
        for number, thing in left:
            try:
                results[number] = await operation(thing)
            except CancelledError:
                raise
            except Exception as error:
                results[number] = error
            if progress is not None:
                progress(1)

    await run_workers(work, at_once)
    return [results[number] for number in sorted(results)]


async def all_of(
    things: Iterable[S], operation: Callable[[S], Awaitable[T]], at_once: int
) -> list[T]:
    """As `each`, for results that are of use only together. Raises: the first exception."""
    found = []
    for result in await each(things, operation, at_once):
        if isinstance(result, Exception):
            raise result
        found.append(result)
    return found


def all_done(results: Sequence[Any], doing: str) -> list[Any]:
    """The results of `each`. Raises: SomeFailed with the results; `doing` is for its message."""
    errors = [result for result in results if isinstance(result, Exception)]
    if errors:
        count = f"{len(errors)} of {len(results)}"
        raise SomeFailed(f"{doing}: {count} failed, the first one with: {errors[0]}", results)
    return list(results)
