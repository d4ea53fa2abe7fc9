"""The arguments of verbs: rows of tables, and types that say what is right."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

N = TypeVar("N", int, float)
Argument = tuple[tuple[str, ...], dict[str, Any]]


def argument(*names: str, **how: Any) -> Argument:
    """An argument of a verb, as `add_argument` of a parser takes it."""
    return names, how


def flag(*names: str, help: str) -> Argument:
    """An option without a value."""
    return argument(*names, action="store_true", help=help)


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
