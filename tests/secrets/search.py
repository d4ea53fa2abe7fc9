"""Search any text for caps, and for pieces of them."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from urllib.parse import unquote

from txtahoe import Cap

# So many characters of a secret do not stand in a text by chance: 50 bits.
PIECE = 10
_RUN = re.compile(rf"[a-z2-7]{{{PIECE},}}")
# Base64 of a piece, in both alphabets, is at least this long.
_BASE64 = re.compile(r"[\w+/-]{14,}", re.ASCII)


class Secrets:
    """The caps of a run, and where they, or pieces of their secret fields, are found."""

    def __init__(self) -> None:
        self._pieces: dict[str, str] = {}
        self._whole: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, cap: Cap) -> None:
        """Make a cap a secret, with its keys and hashes."""
        text = str(cap)
        if text in self._whole or not text.startswith("URI:"):
            return
        self._whole[text.lower()] = repr(cap)
        # The storage index, first in a verify cap, is no secret.
        fields = text.split(":")[3 if cap.is_verifier else 2 :]
        self.add_text(":".join(fields), repr(cap))

    def add_text(self, text: str, label: str) -> None:
        """Make secrets of the keys and hashes in a text."""
        for run in _RUN.findall(text):
            for piece in _windows(run):
                self._pieces.setdefault(piece, label)

    def found_in(self, text: str) -> set[str]:
        """The secrets in a text: labels, each with the form in which it stands there."""
        found: dict[str, str] = {}
        for form, shown in _forms(text):
            for label in (*self._pieces_in(shown), *self._whole_in(shown)):
                found.setdefault(label, form)
        return {f"{label} {form}" for label, form in found.items()}

    def _pieces_in(self, text: str) -> Iterator[str]:
        for run in _RUN.findall(text):
            for piece in _windows(run):
                if piece in self._pieces:
                    yield self._pieces[piece]

    def _whole_in(self, text: str) -> Iterator[str]:
        if "uri:" in text:
            yield from (label for whole, label in self._whole.items() if whole in text)


def _windows(run: str) -> Iterator[str]:
    return (run[start : start + PIECE] for start in range(len(run) - PIECE + 1))


def _forms(text: str) -> Iterator[tuple[str, str]]:
    """A text, and its decoded forms."""
    yield "plain", text.lower()
    if "%" in text:
        yield "percent-encoded", unquote(unquote(text)).lower()
    decoded = " ".join(_decoded(token) for token in _BASE64.findall(text))
    if decoded:
        yield "base64", decoded


def _decoded(token: str) -> str:
    """A token decoded as base64, wherever in it the encoding begins."""
    token = token.replace("-", "+").replace("_", "/")
    starts = (token[start:] for start in range(4))
    whole = (part[: len(part) - len(part) % 4] for part in starts)
    return " ".join(b64decode(part).decode("latin-1").lower() for part in whole)
