"""The verbs of `manage.py tahoe`, a module each."""

from __future__ import annotations

from typing import Any, Protocol

from django.core.management.base import BaseCommand, CommandParser

from tahoestorage.management.verbs.care import (
    anchor,
    check,
    diff,
    du,
    renew,
    restore,
    snapshot,
    spread,
)
from tahoestorage.management.verbs.names import get, ls, migrate, put, rm, url
from tahoestorage.management.verbs.setup import init, proxy, status, writer


class Verb(Protocol):
    """What a module of this package has."""

    help: str
    """One sentence."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what can follow the verb."""

    def handle(self, command: BaseCommand, options: dict[str, Any]) -> None:
        """
        Do it; what there is to say goes to `command.stdout`.

        Raises: CommandError; OSError and ImproperlyConfigured, which the command tells as one.
        """


VERBS: dict[str, Verb] = {
    "init": init,
    "status": status,
    "ls": ls,
    "du": du,
    "get": get,
    "put": put,
    "rm": rm,
    "url": url,
    "check": check,
    "renew": renew,
    "snapshot": snapshot,
    "restore": restore,
    "diff": diff,
    "migrate": migrate,
    "anchor": anchor,
    "spread": spread,
    "proxy": proxy,
    "writer": writer,
}
