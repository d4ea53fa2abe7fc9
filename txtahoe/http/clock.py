"""
A reactor's clock that goes on evenly.

Twisted's reactors measure by the wall clock, and that is set: by NTP, by an administrator, or when
a virtual machine resumes. When it is set back an hour, what is due in a second waits for an hour;
when it is set forward, all that is under way times out, and all that is kept is too old.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from twisted.internet.base import ReactorBase


def keep_steady(reactor: Any) -> None:
    """
    Let the time of a reactor of Twisted go on evenly from now on, whatever the wall clock does.

    It is done to the reactor itself, because a timer of our own could not be on time: a reactor
    that waits for an hour runs nothing. `reactor.seconds()` goes on from what it is, so what others
    have scheduled stays due. It does not follow the wall clock then; twisted.web takes the dates of
    its access log from it. A reactor that has a clock of its own, such as `Clock`, or of which
    `seconds` was set, keeps that.
    """
    if not isinstance(reactor, ReactorBase) or "seconds" in vars(reactor):
        return
    ahead = reactor.seconds() - monotonic()

    def seconds() -> float:
        return monotonic() + ahead

    reactor.seconds = seconds
    delayed: Sequence[Any] = reactor.getDelayedCalls()
    for call in delayed:
        call.seconds = seconds
