"""
Show or change the gateway that makes all directory changes.

The change takes some minutes: all hosts must learn of it, and the changes that are under way must
end. Meanwhile saves fail, and reads go on.

Examples, show the writer, and choose another one:
  manage.py tahoe writer
  manage.py tahoe writer https://b.internal:3457/
"""

from __future__ import annotations

from django.core.management.base import CommandError

from tahoestorage.management.arguments import argument
from tahoestorage.management.verb import Verb
from txtahoe.api.client import Client
from txtahoe.http.transport import Transport, gateway_url
from txtahoe.maintenance import Progress
from txtahoe.maintenance.writer import hand_over, writer_of
from txtahoe.tree.tree import Tree


class Writer(Verb):
    help = __doc__
    arguments = (
        argument("url", nargs="?", help="the next writer, by the URL with which hosts reach it"),
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

        async def change(tree: Tree, progress: Progress) -> None:
            old, new = (
                Tree(Client(Transport(tree.client.reactor, gateway, timeout=timeout)), tree.root)
                for gateway in (before, url)
            )
            try:
                status = await new.client.status()
                known = len(status.servers)
                if not status.servers or status.connected < known:
                    raise CommandError(
                        f"The gateway at {url} is connected to {status.connected} of the {known} "
                        "storage servers that it knows. Wait for the others."
                    )
                await hand_over(old, new, url, before, progress=progress)
            finally:
                await old.client.close()
                await new.client.close()

        timeout = connection.timeout
        self.work("waiting for all hosts", "s", change)
        return url
