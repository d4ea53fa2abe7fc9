"""The parts of all system checks: messages with ids, and their registration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register

TAG = "tahoe"
Find = Callable[[], Iterable[CheckMessage]]


def message(id: str, text: str, hint: str, obj: Any = None) -> CheckMessage:
    """Make an error if `id` begins with E, a warning if it begins with W."""
    kind = Error if id.startswith("E") else Warning
    return kind(text, hint=hint, obj=obj, id=f"tahoestorage.{id}")


def system_check(*tags: str, deploy: bool = False) -> Callable[[Find], Find]:
    """Register a function that finds messages as a check with these tags and our own."""

    def decorate(find: Find) -> Find:
        @register(*tags, TAG, deploy=deploy)
        def check(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
            return list(find())

        return find

    return decorate
