"""Log records without caps."""

from __future__ import annotations

import logging

from tahoestorage.redaction import redact

# The loggers of the packages, and Django's loggers of the URLs of requests.
_LOGGERS = ("tahoestorage", "txtahoe", "django.request", "django.server")


class RedactCaps(logging.Filter):
    """Replaces the caps in every record by fingerprints; for the filters of LOGGING too."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the text, and the traceback that handlers show with it."""
        try:
            message, arguments = record.getMessage(), repr(record.args)
        except Exception:
            return True  # the call was wrong; `logging` reports that when it writes the record
        safe = redact(message)
        if safe != message or redact(arguments) != arguments:
            record.msg, record.args = safe, ()
        if record.exc_info and not record.exc_text:
            traceback = logging.Formatter().formatException(record.exc_info)
            if redact(traceback) != traceback:
                record.exc_text = redact(traceback)
        return True


def install() -> None:
    """Redact the records of the packages, and all that the handlers of Django's logger get."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_filter)
    for handler in logging.getLogger("django").handlers:
        handler.addFilter(_filter)


_filter = RedactCaps()
