"""Many operations at once, but not too many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults

from txtahoe.errors import SomeFailed

S = TypeVar("S")
T = TypeVar("T")
# Called with a number of operations each time that so many more are done.
Done = Callable[[int], None]


async def each(
    things: Iterable[S],
    operation: Callable[[S], Awaitable[T]],
    at_once: int,
    progress: Done | None = None,
) -> list[T | Exception]:
    """
    What an operation gives for each of many things, in their order, or the exception that it
    raises. `at_once` of them are under way; `things` is read no faster than that.
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

    workers = [Deferred.fromCoroutine(work()) for _ in range(at_once)]
    try:
        await gatherResults(workers, consumeErrors=True)
    except FirstError as error:  # of `things`, or of `progress`
        for worker in workers:
            worker.cancel()
        raise error.subFailure.value from None  # type: ignore[misc]
    return [results[number] for number in sorted(results)]


def all_done(results: Sequence[Any], doing: str) -> list[Any]:
    """The results, if there is no exception among them. Raises: SomeFailed."""
    errors = [result for result in results if isinstance(result, Exception)]
    if errors:
        count = f"{len(errors)} of {len(results)}"
        raise SomeFailed(f"{doing}: {count} failed, the first one with: {errors[0]}", results)
    return list(results)


def all_or_first(results: Sequence[T | Exception]) -> list[T]:
    """The results, if there is no exception among them. Raises: the first one."""
    found = []
    for result in results:
        if isinstance(result, Exception):
            raise result
        found.append(result)
    return found
