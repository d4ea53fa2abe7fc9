"""
How long an upload takes after its last byte: `python -m tests.bench.arriving`.

With curl, in turn to a site that has the upload handler, and saves the file, and to the gateway.
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
from tests.tahoestorage.upload_server import Server

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
    ours: list[float] = []
    bare: list[float] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        with Server(gateway, make_directory(gateway), folder) as server:
            for _ in range(asked.rounds):
                site = f"http://127.0.0.1:{server.port}/"
                path = new_file(folder, asked.megabytes)
                ours.append(after_last_byte("--form", f"file=@{path}", site))
                path = new_file(folder, asked.megabytes)
                bare.append(after_last_byte("--upload-file", path, f"{gateway}uri"))
                print(f"the site {ours[-1]:.2f} s, the gateway {bare[-1]:.2f} s", flush=True)
    print(
        f"medians: {median(ours):.2f} s to {median(bare):.2f} s, {median(ours) / median(bare):.2f}"
    )


if __name__ == "__main__":
    main()
