"""What servers do to the threads and processes of a site, as far as calls would suffer from it."""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable
from typing import Any
from warnings import warn

from attrs import frozen
from django.core.exceptions import ImproperlyConfigured

_queue_at_import = queue.SimpleQueue


@frozen
class Problem:
    """Why a call would wait for ever in this process, and what to do about it."""

    text: str
    hint: str

    def error(self) -> ImproperlyConfigured:
        return ImproperlyConfigured(f"{self.text}. {self.hint}")


_EVENTLET = Problem(
    "eventlet has replaced the threads of this process, and calls of a TahoeStorage would never "
    "return",
    "Use threads, as `gunicorn -k gthread` does, or gevent.",
)
_TOO_LATE = Problem(
    "gevent has replaced the threads of this process after tahoestorage was imported, and calls "
    "of a TahoeStorage would never return",
    "Call gevent.monkey.patch_all() before all imports: for gunicorn in its configuration file, "
    "where `gunicorn -k gevent --preload` would call it too late.",
)
_IN_PART = Problem(
    "gevent has replaced the threads of this process, but not what they wait with, and calls of a "
    "TahoeStorage would never return",
    "Call gevent.monkey.patch_all() without arguments.",
)


def problem() -> Problem | None:
    """What keeps calls from returning in this process, if anything does."""
    if _eventlet("thread"):
        return _EVENTLET
    if has_greenlets():
        if not (_gevent("select") and _gevent("queue")):
            return _IN_PART
        if queue.SimpleQueue is not _queue_at_import:
            return _TOO_LATE
    return None


def has_greenlets() -> bool:
    """Whether threads are gevent's greenlets, which all run in one thread."""
    return _gevent("threading")


def refuse_eventlet() -> None:
    """Raises: ImproperlyConfigured where the threads are eventlet's."""
    if _eventlet("thread"):
        raise _EVENTLET.error()


def require_threads() -> None:
    """Raises: ImproperlyConfigured where there is a `problem`."""
    found = problem()
    if found is not None:
        raise found.error()


def warn_before_fork() -> None:
    """Warn that a thread is started here, where it may be in the way of uWSGI's fork."""
    # It forks without Python's lock, so that a worker may begin while a thread of the master, which
    # is not there any more, has it. It then waits for ever.
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


def _patched(library: str, question: str) -> Callable[[str], bool]:
    def is_patched(module: str) -> bool:
        # Where nobody has imported it, it has not replaced anything.
        answer = getattr(sys.modules.get(library), question, None)
        return answer is not None and bool(answer(module))

    return is_patched


_gevent = _patched("gevent.monkey", "is_module_patched")
_eventlet = _patched("eventlet.patcher", "is_monkey_patched")
