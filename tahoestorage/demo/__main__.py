"""The command: `python -m tahoestorage.demo --help`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tahoestorage.management.arguments import number

PROGRAM = "python -m tahoestorage.demo"
PACKAGES = {"allmydata": "tahoe-lafs", "PIL": "Pillow"}


def command_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Start a Tahoe-LAFS grid on this machine and a small Django site that keeps"
        " its files on it, until Ctrl-C. A second start finds the files of the first one.",
    )
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        default=Path("tahoe-demo"),
        help="where the grid, the database and the secrets are kept (./tahoe-demo)",
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=number(int, 0, 2**16 - 1),
        default=8000,
        help="the site's port on 127.0.0.1 (8000); 0 takes any free port",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit status: 0 after Ctrl-C or SIGTERM."""
    options = command_parser().parse_args(arguments)
    # Imports take a second, and some swallow KeyboardInterrupt. There is nothing to stop yet.
    for interrupting in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupting, lambda number, frame: os._exit(0))
    if missing := [package for module, package in PACKAGES.items() if find_spec(module) is None]:
        packages = " and ".join(missing)
        return _fail(f"{packages} must be installed: pip install 'django-tahoestorage[demo]'")
    from tahoestorage.demo.server import problems, serve  # needs the packages

    try:
        serve(options.folder.absolute(), options.port)
    except KeyboardInterrupt:
        pass
    except problems as problem:
        return _fail(str(problem))
    return 0


def _fail(why: str) -> int:
    print(f"{PROGRAM}: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
