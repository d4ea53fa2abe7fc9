"""The site of a server: a copy of `served`, and a folder of the demo."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.environment import python_path

SERVED = Path(__file__).parent / "served"
# A cap of no grid, for tests that ask none.
_ANY_CAP = (
    "URI:DIR2:aaaqeayeaudaocajbifqydiob4:mrswmz3infvgw3dnnzxxa4lson2hk5txpb4xu634pv7h7aebqkbq"
)


def new_site(folder: Path, gateway: str, cap: str) -> dict[str, str]:
    """Make a site without documents; return the environment in which Django finds it."""
    environment = _without_tables(folder, gateway, cap)
    (folder / "demo" / "database.sqlite3").write_bytes(_tables())
    return environment


def _without_tables(folder: Path, gateway: str, cap: str) -> dict[str, str]:
    shutil.copytree(SERVED, folder / "served", ignore=shutil.ignore_patterns("__pycache__"))
    demo = folder / "demo"
    demo.mkdir()
    (demo / "tahoe.cap").touch(0o600)
    (demo / "tahoe.cap").write_text(cap)
    return {
        "DJANGO_SETTINGS_MODULE": "served.settings",
        "PYTHONPATH": python_path(folder),
        "TAHOE_DEMO_FOLDER": str(demo),
        "TAHOE_DEMO_GATEWAY": gateway,
    }


@cache
def _tables() -> bytes:
    """A database with the tables of the documents. Made once, because it takes a while."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        environment = _without_tables(folder, "http://127.0.0.1:9/", _ANY_CAP)
        subprocess.run(
            [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity=0"],
            env={**os.environ, **environment},
            check=True,
        )
        return (folder / "demo" / "database.sqlite3").read_bytes()
