"""Asynchronous twins of a storage's methods: one table entry each."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from os import PathLike, fspath
from typing import Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

from tahoestorage.contract.operations import Operations

P = ParamSpec("P")
T = TypeVar("T")


def twin(
    operation: Callable[Concatenate[Operations, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """
    Return the asynchronous twin of the storage method that has the name of `operation`.

    The task waits for the reactor thread and needs no other thread; if it is cancelled, so is the
    request. Where Django runs what blocks, in the thread of `sync_to_async`, run: the reading of
    files that are not in memory, questions to a cache of several processes, and the method itself
    if a subclass has one of its own.
    """
    name = operation.__name__

    @wraps(operation)
    async def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._has_own(name):
            plain = [fspath(given) if isinstance(given, PathLike) else given for given in args]
            return await sync_to_async(getattr(self, name))(*plain, **kwargs)  # type: ignore[no-any-return]
        return await getattr(self.operations.awaited, name)(*args, **kwargs)  # type: ignore[no-any-return]

    method.__name__ = f"a{name}"
    return method  # type: ignore[return-value]  # its `self` has a name
