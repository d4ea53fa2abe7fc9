"""The choice of a name that is free."""

from __future__ import annotations

from typing import Any

from django.core.files.storage import Storage

from tahoestorage.grid.paths import is_for_files
from txtahoe.errors import ExistingChild


class FreeName(Storage):
    """
    A name for a file, chosen as `storage` chooses it, but without a look-up beforehand: failed
    attempts tell which names are taken.

    `is_asked`: whether the storage's own `get_available_name` chooses all names but the first.
    """

    def __init__(self, storage: Any, name: str, max_length: int | None, is_asked: bool) -> None:
        self.get_alternative_name = storage.get_alternative_name  # type: ignore[method-assign]
        self._chooser = storage if is_asked else self
        self._name = name
        self._max_length = max_length
        self._taken: set[str] = set()
        self.chosen = self.get_available_name(name, max_length)

    def choose(self) -> str:
        """Choose another name, because the chosen one is taken. Raises: ExistingChild."""
        self._taken.add(self.chosen)
        self.chosen = self._chooser.get_available_name(self._name, self._max_length)
        if self.chosen in self._taken:
            raise ExistingChild(
                f"{self.chosen!r} is taken, and get_available_name() proposes it again; "
                "to replace files use allow_overwrite=True"
            )
        return self.chosen

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        is_free = name not in self._taken and is_for_files(name)
        return is_free and not (max_length and len(name) > max_length)
