"""`manage.py tahoe ls [NAME]`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.printing import add_json_argument, print_json, print_table, size, time
from tahoestorage.management.quoting import shown
from tahoestorage.management.storages import add_storage_argument, storage_of
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path, is_reserved
from txtahoe.tree.tree import Tree

help = "List a directory, or all that is below it."


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument("name", nargs="?", default="", help="a directory or a file; default: all")
    parser.add_argument("-l", "--long", action="store_true", help="with sizes and times")
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="and all that is below the directory"
    )
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    whole = WholeTree.of(storage_of(options["storage"]))
    found = _found(whole, options["name"], options["recursive"])
    listed = [(whole.name_of(path), node) for path, node in sorted(found.items())]
    if options["json"]:
        print_json(command, [_told(name, node) for name, node in listed])
    elif options["long"]:
        rows = [
            [
                "" if node.is_directory else size(node.size),
                time(node.modified),
                _shown(command, name, node),
            ]
            for name, node in listed
        ]
        print_table(command, ["size", "linked", "name"], rows)
    else:
        for name, node in listed:
            command.stdout.write(_shown(command, name, node))


def _found(whole: WholeTree, name: str, is_recursive: bool) -> dict[Path, Node]:
    path = whole.path_of(name)

    async def look(tree: Tree, _: object) -> dict[Path, Node]:
        node = await tree.resolve(path)
        if not node.is_directory:
            return {path: node}
        found = {}
        async for directory, children in tree.walk(path):
            paths = {(*directory, name): node for name, node in children.items()}
            found.update({path: node for path, node in paths.items() if not is_reserved(path)})
            if not is_recursive:
                break
        return found

    return whole.run(look)


def _shown(command: BaseCommand, name: str, node: Node) -> str:
    return shown(command, name) + ("/" if node.is_directory else "")


def _told(name: str, node: Node) -> dict[str, Any]:
    kind = {"dirnode": "directory", "filenode": "file"}.get(node.type, node.type)
    return {"name": name, "type": kind, "size": node.size, "linked": node.modified}
