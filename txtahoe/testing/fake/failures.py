"""The page of an exception, as Tahoe's `allmydata.web.common` renders it."""

from __future__ import annotations

from twisted.python.failure import Failure

from txtahoe.testing.fake.http.question import Answer, Question, plain, say
from txtahoe.testing.fake.http.refusals import Failed


def failure_page(question: Question, error: Exception) -> Answer:
    """500 and a traceback: as text for who asks for text/plain and nothing like it, else HTML."""
    accept = question.headers.get("accept", "*/*")
    if any(kind in accept for kind in ("*/*", "text/*", "text/html")):
        title, name, reason = "Exception", _name(error), error
        return say(
            f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><div>\n"
            f'  <div class="error">\n    <span>{name}</span>: <span>{reason}</span>\n'
            "  </div>\n</div></body></html>",
            500,
        )
    return plain(_traceback(error), 500, "text/plain;charset=utf-8")


def _name(error: Exception) -> str:
    if isinstance(error, Failed):
        return error.name
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _traceback(error: Exception) -> str:
    if isinstance(error, Failed):
        return f"Traceback (most recent call last):\nFailure: {error.name}: {error.reason}\n"
    return str(Failure(error).getTraceback())
