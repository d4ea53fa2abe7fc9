"""
Error pages and error mails without caps.

Django shows settings, variables, requests and source lines there, and makes them with the class in
this setting:

    DEFAULT_EXCEPTION_REPORTER = "tahoestorage.redaction.reporter.RedactingExceptionReporter"

A site with a reporter of its own puts this class before it: `class Reporter(
RedactingExceptionReporter, OwnReporter)`. A filter of the site's choice works as before. Django
makes the page of a 404 with DEBUG in another way: it shows the URL to the client that sent it, and
the words that the site gave to Http404.
"""

from __future__ import annotations

import re
from typing import Any

from django.template.defaultfilters import pprint
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter

from tahoestorage.redaction.text import redact, redacted

# Where pprint breaks a long string, or bytes, into lines.
_WRAPPED = re.compile(r"""['"]\n *b?['"]""")
# Characters of a variable that are searched for caps; Django shows 4096 of them.
_LONGEST = 2**20


class RedactingExceptionReporter(ExceptionReporter):
    """A report of an error, as its other base class makes it, with fingerprints for caps."""

    def get_traceback_data(self) -> dict[str, Any]:
        if not isinstance(self.filter, _Filter):
            self.filter: Any = _Filter(self.filter)
        data: dict[str, Any] = redacted(super().get_traceback_data())
        return data

    def get_traceback_html(self) -> SafeString:
        return SafeString(redact(super().get_traceback_html(), html=True))

    def get_traceback_text(self) -> SafeString:
        return SafeString(redact(super().get_traceback_text()))


class _Filter:
    """
    The filter that Django or the site has chosen; it gives variables as text without caps.

    The report cannot find caps in them later: `pprint` cuts long bytes into pieces.
    """

    def __init__(self, chosen: Any) -> None:
        self._chosen = chosen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chosen, name)

    def get_traceback_frame_variables(self, request: Any, frame: Any) -> list[tuple[str, Any]]:
        variables = self._chosen.get_traceback_frame_variables(request, frame)
        return [(name, _Shown(value)) for name, value in variables]


class _Shown:
    """A variable of which only a text is left."""

    def __init__(self, value: Any) -> None:
        pretty = pprint(value)[:_LONGEST]
        whole = _WRAPPED.sub("", pretty)
        safe = redact(whole)
        self._text = pretty if safe == whole else safe

    def __repr__(self) -> str:
        return self._text
