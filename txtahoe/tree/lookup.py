"""Looks up names below a root, with one request for all callers, and keeps the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Set
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import partial
from typing import TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredSemaphore

from txtahoe.api.client import Client
from txtahoe.caps import Cap, require_cap
from txtahoe.errors import NoSuchChild, NotADirectory, Unrecoverable
from txtahoe.http.events import tell_lookup
from txtahoe.nodes import Node
from txtahoe.tree.known import Known
from txtahoe.tree.paths import Path
from txtahoe.tree.recent import Recent
from txtahoe.tree.removed import REMOVED, counts_for_nothing, is_empty, without_removed
from txtahoe.tree.singleflight import Flight, SingleFlight
from txtahoe.tree.spread.format import (
    Children,
    Contents,
    contents_of,
    digit_of,
    gather,
    visible,
)
from txtahoe.tree.spread.memory import Layouts
from txtahoe.turns import in_turns

T = TypeVar("T")


# The path of a directory, and its cap or that of a part of it.
_Place = tuple[Path, Cap]


@frozen(eq=False)
class _Reading:
    """A reading that an operation has begun, in `directory` or in a part of it."""

    path: Path
    directory: Cap
    answer: Deferred[tuple[Contents, bool]]
    changes: int


# The readings that the present operation has begun and not yet used. A directory that has moved is
# another place: what is learnt from a reading is learnt of its path.
_begun: ContextVar[dict[_Place, _Reading] | None] = ContextVar("begun", default=None)


class Lookup(Known):
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
        super().__init__(Node("dirnode", root), client.reactor.seconds, max_age, max_known)
        self.client = client
        self.layouts = Layouts(root, max_known, spreads)
        # Directories, and whether they are empty.
        self._emptiness: Recent[tuple[Cap, bool]] = Recent(self.now, max_age, max_known)
        self._listings: SingleFlight[_Place, Contents] = SingleFlight()
        self._at_once = at_once
        self._room = DeferredSemaphore(at_once)
        self.changes = 0
        """How many changes of directories this tree has made."""

    @contextmanager
    def changing(self, path: Path, directory: Cap) -> Iterator[None]:
        """
        Change the directory of a path, or a part of it, in this block: answers that are on their
        way at its end count no more.
        """
        try:
            yield
        finally:
            self.changes += 1
            self._listings.outdate(lambda place: place[1] == directory)
            self._forget_emptiness(path)

    def _forget_emptiness(self, path: Path) -> None:
        """Forget whether the directory of a path, and those above it, are empty."""
        for depth in range(len(path) + 1):
            self._emptiness.pop(path[:depth])

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
            with suppress(NoSuchChild, NotADirectory):
                present = partial(self._present, directory, wanted=missing)
                children = await self._inside(directory, present, missing)
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
                    self.note(here, is_there=False)
                    raise
                if not node.is_directory:
                    raise NotADirectory(f"{'/'.join(here)!r} is not a directory")
                cap = node.cap
        return cap

    async def again(self, path: Path, directory: Cap, *, lost: bool = True) -> Cap | None:
        """
        The cap for another attempt with a directory that could not be used; None if it is no use.

        It is, if the path leads to another directory now; or if the directory, or a part, is
        `lost`, and had parts that can have been replaced.
        """
        had_parts = lost and self.layouts.forget(directory)
        found = await self.directory(path, fresh=True)
        return found if had_parts or found != directory else None

    async def _inside(
        self,
        path: Path,
        operation: Callable[[Cap], Awaitable[T]],
        names: Set[str] | None = None,
        *,
        is_doubtful: bool = False,
    ) -> T:
        """
        The result of an operation on a directory, tried again if its known cap was old.

        `names`: those in which the operation is interested. `is_doubtful`: they can be missing.
        """
        known, depth = self._known_depth(path), len(path)
        was_known, is_sure = 0 < known == depth, self._is_sure(path)
        # If the name is missing, all directories above must be looked at again.
        looks_again = is_doubtful and was_known and not is_sure and self._is_whole(path)
        depths = range(0 if looks_again else known, depth + 1)
        with self._side_by_side(path, depths, names, anew=looks_again):
            directory = await self.directory(path)
            try:
                return await operation(directory)
            except (NoSuchChild, NotADirectory, Unrecoverable) as error:
                lost = not isinstance(error, NoSuchChild)
                can_be_old = was_known and (lost or not is_sure)
                if not can_be_old and not (lost and self.layouts.get(directory).parts):
                    raise
                found = await self.again(path, directory, lost=lost)
                if found is None:
                    raise
            return await operation(found)

    @contextmanager
    def _side_by_side(
        self, path: Path, depths: range, names: Set[str] | None = None, *, anew: bool = False
    ) -> Iterator[None]:
        """
        Begin to read the directories on a path at these depths, which this block will probably
        read one after another. In the block, `_ask` takes these answers.

        `names`: those of interest in the directory of the path itself. `anew`: as for `ask`.
        """
        outer = _begun.get()
        begun = {} if outer is None else outer
        caps = {path[:depth]: self._last_known(path[:depth]) for depth in depths}
        readings = [(here, cap) for here, cap in caps.items() if cap is not None]
        for here, cap in readings if len(readings) > 1 else ():
            wanted = names if here == path else {path[len(here)]}
            for part, depth in self._first(cap, wanted):
                if (here, part) not in begun:
                    asking = self._share(here, part, depth, anew, learns=False)
                    answer = Deferred.fromCoroutine(asking)
                    begun[here, part] = _Reading(here, cap, answer, self.changes)
        _begun.set(begun)
        try:
            yield
        finally:
            _begun.set(outer)
            if outer is None:
                for unused in begun.values():
                    self._drop(unused)

    def _drop(self, unused: _Reading) -> None:
        unused.answer.addErrback(lambda _: None)
        unused.answer.cancel()
        # Perhaps the directory is there no more.
        if self.known_directory(unused.path) != unused.directory:
            self.forget(unused.path[:-1], unused.path[-1:])

    def _first(
        self, directory: Cap, names: Set[str] | None, depth: int = 0
    ) -> Iterator[tuple[Cap, int]]:
        """The directory, or the parts, that `_gather` reads first; the depth of each."""
        layout = self.layouts.get(directory)
        if not layout.has_parts_for(names, depth):
            yield directory, depth
            return
        for digit in {digit_of(name, depth) for name in names or ()}:
            inside = {name for name in names or () if digit_of(name, depth) == digit}
            yield from self._first(layout.parts[digit], inside, depth + 1)

    async def _find(self, path: Path, fresh: bool) -> Node:
        def child(parent: Cap) -> Awaitable[Node]:
            return self._child(path, parent, fresh)

        is_unknown = self._get(path) is None
        return await self._inside(path[:-1], child, {path[-1]}, is_doubtful=is_unknown)

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

        changes = self.changes
        children = await self._visible(path, directory, wanted)
        if wanted is None and not children:
            self._note_emptiness(path, directory, True, changes)
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

        return await gather(path, directory, read, wanted), are_new

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
        changes = self.changes
        empty = await is_empty(path, node.cap, self._visible, self._at_once)
        self._note_emptiness(path, node.cap, empty, changes)
        return empty

    def _note_emptiness(self, path: Path, directory: Cap, empty: bool, changes: int) -> None:
        """Keep whether a directory is empty, unless this tree has made a change meanwhile."""
        if changes == self.changes:
            self._emptiness.put(path, (directory, empty))

    # Requests.

    async def ask(self, path: Path, directory: Cap, depth: int, *, anew: bool) -> Contents:
        """
        The contents of a directory, or of a part that is `depth` parts below that of a path.

        `anew`: the request must begin after this call; one that is under way does not do.
        """
        return (await self._ask(path, directory, depth, anew))[0]

    async def _ask(
        self, path: Path, directory: Cap, depth: int, anew: bool
    ) -> tuple[Contents, bool]:
        """As `ask`; and whether the request began after this call, or this operation."""
        begun = (_begun.get() or {}).pop((path, directory), None)
        if begun is None:
            return await self._share(path, directory, depth, anew)
        contents, is_new = await begun.answer
        await self._learn_all(path, contents, lambda: self.changes != begun.changes)
        return contents, is_new

    async def _share(
        self, path: Path, directory: Cap, depth: int, anew: bool, *, learns: bool = True
    ) -> tuple[Contents, bool]:
        """`learns`: the path is known to lead there, so the answer tells the names below it."""
        read = partial(self._read, path, directory, depth, learns)
        return await self._listings.ask((path, directory), read, anew=anew)

    async def _read(
        self, path: Path, directory: Cap, depth: int, learns: bool, flight: Flight[Contents]
    ) -> Contents:
        async with self._room if depth else nullcontext():
            asked = self.now()
            children = await self.client.list(directory)
        contents = contents_of(children, depth, path)
        self.layouts.learn(directory, contents, asked, self.now())
        is_filled = not all(map(counts_for_nothing, contents.names.values()))
        if is_filled and not flight.is_outdated:
            self._forget_emptiness(path)  # the directories above can have been empty before
            if not depth:
                self._emptiness.put(path, (directory, False))
        if learns:
            await self._learn_all(path, contents, lambda: flight.is_outdated)
        return contents

    async def _learn_all(
        self, path: Path, contents: Contents, is_outdated: Callable[[], bool]
    ) -> None:
        async for some in in_turns(self.client.reactor, contents.names.items()):
            if is_outdated():
                break
            for name, node in some:
                self.learn((*path, name), node, is_told=True)


def _missing(path: Path) -> NoSuchChild:
    return NoSuchChild(f"no such file or directory: {path[-1]!r}")
