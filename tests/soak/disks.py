"""Small disks that can be made full: file systems in memory, where this process may mount some."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

_SIZE = "8g"  # it takes as much memory as it holds
_VARIABLE = "TAHOE_SOAK_DISKS"
_MOUNT = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=700", "soak"]

CAN_MOUNT = os.environ.get(_VARIABLE) == "yes"
"""Whether `SmallDisk` works in this process."""


def start_again_with_mounts() -> None:
    """
    Start this command again in a mount namespace of its own, which ends with its last process. If
    that is not allowed, return.
    """
    if _VARIABLE in os.environ:
        return
    namespace = ["unshare", "--mount"]
    if os.geteuid():
        namespace.append("--map-root-user")
    try:
        tried = subprocess.run([*namespace, *_MOUNT, "/mnt"], capture_output=True)
    except FileNotFoundError:
        return
    if tried.returncode == 0:
        command = [*namespace, sys.executable, "-m", "tests.soak", *sys.argv[1:]]
        os.execvpe(namespace[0], command, {**os.environ, _VARIABLE: "yes"})


class SmallDisk:
    """A disk of its own, mounted over a folder for as long as the `with` block lasts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([*_MOUNT, str(self._folder)], check=True)
        return self

    def __exit__(self, *raised: object) -> None:
        # Others may still have files open there.
        subprocess.run(["umount", "--lazy", str(self._folder)], check=True)

    @contextmanager
    def full(self) -> Iterator[None]:
        """For this block not a byte more can be written."""
        while True:
            disk = os.statvfs(self._folder)
            used = max(1, disk.f_blocks - disk.f_bfree) * disk.f_frsize
            if self._resize(str(used)):  # else somebody has written meanwhile
                break
        yield
        assert self._resize(_SIZE)

    def remove_empty_shares(self) -> None:
        """Remove shares of no bytes, as an operator must (txtahoe/docs/gateway.md, 2.13)."""
        for path in self._folder.glob("shares/*/*/*"):
            if not path.stat().st_size:
                path.unlink()

    def _resize(self, size: str) -> bool:
        command = ["mount", "-o", f"remount,size={size}", str(self._folder)]
        return subprocess.run(command, capture_output=True).returncode == 0
