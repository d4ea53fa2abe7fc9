"""Errors whose tracebacks show no caps: error pages and collectors show variables of frames."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def sealed(function: Callable[P, T]) -> Callable[P, T]:
    """Cut the frames of `function`, which handles text with caps in it, off its errors."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            failure = _bare(error)
        del args, kwargs
        raise failure

    return call


def sealed_async(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """As `sealed`, for a coroutine function."""

    @wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await function(*args, **kwargs)
        except Exception as error:
            failure = _bare(error)
        del args, kwargs
        raise failure

    return call


def _bare(error: Exception) -> Exception:
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
