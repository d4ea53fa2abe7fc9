"""The verbs of `manage.py tahoe`, a module each."""

from __future__ import annotations

from typing import Any, Protocol

from django.core.management.base import BaseCommand, CommandParser

from tahoestorage.management.verbs import proxy, spread


class Verb(Protocol):
    """What a module of this package has."""

    help: str
    """One sentence."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what can follow the verb."""

    def handle(self, command: BaseCommand, options: dict[str, Any]) -> None:
        """Do it; what there is to say goes to `command.stdout`. Raises: CommandError."""


VERBS: dict[str, Verb] = {"proxy": proxy, "spread": spread}
