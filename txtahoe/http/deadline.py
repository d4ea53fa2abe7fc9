"""No request waits for ever."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txtahoe.errors import GatewayUnreachable, RequestTimeout

T = TypeVar("T")


class Deadline:
    """Cancels work that has not been renewed for `seconds`; `is_over` tells whether it did."""

    def __init__(self, reactor: IReactorTime, seconds: float, doing: str) -> None:
        self.is_over = False
        self._reactor = reactor
        self._seconds = seconds
        self._doing = doing
        self._call: IDelayedCall | None = None

    async def guard(self, work: Coroutine[Deferred[Any], Any, T] | Deferred[T]) -> T:
        """
        The result of `work`.

        Raises: RequestTimeout, once the seconds have passed without a call of `renew`, or the
        GatewayUnreachable that the work raises then.
        """
        deferred = ensureDeferred(work)

        def expire() -> None:
            self.is_over = True
            deferred.cancel()

        self._call = self._reactor.callLater(self._seconds, expire)
        try:
            return await deferred
        except Exception as error:
            if not self.is_over or isinstance(error, GatewayUnreachable):
                raise
            late = f"{self._doing}: no progress for {self._seconds:g} seconds"
            raise RequestTimeout(late) from None
        finally:
            if self._call.active():
                self._call.cancel()

    def renew(self, extra: float = 0.0) -> None:
        """Begin the seconds anew, with `extra` ones this once."""
        if self._call is not None and self._call.active():
            self._call.reset(self._seconds + extra)
