"""A root cap, and the files and directories under it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred

from txtahoe.api.client import Client
from txtahoe.api.directories import Replace, moving
from txtahoe.api.files import Uploadable
from txtahoe.caps import Cap
from txtahoe.concurrency import Done, all_done, each
from txtahoe.errors import (
    BadRequest,
    DirectoryNotEmpty,
    ExistingChild,
    IsADirectory,
    NoSuchChild,
    NotWriteable,
)
from txtahoe.nodes import Link, Node, require_json
from txtahoe.tree.bulk import Linker
from txtahoe.tree.commits import CommitQueue
from txtahoe.tree.lookup import Lookup
from txtahoe.tree.paths import AnyPath, Path, split, split_name
from txtahoe.tree.reading import Reading
from txtahoe.tree.removed import REMOVED
from txtahoe.tree.spread.changing import Changer
from txtahoe.tree.spread.states import Fanout
from txtahoe.tree.uploads import Opener, Uploads, is_small

# The contents that `save` takes: a source, an opener of one, or the cap of a file on the grid.
Content = Uploadable | Opener | Cap

# Files that are linked together: a write of 500 names is as fast as one of a single name.
TOGETHER = 500

# Requests of one operation, other than uploads, at a time.
_REQUESTS = 8


class Tree(Reading):
    """
    The files and directories under a root cap. Paths are as `split` takes them. An `async with`
    block closes the tree's client at its end.

    `max_age`: seconds for which it uses what a path leads to without asking again; if another
    client moves or unlinks a directory, this tree can use the old one for so long. If that is
    lost, the tree asks and tries again. It sees its own changes at once.
    `max_known`: how many files, and as many directories, it remembers.
    `concurrency`: how many uploads of small files are under way at most, and of large ones as many.
    There are fewer if the gateway answers no sooner for more; see `txtahoe.limits`.
    `commit_delay`: seconds that a link waits, at most, for others that are about to be made in the
    same directory, so that one write makes them all. A lone link does not wait.
    `fanout`: when to spread directories that have grown; see `txtahoe.tree.spread`. If it is None,
    this tree spreads none, but reads and changes spread ones as it must.

    Raises: ValueError for a `max_known` or a `concurrency` below 1, or a number of seconds below 0.

    Every method raises the errors of `Client`: NoSuchChild if a name on the path is missing,
    NotADirectory if a file is where a directory is needed. Methods that change something raise
    NotWriteable if the root is a read cap, and UnknownOutcome if reading back fails too.
    """

    def __init__(
        self,
        client: Client,
        root: Cap,
        *,
        max_age: float = 10.0,
        max_known: int = 10_000,
        concurrency: int = 32,
        commit_delay: float = 0.5,
        fanout: Fanout | None = None,
    ) -> None:
        for name, number, least in (
            ("max_age", max_age, 0),
            ("max_known", max_known, 1),
            ("concurrency", concurrency, 1),
            ("commit_delay", commit_delay, 0),
        ):
            if not number >= least:  # NaN is not
                raise ValueError(f"{name} is {number}: give {least} or more")
        requests = min(concurrency, _REQUESTS)
        lookup = Lookup(client, root, max_age, max_known, requests, fanout is not None)
        super().__init__(lookup, requests)
        self.changer = Changer(lookup, fanout)
        """Changes of large directories, for `maintenance.spread`."""
        self._commits = CommitQueue(lookup, self.changer, commit_delay)
        self._linker = Linker(lookup, self._commits, requests)
        self._uploads = Uploads(client, concurrency)

    async def upload(self, source: Uploadable | Opener) -> Cap:
        """As `Client.upload`, a bounded number at a time; large files do not delay small ones."""
        return await self._uploads.make(source)

    async def upload_many(
        self, contents: Iterable[Content], *, progress: Done | None = None
    ) -> list[Cap | Exception]:
        """As `upload`, side by side. This returns caps as they are, without an upload."""
        return await each(contents, self._cap_of, self._uploads.ahead, progress)

    async def save(
        self,
        path: AnyPath,
        source: Content,
        *,
        replace: Replace = False,
        otherwise: Callable[[], Awaitable[AnyPath]] | None = None,
    ) -> Cap:
        """
        Upload a file, make missing directories, and give it a name. Returns the file's cap.

        `source`: as for `Client.upload`; or a function that opens it when its turn has come; or the
        cap of an immutable file, which only gets the name.
        `otherwise`: called if the name is taken, or was lately; returns another path. This uploads
        the bytes once, and fails if `otherwise` returns a path again that is taken.
        `replace`: as for `Client.link`.

        Raises: ExistingChild; ValueError for a cap that is not of an immutable file.
        """
        directory, name = self._to_change(path)
        # Other links in the directory must not wait for a file that takes long.
        is_soon = not isinstance(source, Cap) and is_small(source)
        expected = self._commits.expected(directory) if is_soon else nullcontext()
        with expected, self._looking_ahead(directory, name):
            link = Link(await self._cap_of(source))
            # A link that is refused would hold up all others of the same write. A path that
            # `otherwise` proposes again is tried all the same, and for the last time.
            tried: set[Path] = set()
            while otherwise and not replace and self._commits.is_taken(directory, name):
                if (*directory, name) in tried:
                    break
                tried.add((*directory, name))
                directory, name = split_name(await otherwise())
            linked = self._commits.link(directory, name, link, replace)
        while True:
            try:
                await linked
                return link.cap
            except ExistingChild:
                if otherwise is None or (*directory, name) in tried:
                    raise
            tried.add((*directory, name))
            directory, name = split_name(await otherwise())
            linked = self._commits.link(directory, name, link, replace)

    async def save_many(
        self,
        files: Iterable[tuple[AnyPath, Content]],
        *,
        replace: Replace = False,
        progress: Done | None = None,
        otherwise: Callable[[int], Awaitable[AnyPath]] | None = None,
    ) -> list[Cap]:
        """
        Save many files: uploads side by side, then one write for each directory. Returns the caps.

        `files`: pairs of a path and a source as for `save`; this reads them as the work goes on.
        `progress`: called with the number of files that were uploaded since the last call.
        `otherwise`: as for `save`; called with the number of the file, from 0.

        Raises: SomeFailed, whose results say which files failed; the others are saved.
        """
        self._require_writable()
        left = iter(files)
        saved: list[Cap | Exception] = []

        async def upload(file: tuple[AnyPath, Content]) -> tuple[AnyPath, Link]:
            path, content = file
            with self._looking_ahead(*split_name(path)):
                return path, Link(await self._cap_of(content))

        while some := await each(islice(left, TOGETHER), upload, self._uploads.ahead, progress):
            uploaded = dict(enumerate(some, len(saved)))
            links = {n: link for n, link in uploaded.items() if not isinstance(link, Exception)}
            failed = await self._linker.link(links, replace, otherwise)
            for number, link in uploaded.items():
                error = link if isinstance(link, Exception) else failed.get(number)
                saved.append(error or links[number][1].cap)
        return all_done(saved, "saving many files")

    async def link_many(
        self,
        links: Iterable[tuple[AnyPath, Cap | Link]],
        *,
        replace: Replace = False,
        progress: Done | None = None,
    ) -> None:
        """
        Give names to many caps, with one write for each directory, new ones too.

        `progress`: called with the number of directories that were written since the last call.

        Raises: SomeFailed; the other links are made.
        """
        self._require_writable()
        wanted = {
            number: (path, cap if isinstance(cap, Link) else Link(cap))
            for number, (path, cap) in enumerate(links)
        }
        failed = await self._linker.link(wanted, replace, progress=progress)
        all_done([failed.get(number) for number in wanted], "linking many names")

    async def link(
        self,
        path: AnyPath,
        cap: Cap,
        *,
        replace: Replace = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Make missing directories, and give `cap` a name. `replace` is as for `Client.link`.

        Raises: ExistingChild.
        """
        directory, name = self._to_change(path)
        await self._commits.link(directory, name, _valid_link(cap, metadata), replace)

    async def make_directories(self, path: AnyPath) -> Cap:
        """Make the missing directories of a path. Returns the cap of the last one."""
        names = split(path)
        self._require_writable()
        try:
            cap = await self._lookup.directory(names)
        except NoSuchChild:
            with suppress(ExistingChild):  # another process was faster: its directory is used
                return await self._commits.make(names, {})
            cap = await self._lookup.directory(names, fresh=True)

        async def restored(there: Node | None) -> Node | Link | None:
            if there is None or REMOVED not in there.metadata:
                return there
            kept = {key: value for key, value in there.metadata.items() if key != REMOVED}
            return Link(there.cap, kept)

        if names:
            await self._commits.change(names[:-1], names[-1], restored)
        return cap

    async def replace(
        self,
        path: AnyPath,
        cap: Cap,
        expected: Node | None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Give `cap` a name, if the name still leads to `expected`, or to nothing.

        No other change through this tree comes between the look at the name and its replacement. A
        change by another process can, also through the same gateway, and is then lost unnoticed:
        Tahoe-LAFS has no operation that compares and replaces.

        Raises: ExistingChild if the name leads to something else.
        """
        directory, name = self._to_change(path)
        link = _valid_link(cap, metadata)

        async def replaced(there: Node | None) -> Node | Link | None:
            if there is not None and there.cap == cap:
                return there
            if there is not None and not (expected and there.is_same_link(expected)):
                raise ExistingChild("the file has changed since it was opened")
            return link

        await self._commits.change(directory, name, replaced)

    async def unlink(
        self, path: AnyPath, *, only_files: bool = True, missing_ok: bool = False
    ) -> None:
        """
        Unlink a file, and remove its bytes from the content cache of the client.

        `only_files`: if False, unlink a directory too, even if it is not empty. A file that another
        process saves into it meanwhile is lost.
        `missing_ok`: a path that leads nowhere is no error.

        Raises: IsADirectory; NoSuchChild.
        """
        directory, name = self._to_change(path)
        unlinked: list[Cap] = []

        async def gone(there: Node | None) -> None:
            if there is None or await self._lookup.is_removed((*directory, name), there):
                raise NoSuchChild(f"no such file or directory: {name!r}")
            if there.is_directory and only_files:
                raise IsADirectory(f"{there.cap!r} is a directory")
            unlinked.append(there.cap)

        with suppress(*[NoSuchChild] if missing_ok else []):
            await self._commits.change(directory, name, gone)
        for cap in unlinked:
            await self.client.forget(cap)

    async def remove_directory(self, path: AnyPath) -> None:
        """
        Remove an empty directory.

        Its link stays, with a mark, and the directory is there again as soon as something is in it.
        If the link went, a file would be lost that another process, which knows the directory's
        cap, saves into it meanwhile.

        Raises: DirectoryNotEmpty.
        """
        directory, name = self._to_change(path)

        async def removed(there: Node | None) -> Link:
            if there is None:
                raise NoSuchChild(f"no such file or directory: {name!r}")
            if await self.list((*directory, name)):
                raise DirectoryNotEmpty(f"{there.cap!r} is not empty")
            return Link(there.cap, {**there.metadata, REMOVED: True})

        await self._commits.change(directory, name, removed)

    async def rename(self, old: AnyPath, new: AnyPath) -> None:
        """
        Rename a file or directory, to any directory of this tree.

        It links the new name first, and then unlinks the old one: if it fails between the two, both
        are there. A file that is saved under the old name meanwhile stays.

        Raises: ExistingChild; ValueError if a directory would come to lie below itself; BadRequest
        for a cap of an unknown kind.
        """
        directory, name = self._to_change(old)
        to_directory, to_name = self._to_change(new)
        source, target = (*directory, name), (*to_directory, to_name)
        if target == source:
            return
        if target[: len(source)] == source:
            raise ValueError("a directory cannot be moved below itself")
        node = await self.resolve(source, fresh=True)
        if not node.cap.is_known:
            raise BadRequest(f"{node.cap!r} can't be moved: its rights are not known")
        if node.is_directory:
            await self.changer.learn_marks(source, node.cap)

        async def left(there: Node | None) -> Node | None:
            return None if there is not None and there.is_same_link(node) else there

        await self._commits.link(to_directory, to_name, Link(node.cap, node.metadata))
        with moving(name):
            await self._commits.change(directory, name, left)

    async def _cap_of(self, content: Content) -> Cap:
        if not isinstance(content, Cap):
            return await self.upload(content)
        if content.is_file and content.is_readable and not content.is_mutable:
            return content
        raise ValueError(f"{content!r} is no immutable file; `link` gives a name to any cap")

    @contextmanager
    def _looking_ahead(self, path: Path, name: str) -> Iterator[None]:
        """Look up a directory while the file that will be linked in it is uploaded."""

        async def look() -> None:
            directory = await self._lookup.directory(path, or_make=True)
            await self.changer.look_ahead(path, directory, name)

        looking = Deferred.fromCoroutine(look())
        looking.addErrback(lambda _: None)  # the link looks it up again
        try:
            yield
        except BaseException:
            looking.cancel()
            raise

    def _to_change(self, path: AnyPath) -> tuple[Path, str]:
        """A path that is to be changed, as the directory's path and the name in it."""
        self._require_writable()
        return split_name(path)

    def _require_writable(self) -> None:
        if not self.root.is_writable:
            raise NotWriteable(f"{self.root!r} does not give the right to write")


def _valid_link(cap: Cap, metadata: Mapping[str, Any] | None) -> Link:
    link = Link(cap, metadata or {})
    require_json(link.metadata)
    return link
