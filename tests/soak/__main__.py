"""The command: `python -m tests.soak --help`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import charts
from tests.soak import disks


def command_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Run a site on a grid on this machine under load, while its processes, servers"
        " and gateways are killed, disks are full and clocks are set. In the end compare every"
        " file that was acknowledged. Ctrl-C ends the run early, and a second one the comparison."
        " The exit status is 1 if anything is lost, wrong, there twice, or has grown; or if the"
        " files were not compared or half of the operations failed. A run in which some faults"
        " never came, or some processes lived too briefly to be judged, says so.",
    )
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--hours", metavar="H", type=float, help="the length of the run")
    length.add_argument("--minutes", metavar="M", type=float, help="the same in minutes")
    parser.add_argument("--seed", metavar="N", type=int, help="repeat the choices of a run")
    parser.add_argument(
        "--report",
        metavar="FOLDER",
        type=Path,
        help="write the report there, the output of servers, and, where matplotlib is installed,"
        " a picture of the growth",
    )
    return parser


def main() -> int:
    """The exit status."""
    options = command_parser().parse_args()
    disks.start_again_with_mounts()
    if options.seed is not None:
        os.environ["TAHOE_TESTS_SEED"] = str(options.seed)
    from tests.soak.running import run  # it takes the seed when it is imported

    for interrupting in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupting, signal.default_int_handler)
    minutes = options.minutes if options.hours is None else options.hours * 60
    with TemporaryDirectory(prefix="tahoe-soak-") as folder:
        try:
            report = run(Path(folder), minutes * 60)
        except KeyboardInterrupt:
            print("interrupted before the site had started", file=sys.stderr)
            return 1
        print(report)
        if options.report is not None:
            _keep_outputs(Path(folder), options.report)
            (options.report / "report.txt").write_text(f"{report}\n")
            if charts.is_available():
                report.draw(options.report / "growth.png")
    return int(report.is_bad)


def _keep_outputs(folder: Path, kept: Path) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    for output in chain(folder.glob("?/*/output"), folder.glob("grid/*/twistd.log")):
        shutil.copy(output, kept / f"{output.parent.name}.log")


if __name__ == "__main__":
    sys.exit(main())
