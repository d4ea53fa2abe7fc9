"""The arguments of verbs: rows of tables, and types that say what is right."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from txtahoe.http.transport import gateway_url

N = TypeVar("N", int, float)
Argument = tuple[tuple[str, ...], dict[str, Any]]


def argument(*names: str, **how: Any) -> Argument:
    """An argument of a verb, as `add_argument` of a parser takes it."""
    return names, how


def flag(*names: str, help: str) -> Argument:
    """An option without a value."""
    return argument(*names, action="store_true", help=help)


def gateway(text: str) -> str:
    """The type of an argument that is the URL of a gateway."""
    try:
        gateway_url(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return text


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
