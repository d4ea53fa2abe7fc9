"""A tree on the grid, with names that carry the caps of their files beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import frozen
from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File

from tahoestorage.grid.contents import begun
from tahoestorage.grid.tree import StorageTree
from tahoestorage.reactor.loop import Loop
from tahoestorage.reactor.waiting import Caller
from txtahoe.capnames.anchors import Anchors
from txtahoe.capnames.background import Anchoring
from txtahoe.capnames.names import CapName
from txtahoe.caps import BadCap, Cap
from txtahoe.concurrency import Done
from txtahoe.errors import NotWriteable
from txtahoe.nodes import Link, Node
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree

T = TypeVar("T")
Naming = Callable[[Cap], CapName]


@frozen
class CapTree(StorageTree):
    """
    As StorageTree; a path with a cap before its last name leads to the file of that cap, without a
    request.

    `root`: the path at which the names begin. Below it are the links to their files.
    """

    root: Path

    def require_replaceable(self, name: str | None) -> None:
        raise NotWriteable(
            f"{name!r} cannot be written: a name that carries the cap of its file always leads to "
            "that file. save() the new content, and keep the name that it returns"
        )

    def named(self, path: Path) -> CapName | None:
        """
        The name of a path; None for one without a cap.

        Raises: SuspiciousFileOperation for another cap than that of an immutable file.
        """
        try:
            return CapName.parse("/".join(path[len(self.root) :]))
        except BadCap as error:
            reason = str(error)
        raise SuspiciousFileOperation(f"the name of a file carries a cap that is none: {reason}")

    def known(self, path: Path) -> Node | None:
        return self._node(path) or super().known(path)

    async def resolve(self, path: Path, name: str | None = None, *, fresh: bool = False) -> Node:
        return self._node(path) or await super().resolve(path, name, fresh=fresh)

    async def save_one(self, content: File[Any], naming: Naming, name: str) -> CapName:
        """As `save_all`, of one file. Raises: as `StorageTree.save`."""
        source = self._cap_of(content) or await begun(content)

        async def save(tree: Tree, caller: Caller) -> CapName:
            cap = source if isinstance(source, Cap) else await tree.upload(source(caller))
            saved = naming(cap)
            self._anchoring(caller.loop, tree).link(saved)
            return saved

        return await self.run(save, name)

    async def save_all(
        self, files: Sequence[tuple[Naming, File[Any]]], progress: Done | None = None
    ) -> list[CapName | Exception]:
        """
        Upload Django files, as `StorageTree.save_many` does, and return the name that each `Naming`
        makes of the cap, or the exception. The names are linked later.
        """

        async def save(tree: Tree, caller: Caller) -> list[CapName | Exception]:
            told = None if progress is None else lambda n: caller.call_soon(partial(progress, n))
            contents = [self._content(content, caller) for _, content in files]
            caps = await tree.upload_many(contents, progress=told)
            anchoring = self._anchoring(caller.loop, tree)
            names: list[CapName | Exception] = []
            for (naming, _), cap in zip(files, caps, strict=True):
                try:
                    names.append(cap if isinstance(cap, Exception) else naming(cap))
                except SuspiciousFileOperation as error:
                    names.append(error)
                if isinstance(names[-1], CapName):
                    anchoring.link(names[-1])
            return names

        return await self.run(save)

    async def forget(self, name: CapName) -> None:
        async def forget(tree: Tree, caller: Caller) -> None:
            self._anchoring(caller.loop, tree).delete(name)
            await tree.client.forget(name.cap)

        await self.run(forget)

    async def flush(self) -> None:
        """Make the links that are waiting. Raises: as `Anchoring.flush`."""
        await self.run(lambda tree, caller: self._anchoring(caller.loop, tree).flush())

    async def anchors(self, operation: Callable[[Anchors], Awaitable[T]]) -> T:
        return await self.run(lambda tree, _: operation(Anchors(tree, self.root)))

    def _node(self, path: Path) -> Node | None:
        name = self.named(path)
        return None if name is None else Link(name.cap).node

    async def _offered(self, path: Path) -> Node | None:
        return self._node(path) or await super()._offered(path)

    def _anchoring(self, loop: Loop, tree: Tree) -> Anchoring:
        return loop.kept.use(self, lambda: Anchoring(Anchors(tree, self.root)))
