"""A root cap and the names under it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from unicodedata import normalize

from twisted.internet.defer import DeferredLock

from txtahoe.caps import Cap
from txtahoe.client import Client
from txtahoe.directories import Replace
from txtahoe.errors import (
    DirectoryNotEmpty,
    ExistingChild,
    IsADirectory,
    NoSuchChild,
    NotADirectory,
    Unrecoverable,
)
from txtahoe.nodes import Node

T = TypeVar("T")
Path = tuple[str, ...]

# The key in a link's metadata that says: this directory is removed while it is empty.
_REMOVED = "txtahoe-removed"


def split(path: str | Sequence[str]) -> Path:
    """
    The names of a path, normalised to NFC as the gateway does it, from a str with slashes or from
    a sequence of names, which may hold any character.

    Raises: ValueError for `..`, and for a name that is empty or cannot be encoded as UTF-8.
    """
    if isinstance(path, str):
        path = [name for name in path.split("/") if name not in ("", ".")]
        if ".." in path:
            raise ValueError("a path must not climb with '..'")
    names = tuple(normalize("NFC", name) for name in path)
    if "" in names:
        raise ValueError("a name must not be empty")
    "".join(names).encode()
    return names


class Tree:
    """
    The files and directories under a root cap. Paths are as `split` takes them.

    Caps of directories are kept for `age` seconds, the `known` last used ones. One that turns out
    to be wrong is forgotten, and the path walked once more. A directory that another client moves
    or unlinks meanwhile goes on to be used for that time.

    Every method raises the errors of `Client`; with a missing name on the path that is
    NoSuchChild, with a file where a directory is needed NotADirectory.
    """

    def __init__(self, client: Client, root: Cap, *, known: int = 4096, age: float = 10.0) -> None:
        if not root.is_directory or not root.is_readable:
            raise NotADirectory(f"{root!r} is not a directory that can be read")
        self.client = client
        self.root = root
        self._directories = _Directories(client.seconds, known, age)
        self._replacing = DeferredLock()

    async def resolve(self, path: str | Sequence[str]) -> Node:
        """What a path leads to."""
        names = split(path)
        if not names:
            return Node("dirnode", self.root)
        node = await self._inside(names[:-1], lambda cap: self.client.child(cap, names[-1]))
        if await self._is_removed(node):
            raise NoSuchChild(f"the directory {names[-1]!r} was removed")
        return node

    async def list(self, path: str | Sequence[str]) -> dict[str, Node]:
        """The children of a directory, by name."""
        names = split(path)
        children = await self._inside(names, self._children)
        if not children:
            await self.resolve(names)  # it may be a removed one
        return children

    async def make_directories(self, path: str | Sequence[str]) -> Cap:
        """The directory at a path; what is missing on the way is made. Raises: NotWriteable."""
        names = split(path)
        cap = await self._directories_for(names)
        if names:
            parent = await self._directory(names[:-1])
            node = await self.client.child(parent, names[-1])
            if _REMOVED in node.metadata:
                kept = {key: value for key, value in node.metadata.items() if key != _REMOVED}
                await self.client.link(parent, names[-1], cap, replace=True, metadata=kept)
        return cap

    async def link(
        self,
        path: str | Sequence[str],
        cap: Cap,
        *,
        replace: Replace = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Give `cap` a name; missing directories are made. `replace` is as for `Client.link`.

        Raises: ExistingChild; NotWriteable; UnknownOutcome.
        """
        names = _require_name(split(path))
        directory = await self._directories_for(names[:-1])
        try:
            await self.client.link(directory, names[-1], cap, replace=replace, metadata=metadata)
        except (Unrecoverable, NotADirectory):
            self._directories.forget(names[:-1])
            raise

    async def replace(self, path: str | Sequence[str], cap: Cap, expected: Node | None) -> None:
        """
        Give `cap` a name, if that still names `expected`, or still nothing where that is None.

        Among users of this tree only one can win. Another gateway's change right between the look
        at the name and its replacement goes unnoticed: Tahoe-LAFS has no such operation.

        Raises: ExistingChild where the name has changed; NotWriteable; UnknownOutcome.
        """
        async with self._replacing:
            try:
                there: Node | None = await self.resolve(path)
            except NoSuchChild:
                there = None
            if there is not None and there.cap == cap:
                return
            if there is not None and there != expected:
                raise ExistingChild("the file has changed since it was opened")
            await self.link(path, cap, replace="only-files" if there else False)

    async def unlink(self, path: str | Sequence[str]) -> None:
        """Take the name of a file away. Raises: IsADirectory; NotWriteable; UnknownOutcome."""
        names = _require_name(split(path))
        node = await self.resolve(names)
        if node.is_directory:
            raise IsADirectory(f"{node.cap!r} is a directory")
        await self.client.unlink(await self._directory(names[:-1]), names[-1], node)

    async def remove_directory(self, path: str | Sequence[str]) -> None:
        """
        Remove an empty directory.

        Its link stays, with a mark, and the directory is there again as soon as something is in
        it. To take the link away would be to lose what others, who know the directory's cap, put
        into it at this moment.

        Raises: DirectoryNotEmpty; NotWriteable; UnknownOutcome.
        """
        names = _require_name(split(path))
        node = await self.resolve(names)
        if await self._children(node.cap):
            raise DirectoryNotEmpty(f"{node.cap!r} is not empty")
        parent = await self._directory(names[:-1])
        metadata = {**node.metadata, _REMOVED: True}
        await self.client.link(parent, names[-1], node.cap, replace=True, metadata=metadata)

    async def rename(self, old: str | Sequence[str], new: str | Sequence[str]) -> None:
        """
        Give what `old` names the name `new`, and take `old` away: first the one, then the other,
        so that whatever fails, one of the names is there.

        Raises: ExistingChild; NotWriteable; UnknownOutcome; ValueError for a directory that would
        come to lie below itself; BadRequest for what is of an unknown kind.
        """
        source, target = _require_name(split(old)), _require_name(split(new))
        if target[: len(source)] == source:
            if target == source:
                return
            raise ValueError("a directory cannot be moved below itself")
        await self.resolve(source)  # before a directory is made for what is missing
        to_directory = await self._directories_for(target[:-1])
        directory = await self._directory(source[:-1])
        await self.client.relink(directory, source[-1], to_directory, target[-1])
        self._directories.forget(source)

    async def _children(self, directory: Cap) -> dict[str, Node]:
        children = await self.client.list(directory)
        removed = {name for name, node in children.items() if await self._is_removed(node)}
        return {name: node for name, node in children.items() if name not in removed}

    async def _is_removed(self, node: Node) -> bool:
        is_marked = node.is_directory and _REMOVED in node.metadata
        return is_marked and not await self._children(node.cap)

    async def _directories_for(self, names: Path) -> Cap:
        cap = self.root
        for depth, name in enumerate(names, 1):
            known = self._directories.get(names[:depth])
            cap = known or await self._child_or_new(cap, name)
            self._directories.put(names[:depth], cap)
        return cap

    async def _inside(self, path: Path, operation: Callable[[Cap], Awaitable[T]]) -> T:
        """The result of an operation on a directory; twice where a kept cap disappoints."""
        if self._directories.get(path) is not None:
            try:
                return await operation(await self._directory(path))
            except (NoSuchChild, NotADirectory, Unrecoverable):
                self._directories.forget(path[:1])
        return await operation(await self._directory(path))

    async def _directory(self, path: Path) -> Cap:
        known = self._directories.get(path) if path else self.root
        if known is not None:
            return known
        parent = await self._directory(path[:-1])
        cap = await self.client.child_cap(parent, path[-1])
        if not cap.is_directory:
            raise NotADirectory(f"{cap!r} is not a directory")
        self._directories.put(path, cap)
        return cap

    async def _child_or_new(self, directory: Cap, name: str) -> Cap:
        try:
            cap = await self.client.child_cap(directory, name)
        except NoSuchChild:
            cap = await self.client.mkdir()
            try:
                await self.client.link(directory, name, cap)
            except ExistingChild:  # somebody else was faster: theirs is the directory
                cap = await self.client.child_cap(directory, name)
        if not cap.is_directory:
            raise NotADirectory(f"{cap!r} is not a directory")
        return cap


class _Directories:
    """The caps of the directories that were used last."""

    def __init__(self, seconds: Callable[[], float], most: int, age: float) -> None:
        self._seconds = seconds
        self._most = most
        self._age = age
        self._known: OrderedDict[Path, tuple[float, Cap]] = OrderedDict()

    def get(self, path: Path) -> Cap | None:
        since, cap = self._known.get(path, (0.0, None))
        if cap is None or self._seconds() - since > self._age:
            return None
        self._known.move_to_end(path)
        return cap

    def put(self, path: Path, cap: Cap) -> None:
        if self.get(path) != cap:
            self._known[path] = (self._seconds(), cap)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def forget(self, path: Path) -> None:
        """Forget a directory and all that is below it."""
        for known in [known for known in self._known if known[: len(path)] == path]:
            del self._known[known]


def _require_name(names: Path) -> Path:
    if not names:
        raise IsADirectory("the root itself cannot be linked, unlinked or renamed")
    return names
