"""`manage.py tahoe restore SNAPSHOT [NAME]`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.failures import problem_of
from tahoestorage.management.printing import add_json_argument, bar, print_json
from tahoestorage.management.quoting import quoted, shown
from tahoestorage.management.snapshots import SNAPSHOT_HELP, cap_of
from tahoestorage.management.storages import add_storage_argument, storage_of
from txtahoe.maintenance import restore

help = (
    "Bring files back from a snapshot, by linking what is on the grid still. What was saved since "
    "stays; a file that has changed since is brought back with --replace only."
)


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument("snapshot", help=SNAPSHOT_HELP)
    parser.add_argument(
        "name", nargs="?", help="a file, or a directory with all that was below it; default: all"
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace files that have changed since"
    )
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    whole = WholeTree.of(storage_of(options["storage"]))
    cap = cap_of(whole, options["snapshot"])
    path = () if options["name"] is None else whole.path_of(options["name"])
    with bar("restoring", "directories") as progress:
        restored = whole.run(
            lambda tree, told: restore(tree, cap, path, replace=options["replace"], progress=told),
            progress,
        )
    back = sorted(map(whole.name_of, [*restored.files, *restored.directories]))
    conflicts = sorted(map(whole.name_of, restored.conflicts))
    failed = {whole.name_of(path): problem_of(why) for path, why in restored.failed.items()}
    if options["json"]:
        print_json(command, {"restored": back, "conflicts": conflicts, "failed": failed})
    elif options["verbosity"]:
        for name in back:
            command.stdout.write(shown(command, name))
    problems = [f"{quoted(name)}: something else is there now" for name in conflicts]
    problems += [f"{quoted(name)}: {why}" for name, why in failed.items()]
    if problems:
        raise CommandError("\n".join(["Not brought back are:", *problems]))
