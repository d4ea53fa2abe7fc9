"""A storage as a whole tree, for those who look after it: commands, checks, the admin's page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Self, TypeVar

from attrs import frozen

from tahoestorage import conf
from tahoestorage.grid.paths import Location, Name
from tahoestorage.grid.tree import StorageTree
from tahoestorage.reactor.loop import Caller
from tahoestorage.reactor.waiting import Blocking, done
from tahoestorage.storage import TahoeStorage
from txtahoe.api.client import Client
from txtahoe.http.transport import Transport
from txtahoe.maintenance import Progress
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree

T = TypeVar("T")


@frozen
class WholeTree:
    """
    All that is under the root cap of a storage, which may be more than is in its location.

    `connection`: how it is reached. `location`: where the names of the storage begin.
    """

    connection: conf.Connection
    location: Location

    @classmethod
    def of(cls, storage: TahoeStorage) -> Self:
        """Raises: ImproperlyConfigured, saying which setting to mend."""
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
        The result of an operation on the tree, such as one of `txtahoe.maintenance`, which runs in
        the reactor thread. `progress` is called in this thread.

        Raises: what the operation raises.
        """

        async def run(tree: Tree, caller: Caller) -> T:
            def told(finished: int, known: int) -> None:
                if progress is not None:
                    caller.call_soon(partial(progress, finished, known))

            return await operation(tree, told)

        return done(self.tree.run(run))

    def path_of(self, name: Name) -> Path:
        """Where a name of the storage is. Raises: SuspiciousFileOperation."""
        return self.location.path_of(name)

    def name_of(self, path: Path) -> str:
        """The name of what is at a path; one outside of the storage's location begins with "/"."""
        if path[: len(self.location.root)] == self.location.root:
            return self.location.name_of(path)
        return "/" + "/".join(path)


def ask_gateway(url: str, question: Callable[[Client], Awaitable[T]], timeout: float = 60.0) -> T:
    """
    The answer of one gateway. `timeout`: seconds without progress.

    Raises: what the question raises; the errors of `Client`.
    """

    async def ask(caller: Any) -> T:
        client = Client(Transport(caller.loop.reactor, url, timeout=timeout, pauses=()))
        try:
            return await question(client)
        finally:
            await client.close()

    return done(Blocking().run(ask))
