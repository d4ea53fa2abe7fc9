"""`manage.py tahoe diff SNAPSHOT [SNAPSHOT]`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.printing import add_json_argument, bar, print_json, print_table
from tahoestorage.management.quoting import shown
from tahoestorage.management.snapshots import SNAPSHOT_HELP, cap_of
from tahoestorage.management.storages import add_storage_argument, storage_of
from txtahoe.maintenance import Difference, Progress, differences
from txtahoe.tree.tree import Tree

help = "Print what is different in two snapshots, or in a snapshot and now."


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument("before", help=SNAPSHOT_HELP)
    parser.add_argument("after", nargs="?", help="another one; default: now")
    parser.add_argument(
        "--name", help="a file, or a directory with all that is below it; default: all"
    )
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    whole = WholeTree.of(storage_of(options["storage"]))
    before = cap_of(whole, options["before"])
    after = None if options["after"] is None else cap_of(whole, options["after"])
    path = () if options["name"] is None else whole.path_of(options["name"])

    async def compare(tree: Tree, progress: Progress) -> list[Difference]:
        now = tree if after is None else Tree(tree.client, after)
        return await differences(Tree(tree.client, before), now, path, progress=progress)

    with bar("comparing", "directories") as progress:
        found = whole.run(compare, progress)
    told = [(each.kind, whole.name_of(each.path), _end(each), each.unread) for each in found]
    if options["json"]:
        print_json(
            command,
            [{"name": name + end, "kind": kind, "reason": why} for kind, name, end, why in told],
        )
    elif told:
        rows = [(kind, shown(command, name) + end, why) for kind, name, end, why in told]
        print_table(command, ["", "name", ""], rows)


def _end(difference: Difference) -> str:
    """What a name ends with: a slash where it is that of a directory."""
    node = difference.after or difference.before
    return "/" if node is not None and node.is_directory else ""
