"""Types of arguments. A parser refuses a wrong value with a sentence that says what is right."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

N = TypeVar("N", int, float)


def number(kind: Callable[[str], N], least: N, most: N) -> Callable[[str], N]:
    """The type of an argument that is a number from `least` to `most`; `kind` is int or float."""
    name = "whole number" if kind is int else "number"

    def parse(text: str) -> N:
        with suppress(ValueError):
            value = kind(text)
            if least <= value <= most:  # NaN is not
                return value
        raise ArgumentTypeError(f"it must be a {name} from {least:,} to {most:,}, not {text!r}")

    return parse
