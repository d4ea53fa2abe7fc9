"""Find the snapshot that the user names."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import CommandError

from tahoestorage.management.verb import Verb
from txtahoe.caps import BadCap, Cap
from txtahoe.maintenance import list_snapshots
from txtahoe.maintenance.records import is_past

SNAPSHOT_HELP = "a snapshot: its name, 'latest', or the path of a file with its cap"


def cap_of(verb: Verb, chosen: str) -> Cap:
    """Return the read-cap of the snapshot that an argument names. Raises: CommandError."""
    kept = verb.work("reading the snapshots", "", lambda tree, _: list_snapshots(tree))
    if chosen == "latest":
        for snapshot in reversed(kept):
            if is_past(snapshot.began):
                return snapshot.cap
        raise CommandError(
            "By the clock of this machine the times of all snapshots are in the future. Set the "
            "clock, or give the name of a snapshot; `manage.py tahoe snapshot --list` lists them."
            if kept
            else "No snapshot is kept. `manage.py tahoe snapshot` takes one."
        )
    for snapshot in kept:
        if snapshot.name == chosen:
            return snapshot.cap
    # Every user of the machine can see a command line, so it never holds a cap.
    if Path(chosen).is_file():
        return _read(Path(chosen))
    raise CommandError(
        f"No snapshot has the name {chosen!r}. `manage.py tahoe snapshot --list` lists them."
    )


def _read(file: Path) -> Cap:
    try:
        cap = Cap.parse(file.read_bytes().strip())
        if cap.is_directory and cap.is_readable:
            return cap
        problem = f"holds {cap!r}, which is no readable directory"
    except BadCap as error:
        problem = f"holds no cap: {error}"
    raise CommandError(
        f"The file {str(file)!r} {problem}. Write the output of `manage.py tahoe snapshot --cap "
        "NAME` to it."
    )
