"""Looks up names below a root, with one request for all callers, and keeps the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Set
from contextlib import suppress
from functools import partial
from typing import TypeVar

from txtahoe.api.client import Client
from txtahoe.caps import Cap, require_cap
from txtahoe.errors import NoSuchChild, NotADirectory, Unrecoverable
from txtahoe.http.events import tell_lookup
from txtahoe.nodes import Node
from txtahoe.tree.listing import Listings
from txtahoe.tree.paths import Path
from txtahoe.tree.removed import REMOVED, is_empty, without_removed
from txtahoe.tree.spread.format import Children, Contents, gather, visible

T = TypeVar("T")


class Lookup(Listings):
    """
    Looks up the names below `root`.

    It lists a whole directory, which costs no more than to ask for one child (docs/gateway.md 1).
    Callers that ask about the directory meanwhile share the answer. The answer counts for all names
    in it for `max_age` seconds, or less if the caller asks for that. It does not keep that a path
    leads nowhere: another process can save there at any moment.

    If it must read several directories of a path, it reads them side by side, by the caps that they
    had when it last knew them. Each answer counts if the directory above still leads there.

    If the names of a directory are spread (see `spread`), it reads the parts that decide, `at_once`
    of them at a time.

    All methods raise the errors of `Client`. Raises: NotADirectory for another root.
    """

    def __init__(
        self, client: Client, root: Cap, max_age: float, max_known: int, at_once: int, spreads: bool
    ) -> None:
        require_cap(root)
        if not root.is_directory or not root.is_readable:
            raise NotADirectory(f"{root!r} is not a directory that can be read")
        super().__init__(client, root, max_age, max_known, at_once, spreads)
        self._at_once = at_once

    # Names.

    def _remembered(self, path: Path) -> Node | None:
        """As `known`; the observer is told."""
        node = self.known(path)
        tell_lookup(self.client.observer, None if node is None else "memory")
        return node

    async def resolve(self, path: Path, *, fresh: bool = False) -> Node:
        """
        The node that a path leads to. With `fresh` this asks the gateway even for a known one.

        Raises: NoSuchChild; NotADirectory.
        """
        node = None if fresh and path else self._remembered(path)
        if node is None:
            node = await self._find(path, fresh)
        if await self.is_removed(path, node):
            raise NoSuchChild(f"the directory {path[-1]!r} was removed")
        return node

    async def look(self, path: Path) -> Node | None:
        """As `resolve`, fresh, removed directories too; None if the path leads nowhere."""
        try:
            return await self._find(path, fresh=True)
        except NoSuchChild:
            return None

    async def some(self, directory: Path, paths: Iterable[Path]) -> dict[Path, Node]:
        """Look up several paths of one directory with one listing; missing ones are left out."""
        nodes = {path: self._remembered(path) for path in paths}
        missing = {path[-1] for path, node in nodes.items() if node is None}
        if missing:
            children: Children = {}

            async def look(cap: Cap) -> None:
                nonlocal children
                children = await self._present(directory, cap, missing)
                if not missing <= children.keys():
                    raise NoSuchChild("some names are missing")

            with suppress(NoSuchChild, NotADirectory):
                await self._inside(directory, look, missing)
            nodes = {path: nodes[path] or children.get(path[-1]) for path in nodes}
        return {path: node for path, node in nodes.items() if node is not None}

    async def list(self, path: Path) -> Children:
        """The children of a directory now, without removed and hidden ones."""
        children = await self._inside(path, partial(self._present, path))
        if not children:
            await self.resolve(path)  # it may be removed itself
        return children

    async def directory(self, path: Path, *, fresh: bool = False, or_make: bool = False) -> Cap:
        """
        The cap of a directory, which can be a removed one.

        `or_make`: the caller makes the directory if it is missing, by a link that is refused if it
        is there. So it does to know that the directory was missing lately.

        Raises: NoSuchChild, NotADirectory.
        """
        known = 0 if fresh else self._known_depth(path)
        cap = self.known_directory(path[:known]) or self.root.cap
        with self._side_by_side(path, range(known, len(path)), anew=fresh):
            for depth in range(known + 1, len(path) + 1):
                here = path[:depth]
                if or_make and self._is_there.get(here) is False:
                    raise _missing(here)
                # A name that led to a file can lead to a directory by now.
                is_doubtful = fresh or self._get(here) is not None
                try:
                    node = await self._child(here, cap, is_doubtful, or_make)
                except NoSuchChild:
                    self.forget(here[:-1], here[-1:])
                    self.note(here, is_there=False)
                    raise
                if not node.is_directory:
                    raise NotADirectory(f"{'/'.join(here)!r} is not a directory")
                cap = node.cap
        return cap

    async def again(self, path: Path, directory: Cap) -> Cap | None:
        """
        The cap for another attempt with a directory that could not be used; None if it is no use.

        It is, if the path leads to another directory now; or if the directory had parts, which can
        have been replaced.
        """
        had_parts = self.layouts.forget(directory)
        found = await self.directory(path, fresh=True)
        return found if had_parts or found != directory else None

    async def _inside(
        self,
        path: Path,
        operation: Callable[[Cap], Awaitable[T]],
        names: Set[str] | None = None,
    ) -> T:
        """
        The result of an operation on a directory; `names`: those in which it is interested.

        If something is lost, the directory can have moved. If something is missing, it can have
        moved too if only its cap is known, or that of one above it. Then this looks the path up
        again, and does the operation again if the path leads elsewhere.
        """
        known = self._known_depth(path)
        is_sure = self._is_sure(path[:known])
        directory = None
        with self._side_by_side(path, range(known, len(path) + 1), names):
            try:
                directory = await self.directory(path)
                return await operation(directory)
            except (NoSuchChild, NotADirectory, Unrecoverable) as error:
                if not known or (is_sure and not isinstance(error, Unrecoverable)):
                    raise
                found = await self.directory(path, fresh=True)
                if found == directory:
                    raise
            return await operation(found)

    async def _find(self, path: Path, fresh: bool) -> Node:
        def child(parent: Cap) -> Awaitable[Node]:
            return self._child(path, parent, fresh)

        return await self._inside(path[:-1], child, {path[-1]})

    async def _child(self, path: Path, directory: Cap, fresh: bool, or_make: bool = False) -> Node:
        while True:
            children, is_new = await self._gather(path[:-1], directory, fresh, {path[-1]})
            if path[-1] in children:
                return children[path[-1]]
            if is_new or or_make:
                raise _missing(path)
            fresh = True

    # Directories as they are shown.

    async def _present(
        self, path: Path, directory: Cap, wanted: Set[str] | None = None
    ) -> Children:
        def is_removed(below: Path, node: Node) -> Awaitable[bool]:
            return self.is_removed(below, node, fresh=wanted is not None)

        began = self.now(), self.changes
        children = await self._visible(path, directory, wanted)
        if wanted is None and not children:
            self._note_emptiness(path, directory, True, *began)
        return await without_removed(path, children, is_removed, self._at_once)

    async def _visible(
        self, path: Path, directory: Cap, wanted: Set[str] | None = None
    ) -> Children:
        return visible((await self._gather(path, directory, True, wanted))[0])

    async def _gather(
        self, path: Path, directory: Cap, anew: bool, wanted: Set[str] | None
    ) -> tuple[Children, bool]:
        """As `gather`; and whether all requests began after this call."""
        are_new = True

        async def read(part: Cap, depth: int, wanted: Set[str] | None) -> Contents:
            nonlocal are_new
            layout = self.layouts.get(part)
            if layout.has_parts_for(wanted, depth):
                return Contents({}, parts=layout.parts)
            contents, is_new = await self._ask(path, part, depth, anew)
            are_new = are_new and is_new
            return contents

        try:
            children = await gather(path, directory, read, wanted)
        except (NotADirectory, Unrecoverable):
            if not self.layouts.forget(directory):
                raise
            # Parts can have been replaced since they were known.
            children = await gather(path, directory, read, wanted)
        return children, are_new

    async def is_removed(self, path: Path, node: Node, *, fresh: bool = True) -> bool:
        """
        Whether a path leads to a removed directory. With `fresh` this asks the gateway: another
        process can have saved a file in it.
        """
        if REMOVED not in node.metadata:
            return False
        known = None if fresh else self._emptiness.get(path)
        if known is not None and known[0] == node.cap:
            return known[1]
        began = self.now(), self.changes
        empty = await is_empty(path, node.cap, self._visible, self._at_once)
        self._note_emptiness(path, node.cap, empty, *began)
        return empty

    def _note_emptiness(
        self, path: Path, directory: Cap, empty: bool, since: float, changes: int
    ) -> None:
        """Keep whether a directory was empty, unless this tree has made a change since then."""
        if changes == self.changes:
            self._emptiness.put(path, (directory, empty), since)


def _missing(path: Path) -> NoSuchChild:
    return NoSuchChild(f"no such file or directory: {path[-1]!r}")
