"""Collect all output of the packages: logs, warnings, exceptions, variables, reprs."""

from __future__ import annotations

import logging
import pprint
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from unittest import mock

from twisted.logger import LogEvent, eventAsText, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

import tahoestorage
import txtahoe
from tests.secrets.search import Secrets
from txtahoe import Cap
from txtahoe.errors import SomeFailed

_PACKAGES = tuple(str(Path(package.__path__[0])) for package in (txtahoe, tahoestorage))


class Collector(logging.Handler):
    """
    Collects all output of a `with` block, each text with its place.

    `secrets`: every cap that the block makes.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.secrets = Secrets()
        self._texts: dict[str, set[str]] = {}
        self._paths: set[Any] = set()
        self._stack = ExitStack()

    def leaks(self) -> list[str]:
        """The places that show secrets, a line each, with the secrets."""
        places: dict[str, list[str]] = {}
        for text, wheres in list(self._texts.items()):
            for found in self.secrets.found_in(text):
                for where in wheres:
                    occasion, _, place = where.partition(": ")
                    places.setdefault(place, []).append(f"{occasion}: {found}")
        return [f"{place} ({len(said)}, e.g. {said[0]})" for place, said in sorted(places.items())]

    def text(self, text: str, where: str) -> None:
        """`where`: the occasion, a colon, the place."""
        self._texts.setdefault(text, set()).add(where)

    def value(self, value: Any, where: str) -> None:
        """Collect a value's repr and all else that it shows without `str`."""
        for shown in (repr(value), pprint.pformat(value)):
            self.text(shown, f"{where}: repr of {type(value).__name__}")
        if not isinstance(value, str | bytes | Cap):
            self.text(str(value), f"{where}: str of {type(value).__name__}")

    def exception(self, error: BaseException, where: str) -> None:
        """Collect all that an exception shows, with the variables of the packages' frames."""
        for each in _chain(error):
            self._message(each, f"{where}: {type(each).__name__}")
            self._variables(each, f"{where}: {type(each).__name__}")

    def message(self, error: BaseException, where: str) -> None:
        """Collect the text of an exception."""
        for each in _chain(error):
            self._message(each, f"{where}: {type(each).__name__}")

    def _message(self, error: BaseException, where: str) -> None:
        for what in (str(error), repr(error), repr(error.args)):
            self.text(what, f"{where}: text")
        for note in getattr(error, "__notes__", ()):
            self.text(note, f"{where}: note")

    def _variables(self, error: BaseException, where: str) -> None:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        self.text("".join(shown.format_exception_only()), f"{where}: exception only")
        frames = [frame for frame in shown.stack if frame.filename.startswith(_PACKAGES)]
        for frame in frames:
            place = f"{where}: {_short(frame.filename)} {frame.name}()"
            for name, value in (frame.locals or {}).items():
                self.text(value, f"{place} {name}")
        path = tuple((frame.filename, frame.lineno) for frame in frames)
        if path not in self._paths:
            self._paths.add(path)
            self._failure(error, where)

    def _failure(self, error: BaseException, where: str) -> None:
        """The same as Twisted shows it, once for each path, because it is slow: with globals."""
        failure = Failure(error, type(error), error.__traceback__, captureVars=True)
        failure.frames = [frame for frame in failure.frames if frame[1].startswith(_PACKAGES)]
        self.text(failure.getTraceback(detail="verbose"), f"{where}: verbose failure")
        self.text(failure.getErrorMessage(), f"{where}: message of the failure")

    # Logs and warnings.

    def emit(self, record: logging.LogRecord) -> None:
        where = f"log: {record.name}"
        self.text(record.getMessage(), where)
        self.text(repr(record.args), where)
        if record.exc_info and record.exc_info[1]:
            self.exception(record.exc_info[1], where)

    def _observe(self, event: LogEvent) -> None:
        where = f"Twisted's log: {event.get('log_namespace')}"
        self.text(formatEvent(event), where)
        self.text(eventAsText(event, includeTraceback=False), where)
        self.text(repr({name: event[name] for name in event if name != "log_failure"}), where)
        if isinstance(failure := event.get("log_failure"), Failure):
            self.exception(failure.value, where)

    def _warn(self, message: Warning | str, *arguments: Any, **named: Any) -> None:
        self.text(str(message), "warning: text")
        if isinstance(message, Warning):
            self.exception(message, "warning")

    def _record_caps(self) -> None:
        make = Cap.__init__

        def init(cap: Cap, *arguments: Any, **named: Any) -> None:
            make(cap, *arguments, **named)
            self.secrets.add(cap)

        self._stack.enter_context(mock.patch.object(Cap, "__init__", init))

    def __enter__(self) -> Self:
        self._record_caps()
        self._stack.enter_context(_talkative(self))
        globalLogPublisher.addObserver(self._observe)
        self._stack.callback(globalLogPublisher.removeObserver, self._observe)
        self._stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("always")
        warnings.showwarning = self._warn  # type: ignore[assignment]
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()


def _talkative(handler: logging.Handler) -> ExitStack:
    """Every logger says everything, and to `handler`, until the stack is closed."""
    stack = ExitStack()
    known = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
    for logger in (logging.root, *known):
        level, propagate = logger.level, logger.propagate
        stack.callback(logger.setLevel, level)
        stack.callback(setattr, logger, "propagate", propagate)
        # Log records must have no caps to begin with, not only after a filter.
        stack.callback(setattr, logger, "filters", logger.filters)
        logger.filters = []
        logger.setLevel(logging.DEBUG)
        logger.propagate = True
    logging.root.addHandler(handler)
    stack.callback(logging.root.removeHandler, handler)
    return stack


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that led to it, also what `from None` hides."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or any(each is other for other in seen):
            continue
        seen.append(each)
        waiting += [each.__cause__, each.__context__, *_reasons(each)]
        yield each


def _reasons(error: BaseException) -> Iterable[BaseException]:
    if isinstance(error, SomeFailed):
        return error.errors
    reasons = getattr(error, "reasons", None) or ()
    return [reason.value for reason in reasons if isinstance(reason, Failure)]


def _short(filename: str) -> str:
    return "/".join(Path(filename).parts[-2:])
