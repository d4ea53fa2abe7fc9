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
        help="where the grid, the database and the secrets are kept (./tahoe-demo; with --check a"
        " temporary folder)",
    )
    parser.add_argument(
        "--host",
        choices=["127.0.0.1", "::1", "localhost"],
        default="127.0.0.1",
        help="where the site listens (127.0.0.1): only on loopback, because its password is public",
    )
    parser.add_argument(
        "--port",
        metavar="N",
        type=number(int, 0, 2**16 - 1),
        default=8000,
        help="the site's port (8000); 0 takes any free port",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="instead of serving the site: save a file, read it back, delete it, and exit; the"
        " status is 0 if the file came back unchanged, else 1",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the demo and return its exit status: 0 after Ctrl-C or SIGTERM. With `--check`, 0 only if
    the file came back.
    """
    options = command_parser().parse_args(arguments)
    try:
        return _run(options)
    except KeyboardInterrupt:
        return 1 if options.check else 0


def _run(options: argparse.Namespace) -> int:
    if missing := [package for module, package in PACKAGES.items() if find_spec(module) is None]:
        return _fail(
            f"{' and '.join(missing)} must be installed: pip install 'django-tahoestorage[demo]'"
        )

    # These imports need the packages, and take a second in which Ctrl-C may come.
    from tahoestorage.demo.folder import DemoError, DemoFolder
    from tahoestorage.demo.server import check, serve
    from txtahoe.testing.grid import GridError, interrupt_once

    for interrupting in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupting, interrupt_once)
    try:
        if options.check:
            with TemporaryDirectory(prefix="tahoe-demo-") as temporary:
                check(DemoFolder(options.folder or temporary))
        else:
            serve(DemoFolder(options.folder or "tahoe-demo"), options.host, options.port)
        return 0
    except (DemoError, GridError, OSError) as problem:
        return _fail(str(problem))


def _fail(why: str) -> int:
    print(f"{PROGRAM}: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
