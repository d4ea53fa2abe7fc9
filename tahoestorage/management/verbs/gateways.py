"""Show gateways and storage servers, and choose the gateway that makes all changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import asdict
from django.core.management.base import CommandError

from tahoestorage.care.wholetree import ask_gateway
from tahoestorage.health import StorageHealth, health
from tahoestorage.management.arguments import argument, gateway, number
from tahoestorage.management.printing import Line, bar, size, table, time
from tahoestorage.management.verb import LOST, NOT_HEALTHY, Verb, picked
from tahoestorage.management.verbs.contentcache import cache_usage
from txtahoe.api.client import Client
from txtahoe.errors import TahoeError
from txtahoe.http.security import Security
from txtahoe.http.transport import Transport
from txtahoe.maintenance import Progress
from txtahoe.maintenance.writer import END_SECONDS, KNOWN_SECONDS, hand_over, writer_of
from txtahoe.nodes import Server
from txtahoe.tree.tree import Tree


class Status(Verb):
    help = """
    Show the gateways and storage servers, and test a read and a write.

    Ends with status 0 if all is well, with 3 if something is missing or too old, and with 4 if
    files cannot be read or saved.

    Example:
      manage.py tahoe status --timeout 5
    """
    arguments = (
        argument(
            "--timeout",
            type=number(float, 0.1, 3600.0),
            default=10.0,
            metavar="SECONDS",
            help="how long to wait for the gateways; default: 10",
        ),
    )

    def run(self) -> None:
        timeout = self.options["timeout"]
        with bar("asking the gateways"):
            found = health(self.storage, timeout=timeout)
            servers = _servers(found, self.storage.connection.security, timeout)
        used, kept = cache_usage(self.storage)
        told = {**_told(found, servers), "content_cache": used and asdict(used)}
        self.tell(told, [*self._lines(found, servers), *kept])
        if not found.is_ok:
            raise CommandError(
                "Files can't be read or saved now. Start the gateways and storage servers that "
                "are missing, and run `manage.py tahoe status` again.",
                returncode=LOST,
            )
        if found.problems:
            raise CommandError(
                "Files can be read and saved, but not all is well: see above.",
                returncode=NOT_HEALTHY,
            )

    def _lines(self, found: StorageHealth, known: list[Server]) -> Iterator[Line]:
        rows, styles = [], []
        for each in found.gateways:
            is_there = each.is_reachable
            servers = f"{each.connected} of {each.known}" if is_there else ""
            times = each.seconds, each.read_seconds, each.write_seconds
            answered, *others = ["" if s is None else f"{s * 1000:,.0f} ms" for s in times]
            rows.append([each.url, each.version or "", servers, answered or "no answer", *others])
            styles.append("" if is_there else "ERROR")
        titles = ["gateway", "version", "servers", "answered in", "read in", "wrote in"]
        yield from table(titles, rows, styles)
        yield Line("")
        rows, styles = [], []
        for server in known:
            free, seen = size(server.available_space), time(server.last_seen)
            connected, version = "yes" if server.connected else "no", server.version or ""
            rows.append([self.shown(server.nickname), connected, free, version, seen])
            styles.append("" if server.connected else "WARNING")
        yield from table(["server", "connected", "free", "version", "last seen"], rows, styles)
        yield Line("")
        for problem in found.problems:
            yield Line(str(problem), "WARNING" if found.is_ok else "ERROR")
        if not found.is_writable:
            yield Line("This storage only reads: no file was saved.", "WARNING")
        if found.is_ok and not found.problems:
            yield Line("The root directory is healthy; files can be read and saved.", "SUCCESS")


def _servers(found: StorageHealth, security: Security, timeout: float) -> list[Server]:
    """The storage servers by nickname, each as a gateway sees it that is connected to it."""
    servers: dict[str, Server] = {}
    for each in found.gateways:
        if each.is_reachable:
            try:
                status = ask_gateway(each.url, security, lambda client: client.status(), timeout)
            except TahoeError:
                continue  # `found` has its answer of a moment ago
            for server in status.servers:
                if server.connected or server.nickname not in servers:
                    servers[server.nickname] = server
    return [servers[name] for name in sorted(servers)]


def _told(found: StorageHealth, servers: list[Server]) -> dict[str, Any]:
    names = "url version connected known seconds read_seconds write_seconds"
    told = picked(found, "is_ok is_writable")
    told["gateways"] = [picked(each, names) for each in found.gateways]
    told["servers"] = [
        {
            "name": each.nickname,
            "free": each.available_space,
            **picked(each, "connected version last_seen"),
        }
        for each in servers
    ]
    told["problems"] = [str(problem) for problem in found.problems]
    return told


class Writer(Verb):
    help = f"""
    Show or change the gateway that makes all directory changes.

    The change takes {(KNOWN_SECONDS + END_SECONDS) / 60:.1f} minutes: all hosts must learn of it,
    and the changes that are under way must end. Meanwhile saves fail, and reads go on.

    Examples, show the writer, and choose another one:
      manage.py tahoe writer
      manage.py tahoe writer https://b.internal:3457/
    """
    arguments = (
        argument(
            "url", nargs="?", type=gateway, help="the next writer, by the URL that all hosts use"
        ),
    )

    def run(self) -> None:
        told = self.work("reading", "", writer_of)
        connection, url = self.whole.connection, self.options["url"]
        now = connection.writer if told is None else told.url
        if url is not None:
            self._hand_over(url, now or (told and told.before) or connection.writer)
        nobody = "None: a change is under way. `manage.py tahoe writer URL` completes it."
        self.tell({"writer": url or now}, [url or now or nobody])

    def _hand_over(self, url: str, before: str) -> None:
        """Make a gateway the writer. Raises: CommandError."""
        connection = self.whole.connection
        if not connection.has_common_writer:
            raise CommandError(
                "The hosts have no common writer. Set TAHOE_STORAGE_WRITER_URL on all of them, "
                "and restart them."
            )

        def tree_at(each: str, tree: Tree) -> Tree:
            how: Any = {"timeout": connection.timeout, "security": connection.security}
            return Tree(Client(Transport(tree.client.reactor, each, **how)), tree.root)

        async def change(tree: Tree, progress: Progress) -> None:
            old, new = tree_at(before, tree), tree_at(url, tree)
            try:
                status = await new.client.status()
                known = len(status.servers)
                if not known or status.connected < known:
                    raise CommandError(
                        f"The gateway at {url} is connected to {status.connected} of the {known} "
                        "storage servers that it knows. Wait for the others."
                    )
                await hand_over(old, new, url, before, progress=progress)
            finally:
                await old.client.close()
                await new.client.close()

        self.work("waiting for all hosts", "s", change)
