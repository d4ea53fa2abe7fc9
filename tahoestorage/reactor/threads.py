"""Servers that replace threads or fork in a way that would make calls wait for ever."""

from __future__ import annotations

import queue
import sys
from typing import Any
from warnings import warn

from attrs import frozen
from django.core.exceptions import ImproperlyConfigured

_queue_at_import = queue.SimpleQueue


@frozen
class Problem:
    """The reason why a call would wait for ever in this process, and what to do about it."""

    text: str
    hint: str


_NEVER = "and calls of a TahoeStorage would never return"
_EVENTLET = Problem(
    f"eventlet has replaced the threads of this process, {_NEVER}",
    "Use threads, as `gunicorn -k gthread` does, or gevent.",
)
_TOO_LATE = Problem(
    "gevent has replaced the threads of this process after tahoestorage was imported, " + _NEVER,
    "Call gevent.monkey.patch_all() before all imports: for gunicorn in its configuration file, "
    "where `gunicorn -k gevent --preload` would call it too late.",
)
_IN_PART = Problem(
    "gevent has replaced the threads of this process, but not what they wait with, " + _NEVER,
    "Call gevent.monkey.patch_all() without arguments.",
)


def problem() -> Problem | None:
    """The problem that keeps calls from returning in this process, if there is one."""
    if _is_patched("eventlet.patcher", "is_monkey_patched", "thread"):
        return _EVENTLET
    if has_greenlets():
        if not (_is_gevents("select") and _is_gevents("queue")):
            return _IN_PART
        if queue.SimpleQueue is not _queue_at_import:
            return _TOO_LATE
    return None


def has_greenlets() -> bool:
    """Whether threads are gevent's greenlets, which all run in one thread."""
    return _is_gevents("threading")


def require_threads() -> None:
    found = problem()
    if found is not None:
        raise ImproperlyConfigured(f"{found.text}. {found.hint}")


def warn_before_fork() -> None:
    """Warn that a thread is started here, where it can be in the way of uWSGI's fork."""
    # uWSGI forks without Python's lock. A thread of the master, which is not there any more, can
    # have it when a worker begins; the worker then waits for ever.
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None or uwsgi.worker_id() or "py-call-uwsgi-fork-hooks" in uwsgi.opt:
        return
    if "master" in uwsgi.opt or uwsgi.numproc > 1:
        warn(
            "a TahoeStorage is used before uWSGI forks its workers, one of which may hang, now "
            "and then, when it starts. Set py-call-uwsgi-fork-hooks or lazy-apps.",
            RuntimeWarning,
            stacklevel=2,
        )


def _is_gevents(module: str) -> bool:
    return _is_patched("gevent.monkey", "is_module_patched", module)


def _is_patched(library: str, question: str, module: str) -> bool:
    # A library that is not imported has not replaced anything.
    answer = getattr(sys.modules.get(library), question, None)
    return answer is not None and bool(answer(module))
