"""Which snapshot a command is about."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import CommandError

from tahoestorage.care.wholetree import WholeTree
from txtahoe.caps import BadCap, Cap
from txtahoe.maintenance import Snapshot, list_snapshots
from txtahoe.maintenance.records import is_past

SNAPSHOT_HELP = "the name of a snapshot, 'latest', or the path of a file that holds the cap of one"


def cap_of(whole: WholeTree, chosen: str) -> Cap:
    """The cap of a snapshot, by what a person writes for it. Raises: CommandError."""
    kept = whole.run(lambda tree, _: list_snapshots(tree))
    if chosen == "latest":
        return _latest(kept).cap
    for snapshot in kept:
        if snapshot.name == chosen:
            return snapshot.cap
    # A cap on a command line could be seen by every user of the machine.
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
            "By the clock of this machine the times of all snapshots are yet to come. Set the "
            "clock, or give the name of one."
        )
    raise CommandError("No snapshot is kept. `manage.py tahoe snapshot` takes one.")


def _read(file: Path) -> Cap:
    try:
        cap = Cap.parse(file.read_bytes().strip())
    except BadCap as error:
        raise CommandError(f"The file {str(file)!r} holds no cap: {error}") from None
    if not cap.is_directory or not cap.is_readable:
        raise CommandError(f"The file {str(file)!r} holds {cap!r}, which is no directory.")
    return cap
