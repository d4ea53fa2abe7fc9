"""`manage.py tahoe writer [URL]`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.conf import Connection
from tahoestorage.management.printing import add_json_argument, bar, print_json
from tahoestorage.management.storages import add_storage_argument, storage_of
from txtahoe.api.client import Client
from txtahoe.http.transport import Transport, gateway_url
from txtahoe.maintenance import Progress
from txtahoe.maintenance.writer import END_SECONDS, KNOWN_SECONDS, hand_over, writer_of
from txtahoe.tree.tree import Tree

help = (
    "Tell which gateway makes the changes of all hosts, or have another one make them. That takes "
    f"{(KNOWN_SECONDS + END_SECONDS) / 60:.1f} minutes, in which saves fail and reads go on: all "
    "hosts have to hear of it, and what is under way has to end, also where it can't be seen."
)


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument(
        "url", nargs="?", help="the gateway that is to make them, as all hosts can reach it"
    )
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    whole = WholeTree.of(storage_of(options["storage"]))
    told = whole.run(lambda tree, _: writer_of(tree))
    now = whole.connection.writer if told is None else told.url
    if options["url"] is not None:
        before = now or (told and told.before) or whole.connection.writer
        now = _hand_over(whole, options["url"], before)
    if options["json"]:
        print_json(command, {"writer": now})
    else:
        command.stdout.write(now or "None: it is being changed. Give the address of the next one.")


def _hand_over(whole: WholeTree, url: str, before: str) -> str:
    """Have another gateway make the changes; return its address. Raises: CommandError."""
    if not whole.connection.has_common_writer:
        raise CommandError(
            "The hosts do not look for a common writer. Set TAHOE_STORAGE_WRITER_URL on all of "
            "them, and start them anew."
        )
    try:
        gateway_url(url)
    except ValueError as error:
        raise CommandError(str(error)) from None
    with bar("waiting for all hosts", "s") as progress:
        whole.run(lambda tree, told: _between(tree, whole.connection, url, before, told), progress)
    return url


async def _between(
    tree: Tree, connection: Connection, url: str, before: str, progress: Progress
) -> None:
    def through(gateway: str) -> Tree:
        transport = Transport(tree.client.reactor, gateway, timeout=connection.timeout)
        return Tree(Client(transport), tree.root)

    old, new = through(before), through(url)
    try:
        status = await new.client.status()
        if not status.servers or status.connected < len(status.servers):
            raise CommandError(
                f"The gateway at {url} is connected to {status.connected} of the "
                f"{len(status.servers)} storage servers that it knows. Wait until all are there."
            )
        await hand_over(old, new, url, before, progress=progress)
    finally:
        await old.client.close()
        await new.client.close()
