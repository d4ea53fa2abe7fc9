"""
How long an upload takes after its last byte: `python -m tests.bench.arriving`.

curl sends a file in turn to a site with the upload handler, which saves it, and to the gateway.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.grid.case import make_directory
from tests.grid.shared import shared_grid
from tests.servers.upload_server import Server

_MEGABYTE = 10**6
_TIME = r"^(\d\d:\d\d:\d\d\.\d+) "
_SENT = re.compile(_TIME + r"\* We are completely uploaded", re.MULTILINE)
_ANSWERED = re.compile(_TIME + r"< HTTP/1.1 200", re.MULTILINE)


def after_last_byte(*arguments: str) -> float:
    """Seconds from when curl has sent everything to the beginning of the answer."""
    command = ["curl", "--silent", "--verbose", "--trace-time", "--fail", "--header", "Expect:"]
    ran = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
    sent, answered = (
        datetime.strptime(pattern.findall(ran.stderr)[-1], "%H:%M:%S.%f")
        for pattern in (_SENT, _ANSWERED)
    )
    return (answered - sent).total_seconds() % 86400


def new_file(folder: Path, megabytes: int) -> str:
    """The path of a file of bytes that the grid does not know."""
    path = folder / "large.bin"
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(_MEGABYTE))
    return str(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    gateway = shared_grid().gateway_urls[0]
    seconds: dict[str, list[float]] = {"the site": [], "the gateway": []}
    with TemporaryDirectory() as name:
        folder = Path(name)
        with Server(gateway, make_directory(gateway), folder) as server:
            ways = {
                "the site": lambda path: ("--form", f"file=@{path}", server.url),
                "the gateway": lambda path: ("--upload-file", path, f"{gateway}uri"),
            }
            for number in range(asked.rounds):
                # Each is first in turn: the disks are still busy for a while after an upload.
                for way in sorted(ways, reverse=number % 2 == 0):
                    arguments = ways[way](new_file(folder, asked.megabytes))
                    seconds[way].append(after_last_byte(*arguments))
                    print(f"{way}: {seconds[way][-1]:.2f} s", flush=True)
    ours, bare = map(median, seconds.values())
    print(f"medians: {ours:.2f} s to {bare:.2f} s, {ours / bare:.2f}")


if __name__ == "__main__":
    main()
