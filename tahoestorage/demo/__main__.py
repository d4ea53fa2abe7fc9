"""The command: `python -m tahoestorage.demo --help`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from tahoestorage.management.arguments import number

PROGRAM = "python -m tahoestorage.demo"
PACKAGES = {"allmydata": "tahoe-lafs", "PIL": "Pillow", "tqdm": "tqdm"}


def command_parser() -> argparse.ArgumentParser:
    """What the command understands."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Start a Tahoe-LAFS grid on this machine and a small Django site that keeps"
        " its files on it, until Ctrl-C. A second start finds the files of the first one.",
    )
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        help="where the grid, the database and the secrets are kept (./tahoe-demo; with --check a"
        " temporary folder)",
    )
    parser.add_argument(
        "--host",
        choices=["127.0.0.1", "::1", "localhost"],
        default="127.0.0.1",
        help="where the site listens (127.0.0.1): on loopback only, because its password is known",
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=number(int, 0, 2**16 - 1),
        default=8000,
        help="the site's port (8000); 0: a free one",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="instead of the site: save, read back and delete two files, print how long it took,"
        " and end with 0 where all was right, else with 1",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the demo. The exit status is 0 after Ctrl-C or SIGTERM, and of `--check` only where all
    was right.
    """
    options = command_parser().parse_args(arguments)
    try:
        return _run(options)
    except KeyboardInterrupt:
        return 1 if options.check else 0


def _run(options: argparse.Namespace) -> int:
    if missing := [package for module, package in PACKAGES.items() if find_spec(module) is None]:
        return _fail(f"it needs {', '.join(missing)}: pip install 'django-tahoestorage[demo]'")

    # Here, because they need the packages, and take a second in which Ctrl-C may come.
    from tahoestorage.demo.check import check
    from tahoestorage.demo.folder import DemoError, DemoFolder
    from tahoestorage.demo.server import serve
    from txtahoe.testing.grid import GridError, interrupt_once

    for interrupting in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupting, interrupt_once)
    try:
        if options.check:
            with TemporaryDirectory(prefix="tahoe-demo-") as temporary:
                return 0 if check(DemoFolder(options.folder or temporary)) else 1
        serve(DemoFolder(options.folder or "tahoe-demo"), options.host, options.port)
        return 0
    except (DemoError, GridError, OSError) as problem:
        return _fail(str(problem))


def _fail(why: str) -> int:
    print(f"{PROGRAM}: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
