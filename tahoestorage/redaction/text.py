"""Caps in what others show: found in every form that a text gives to them, and taken out."""

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
# What may say something else when it is decoded; the shortest cap in base64 is as long.
_CODED = re.compile(r"[\w%+/-]{14,}", re.ASCII)
_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_GONE = "<Cap>"


def redact(text: str, *, html: bool = False) -> str:
    """
    `text` with every cap in it replaced by its `repr`, or by "<Cap>", which also stands for single
    keys and hashes. Caps are found in URLs, escaped and in base64 too.

    `html`: whether the text is HTML, and stays so.
    """

    def shown(match: re.Match[str]) -> str:
        cap = re.sub(_DASH, "-", re.sub(_COLON, ":", match[0], flags=re.I), flags=re.I)
        return written(caps.redact(cap))

    def written(replacement: str) -> str:
        return escape(replacement) if html else replacement

    def unless_coded(match: re.Match[str]) -> str:
        return written(_GONE) if _says_a_cap(match[0]) else match[0]

    found = _CAP.sub(shown, text)
    found = _FIELD.sub(written(_GONE), found)
    return _CODED.sub(unless_coded, found)


def redacted(value: Any) -> Any:
    """
    The same value, with the caps in its texts redacted: a str, bytes, or a dict, list or tuple of
    such, to any depth. What else is in them is left as it is.
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
    starts = (packed[start:] for start in range(4))
    whole = (part[: len(part) // 4 * 4] for part in starts)
    decoded = (b64decode(part).decode("latin-1") for part in whole)
    return any(_CAP.search(text) or _FIELD.search(text) for text in (plain, *decoded))
