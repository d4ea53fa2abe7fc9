"""Find the snapshot that the user names."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import CommandError

from tahoestorage.management.verb import Verb
from txtahoe.caps import BadCap, Cap
from txtahoe.maintenance import Snapshot, list_snapshots
from txtahoe.maintenance.records import is_past

SNAPSHOT_HELP = "a snapshot: its name, 'latest', or the path of a file with its cap"


def cap_of(verb: Verb, chosen: str) -> Cap:
    """The read-cap of the snapshot that an argument names. Raises: CommandError."""
    kept = verb.work("reading the snapshots", "", lambda tree, _: list_snapshots(tree))
    if chosen == "latest":
        return _latest(kept).cap
    for snapshot in kept:
        if snapshot.name == chosen:
            return snapshot.cap
    # Every user of the machine can see a command line, so it never holds a cap.
    if Path(chosen).is_file():
        return _read(Path(chosen))
    raise CommandError(
        f"No snapshot has the name {chosen!r}. `manage.py tahoe snapshot --list` lists them."
    )


def _latest(kept: list[Snapshot]) -> Snapshot:
    past = [snapshot for snapshot in kept if is_past(snapshot.began)]
    if past:
        return past[-1]
    if kept:
        raise CommandError(
            "By the clock of this machine the times of all snapshots are in the future. Set the "
            "clock, or give the name of a snapshot; `manage.py tahoe snapshot --list` lists them."
        )
    raise CommandError("No snapshot is kept. `manage.py tahoe snapshot` takes one.")


def _read(file: Path) -> Cap:
    try:
        cap = Cap.parse(file.read_bytes().strip())
    except BadCap as error:
        raise CommandError(
            f"The file {str(file)!r} holds no cap: {error}. Write the output "
            "of `manage.py tahoe snapshot --cap NAME` to it."
        ) from None
    if not cap.is_directory or not cap.is_readable:
        raise CommandError(
            f"The file {str(file)!r} holds {cap!r}, which is no readable directory. Write the "
            "output of `manage.py tahoe snapshot --cap NAME` to it."
        )
    return cap
