"""Files brought back from a snapshot, by links to what is still on the grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from txtahoe.api.directories import Replace
from txtahoe.caps import Cap
from txtahoe.concurrency import each
from txtahoe.errors import ExistingChild, NotADirectory, NotWriteable, SomeFailed, Unrecoverable
from txtahoe.maintenance.differences import differences
from txtahoe.maintenance.walking import AT_ONCE, Progress
from txtahoe.nodes import MARK, Link
from txtahoe.tree.paths import Path, split
from txtahoe.tree.tree import Tree


@frozen
class Restored:
    """
    The result of `restore`. `files`: those that it linked. `directories`: those that it made, and
    that have no files. `conflicts`: paths that lead to something else now, which it left alone.
    `failed`: paths that it could not bring back, and why.
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
    progress: Progress | None = None,
) -> Restored:
    """
    Bring what a path led to in a snapshot, and everything that was below it, back into a tree.

    It moves no byte of a file. Files that have not changed, or are not in the snapshot, stay.
    A file that has changed is a conflict, unless `replace` is given. A directory in the place of a
    file, or a file in that of a directory, is always one. It does not replace a directory that
    can't be read: give that another name, and restore again. `progress` counts directories that
    were compared, and then, from 0 again, those that were written.

    Raises: NoSuchChild if the path led nowhere in the snapshot; NotWriteable.
    """
    if not tree.root.is_writable:
        raise NotWriteable(f"{tree.root!r} does not give the right to write")
    names = split(path)
    before = Tree(tree.client, snapshot)
    await before.resolve(names)
    links: dict[Path, Link] = {}
    directories: list[Path] = []
    conflicts: set[Path] = set()
    failed: dict[Path, Exception] = {}
    for difference in await differences(before, tree, names, progress=progress):
        at, was, now = difference.path, difference.before, difference.after
        is_below_conflict = any(at[:depth] in conflicts for depth in range(len(at)))
        if was is None or is_below_conflict:
            continue
        if difference.unread:
            failed[at] = Unrecoverable(difference.unread)
        elif now is not None and (now.is_directory or was.is_directory or not replace):
            conflicts.add(at)
        elif was.is_directory:
            directories.append(at)
        else:
            kept = {key: value for key, value in was.metadata.items() if key != MARK}
            links[at] = Link(was.cap, kept)

    def note(paths: Iterable[Path], results: Sequence[Any]) -> None:
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, ExistingChild | NotADirectory):
                conflicts.add(path)
            elif isinstance(result, Exception):
                failed[path] = result

    note(links, await _link(tree, links, replace, progress))
    # The other directories came into being with their files.
    made = {path[:depth] for path in links for depth in range(len(path))}
    directories = [path for path in directories if path not in made]
    note(directories, await each(directories, tree.make_directories, AT_ONCE))
    left = {*conflicts, *failed}
    files, directories = ([p for p in paths if p not in left] for paths in (links, directories))
    return Restored(files, directories, sorted(conflicts), failed)


async def _link(
    tree: Tree, links: Mapping[Path, Link], replace: bool, progress: Progress | None
) -> Sequence[Any]:
    """Make links, and return the exceptions of those that failed, in their order."""
    directories = {path[:-1] for path in links}
    written = 0

    def wrote(number: int) -> None:
        nonlocal written
        written += number
        if progress is not None:
            # New directories without files are written too.
            progress(written, max(written, len(directories)))

    how: Replace = "only-files" if replace else False
    try:
        await tree.link_many(links.items(), replace=how, progress=wrote)
    except SomeFailed as failed:
        return failed.results
    return [None] * len(links)
