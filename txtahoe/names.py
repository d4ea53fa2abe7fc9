"""What the names below a root lead to: asked once, by whoever asks first, and kept for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import TypeVar

from twisted.internet.defer import DeferredSemaphore

from txtahoe.caps import Cap
from txtahoe.client import Client
from txtahoe.errors import NoSuchChild, NotADirectory, Unrecoverable
from txtahoe.known import Known
from txtahoe.layouts import HIDDEN, Children, Contents, Layouts, contents_of, digit_of
from txtahoe.many import all_or_first, each
from txtahoe.nodes import Node
from txtahoe.paths import Path
from txtahoe.questions import How, Question, Questions

T = TypeVar("T")

# The key in a link's metadata that says: this directory is removed while it is empty.
REMOVED = "txtahoe-removed"


class Names:
    """
    The names below `root`.

    A directory is asked for all of its children, which costs no more than to ask for one of them
    (GATEWAY.md 1). Who asks about it meanwhile waits for the same answer, and it answers for all
    names in it for `max_age` seconds; the last `max_known` names are kept. For a name that is not
    in it the directory is asked again. Where its names are spread over parts (see `layouts`), those
    are asked that have the say, `at_once` of them at a time.
    """

    def __init__(
        self,
        client: Client,
        root: Cap,
        *,
        max_age: float,
        max_known: int,
        at_once: int,
        spreads: bool,
    ) -> None:
        self.client = client
        self.root = Node("dirnode", root)
        self.layouts = Layouts(root, max_known, spreads)
        """How directories are laid out, as far as that is known."""
        self._known = Known(client.reactor.seconds, max_age, max_known)
        self._listings: Questions[Cap, Contents] = Questions()
        self._room = DeferredSemaphore(at_once)
        self.changes = 0
        """How often a directory was changed."""

    def known(self, path: Path) -> Node | None:
        """What a path leads to, if that is known already. May be called in any thread."""
        node = self._known.get(path) if path else self.root
        return None if node is None or REMOVED in node.metadata else node

    def known_directory(self, path: Path) -> Cap | None:
        """The cap of a directory, be it one that is removed, if that is known already."""
        node = self._known.get(path) if path else self.root
        return node.cap if node is not None and node.is_directory else None

    async def resolve(self, path: Path, *, fresh: bool = False) -> Node:
        """What a path leads to; with `fresh` it is asked about, though it be known."""
        node = None if fresh and path else self.known(path)
        if node is None:
            node = await self._inside(path[:-1], lambda _, parent: self._child(path, parent, fresh))
        if await self._is_removed(path, node):
            raise NoSuchChild(f"the directory {path[-1]!r} was removed")
        return node

    async def link_of(self, path: Path) -> Node:
        """As `resolve`, fresh, be it a directory that is removed."""
        parent = await self.directory(path[:-1])
        return await self._child(path, parent, fresh=True)

    async def some(self, directory: Path, paths: Iterable[Path]) -> dict[Path, Node]:
        """What those paths in one directory lead to that lead anywhere; it is asked once."""
        nodes = {path: self.known(path) for path in paths}
        missing = {path[-1] for path, node in nodes.items() if node is None}
        if missing:
            children: Children = {}
            with suppress(NoSuchChild, NotADirectory):
                children = await self._inside(directory, partial(self._present, wanted=missing))
            nodes = {path: nodes[path] or children.get(path[-1]) for path in nodes}
        return {path: node for path, node in nodes.items() if node is not None}

    async def list(self, path: Path) -> Children:
        """The children of a directory, as they are now, without those removed or hidden."""
        children = await self._inside(path, self._present)
        if not children:
            await self.resolve(path)  # it may be removed itself
        return children

    async def _present(
        self, path: Path, directory: Cap, wanted: Collection[str] | None = None
    ) -> Children:
        children = await self._gathered(path, directory, 0, wanted)
        return {
            name: node
            for name, node in children.items()
            if HIDDEN not in node.metadata and not await self._is_removed((*path, name), node)
        }

    async def _gathered(
        self, path: Path, directory: Cap, depth: int, wanted: Collection[str] | None
    ) -> Children:
        """What is in a directory and in its parts, or in those of some names that are `wanted`."""
        layout = self.layouts.get(directory)
        digits = None if wanted is None else {digit_of(name, depth) for name in wanted}
        if layout is not None and digits is not None and digits <= layout.parts.keys():
            contents = Contents({}, parts=layout.parts, stays=layout.stays)
        else:
            contents = await self.ask(path, directory, depth, anew=True)

        async def gather(digit: str) -> Children:
            below = wanted and {name for name in wanted if digit_of(name, depth) == digit}
            return await self._gathered(path, contents.parts[digit], depth + 1, below)

        parts = [digit for digit in contents.parts if digits is None or digit in digits]
        children = {**contents.stays, **contents.names}
        for found in all_or_first(await each(parts, gather, len(parts))):
            children.update(found)
        return children

    async def _is_removed(self, path: Path, node: Node) -> bool:
        return REMOVED in node.metadata and not await self._present(path, node.cap)

    async def directory(self, path: Path, *, fresh: bool = False) -> Cap:
        """
        The cap of a directory, be it one that is removed.

        Raises: NoSuchChild, NotADirectory.
        """
        node = self._known.get(path) if path else self.root
        is_doubtful = fresh or (node is not None and not node.is_directory)
        if node is None or (path and is_doubtful):
            parent = await self.directory(path[:-1], fresh=fresh)
            node = await self._child(path, parent, is_doubtful)
        if not node.is_directory:
            raise NotADirectory(f"{node.cap!r} is not a directory")
        return node.cap

    def learn(self, path: Path, node: Node) -> None:
        """What a path leads to is known."""
        before = self._known.get(path)
        if before is not None and before.cap != node.cap:
            self._known.forget(path)
        self._known.put(path, node)

    def learn_directory(self, path: Path, cap: Cap) -> None:
        """The cap of a directory is known, but not whether it is removed."""
        self.learn(path, Node("dirnode", cap, metadata={REMOVED: True}))

    def forget(self, path: Path) -> None:
        """A path, and what is below it, may have changed."""
        self._known.forget(path)

    def outdate(self, directory: Cap) -> None:
        """A directory has changed: answers to what was asked before do not count any more."""
        self.changes += 1
        self._listings.outdate(directory)

    async def _inside(self, path: Path, operation: Callable[[Path, Cap], Awaitable[T]]) -> T:
        """The result of an operation on a directory; twice where another cap is found for it."""
        was_known = self._known.get(path) is not None
        directory = await self.directory(path)
        try:
            return await operation(path, directory)
        except (NoSuchChild, NotADirectory, Unrecoverable):
            if not was_known:
                raise
            found = await self.directory(path, fresh=True)
            if found == directory:
                raise
        return await operation(path, found)

    async def _child(self, path: Path, directory: Cap, fresh: bool) -> Node:
        name = path[-1]
        way = self.layouts.way(directory, name)
        anew = fresh
        while True:
            depth = len(way) - 1
            contents, is_new = await self._answer(path[:-1], way[-1], depth, anew)
            part = contents.part_of(name, depth)
            if part is not None:
                way.append(part)
                anew = fresh
            elif name in contents.names:
                return contents.names[name]
            elif is_new:
                return await self.left_behind(path, way)
            else:
                anew = True

    async def left_behind(self, path: Path, way: Sequence[Cap]) -> Node:
        """
        What a path leads to in closed directories on its way whose parts do not have it.

        Raises: NoSuchChild.
        """
        for depth, cap in enumerate(way):
            layout = self.layouts.get(cap)
            if layout is not None and path[-1] in layout.stays:
                contents = await self.ask(path[:-1], cap, depth, anew=True)
                if path[-1] in contents.stays:
                    return contents.stays[path[-1]]
        raise NoSuchChild(f"no such child: {path[-1]!r}")

    async def ask(self, path: Path, directory: Cap, depth: int, *, anew: bool) -> Contents:
        """
        What is in a directory, or in a part that is `depth` parts below that of a path.

        `anew`: it is not enough that somebody else has asked before and waits for the answer.
        """
        return (await self._answer(path, directory, depth, anew))[0]

    async def _answer(
        self, path: Path, directory: Cap, depth: int, anew: bool
    ) -> tuple[Contents, bool]:
        """As `ask`; and whether it was asked after this call."""
        how = self._how(path, directory, depth)
        if anew:
            return await self._listings.ask_anew(directory, how), True
        return await self._listings.ask(directory, how)

    def _how(self, path: Path, directory: Cap, depth: int) -> How[Contents]:
        async def ask(question: Question[Contents]) -> Contents:
            seconds = self.client.reactor.seconds
            async with self._room if depth else nullcontext():
                asked = seconds()
                children = await self.client.list(directory)
            contents = contents_of(children, depth)
            self.layouts.learn(directory, contents, asked, seconds())
            if not question.is_outdated:
                for name, node in contents.names.items():
                    self.learn((*path, name), node)
            return contents

        return ask
