"""`manage.py tahoe url NAME`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.management.printing import add_json_argument, print_json
from tahoestorage.management.storages import add_storage_argument, storage_of

help = "Print the addresses of files. One by cap lets everybody read the file who sees it."


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument("names", nargs="+", metavar="name", help="a file")
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    storage = storage_of(options["storage"])
    names = options["names"]
    missing = set(names) - storage.prefetch(names)
    if missing:
        raise CommandError("\n".join(f"There is no file {name!r}." for name in sorted(missing)))
    for name in names:
        storage.size(name)  # to tell of a directory, which has none
    try:
        urls = {name: storage.url(name) for name in names}
    except ValueError as error:
        raise CommandError(
            f"{error} Set TAHOE_PUBLIC_BASE_URL, or serve the files with tahoestorage.urls."
        ) from None
    if options["json"]:
        print_json(command, urls)
    else:
        for url in urls.values():
            command.stdout.write(url)
