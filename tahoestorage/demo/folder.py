"""The folder of a demo: its grid, its database and its secrets."""

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
    """The folder of a demo, given by its path."""

    path: Path = field(converter=_absolute)

    @classmethod
    def of_environment(cls) -> Self:
        """The folder that `to_environment` named, in this process or in its parent."""
        return cls(os.environ[_VARIABLE])

    def to_environment(self) -> None:
        """Name this folder to the settings of this process and of its children."""
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
        Make the folder, if it is missing.

        Raises: DemoError if the path holds something other than a demo; OSError.
        """
        if self._kept.exists():
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise DemoError(
                f"{self.path} exists and is not the folder of a demo: name a new or empty folder"
            )
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.keep(secret_key=token_urlsafe(50))

    def values(self) -> dict[str, str]:
        """
        The kept values: `secret_key`; after the first start also `gateway` and `base_cap`.

        The cap is the only way to the files: anyone who has it can read and change them, and
        without it they are lost.
        """
        values: dict[str, str] = json.loads(self._kept.read_text("utf-8"))
        return values

    def keep(self, **values: str) -> None:
        """Add or replace values, in a file that only the owner of the folder can read."""
        known = self.values() if self._kept.exists() else {}
        new = self.path / "demo.json.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump({**known, **values}, file, indent=1)
            file.flush()
            os.fsync(descriptor)
        new.replace(self._kept)
