"""The folder of a spool: whether files that are saved there are safe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_MOUNTS = "/proc/self/mounts"
_MODE = 0o077
_UNFIT = {
    **dict.fromkeys(
        ("tmpfs", "ramfs", "devtmpfs"),
        "it is in memory, and a restart of the host loses what is not on the grid yet",
    ),
    **dict.fromkeys(
        ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.glusterfs", "ceph"),
        "it is on a file system of the network, where locks and syncs are not what they seem",
    ),
    "overlay": "it is a part of the container, and lost with it",
}


def problems_of(path: Path) -> Iterator[tuple[str, str]]:
    """The problems of a spool's folder, each with a hint. This makes no folder."""
    there = path if path.exists() else path.parent
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK) or not there.is_dir():
        hint = "Make it, for the user of the site."
        yield f"{str(there)!r} is missing, or this user cannot write to it", hint
        return
    told = path.stat() if path.exists() else None
    if told is not None and told.st_uid != os.geteuid():
        hint = "Give a folder of the user that runs the site."
        yield "it belongs to another user, whose processes would not share it", hint
    elif told is not None and told.st_mode & _MODE:
        mode = told.st_mode & 0o777
        yield f"its mode {mode:04o} lets others than its owner use it", "Run chmod 700 on it."
    problem = _UNFIT.get(_file_system(there))
    if problem is not None:
        yield problem, "Give a folder on a disk of this host; in a container, on a volume."


def _file_system(path: Path) -> str:
    """The kind of file system of a path; "" where the system does not tell."""
    place, found = str(path.resolve()) + "/", ("", "")
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
            lines = [line.split() for line in mounts]
    except OSError:
        return ""
    for _, point, kind, *_ in lines:
        point = point.replace("\\040", " ").rstrip("/") + "/"
        if place.startswith(point) and len(point) >= len(found[0]):
            found = point, kind
    return found[1]
