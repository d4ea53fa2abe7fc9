"""The part of a file that a request of Django asks for, and If-Range; see RFC 9110, section 14."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.http import parse_http_date_safe

from txtahoe.api.ranges import Unsatisfiable, byte_range

__all__ = ["Unsatisfiable", "requested_range"]


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
    if request.method != "GET" or not _is_same(request, etag, modified):
        return None
    part = byte_range(request.headers.get("Range", ""), size)
    return None if part is None else (part[0], part[1] - part[0])


def _is_same(request: HttpRequest, etag: str | None, modified: int | None) -> bool:
    """Whether If-Range is not there, or names the file as it is."""
    named = request.headers.get("If-Range")
    if named is None or named == etag:
        return True
    return modified is not None and parse_http_date_safe(named) == modified
