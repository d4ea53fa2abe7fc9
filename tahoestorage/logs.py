"""Log records without caps."""

from __future__ import annotations

import logging

from tahoestorage.redaction import redact

# What the packages log, and the lines of Django that have the URLs of requests.
_LOGGERS = ("tahoestorage", "txtahoe", "django.request", "django.server")


class RedactCaps(logging.Filter):
    """Takes the caps out of every record; for a project's own handlers in LOGGING too."""

    def filter(self, record: logging.LogRecord) -> bool:
        redact_record(record)
        return True


def install() -> None:
    """Redact what is logged by the packages, and the URLs of requests that Django logs."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_filter)


def redact_record(record: logging.LogRecord) -> None:
    """Take the caps out of the text of a record, and out of the traceback that is shown with it."""
    try:
        message, arguments = record.getMessage(), repr(record.args)
    except Exception:
        return  # a mistake in the call, of which `logging` tells where the record is written
    safe = redact(message)
    if safe != message or redact(arguments) != arguments:
        record.msg, record.args = safe, ()
    if record.exc_info and not record.exc_text:
        traceback = logging.Formatter().formatException(record.exc_info)
        if redact(traceback) != traceback:
            record.exc_text = redact(traceback)


_filter = RedactCaps()
