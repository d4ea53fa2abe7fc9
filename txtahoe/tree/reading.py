"""Looks up names below a root: one, a directory of them, many, or all."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Iterable
from typing import Self

from twisted.internet.defer import Deferred
from twisted.web.http import Request

from txtahoe.api.download import Download
from txtahoe.api.serving import serve
from txtahoe.caps import Cap
from txtahoe.concurrency import all_done, each
from txtahoe.errors import NoSuchChild, NotADirectory
from txtahoe.nodes import Node
from txtahoe.tree.known import FROM_ELSEWHERE
from txtahoe.tree.lookup import Lookup
from txtahoe.tree.paths import AnyPath, Path, split
from txtahoe.tree.spread.format import Children, Contents


class Reading:
    """The half of `Tree` that changes nothing."""

    def __init__(self, lookup: Lookup, concurrency: int) -> None:
        self.client = lookup.client
        self.root = lookup.root.cap
        self._lookup = lookup
        self._concurrency = concurrency

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    def known(self, path: AnyPath) -> Node | None:
        """The node at a path, if it is known without a request. Can be called in any thread."""
        return self._lookup.known(split(path))

    @property
    def changes(self) -> int:
        """How many changes this tree has made. Answers from before the last one can be wrong."""
        return self._lookup.changes

    def learn(self, path: AnyPath, node: Node) -> None:
        """Keep what a path leads to, if the caller knows it from elsewhere."""
        self._lookup.learn(split(path), node)

    def learn_directory(self, path: AnyPath, cap: Cap) -> None:
        """Keep the cap of a directory from elsewhere; the directory can be a removed one."""
        self.learn(path, Node("dirnode", cap, metadata=FROM_ELSEWHERE))

    async def contents(self) -> Contents:
        """The contents of the root directory itself now: hidden links and parts too."""
        return await self._lookup.ask((), self.root, 0, anew=True)

    async def resolve(self, path: AnyPath, *, fresh: bool = False) -> Node:
        """
        The node that a path leads to. With `fresh` this asks the gateway even for a known one.

        A link that this tree has made itself has no times until the tree asks the gateway.

        Raises: NoSuchChild; NotADirectory.
        """
        return await self._lookup.resolve(split(path), fresh=fresh)

    async def exists(self, path: AnyPath) -> bool:
        """
        Whether a path leads to a file or directory; False too if a file is in its way.

        Raises: the gateway's errors; ValueError for a path that nothing can have.
        """
        try:
            await self.resolve(path)
        except (NoSuchChild, NotADirectory):
            return False
        return True

    async def size(self, path: AnyPath) -> int:
        """The size of a file in bytes. Raises: NoSuchChild; NotADirectory; IsADirectory."""
        return await self.client.size((await self.resolve(path)).cap)

    async def download(self, path: AnyPath, offset: int = 0, length: int | None = None) -> Download:
        """As `Client.download`, of the file at a path. Raises: NoSuchChild; NotADirectory too."""
        return await self.client.download((await self.resolve(path)).cap, offset, length)

    async def read(self, path: AnyPath, offset: int = 0, length: int | None = None) -> bytes:
        """As `download`, in memory. Raises: also as `Download.read`."""
        return await (await self.download(path, offset, length)).rest()

    async def serve(self, request: Request, path: AnyPath) -> None:
        """
        Answer a request of twisted.web with the file at a path; see `txtahoe.serve`.

        Raises: as `download`, and as `serve`, before it sends anything.
        """
        names = split(path)
        await serve(request, await self.download(names), names[-1])

    async def list(self, path: AnyPath) -> Children:
        """The children of a directory, by name. Raises: NoSuchChild; NotADirectory."""
        return await self._lookup.list(split(path))

    async def prefetch(self, paths: Iterable[AnyPath]) -> dict[Path, Node]:
        """
        Look up many paths, with one listing for each directory; missing ones are left out.

        Raises: SomeFailed if a directory cannot be read; TypeError for a single path.
        """
        if isinstance(paths, str):  # each of its characters would be a path
            raise TypeError("several paths are needed, not a str: give [path]")
        wanted: dict[Path, list[Path]] = {}
        for names in map(split, paths):
            wanted.setdefault(names[:-1], []).append(names)

        def look(directory: Path) -> Awaitable[dict[Path, Node]]:
            return self._lookup.some(directory, wanted[directory])

        found = all_done(await each(wanted, look, self._concurrency), "looking up many names")
        return {path: node for nodes in found for path, node in nodes.items()}

    async def walk(self, path: AnyPath = ()) -> AsyncGenerator[tuple[Path, Children], None]:
        """
        Walk the directory of a path and all directories below it, each with its children.

        Nearer directories come first; this reads the next ones while the caller uses one. It does
        not enter a directory again that is linked below itself, and leaves out one that vanishes
        meanwhile.

        Raises: NoSuchChild, NotADirectory for the path itself.
        """
        start = split(path)
        # Each path with the directories on the way to it, from the start on.
        waiting = deque([(start, {(await self._lookup.directory(start)).reader})])
        coming: deque[tuple[Path, set[Cap], Deferred[Children]]] = deque()
        try:
            while waiting or coming:
                while waiting and len(coming) < self._concurrency:
                    names, above = waiting.popleft()
                    listing = Deferred.fromCoroutine(self._lookup.list(names))
                    coming.append((names, above, listing))
                names, above, answer = coming.popleft()
                try:
                    children = await answer
                except (NoSuchChild, NotADirectory):
                    if names == start:
                        raise
                    continue
                for name, node in children.items():
                    if node.is_directory and node.cap.reader not in above:
                        waiting.append(((*names, name), above | {node.cap.reader}))
                yield names, children
        finally:
            for _, _, answer in coming:
                answer.addErrback(lambda _: None)
                answer.cancel()
