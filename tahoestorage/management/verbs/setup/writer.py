"""`manage.py tahoe writer [URL]`."""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser

from tahoestorage.conf import Connection
from tahoestorage.management.verb import Verb
from txtahoe.api.client import Client
from txtahoe.http.transport import Transport, gateway_url
from txtahoe.maintenance import Progress
from txtahoe.maintenance.writer import END_SECONDS, KNOWN_SECONDS, hand_over, writer_of
from txtahoe.tree.tree import Tree


class Writer(Verb):
    help = f"""
    Show or change the gateway that makes all directory changes.

    The change takes {(KNOWN_SECONDS + END_SECONDS) / 60:.1f} minutes: all hosts must learn of it,
    and the changes that are under way must end. Meanwhile saves fail, and reads go on.

    Examples, show the writer, and choose another one:
      manage.py tahoe writer
      manage.py tahoe writer https://b.internal:3457/
    """

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "url", nargs="?", help="the next writer, by the URL with which all hosts reach it"
        )

    def run(self) -> None:
        told = self.work("reading", "", lambda tree, _: writer_of(tree))
        now = self.whole.connection.writer if told is None else told.url
        if self.options["url"] is not None:
            before = now or (told and told.before) or self.whole.connection.writer
            now = self._hand_over(self.options["url"], before)
        nobody = "None: a change is under way. `manage.py tahoe writer URL` completes it."
        self.tell({"writer": now}, [now or nobody])

    def _hand_over(self, url: str, before: str) -> str:
        """Make a gateway the writer; return its URL. Raises: CommandError."""
        connection = self.whole.connection
        if not connection.has_common_writer:
            raise CommandError(
                "The hosts have no common writer. Set TAHOE_STORAGE_WRITER_URL on all of them, "
                "and restart them."
            )
        try:
            gateway_url(url)
        except ValueError as error:
            raise CommandError(str(error)) from None
        self.work(
            "waiting for all hosts",
            "s",
            lambda tree, told: _between(tree, connection, url, before, told),
        )
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
                f"{len(status.servers)} storage servers that it knows. Wait for the others."
            )
        await hand_over(old, new, url, before, progress=progress)
    finally:
        await old.client.close()
        await new.client.close()
