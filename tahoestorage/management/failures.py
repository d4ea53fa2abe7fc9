"""What could not be done with some of many names."""

from __future__ import annotations

from collections.abc import Mapping

from django.core.management.base import CommandError

from tahoestorage.management.quoting import quoted


def problem_of(error: Exception) -> str:
    """What an error says, without its number and the name that it is about."""
    return str(getattr(error, "strerror", None) or error)


def raise_failed(problems: Mapping[str, str]) -> None:
    """Raises: CommandError with what went wrong, by name, if anything did."""
    if problems:
        raise CommandError("\n".join(f"{quoted(name)}: {told}" for name, told in problems.items()))
