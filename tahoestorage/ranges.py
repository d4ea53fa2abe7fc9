"""The part of a file that a request asks for; see RFC 9110, section 14."""

from __future__ import annotations

import re

from django.http import HttpRequest
from django.utils.http import parse_http_date_safe

_SINGLE = re.compile(r"bytes=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)


class Unsatisfiable(ValueError):
    """No byte of the file is in the range."""


def requested_range(
    request: HttpRequest, size: int, etag: str | None, modified: int | None
) -> tuple[int, int] | None:
    """
    The offset and the number of bytes that are asked for; None for the whole file, which is also
    the answer to several ranges, and to what is no range.

    `size`: bytes of the file. `etag`, `modified` (seconds since 1970): what If-Range, where it is
    sent, must name.

    Raises: Unsatisfiable.
    """
    found = _SINGLE.fullmatch(request.headers.get("Range", ""))
    if request.method != "GET" or found is None or not _is_same(request, etag, modified):
        return None
    first, last = (number[:20] for number in found.groups())
    if not first:
        if not last:
            return None
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size or start == stop:
        raise Unsatisfiable
    return start, stop - start


def _is_same(request: HttpRequest, etag: str | None, modified: int | None) -> bool:
    """Whether If-Range is not there, or names the file as it is."""
    named = request.headers.get("If-Range")
    if named is None or named == etag:
        return True
    return modified is not None and parse_http_date_safe(named) == modified
