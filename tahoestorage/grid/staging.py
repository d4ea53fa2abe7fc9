"""Changes of a tree that show at once and are made together, later."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from time import time

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, DeferredSemaphore

from tahoestorage.grid.digests import DIGEST, digest_of, with_digest
from txtahoe.api.files import Uploadable
from txtahoe.caps import Cap
from txtahoe.concurrency import each
from txtahoe.errors import IsADirectory, NoSuchChild, NotADirectory, SomeFailed, another
from txtahoe.http.terms import max_age
from txtahoe.nodes import Link, Node
from txtahoe.tree.paths import Path, split_name
from txtahoe.tree.tree import Tree

# Files that memory holds until they are on the grid: enough to keep the uploads of a tree busy.
_ROOM = 16
# If so many uploads fail in a row, the reason is not one file: the rest would fail too, each after
# its deadline.
_HOPELESS = 8
_UNLINKS = 4

UNBORN = Node("dirnode", Cap.parse("unborn"))
"""A directory that only pending files are in. Its cap is of no known kind: it is never linked."""


@define(eq=False)
class _Upload:
    """The upload of a file, under way or over. Any number of callers can wait for its cap."""

    outcome: Cap | Exception | None = None
    work: Deferred[None] | None = None
    waiting: list[Deferred[None]] = field(factory=list)

    async def cap(self) -> Cap:
        if self.outcome is None:
            done: Deferred[None] = Deferred(self.waiting.remove)
            self.waiting.append(done)
            await done
        assert self.outcome is not None
        if isinstance(self.outcome, Exception):
            raise another(self.outcome)
        return self.outcome


@frozen(eq=False)
class _Saved:
    """A file that is saved and not linked yet."""

    digest: str
    upload: _Upload
    since: float = field(factory=time)
    is_directory = False

    async def node(self) -> Node:
        cap = await self.upload.cap()
        times = {"tahoe": {"linkcrtime": self.since, "linkmotime": self.since}}
        return Node("filenode", cap, cap.size, {**with_digest(cap, self.digest), **times})


class Staging:
    """
    A tree with pending changes, which this tree shows at once and makes together.

    For a program that changes many files one by one and is alone in doing so, such as a deployment.
    The first question about a directory lists it. The answer, also that a name or a directory is
    missing, holds until all changes are made, and for `max_age` seconds if none are pending.

    Uploads begin at once, 16 at a time; a further save waits. Equal bytes are uploaded once: the
    links have digests in their metadata.

    Every method raises the errors of `Tree`. Calls at the same time run one after another.
    """

    def __init__(self, tree: Tree, *, max_age: float) -> None:
        self._tree = tree
        self._max_age = max_age
        self._lock = DeferredLock()
        self._room = DeferredSemaphore(_ROOM)
        self.forget()

    def forget(self) -> None:
        # The grid, by directory, with the directories that pending files need.
        self._views: dict[Path, dict[str, Node]] = {}
        self._asked: dict[Path, float] = {}
        # A saved file; None for a deleted one; UNBORN for one that a directory replaces.
        self._changes: dict[Path, _Saved | Node | None] = {}
        self._uploads: dict[str, _Upload] = {}
        self._failures: list[Exception] = []

    @property
    def pending(self) -> Collection[Path]:
        """The paths whose changes are pending. Any thread can read it."""
        return self._changes.keys()

    async def resolve(self, path: Path) -> Node:
        """
        Look up a path; of a pending file, wait for its upload. A directory that does not exist yet
        has a cap that gives no rights.
        """
        async with self._lock:
            there = await self._there(path) if path else Node("dirnode", self._tree.root)
        if there is None:
            raise NoSuchChild(f"no such file or directory: {path[-1]!r}")
        return await there.node() if isinstance(there, _Saved) else there

    async def list(self, path: Path) -> dict[str, Node]:
        if not (await self.resolve(path)).is_directory:
            raise NotADirectory(f"{path[-1]!r} is not a directory")
        async with self._lock:
            children = {**await self._view(path)}
            changes = {p: there for p, there in self._changes.items() if p[:-1] == path}
        pending = {
            p: await there.node() if isinstance(there, _Saved) else there
            for p, there in changes.items()
        }
        return laid_over(path, children, pending)

    async def save(self, path: Path, source: Uploadable, digest: str) -> None:
        """
        Save a file, in place of a file that is there.

        `digest`: SHA-256 of its bytes in hexadecimal. This returns when the source is read to its
        end; `bytes` are uploaded while the caller goes on, and `link` reports their failures.

        Raises: IsADirectory; NotADirectory; SomeFailed if many uploads in a row have failed.
        """
        async with self._lock:
            if await self._has(path, digest):
                return
        upload = await self._upload(source, digest)
        async with self._lock:
            await self._file(path)
            for depth in range(1, len(path)):
                directory = path[:depth]
                if isinstance(self._shown(directory), _Saved):  # since the directory was asked for
                    raise NotADirectory(f"{directory[-1]!r} is not a directory")
                if directory in self._changes:
                    self._changes[directory] = UNBORN
                else:
                    self._views[directory[:-1]].setdefault(directory[-1], UNBORN)
            self._change(path, _Saved(digest, upload))

    async def delete(self, path: Path) -> None:
        """Delete a file; if it is missing, do nothing. Raises: IsADirectory."""
        async with self._lock:
            there = await self._file(path)
            if self._on_grid(path) is None:
                self._changes.pop(path, None)
            elif there is not None:
                self._change(path, None)

    async def link(self, but: Path | None = None) -> dict[Path, Exception]:
        """
        Link the saved files, `but` one; each directory is written once.

        Return the failures by path; the other files are linked. After a failure, drop the pending
        changes that are left.
        """
        async with self._lock:
            failed = await self._link(but)
            if failed:
                self.forget()
        return failed

    async def commit(self) -> dict[Path, Exception]:
        """
        Make all changes: `link`, then delete; and forget all knowledge.

        Return the failures by path; the other changes are made. If a save fails, nothing is
        deleted: an old file is better than none.
        """
        async with self._lock:
            failed = await self._link() or await self._unlink(self._changes)
            self.forget()
        return failed

    # The caller of these methods holds the lock.

    async def _there(self, path: Path) -> _Saved | Node | None:
        directory, _ = split_name(path)
        await self._view(directory)
        return self._shown(path)

    def _shown(self, path: Path) -> _Saved | Node | None:
        return self._changes[path] if path in self._changes else self._on_grid(path)

    async def _file(self, path: Path) -> _Saved | Node | None:
        """As `_there`. Raises: IsADirectory."""
        there = await self._there(path)
        if there is not None and there.is_directory:
            raise IsADirectory(f"{path[-1]!r} is a directory")
        return there

    def _on_grid(self, path: Path) -> Node | None:
        return self._views[path[:-1]].get(path[-1])

    async def _view(self, directory: Path) -> dict[str, Node]:
        """The children of a directory on the grid; none if it is missing."""
        for depth in range(len(directory) + 1):
            if not self._is_known(directory[:depth]):
                await self._ask(directory[:depth])
        return self._views[directory]

    def _is_known(self, directory: Path) -> bool:
        if directory not in self._views:
            return False
        age = self._tree.client.reactor.seconds() - self._asked[directory]
        return bool(self._changes) or age < max_age(self._max_age)

    async def _ask(self, directory: Path) -> None:
        self._asked[directory] = self._tree.client.reactor.seconds()
        there = self._shown(directory) if directory else None
        if directory and there in (None, UNBORN):
            self._views[directory] = {}
            return
        if there is not None and not there.is_directory:
            raise NotADirectory(f"{directory[-1]!r} is not a directory")
        children = await self._tree.list(directory)
        for node in children.values():
            digest = digest_of(node)
            if digest is not None:
                self._uploads.setdefault(digest, _Upload(node.cap))
        self._views[directory] = {**children}

    async def _has(self, path: Path, digest: str) -> bool:
        """Whether these bytes are there already; a pending change that hides them is undone."""
        there = await self._file(path)
        before = self._on_grid(path)
        if before is not None and digest_of(before) == digest:
            self._changes.pop(path, None)
            return True
        # A failed upload is not among the uploads.
        return isinstance(there, _Saved) and there.digest == digest and digest in self._uploads

    def _change(self, path: Path, there: _Saved | None) -> None:
        if not self._changes:
            # From now on views do not grow old, so drop those that are.
            for directory in list(self._views):
                if directory != path[: len(directory)] and not self._is_known(directory):
                    del self._views[directory]
        self._changes[path] = there

    def _show(self, path: Path, there: Node | None) -> None:
        view = self._views[path[:-1]]
        view.pop(path[-1], None)
        if there is not None:
            view[path[-1]] = there

    async def _link(self, but: Path | None = None) -> dict[Path, Exception]:
        saved = {p: s for p, s in self._changes.items() if isinstance(s, _Saved) and p != but}
        directories = {path[:depth] for path in saved for depth in range(1, len(path))}
        failed = await self._unlink(directories & self._changes.keys())
        nodes: dict[Path, Node] = {}
        for path, file in saved.items():
            try:
                nodes[path] = await file.node()
            except CancelledError:
                raise
            except Exception as error:
                failed[path] = error
        links = {path: Link(n.cap, {DIGEST: n.metadata[DIGEST]}) for path, n in nodes.items()}
        try:
            await self._tree.link_many(links.items(), replace="only-files")
        except SomeFailed as error:
            results = zip(links, error.results, strict=True)
            failed.update({p: result for p, result in results if isinstance(result, Exception)})
        for path in saved:
            del self._changes[path]
            self._show(path, nodes.get(path))
        if not self._changes:
            self.forget()  # the views have directories that did not exist
        return failed

    async def _unlink(self, paths: Collection[Path]) -> dict[Path, Exception]:
        async def unlink(path: Path) -> None:
            with suppress(NoSuchChild):
                await self._tree.unlink(path)

        wanted = list(paths)
        results = await each(wanted, unlink, _UNLINKS)
        for path in wanted:
            there = self._changes.pop(path)
            self._show(path, there if isinstance(there, Node) else None)
        pairs = zip(wanted, results, strict=True)
        return {path: result for path, result in pairs if isinstance(result, Exception)}

    # The uploads.

    async def _upload(self, source: Uploadable, digest: str) -> _Upload:
        upload = self._uploads.get(digest)
        if upload is None:
            await self._room.acquire()
            if len(self._failures) >= _HOPELESS:
                self._room.release()
                count, last = len(self._failures), self._failures[-1]
                raise SomeFailed(f"{count} uploads in a row have failed, the last one with: {last}")
            upload = self._uploads[digest] = _Upload()
            upload.work = Deferred.fromCoroutine(self._send(upload, source, digest))
        if not isinstance(source, bytes):
            try:
                await upload.cap()
            except CancelledError:  # the caller does not read the source any more
                if upload.work is not None:
                    upload.work.cancel()
                raise
        return upload

    async def _send(self, upload: _Upload, source: Uploadable, digest: str) -> None:
        try:
            upload.outcome = await self._tree.upload(source)
            self._failures.clear()
        except Exception as error:
            upload.outcome = error
            self._uploads.pop(digest, None)
            if not isinstance(error, CancelledError):
                self._failures.append(error)
        self._room.release()
        while upload.waiting:
            upload.waiting.pop().callback(None)


def laid_over(
    directory: Path, children: Mapping[str, Node], pending: Mapping[Path, Node | None]
) -> dict[str, Node]:
    """
    The children of a directory on the grid, with what is pending in it and below; None stands for a
    file that is deleted.
    """
    shown = {**children}
    for path, node in pending.items():
        # A pending file can have the name of a directory that another host has made.
        if path != directory and path[: len(directory)] == directory:
            name, *below = path[len(directory) :]
            if below:
                shown.setdefault(name, UNBORN)
            elif node is not None:
                shown[name] = node
            else:
                shown.pop(name, None)
    return shown
