"""`manage.py tahoe du [NAME]`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.arguments import number
from tahoestorage.management.printing import add_json_argument, bar, print_json, print_table, size
from tahoestorage.management.quoting import shown
from tahoestorage.management.storages import add_storage_argument, storage_of
from txtahoe.maintenance import Usage, usage

help = "Count files and bytes by directory; a grid that needs 2 of 3 shares takes half more."


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument("name", nargs="?", default="", help="a directory; default: all")
    parser.add_argument(
        "--depth",
        type=number(int, 0, 1000),
        metavar="N",
        help="directories so far below it only; 0: their sum",
    )
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    whole = WholeTree.of(storage_of(options["storage"]))
    start = whole.path_of(options["name"])
    with bar("counting", "directories") as progress:
        found = whole.run(lambda tree, told: usage(tree, start, progress=told), progress)
    depth = options["depth"]
    used = [
        (whole.name_of(path), each)
        for path, each in found.items()
        if depth is None or len(path) - len(start) <= depth
    ]
    if options["json"]:
        print_json(command, [_told(name, each) for name, each in used])
    else:
        rows = [[size(each.size), each.files, _shown(command, name, each)] for name, each in used]
        print_table(command, ["size", "files", "directory"], rows)


def _shown(command: BaseCommand, name: str, used: Usage) -> str:
    notes = []
    if used.unsized:
        notes.append(f"{used.unsized} files of unknown size")
    if used.unread:
        notes.append(f"{used.unread} directories can't be read")
    return f"{shown(command, name)}/" + (f"  ({', '.join(notes)})" if notes else "")


def _told(name: str, used: Usage) -> dict[str, Any]:
    return {
        "name": name,
        "size": used.size,
        "files": used.files,
        "directories": used.directories,
        "unsized": used.unsized,
        "unread": used.unread,
    }
