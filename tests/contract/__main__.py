"""The command: `python -m tests.contract --help`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys

from txtahoe.testing.node import GridError, tahoe_command


def command_parser() -> argparse.ArgumentParser:
    """The parser of `python -m tests.contract`."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.contract",
        description="Ask a gateway of tahoe-lafs and the one in memory the same. Other arguments"
        " are for trial.",
    )
    parser.add_argument(
        "--tahoe", metavar="PATH", help="the `tahoe` of another release; default: the one installed"
    )
    return parser


def main() -> None:
    parser = command_parser()
    arguments, others = parser.parse_known_args()
    if arguments.tahoe is not None:
        os.environ["TAHOE_COMMAND"] = shlex.quote(os.path.abspath(arguments.tahoe))
        try:
            tahoe_command()
        except GridError as error:  # trial would skip all tests of a gateway, and pass
            parser.error(str(error))
    trial = [sys.executable, "-m", "twisted.trial", *others, "tests.contract"]
    os.execv(sys.executable, trial)


if __name__ == "__main__":
    main()
