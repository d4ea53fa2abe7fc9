"""Changes of a tree that are seen at once and made together, later."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from time import time
from typing import Any

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

# Files that are held in memory until they are on the grid: enough to keep the uploads of a tree
# busy, and little memory.
_ROOM = 16
# So many uploads in a row fail for a reason that is not of one file: the rest would fail too, and
# each may take as long as its deadline allows.
_HOPELESS = 8
_UNLINKS = 4

# A directory that is yet to be made. Its cap is of no known kind, so it is never linked.
_UNBORN = Node("dirnode", Cap.parse("unborn"))


@define(eq=False)
class _Upload:
    """A file on its way to the grid, or there already. Any number may wait for its cap."""

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

    def finish(self, outcome: Cap | Exception) -> None:
        self.outcome = outcome
        while self.waiting:
            self.waiting.pop().callback(None)


@frozen(eq=False)
class _Saved:
    """A file that was saved and is not linked yet."""

    digest: str
    upload: _Upload
    since: float = field(factory=time)
    is_directory = False

    async def node(self) -> Node:
        cap = await self.upload.cap()
        times = {"tahoe": {"linkcrtime": self.since, "linkmotime": self.since}}
        return Node("filenode", cap, cap.size, {**with_digest(cap, self.digest), **times})


@frozen
class _Change:
    """What the grid has under a name, and what it shall have."""

    before: Node | None
    after: _Saved | None


View = dict[str, Node | _Saved]


class Staging:
    """
    A tree as it will be when the changes that are pending are made.

    For programs that change many files one by one and are alone in doing so, such as one that
    deploys. Each directory is listed when it is first asked about. The answer, also that a name
    or a directory is missing, holds until all changes are made, and where none are pending for
    `max_age` seconds. A directory that is missing answers for all below it.

    Uploads begin at once, no more than 16 at a time; who saves yet another file waits. Equal
    bytes are uploaded once: the links have digests in their metadata.

    Every method raises the errors of `Tree`. Calls at the same time are made one after another.
    """

    def __init__(self, tree: Tree, *, max_age: float) -> None:
        self._tree = tree
        self._max_age = max_age
        self._lock = DeferredLock()
        self._room = DeferredSemaphore(_ROOM)
        self.forget()

    def forget(self) -> None:
        """Drop all that is pending, and what is known."""
        self._views: dict[Path, View] = {}
        self._asked: dict[Path, float] = {}
        self._changes: dict[Path, _Change] = {}
        self._uploads: dict[str, _Upload] = {}
        self._failures: list[Exception] = []

    @property
    def pending(self) -> Collection[Path]:
        """The paths whose changes are not made yet. May be called in any thread."""
        return self._changes.keys()

    async def resolve(self, path: Path) -> Node:
        """
        What a path leads to. That is known of a file when it is uploaded; a directory that is yet
        to be made has a cap that gives no rights.
        """
        async with self._lock:
            there = await self._there(path) if path else Node("dirnode", self._tree.root)
        if there is None:
            raise NoSuchChild(f"no such file or directory: {path[-1]!r}")
        return await there.node() if isinstance(there, _Saved) else there

    async def list(self, path: Path) -> dict[str, Node]:
        """The children of a directory, by name."""
        if not (await self.resolve(path)).is_directory:
            raise NotADirectory(f"{path[-1]!r} is not a directory")
        async with self._lock:
            view = dict(await self._view(path))
        return {
            name: await there.node() if isinstance(there, _Saved) else there
            for name, there in view.items()
        }

    async def save(self, path: Path, source: Uploadable, digest: str) -> None:
        """
        Save a file, in place of one that is there.

        `digest`: of its bytes, SHA-256 in hexadecimal. A source that is not `bytes` is read to
        its end before this returns; `bytes` are uploaded while the caller goes on, and what fails
        then, `link` tells.

        Raises: IsADirectory; SomeFailed where many uploads in a row have failed.
        """
        async with self._lock:
            if await self._is_there(path, digest):
                return
        upload = await self._upload(source, digest)
        async with self._lock:
            before = self._before(path, await self._file(path))
            for depth in range(1, len(path)):
                directory, name = split_name(path[:depth])
                self._views[directory].setdefault(name, _UNBORN)
            self._set(path, _Change(before, _Saved(digest, upload)))

    async def delete(self, path: Path) -> None:
        """Delete a file. What is missing is deleted already. Raises: IsADirectory."""
        async with self._lock:
            there = await self._file(path)
            before = self._before(path, there)
            if before is None:
                self._undo(path, None)
            elif there is not None:
                self._set(path, _Change(before, None))

    async def link(self, but: Path | None = None) -> dict[Path, Exception]:
        """
        Make the links to what was saved, `but` one; each directory is written once.

        Returns what failed, by path; the others are linked. Where something failed, what is
        pending still is dropped.
        """
        async with self._lock:
            failed = await self._link(but)
            if failed:
                self.forget()
        return failed

    async def commit(self) -> dict[Path, Exception]:
        """
        Make all changes: `link`, then delete; and forget what is known.

        Returns what failed, by path; the others are done. Where a save failed nothing is deleted:
        what was to be replaced is better than nothing.
        """
        async with self._lock:
            failed = await self._link() or await self._unlink(self._changes)
            self.forget()
        return failed

    # What follows is called by one who holds the lock.

    async def _there(self, path: Path) -> Node | _Saved | None:
        directory, name = split_name(path)
        return (await self._view(directory)).get(name)

    async def _view(self, directory: Path) -> View:
        """The children of a directory as they will be; none where it is missing."""
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
        there = self._views[directory[:-1]].get(directory[-1]) if directory else None
        if directory and there in (None, _UNBORN):
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

    async def _file(self, path: Path) -> Node | _Saved | None:
        """As `_there`. Raises: IsADirectory."""
        there = await self._there(path)
        if there is not None and there.is_directory:
            raise IsADirectory(f"{path[-1]!r} is a directory")
        return there

    def _before(self, path: Path, there: Node | _Saved | None) -> Node | None:
        """What the grid has under a name, where `there` is what shows."""
        if path in self._changes:
            return self._changes[path].before
        return there if isinstance(there, Node) else None

    async def _is_there(self, path: Path, digest: str) -> bool:
        """Whether these bytes are there already; a change that is pending may be undone."""
        there = await self._file(path)
        before = self._before(path, there)
        if before is not None and digest_of(before) == digest:
            self._undo(path, before)
            return True
        # An upload that has failed is not among them.
        return isinstance(there, _Saved) and there.digest == digest and digest in self._uploads

    def _set(self, path: Path, change: _Change) -> None:
        if not self._changes:
            # From now on views do not grow old, so those that are go.
            for directory in list(self._views):
                if directory != path[: len(directory)] and not self._is_known(directory):
                    del self._views[directory]
        self._changes[path] = change
        self._show(path, change.after)

    def _undo(self, path: Path, before: Node | None) -> None:
        self._changes.pop(path, None)
        self._show(path, before)

    def _show(self, path: Path, there: Node | _Saved | None) -> None:
        view = self._views[path[:-1]]
        if there is None:
            view.pop(path[-1], None)
        else:
            view[path[-1]] = there

    async def _link(self, but: Path | None = None) -> dict[Path, Exception]:
        saved = {
            path: change.after
            for path, change in self._changes.items()
            if change.after is not None and path != but
        }
        directories = {path[:depth] for path in saved for depth in range(1, len(path))}
        failed = await self._unlink(directories & self._changes.keys())  # files, until now
        nodes = await self._uploaded(saved, failed)
        links = {path: Link(node.cap, _own(node)) for path, node in nodes.items()}
        try:
            await self._tree.link_many(links.items(), replace="only-files")
        except SomeFailed as error:
            results = zip(links, error.results, strict=True)
            failed.update({p: result for p, result in results if isinstance(result, Exception)})
        for path in saved:
            self._undo(path, nodes.get(path))
        if not self._changes:
            self.forget()  # of directories that had yet to be made
        return failed

    async def _uploaded(
        self, saved: Mapping[Path, _Saved], failed: dict[Path, Exception]
    ) -> dict[Path, Node]:
        nodes = {}
        for path, file in saved.items():
            try:
                nodes[path] = await file.node()
            except CancelledError:
                raise
            except Exception as error:
                failed[path] = error
        return nodes

    async def _unlink(self, paths: Collection[Path]) -> dict[Path, Exception]:
        async def unlink(path: Path) -> None:
            with suppress(NoSuchChild):
                await self._tree.unlink(path)

        wanted = list(paths)
        results = await each(wanted, unlink, _UNLINKS)
        for path in wanted:
            del self._changes[path]
        pairs = zip(wanted, results, strict=True)
        return {path: result for path, result in pairs if isinstance(result, Exception)}

    # The uploads.

    async def _upload(self, source: Uploadable, digest: str) -> _Upload:
        upload = self._uploads.get(digest)
        if upload is None:
            await self._room.acquire()
            if len(self._failures) >= _HOPELESS:
                self._room.release()
                last = self._failures[-1]
                count = len(self._failures)
                raise SomeFailed(f"{count} uploads in a row have failed, the last one with: {last}")
            upload = self._uploads[digest] = _Upload()
            upload.work = Deferred.fromCoroutine(self._send(upload, source, digest))
        if not isinstance(source, bytes):
            await self._finished(upload)
        return upload

    async def _finished(self, upload: _Upload) -> None:
        try:
            await upload.cap()
        except CancelledError:  # nobody is there any more who reads the source
            if upload.work is not None:
                upload.work.cancel()
            raise

    async def _send(self, upload: _Upload, source: Uploadable, digest: str) -> None:
        outcome: Cap | Exception
        try:
            outcome = await self._tree.upload(source)
            self._failures.clear()
        except Exception as error:
            outcome = error
            self._uploads.pop(digest, None)
            if not isinstance(error, CancelledError):
                self._failures.append(error)
        self._room.release()
        upload.finish(outcome)


def _own(node: Node) -> dict[str, Any]:
    return {DIGEST: node.metadata[DIGEST]}
