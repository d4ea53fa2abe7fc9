"""`manage.py tahoe snapshot`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.exits import NOT_HEALTHY
from tahoestorage.management.printing import add_json_argument, bar, print_json, print_table, time
from tahoestorage.management.quoting import quoted, shown
from tahoestorage.management.snapshots import cap_of
from tahoestorage.management.storages import add_storage_argument, storage_of
from txtahoe.maintenance import Snapshot, list_snapshots, remove_snapshot, take_snapshot

help = (
    "Take a snapshot of everything under the root: immutable directories over the files that are "
    "there. A storage with its cap reads that moment; `restore` brings back what is gone."
)


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--list", action="store_true", help="list the snapshots instead")
    instead.add_argument("--cap", metavar="NAME", help="print the read cap of a snapshot instead")
    instead.add_argument(
        "--remove",
        metavar="NAME",
        help="keep a snapshot no longer: its leases are not renewed any more",
    )
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    whole = WholeTree.of(storage_of(options["storage"]))
    if options["list"]:
        _list(command, whole, options["json"])
    elif options["cap"]:
        command.stdout.write(str(cap_of(whole, options["cap"])))
    elif options["remove"]:
        whole.run(lambda tree, _: remove_snapshot(tree, options["remove"]))
    else:
        _take(command, whole, options)


def _list(command: BaseCommand, whole: WholeTree, as_json: bool) -> None:
    kept = whole.run(lambda tree, _: list_snapshots(tree))
    if as_json:
        print_json(command, [_told(snapshot) for snapshot in kept])
    elif kept:
        rows = [
            [shown(command, each.name), time(each.began), each.files, each.directories]
            for each in kept
        ]
        print_table(command, ["name", "taken", "files", "directories"], rows)
    else:
        command.stdout.write("No snapshot is kept.")


def _take(command: BaseCommand, whole: WholeTree, options: dict[str, Any]) -> None:
    with bar("copying", "directories") as progress:
        taken = whole.run(lambda tree, told: take_snapshot(tree, progress=told), progress)
    left_out = {whole.name_of(path): reason for path, reason in taken.reasons.items()}
    if options["json"]:
        print_json(command, {**_told(taken), "cap": str(taken.cap), "left_out": left_out})
    elif options["verbosity"]:
        command.stdout.write(
            f"{taken.name}: {taken.files:,} files in {taken.directories:,} directories. With its "
            f"read cap everybody can read them:\n{taken.cap!s}"
        )
    if left_out:
        told = "\n".join(f"  {quoted(name)}: {reason}" for name, reason in left_out.items())
        raise CommandError(f"Not in the snapshot are:\n{told}", returncode=NOT_HEALTHY)


def _told(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "name": snapshot.name,
        "began": snapshot.began,
        "files": snapshot.files,
        "directories": snapshot.directories,
        "left_out": snapshot.left_out,
    }
