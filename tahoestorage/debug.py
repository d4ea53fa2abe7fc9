"""
Error pages and error mails without caps.

Django shows settings, variables, requests and source lines there. A project can choose the class
of the reports and their filter, for all requests or for one: whatever it chose, it is left to work,
and what comes of it is redacted.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from copy import copy
from functools import cache, wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import pprint
from django.utils.log import AdminEmailHandler
from django.utils.safestring import SafeString
from django.views import debug
from django.views.debug import ExceptionReporter

from tahoestorage.logs import redact_record
from tahoestorage.redaction import redact, redacted

# Where pprint goes on in another line with a long string, or with bytes.
_WRAPPED = re.compile(r"""['"]\n *b?['"]""")
# Characters of a variable that are looked at; Django shows 4096 of them.
_LONGEST = 2**20


@cache
def install() -> None:
    """Redact all reports of this process from now on."""
    ExceptionReporter.__new__ = staticmethod(_new_report)  # type: ignore[method-assign]
    AdminEmailHandler.handle = _handler_of_redacted(AdminEmailHandler.handle)  # type: ignore[method-assign]
    debug.technical_404_response = _redacted_page(debug.technical_404_response)


class RedactedReport(ExceptionReporter):
    """A report of any class, which comes behind this one, without caps."""

    def get_traceback_data(self) -> dict[str, Any]:
        self.filter: Any = FrameFilter(self.filter)
        data: dict[str, Any] = redacted(super().get_traceback_data())
        return data

    def get_traceback_html(self) -> SafeString:
        return SafeString(redact(super().get_traceback_html(), html=True))

    def get_traceback_text(self) -> SafeString:
        return SafeString(redact(super().get_traceback_text()))


class FrameFilter:
    """
    A project's filter of reports, whose variables are shown as text without caps.

    Later there is no way to find them: `pprint` cuts long bytes into pieces.
    """

    def __init__(self, chosen: Any) -> None:
        self._chosen = chosen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chosen, name)

    def get_traceback_frame_variables(self, request: Any, frame: Any) -> list[tuple[str, Any]]:
        variables = self._chosen.get_traceback_frame_variables(request, frame)
        return [(name, _Shown(value)) for name, value in variables]


class _Shown:
    """A variable, of which only a text is left."""

    def __init__(self, value: Any) -> None:
        pretty = pprint(value)[:_LONGEST]
        whole = _WRAPPED.sub("", pretty)
        safe = redact(whole)
        self._text = pretty if safe == whole else safe

    def __repr__(self) -> str:
        return self._text


def _new_report(cls: Any, *args: Any, **kwargs: Any) -> Any:
    return object.__new__(_redacted_class(cls))


@cache
def _redacted_class(cls: Any) -> Any:
    if issubclass(cls, RedactedReport):
        return cls
    return type(cls.__name__, (RedactedReport, cls), {"__module__": cls.__module__})


def _handler_of_redacted(handle: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(handle)
    def handle_redacted(self: logging.Handler, record: logging.LogRecord) -> Any:
        record = copy(record)  # others may want it as it is
        redact_record(record)
        return handle(self, record)

    return handle_redacted


def _redacted_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def redacted_view(request: HttpRequest, *args: Any) -> HttpResponse:
        response = view(request, *args)
        response.content = redact(response.text, html=True).encode(response.charset)
        return response

    return redacted_view
