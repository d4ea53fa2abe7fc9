"""Range headers; see RFC 9110, section 14."""

from __future__ import annotations

import re

_SINGLE = re.compile(r"bytes=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)


class Unsatisfiable(ValueError):
    """No byte of the file is in the range."""


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """
    The offsets of the first byte and after the last byte that a Range header asks for; None for the
    whole file, if it names several ranges or none. Raises: Unsatisfiable.
    """
    found = _SINGLE.fullmatch(header)
    if found is None:
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
    return start, stop
