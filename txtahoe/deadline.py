"""No request waits for ever."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txtahoe.errors import RequestTimeout

T = TypeVar("T")


class Deadline:
    """Cancels a piece of work that has not been renewed for `seconds`."""

    def __init__(self, reactor: IReactorTime, seconds: float, doing: str) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._doing = doing
        self._expired = False
        self._call: IDelayedCall | None = None

    async def guard(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        """
        The result of `work`.

        Raises: RequestTimeout, once the seconds have passed without a call of `renew`.
        """
        deferred = Deferred.fromCoroutine(work)
        call = self._call = self._reactor.callLater(self._seconds, self._expire, deferred)
        try:
            return await deferred
        except Exception:
            if self._expired:
                raise RequestTimeout(
                    f"{self._doing}: no progress for {self._seconds:g} seconds"
                ) from None
            raise
        finally:
            if call.active():
                call.cancel()

    def renew(self, extra: float = 0.0) -> None:
        """Begin the seconds anew, with `extra` ones this once."""
        if self._call is not None and self._call.active():
            self._call.reset(self._seconds + extra)

    def _expire(self, deferred: Deferred[Any]) -> None:
        self._expired = True
        deferred.cancel()
