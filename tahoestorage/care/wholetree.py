"""A storage as a whole tree, for those who look after it: commands, checks, the admin's page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Self, TypeVar

from attrs import frozen

from tahoestorage import conf
from tahoestorage.grid.paths import Location, Name
from tahoestorage.grid.tree import StorageTree
from tahoestorage.reactor.waiting import Caller, done, in_reactor
from tahoestorage.storage import TahoeStorage
from txtahoe.api.client import Client
from txtahoe.concurrency import each
from txtahoe.errors import NoSuchChild
from txtahoe.http.security import Security
from txtahoe.http.transport import Transport
from txtahoe.maintenance import Progress
from txtahoe.maintenance.walking import AT_ONCE, Place
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path, is_reserved
from txtahoe.tree.tree import Tree

T = TypeVar("T")


@frozen
class WholeTree:
    """Everything under the root cap of a storage, which may be more than is in its location."""

    connection: conf.Connection
    location: Location

    @classmethod
    def of(cls, storage: TahoeStorage) -> Self:
        """Raises: ImproperlyConfigured, which names the setting that is wrong."""
        return cls(storage.connection, Location(storage.location))

    @property
    def tree(self) -> StorageTree:
        return StorageTree(self.connection)

    def run(
        self,
        operation: Callable[[Tree, Progress], Awaitable[T]],
        progress: Progress | None = None,
    ) -> T:
        """
        The result of an operation on the tree, such as one of `txtahoe.maintenance`. It runs in the
        reactor thread, and `progress` in this thread. Raises: what the operation raises.
        """

        async def run(tree: Tree, caller: Caller) -> T:
            def told(finished: int, known: int) -> None:
                if progress is not None:
                    caller.call_soon(partial(progress, finished, known))

            return await operation(tree, told)

        return done(self.tree.run(run))

    def files(
        self,
        directory: Path,
        *,
        leaves_out: Callable[[Place], bool] = lambda place: False,
        progress: Progress | None = None,
    ) -> Iterator[tuple[Path, Node | OSError]]:
        """
        All files in a directory and below it, read as the caller goes on. A directory below it that
        can't be read comes with its error, and ends nothing. Reserved names are left out, and so
        are directories that `leaves_out` accepts.

        Raises: the errors of `Client` for the directory itself.
        """
        name = self.location.name_of(directory)
        start = Place(directory, done(self.tree.resolve(directory, name)))
        waiting, read = [start], 0
        while waiting:
            places = [waiting.pop() for _ in waiting[:AT_ONCE]]
            for place, children in zip(places, self._list(places), strict=True):
                if isinstance(children, Exception):
                    if place is start or not isinstance(children, OSError):
                        raise children
                    if not isinstance(children, NoSuchChild):  # it was removed meanwhile
                        yield place.path, children
                    continue
                for child in place.enter(children):
                    if is_reserved(child.path):
                        continue
                    if not child.node.is_directory:
                        yield child.path, child.node
                    elif not child.is_below_itself and not leaves_out(child):
                        waiting.append(child)
            read += len(places)
            if progress is not None:
                progress(read, read + len(waiting))

    def _list(self, places: list[Place]) -> list[dict[str, Node] | Exception]:
        paths = [place.path for place in places]
        return self.run(lambda tree, _: each(paths, tree.list, AT_ONCE))

    def path_of(self, name: Name) -> Path:
        """The path of a name of the storage. Raises: SuspiciousFileOperation."""
        return self.location.path_of(name)

    def name_of(self, path: Path) -> str:
        """The name of a path. If it is outside of the storage's location, it begins with "/"."""
        if path[: len(self.location.root)] == self.location.root:
            return self.location.name_of(path)
        return "/" + "/".join(path)


def ask_gateway(
    url: str,
    security: Security,
    question: Callable[[Client], Awaitable[T]],
    timeout: float = 60.0,
) -> T:
    """
    The answer of one gateway. `timeout`: seconds without progress. Raises: the errors of `Client`.
    """

    async def ask(caller: Any) -> T:
        reactor = caller.loop.reactor
        client = Client(Transport(reactor, url, timeout=timeout, pauses=(), security=security))
        try:
            return await question(client)
        finally:
            await client.close()

    return done(in_reactor(ask))
