"""Makes many links in many directories, with one write for each directory."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence

from attrs import define, field
from twisted.internet.defer import CancelledError

from txtahoe.api.directories import Replace
from txtahoe.caps import Cap
from txtahoe.concurrency import Done, each
from txtahoe.errors import ExistingChild, NoSuchChild, NotADirectory, another
from txtahoe.nodes import Link, require_json
from txtahoe.tree.commits import CommitQueue
from txtahoe.tree.lookup import Lookup
from txtahoe.tree.paths import Path


@define(eq=False)
class _Entry:
    """
    A link that is to be made in a directory.

    `numbers`: the positions of the caller's links that depend on it. `below`: the first links of
    the new directory that it leads to.
    """

    link: Link
    numbers: list[int]
    below: dict[str, _Entry] = field(factory=dict)


class Batch:
    """
    Links that are made together.

    Missing directories are made from the deepest up, each with its first children. So each
    directory, old or new, costs one write. (The commit queue makes directories too, but it knows
    only the links of one directory: it could write the parent more than once.)
    """

    def __init__(
        self, lookup: Lookup, commits: CommitQueue, replace: Replace, concurrency: int
    ) -> None:
        self._lookup = lookup
        self._commits = commits
        self._replace: Replace = replace
        self._concurrency = concurrency
        self._directories: dict[Path, dict[str, _Entry]] = {}
        self._errors: dict[int, Exception] = {}

    async def make(
        self, wanted: Sequence[tuple[Path, Link]], progress: Done | None = None
    ) -> list[Exception | None]:
        """
        Make the links. Returns for each its exception, or None if it is made.

        `progress` is called with the number of directories that were written since the last call.
        """
        for number, (path, link) in enumerate(wanted):
            self._add(path, link, number)
        found = await self._find(list(self._directories))
        while self._directories:
            depth = max(map(len, self._directories))
            level = [path for path in self._directories if len(path) == depth]
            await self._ask([path for path in level if path not in found], found)
            pairs = [(path, found.pop(path)) for path in level]
            for error in await each(
                pairs, lambda pair: self._write(*pair), self._concurrency, progress
            ):
                if error is not None:
                    raise error
        return [self._errors.get(number) for number in range(len(wanted))]

    async def _find(self, directories: Iterable[Path]) -> dict[Path, Cap | Exception]:
        """
        The caps of directories, or the exceptions of those that have none.

        It looks from the top down, all directories of a level side by side. Below a missing
        directory it asks nothing, and above a known one neither.
        """
        found: dict[Path, Cap | Exception] = {}
        unknown: set[Path] = set()
        for path in directories:
            cap = self._lookup.known_directory(path)
            if cap is not None:
                found[path] = cap
            else:
                unknown.update(path[:depth] for depth in range(len(path) + 1))
        for depth in range(max(map(len, unknown), default=-1) + 1):
            level = [path for path in unknown if len(path) == depth]
            above = {path: found.get(path[:-1]) for path in level if path}
            await self._ask([p for p in level if not isinstance(above.get(p), Exception)], found)
            found.update((p, error) for p, error in above.items() if isinstance(error, Exception))
        return found

    async def _ask(self, paths: list[Path], found: dict[Path, Cap | Exception]) -> None:
        """Look directories up side by side, so that those with one parent share its listing."""
        results = await each(paths, self._lookup.directory, len(paths))
        found.update(zip(paths, results, strict=True))

    def _add(self, path: Path, link: Link, number: int) -> None:
        try:
            require_json(link.metadata)
        except Exception as error:  # the others are made all the same
            self._errors[number] = error
            return
        here = self._directories.setdefault(path[:-1], {})
        entry = here.get(path[-1])
        if entry is None:
            here[path[-1]] = _Entry(link, [number])
        elif self._replace:  # as if made one after the other: the last one stays
            entry.link = link
            entry.numbers.append(number)
        else:
            self._errors[number] = ExistingChild(f"the name {path[-1]!r} is taken")

    async def _write(self, path: Path, found: Cap | Exception) -> None:
        entries = self._directories.pop(path)
        if isinstance(found, NoSuchChild):
            await self._make(path, entries)
        elif isinstance(found, Exception):
            self._fail(entries.values(), found)
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
        waiting = self._commits.link_together(
            path,
            [
                (name, entry.link, False if entry.below else self._replace)
                for name, entry in entries.items()
            ],
        )
        results = await each(waiting, _result, len(waiting))
        for (name, entry), error in zip(entries.items(), results, strict=True):
            if isinstance(error, ExistingChild) and entry.below:
                # Another process has made the directory: its directory gets these links.
                self._lookup.forget(path, [name])
                self._directories[*path, name] = entry.below
            elif isinstance(error, Exception):
                self._fail([entry], error)
            else:
                self._learn((*path, name), entry.below)

    def _learn(self, path: Path, entries: dict[str, _Entry]) -> None:
        waiting = [(path, entries)]
        while waiting:
            path, entries = waiting.pop()
            for name, entry in entries.items():
                self._lookup.learn((*path, name), entry.link.node)
                waiting.append(((*path, name), entry.below))

    def _fail(self, entries: Iterable[_Entry], error: Exception) -> None:
        for number in (number for entry in entries for number in entry.numbers):
            self._errors[number] = another(error)


async def _result(waiting: Awaitable[None]) -> None:
    await waiting
