"""
Take caps out of texts, in every form that a text gives to them, and out of Django's error reports.

Everything above may import it. `reporter.py` is for the site's settings.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any
from urllib.parse import unquote

from django.utils.html import escape
from django.utils.safestring import SafeData, mark_safe

from txtahoe import caps


def _spelled(character: str) -> str:
    """A character as itself, or escaped for a URL, once or more, in a string or in HTML."""
    code = ord(character)
    return (
        rf"(?:{re.escape(character)}|%(?:25)*{code:x}|\\+(?:x|u00){code:x}"
        rf"|&#(?:0*{code}|x0*{code:x});)"
    )


_COLON = _spelled(":")
_DASH = _spelled("-")
_WORD = rf"(?:\w|{_DASH})"
_CAP = re.compile(
    f"URI{_COLON}{_WORD}+{_COLON}{_WORD}*(?:{_COLON}{_WORD}*)*", re.IGNORECASE | re.ASCII
)
# A key or a hash, for example of a cap that was split: 16 or 32 bytes in base32.
_FIELD = re.compile(r"(?<!\w)(?:[a-z2-7]{25}[aqiyemu4]|[a-z2-7]{51}[aq])(?!\w)", re.ASCII)
# A word that may hold a cap when it is decoded; the shortest cap in base64 is as long.
_CODED = re.compile(r"[\w%+/-]{14,}", re.ASCII)
_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_GONE = "<Cap>"


def redact(text: str, *, html: bool = False) -> str:
    """
    `text` with every cap in it replaced by its `repr`, or by "<Cap>", which also stands for single
    keys and hashes. Caps are found in URLs, escaped and in base64 too.

    `html`: whether the text is HTML, and stays so.
    """
    gone = escape(_GONE) if html else _GONE

    def shown(match: re.Match[str]) -> str:
        cap = re.sub(_DASH, "-", re.sub(_COLON, ":", match[0], flags=re.I), flags=re.I)
        return escape(caps.redact(cap)) if html else caps.redact(cap)

    found = _FIELD.sub(gone, _CAP.sub(shown, text))
    return _CODED.sub(lambda match: gone if _says_a_cap(match[0]) else match[0], found)


def redacted(value: Any) -> Any:
    """
    The same value with the caps in its texts redacted: a str, bytes, or a dict, list or tuple of
    such, to any depth. Values of other types stay.
    """
    if isinstance(value, SafeData):
        return mark_safe(redact(str(value), html=True))  # noqa: S308 - as safe as it was
    if isinstance(value, str):
        safe = redact(value)
        return value if safe == value else safe
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        return value if redact(text) == text else redact(text).encode("latin-1")
    if type(value) is dict:
        return {redacted(key): redacted(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(redacted(item) for item in value)
    return value


def _says_a_cap(coded: str) -> bool:
    """Whether a word has a cap when it is decoded, from a URL or from base64."""
    plain = unquote(unquote(coded))
    packed = _NO_BASE64.sub("", plain.replace("-", "+").replace("_", "/"))
    parts = (packed[start : (len(packed) - start) // 4 * 4 + start] for start in range(4))
    decoded = (b64decode(part).decode("latin-1") for part in parts)
    return any(_CAP.search(text) or _FIELD.search(text) for text in (plain, *decoded))
