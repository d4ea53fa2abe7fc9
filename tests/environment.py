"""The environment of the processes that tests start."""

from __future__ import annotations

import os
import sys


def python_path(*first: object) -> str:
    """A PYTHONPATH with these folders, and with what this process can import."""
    # trial runs in a folder of its own, in which Python does not find the packages.
    return os.pathsep.join(filter(None, [*map(str, first), *sys.path]))


def environment(**more: str) -> dict[str, str]:
    """The environment of this process, with more variables; Python finds the packages there."""
    return {**os.environ, "PYTHONPATH": python_path(), **more}
