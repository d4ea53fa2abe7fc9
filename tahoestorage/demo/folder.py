"""The folder that a demo is kept in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from secrets import token_urlsafe
from typing import Self

from attrs import field, frozen

_VARIABLE = "TAHOE_DEMO_FOLDER"


class DemoError(Exception):
    """The demo cannot be started; the text says why and what to do."""


def _absolute(path: str | Path) -> Path:
    return Path(path).absolute()


@frozen
class DemoFolder:
    """Where a demo has its grid, its database and its secrets."""

    path: Path = field(converter=_absolute)

    @classmethod
    def of_environment(cls) -> Self:
        """The folder that this process, or the one that started it, has named."""
        return cls(os.environ[_VARIABLE])

    def to_environment(self) -> None:
        """Name this folder to the settings here, and in the processes that this one starts."""
        os.environ[_VARIABLE] = str(self.path)

    @property
    def grid(self) -> Path:
        return self.path / "grid"

    @property
    def database(self) -> Path:
        return self.path / "database.sqlite3"

    @property
    def _kept(self) -> Path:
        return self.path / "demo.json"

    def prepare(self) -> None:
        """
        Make the folder, unless it is there.

        Raises: DemoError where something else than a demo is there; OSError.
        """
        if self._kept.exists():
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise DemoError(
                f"{self.path} is there and is no folder of a demo: give a new or an empty one"
            )
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.keep(secret_key=token_urlsafe(50))

    def values(self) -> dict[str, str]:
        """
        What is kept: `secret_key`, and once the grid was started `gateway` and `base_cap`.

        The cap is the only way to the files: who has it has them, who loses it loses them.
        """
        values: dict[str, str] = json.loads(self._kept.read_text("utf-8"))
        return values

    def keep(self, **values: str) -> None:
        """Keep these values too, where only the owner of the folder can read them."""
        known = self.values() if self._kept.exists() else {}
        new = self.path / "demo.json.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump({**known, **values}, file, indent=1)
            file.flush()
            os.fsync(descriptor)
        new.replace(self._kept)
