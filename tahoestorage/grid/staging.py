"""Changes of a tree that show at once and are made together, later."""

from __future__ import annotations

from collections.abc import Collection, Iterable
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
    turn: DeferredLock = field(factory=DeferredLock)  # the upload has it first
    work: Deferred[None] | None = None

    async def cap(self) -> Cap:
        async with self.turn:
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
    missing, holds until all changes are made, and for `max_age` seconds if none are pending. So a
    change is made in that answer at once. (A spool has to lay its files over an answer that is
    never old, because other processes change the grid too.)

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
        # The children of directories, with all changes.
        self._views: dict[Path, dict[str, _Saved | Node]] = {}
        self._asked: dict[Path, float] = {}
        # The nodes of the grid at the paths of files that are saved or deleted here.
        self._before: dict[Path, _Saved | Node | None] = {}
        self._uploads: dict[str, _Upload] = {}
        self._failures: list[Exception] = []

    @property
    def pending(self) -> Collection[Path]:
        """The paths whose changes are pending. Any thread can read it."""
        return self._before.keys()

    async def resolve(self, path: Path) -> Node:
        """
        Look up a path; of a pending file, wait for its upload. A directory that does not exist yet
        has a cap that gives no rights.
        """
        async with self._lock:
            there = await self._there(path) if path else Node("dirnode", self._tree.root)
        if there is None:
            raise NoSuchChild(f"no such file or directory: {path[-1]!r}")
        return await _node(there)

    async def list(self, path: Path) -> dict[str, Node]:
        if not (await self.resolve(path)).is_directory:
            raise NotADirectory(f"{path[-1]!r} is not a directory")
        async with self._lock:
            children = {**await self._view(path)}
        return {name: await _node(there) for name, there in children.items()}

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
                name = path[depth - 1]
                there = self._views[path[: depth - 1]].setdefault(name, UNBORN)
                if isinstance(there, _Saved):  # since the directory was asked for
                    raise NotADirectory(f"{name!r} is not a directory")
            self._change(path, _Saved(digest, upload))

    async def delete(self, path: Path) -> None:
        """Delete a file; if it is missing, do nothing. Raises: IsADirectory."""
        async with self._lock:
            if await self._file(path) is not None:
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
            failed = await self._link() or await self._unlink(self._before)
            self.forget()
        return failed

    # The caller of these methods holds the lock.

    async def _there(self, path: Path) -> _Saved | Node | None:
        directory, name = split_name(path)
        return (await self._view(directory)).get(name)

    async def _file(self, path: Path) -> _Saved | Node | None:
        """As `_there`. Raises: IsADirectory."""
        there = await self._there(path)
        if there is not None and there.is_directory:
            raise IsADirectory(f"{path[-1]!r} is a directory")
        return there

    async def _view(self, directory: Path) -> dict[str, _Saved | Node]:
        """The children of a directory; none if it is missing."""
        for depth in range(len(directory) + 1):
            if not self._is_known(directory[:depth]):
                await self._ask(directory[:depth])
        return self._views[directory]

    def _is_known(self, directory: Path) -> bool:
        if directory not in self._views:
            return False
        age = self._tree.client.reactor.seconds() - self._asked[directory]
        return bool(self._before) or age < max_age(self._max_age)

    async def _ask(self, directory: Path) -> None:
        self._asked[directory] = self._tree.client.reactor.seconds()
        there = self._views[directory[:-1]].get(directory[-1]) if directory else None
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
        before = self._before.get(path, there)
        if isinstance(before, Node) and digest_of(before) == digest:
            if path in self._before:
                self._change(path, before)
            return True
        # A failed upload is not among the uploads.
        return isinstance(there, _Saved) and there.digest == digest and digest in self._uploads

    def _change(self, path: Path, there: _Saved | Node | None) -> None:
        """Show something at a path; the change is pending, unless the grid has just that."""
        if not self._before:
            # From now on views do not grow old, so drop those that are.
            for directory in list(self._views):
                if directory != path[: len(directory)] and not self._is_known(directory):
                    del self._views[directory]
        view, name = self._views[path[:-1]], path[-1]
        before = self._before.setdefault(path, view.pop(name, None))
        if there is not None:
            view[name] = there
        if there is before:
            del self._before[path]

    async def _link(self, but: Path | None = None) -> dict[Path, Exception]:
        shown = {path: self._views[path[:-1]].get(path[-1]) for path in self._before}
        saved = {p: s for p, s in shown.items() if isinstance(s, _Saved) and p != but}
        directories = {path[:depth] for path in saved for depth in range(1, len(path))}
        failed = await self._unlink(directories & self._before.keys())
        results = await each(saved.values(), _Saved.node, 1)
        failed.update(_errors(saved, results))
        nodes = {p: n for p, n in zip(saved, results, strict=True) if isinstance(n, Node)}
        links = {path: Link(n.cap, {DIGEST: n.metadata[DIGEST]}) for path, n in nodes.items()}
        try:
            await self._tree.link_many(links.items(), replace="only-files")
        except SomeFailed as error:
            failed.update(_errors(links, error.results))
        for path in saved:
            del self._before[path]
        if not self._before:
            self.forget()  # the views have directories that did not exist
        return failed

    async def _unlink(self, paths: Collection[Path]) -> dict[Path, Exception]:
        async def unlink(path: Path) -> None:
            with suppress(NoSuchChild):
                await self._tree.unlink(path)

        wanted = list(paths)
        results = await each(wanted, unlink, _UNLINKS)
        for path in wanted:
            del self._before[path]
        return _errors(wanted, results)

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
        async with upload.turn:
            try:
                upload.outcome = await self._tree.upload(source)
                self._failures.clear()
            except Exception as error:
                upload.outcome = error
                self._uploads.pop(digest, None)
                if not isinstance(error, CancelledError):
                    self._failures.append(error)
            self._room.release()


async def _node(there: _Saved | Node) -> Node:
    return await there.node() if isinstance(there, _Saved) else there


def _errors(paths: Iterable[Path], results: Iterable[object]) -> dict[Path, Exception]:
    pairs = zip(paths, results, strict=True)
    return {path: result for path, result in pairs if isinstance(result, Exception)}
