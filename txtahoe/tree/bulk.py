"""Makes many links in many directories, with one write for each directory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from itertools import groupby

from attrs import define, field
from twisted.internet.defer import CancelledError

from txtahoe.api.directories import Replace
from txtahoe.concurrency import Done, each
from txtahoe.errors import ExistingChild, NoSuchChild, NotADirectory, another
from txtahoe.nodes import Link, require_json
from txtahoe.tree.commits import CommitQueue
from txtahoe.tree.lookup import Lookup
from txtahoe.tree.paths import AnyPath, Path, split, split_name
from txtahoe.tree.spread.changing import taken


@define(eq=False)
class _Entry:
    """
    A link that is to be made in a directory.

    `numbers`: the caller's links that depend on it. `below`: if it leads to a new directory, the
    first links of that.
    """

    link: Link
    numbers: list[int]
    below: dict[str, _Entry] = field(factory=dict)


class Linker:
    """Makes many links, in batches; see `Tree.save_many`."""

    def __init__(self, lookup: Lookup, commits: CommitQueue, concurrency: int) -> None:
        self._lookup = lookup
        self._commits = commits
        self._concurrency = concurrency

    async def link(
        self,
        links: Mapping[int, tuple[AnyPath, Link]],
        replace: Replace,
        otherwise: Callable[[int], Awaitable[AnyPath]] | None = None,
        progress: Done | None = None,
    ) -> dict[int, Exception]:
        """Make links. Returns the exceptions of those that failed, by number."""
        failed: dict[int, Exception] = {}
        tried: set[tuple[int, Path]] = set()
        avoids_known = otherwise is not None

        async def another(number: int) -> Path:
            assert otherwise is not None
            return split(await otherwise(number))

        while links:
            batch = Batch(self._lookup, self._commits, replace, self._concurrency, avoids_known)
            errors = await batch.make(links, progress)
            failed |= errors
            if otherwise is None:
                break
            tried |= {(number, split(path)) for number, (path, _) in links.items()}
            taken = [n for n, error in errors.items() if isinstance(error, ExistingChild)]
            again = {}
            for number, path in zip(taken, await each(taken, another, 1), strict=True):
                if isinstance(path, Exception):
                    failed[number] = path
                elif avoids_known or (number, path) not in tried:
                    again[number] = path, links[number][1]
                    del failed[number]
            # A path that is proposed again is tried all the same, and for the last time.
            avoids_known = tried.isdisjoint((number, path) for number, (path, _) in again.items())
            links = again
        return failed


class Batch:
    """
    Makes links together.

    It makes missing directories from the deepest up, each with its first links. So each directory,
    old or new, costs one write. (The commit queue makes directories too, but it knows only the
    links of one directory: it could write the parent more than once.)

    `avoids_known`: do not try names that are known to be taken.
    """

    def __init__(
        self,
        lookup: Lookup,
        commits: CommitQueue,
        replace: Replace,
        concurrency: int,
        avoids_known: bool,
    ) -> None:
        self._lookup = lookup
        self._commits = commits
        self._replace: Replace = replace
        self._avoids_known = avoids_known
        self._concurrency = concurrency
        self._directories: dict[Path, dict[str, _Entry]] = {}
        self._unusable: dict[Path, Exception] = {}
        self._errors: dict[int, Exception] = {}

    async def make(
        self, wanted: Mapping[int, tuple[AnyPath, Link]], progress: Done | None = None
    ) -> dict[int, Exception]:
        """
        Make the links. Returns the exceptions of those that failed, by the caller's numbers.

        `progress` is called with the number of directories that were written since the last call.
        """
        for number, (path, link) in wanted.items():
            try:
                self._add(path, link, number)
            except Exception as error:  # the others are made all the same
                self._errors[number] = error
        await self._look_up()
        while self._directories:
            depth = max(map(len, self._directories))
            level = [path for path in self._directories if len(path) == depth]
            for failure in await each(level, self._write, self._concurrency, progress):
                if failure is not None:
                    raise failure
        return self._errors

    def _add(self, path: AnyPath, link: Link, number: int) -> None:
        directory, name = split_name(path)
        require_json(link.metadata)
        is_known = self._avoids_known and self._commits.is_taken(directory, name)
        here = self._directories.get(directory, {})
        if not self._replace and (is_known or name in here):
            raise taken(name)
        entry = self._directories.setdefault(directory, here).setdefault(name, _Entry(link, []))
        entry.link = link  # as if the links were made in turn: the last one stays
        entry.numbers.append(number)

    async def _look_up(self) -> None:
        """
        Look up the directories, from the top down, all of a level side by side.

        It asks nothing below a directory that is missing or no directory, nor above a known one.
        """
        paths = {
            path[:depth]
            for path in self._directories
            if self._lookup.known_directory(path) is None
            for depth in range(len(path) + 1)
        }
        for _, level in groupby(sorted(paths, key=len), len):
            asked = []
            for path in level:
                if path[:-1] in self._unusable:
                    self._unusable[path] = self._unusable[path[:-1]]
                else:
                    asked.append(path)
            # All at once, so that directories with one parent share its listing.
            look = partial(self._lookup.directory, or_make=True)
            found = await each(asked, look, len(asked))
            for path, cap in zip(asked, found, strict=True):
                if isinstance(cap, Exception):
                    self._unusable[path] = cap

    async def _write(self, path: Path) -> None:
        entries = self._directories.pop(path)
        error = self._unusable.pop(path, None)
        if isinstance(error, NoSuchChild):
            await self._make(path, entries)
        elif error is not None:
            self._fail(entries.values(), error)
        else:
            await self._link(path, entries)

    async def _make(self, path: Path, entries: dict[str, _Entry]) -> None:
        parent = self._directories.setdefault(path[:-1], {})
        try:
            if path[-1] in parent:
                raise NotADirectory(f"{path[-1]!r} is to be a file and a directory")
            cap = await self._commits.new({name: e.link for name, e in entries.items()})
        except CancelledError:
            raise
        except Exception as error:
            self._fail(entries.values(), error)
        else:
            numbers = [number for entry in entries.values() for number in entry.numbers]
            parent[path[-1]] = _Entry(Link(cap), numbers, entries)

    async def _link(self, path: Path, entries: dict[str, _Entry]) -> None:
        links = [(n, e.link, False if e.below else self._replace) for n, e in entries.items()]
        began = self._lookup.now()
        waiting = self._commits.link_together(path, links)
        results = await each(waiting, lambda done: done, len(waiting))
        for (name, entry), error in zip(entries.items(), results, strict=True):
            if isinstance(error, ExistingChild) and entry.below:
                # Another process has made the directory: its directory gets these links.
                self._lookup.forget(path, [name])
                self._directories[*path, name] = entry.below
            elif isinstance(error, Exception):
                self._fail([entry], error)
            else:
                self._learn((*path, name), entry, began)

    def _learn(self, path: Path, entry: _Entry, began: float) -> None:
        waiting = [(path, entry)]
        while waiting:
            path, entry = waiting.pop()
            nodes = {name: below.link.node for name, below in entry.below.items()}
            self._lookup.learn_below(path, entry.link.cap, nodes, began)
            waiting += [((*path, name), below) for name, below in entry.below.items()]

    def _fail(self, entries: Iterable[_Entry], error: Exception) -> None:
        for number in (number for entry in entries for number in entry.numbers):
            self._errors[number] = another(error)
