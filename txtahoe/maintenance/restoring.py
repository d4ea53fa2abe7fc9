"""Files brought back from a snapshot, by links to what is on the grid still."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from txtahoe.api.directories import Replace
from txtahoe.caps import Cap
from txtahoe.concurrency import each
from txtahoe.errors import (
    ExistingChild,
    NotADirectory,
    NotWriteable,
    SomeFailed,
    Unrecoverable,
)
from txtahoe.maintenance.differences import Difference, differences
from txtahoe.maintenance.walking import AT_ONCE, Progress
from txtahoe.nodes import MARK, Link
from txtahoe.tree.paths import Path, split
from txtahoe.tree.tree import Tree


@frozen
class Restored:
    """
    What came back.

    `files`: those that were linked. `directories`: those without files that were made.
    `conflicts`: where something else is now, which was left alone.
    `failed`: what could not be brought back, and why.
    """

    files: Sequence[Path]
    directories: Sequence[Path]
    conflicts: Sequence[Path]
    failed: Mapping[Path, Exception] = field(factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether all of the snapshot is there now."""
        return not self.conflicts and not self.failed


async def restore(
    tree: Tree,
    snapshot: Cap,
    path: str | Sequence[str] = (),
    *,
    replace: bool = False,
    at_once: int = AT_ONCE,
    progress: Progress | None = None,
) -> Restored:
    """
    Bring what a path led to in a snapshot, and everything that was below it, back into a tree.

    No byte of a file is moved. What is as it was stays, and so does what the snapshot does not
    know. A file that has changed is a conflict, unless `replace` is given. A directory in the
    place of a file, or a file in that of a directory, is one in any case. A directory that can't
    be read is not replaced either: give it another name, and restore again.

    `progress` counts directories that were compared, and then anew those that were written.

    Raises: NoSuchChild where the path led nowhere in the snapshot; NotWriteable.
    """
    if not tree.root.is_writable:
        raise NotWriteable(f"{tree.root!r} does not give the right to write")
    names = split(path)
    before = Tree(tree.client, snapshot)
    await before.resolve(names)
    restoring = _Restoring(tree, replace)
    for difference in await differences(before, tree, names, at_once=at_once, progress=progress):
        restoring.plan(difference)
    await restoring.link(progress)
    await restoring.make_directories(at_once)
    return restoring.restored


class _Restoring:
    def __init__(self, tree: Tree, replace: bool) -> None:
        self._tree = tree
        self._replace = replace
        self._links: dict[Path, Link] = {}
        self._directories: list[Path] = []
        self._conflicts: set[Path] = set()
        self._failed: dict[Path, Exception] = {}

    @property
    def restored(self) -> Restored:
        left = {*self._conflicts, *self._failed}
        return Restored(
            [path for path in self._links if path not in left],
            [path for path in self._directories if path not in left],
            sorted(self._conflicts),
            self._failed,
        )

    def plan(self, difference: Difference) -> None:
        """Find out what to do; differences come in the order of their paths."""
        path, before, after = difference.path, difference.before, difference.after
        is_below = any(path[:depth] in self._conflicts for depth in range(len(path)))
        if before is None or is_below:
            return
        if difference.unread:
            self._failed[path] = Unrecoverable(difference.unread)
        elif after is not None and (after.is_directory or before.is_directory or not self._replace):
            self._conflicts.add(path)
        elif before.is_directory:
            self._directories.append(path)
        else:
            kept = {key: value for key, value in before.metadata.items() if key != MARK}
            self._links[path] = Link(before.cap, kept)

    async def link(self, progress: Progress | None) -> None:
        """Link the files, by few writes: new directories come into being with their files."""
        directories = {path[:-1] for path in self._links}
        written = 0

        def wrote(number: int) -> None:
            nonlocal written
            written += number
            if progress is not None:
                # Those that hold directories only are written too.
                progress(written, max(written, len(directories)))

        replace: Replace = "only-files" if self._replace else False
        try:
            await self._tree.link_many(self._links.items(), replace=replace, progress=wrote)
        except SomeFailed as failed:
            self._note(self._links, failed.results)

    async def make_directories(self, at_once: int) -> None:
        """Make those that have no file to come into being with."""
        there = {path[:depth] for path in self._links for depth in range(len(path))}
        self._directories = [path for path in self._directories if path not in there]
        results = await each(self._directories, self._tree.make_directories, at_once)
        self._note(self._directories, results)

    def _note(self, paths: Iterable[Path], results: Sequence[Any]) -> None:
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, ExistingChild | NotADirectory):
                self._conflicts.add(path)
            elif isinstance(result, Exception):
                self._failed[path] = result
