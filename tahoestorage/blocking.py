"""A tree on the grid, for threads that wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any, TypeVar

from attrs import frozen
from django.core.files import File

from tahoestorage.conf import Connection
from tahoestorage.reactor import CallingThread, Loop, current_loop, running_loop
from txtahoe.bodies import BlockingSource, BytesSource, Download, gather
from txtahoe.caps import Cap
from txtahoe.client import Client
from txtahoe.errors import NotWriteable
from txtahoe.gateways import Gateways
from txtahoe.streams import ISource
from txtahoe.transport import Transport
from txtahoe.tree import Tree

T = TypeVar("T")

# Files of up to so many bytes are read before the request begins: it has a length then, can be
# repeated, and needs no more of the calling thread.
_AT_ONCE = 2**20


@frozen
class BlockingTree:
    """What `connection` leads to. It can be used in any thread and any process."""

    connection: Connection

    def run(
        self,
        operation: Callable[[Tree], Awaitable[T]],
        name: str | None = None,
        caller: CallingThread | None = None,
    ) -> T:
        """
        The result of an operation on the tree, which runs in the reactor thread.

        `name`: the file that errors are about. `caller`: as for `Loop.run`.

        Raises: what the operation raises, and as `Loop.run`.
        """
        loop = current_loop()
        try:
            return loop.run(lambda: operation(self._tree(loop)), caller)
        except OSError as error:
            error.filename = error.filename or name
            raise

    def require_writable(self, name: str | None) -> None:
        """Raises: NotWriteable where nothing can be saved."""
        cap = self.connection.base_cap
        if not cap.is_writable:
            raise NotWriteable(f"{name!r} cannot be written: {cap!r} can only be read")

    def upload(self, content: File[Any], name: str | None) -> Cap:
        """
        Upload a Django file, which is read in this thread, from its start, and not closed.

        Raises: what reading it raises; the errors of `Client.upload`.
        """
        caller = CallingThread()
        source = _source(content, caller)
        return self.run(lambda tree: tree.client.upload(source), name, caller)

    def close(self, download: Download, tree: Tree) -> None:
        """End a download of `tree`, if that is of this process; does not wait."""
        loop = running_loop()
        if loop is not None and loop.kept.get(self.connection) is tree:
            loop.call_soon(download.close)

    def _tree(self, loop: Loop) -> Tree:
        tree: Tree | None = loop.kept.get(self.connection)
        if tree is None:
            connection = self.connection
            transports = [
                Transport(loop.reactor, gateway, timeout=connection.timeout)
                for gateway in connection.gateways
            ]
            client = Client(Gateways(transports))
            tree = loop.kept[connection] = Tree(client, connection.base_cap)
        return tree


def _source(content: File[Any], caller: CallingThread) -> ISource:
    chunks = iter(content.chunks())
    head = gather(chunks, _AT_ONCE)
    if len(head) < _AT_ONCE:
        return BytesSource(head)
    # The first pass goes on with what was begun; `chunks` goes back to the start by itself.
    passes = chain([chain([head], chunks)], iter(content.chunks, None))
    repeatable = hasattr(content, "seekable") and content.seekable()
    return BlockingSource(lambda: next(passes), caller.run, repeatable)
