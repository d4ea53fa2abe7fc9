"""
Run tests with one module replaced: `anew.py PATH SOURCE REACHES`, in a process of its own.

It is a script and no module: to import `tests` imports Django's applications, and the mutant must
come before them.
"""

from __future__ import annotations

import pickle
import sys
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from typing import Any

PATH, SOURCE, REACHES = sys.argv[1:]
NAME = PATH.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class Mutant(MetaPathFinder, SourceLoader):
    """Finds and loads the replaced module."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return spec_from_loader(NAME, self) if fullname == NAME else None

    def get_filename(self, fullname: str) -> str:
        return SOURCE

    def get_data(self, path: str | bytes) -> bytes:
        return Path(str(path)).read_bytes()


sys.meta_path.insert(0, Mutant())
sys.argv[1:] = []

from twisted.trial.runner import TestLoader  # noqa: E402

import tests.mutation.running  # noqa: E402, F401

load = TestLoader().loadByName
reaches = pickle.loads(Path(REACHES).read_bytes())
sys.exit(not all(reach.passes(load(reach.test)) for reach in reaches))
