"""
A reactor's clock that goes on evenly.

Twisted's reactors measure by the wall clock, which can be set: by NTP, by an administrator, or when
a virtual machine resumes. If it is set back an hour, a call that is due in a second waits for an
hour; if it is set forward, every request times out, and everything that is kept is too old.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from twisted.internet.base import ReactorBase


def keep_steady(reactor: Any) -> None:
    """
    Let the time of a reactor of Twisted go on evenly from now on, whatever the wall clock does.

    This changes the reactor itself, because a timer of our own could not be on time: a reactor that
    waits for an hour runs nothing. `reactor.seconds()` goes on from its value, so calls that others
    have scheduled stay due. It does not follow the wall clock then; twisted.web takes the dates of
    its access log from it. A reactor with a clock of its own, such as `Clock`, or whose `seconds`
    was set, keeps that.
    """
    if not isinstance(reactor, ReactorBase) or "seconds" in vars(reactor):
        return
    ahead = reactor.seconds() - monotonic()
    steady: Any = reactor
    steady.seconds = lambda: monotonic() + ahead
    for call in steady.getDelayedCalls():
        call.seconds = steady.seconds
