"""`manage.py tahoe get NAME [FILE]`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from django.core.management.base import CommandError, CommandParser

from tahoestorage.grid.file import TahoeFile
from tahoestorage.grid.tree import StorageTree
from tahoestorage.management.finding import find
from tahoestorage.management.printing import Counter, bar
from tahoestorage.management.verb import Verb
from tahoestorage.reactor.waiting import Caller, done
from txtahoe.concurrency import each
from txtahoe.maintenance.walking import AT_ONCE
from txtahoe.nodes import Node
from txtahoe.tree import paths
from txtahoe.tree.tree import Tree

_BLOCK = 2**18


class Get(Verb):
    help = """
    Copy a file or a directory of the grid to this machine.

    A file of this machine that exists is an error, unless --replace is given.

    Examples, a directory with everything below it, and a file to standard output:
      manage.py tahoe get documents/2026 backup
      manage.py tahoe get documents/2026/report.txt - | less
    """

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("name", help="a file or a directory; '' for the whole storage")
        parser.add_argument(
            "file",
            nargs="?",
            help="where to copy it; default: its name, in this folder; -: to standard output",
        )
        parser.add_argument("--replace", action="store_true", help="replace files of this machine")

    def run(self) -> None:
        start = self.path
        found = self.work("reading", "names", lambda tree, told: find(tree, start, told))
        found = {path: node for path, node in found.items() if not node.is_directory}
        if self.options["file"] == "-":
            self._print(start, found)
            return
        target = Path(self.options["file"] or (start[-1] if start else "."))
        if list(found) == [start] and target.is_dir():
            target /= start[-1]
        targets = {path: _local(target, path[len(start) :]) for path in found}
        with bar("copying", "B") as progress:
            counter = Counter(sum(node.size or 0 for node in found.values()), progress)
            getting = _Getting(self.whole.tree, self.options["replace"], counter)
            results = getting.all([(node, targets[path]) for path, node in found.items()])
        copied: list[str] = []
        failed: dict[str, str] = {}
        for path, error in zip(found, results, strict=True):
            if error is None:
                copied.append(str(targets[path]))
            else:
                failed[self.whole.name_of(path)] = self.problem(error)
        self.finish("copied", copied, failed)

    def _print(self, start: paths.Path, found: dict[paths.Path, Node]) -> None:
        if list(found) != [start]:
            raise CommandError(
                "A directory can't be printed: give the name of a folder instead of '-'."
            )
        node = found[start]
        known = None if node.size is None else node
        name = self.whole.name_of(start)
        with (
            bar("copying", "B", hidden=sys.stdout.isatty()) as progress,
            TahoeFile(self.whole.tree, start, name, found=known) as file,
        ):
            counter = Counter(node.size or 0, progress)
            for chunk in file.chunks(_BLOCK):
                sys.stdout.buffer.write(chunk)
                counter.add(len(chunk))
        sys.stdout.buffer.flush()


def _local(target: Path, below: Iterable[str]) -> Path | None:
    """The target of a file; None if the name could lead out of `target`, or no file can have it."""
    names = list(below)
    if any(name in ("", ".", "..") or "/" in name or "\0" in name for name in names):
        return None
    local = target.joinpath(*names)
    try:
        os.fsencode(local)
    except UnicodeEncodeError:
        return None
    return local


class _Getting:
    """Copies files, several at a time. Only the thread that waits for them touches the disk."""

    def __init__(self, tree: StorageTree, replaces: bool, counter: Counter) -> None:
        self._tree = tree
        self._replaces = replaces
        self._counter = counter
        self._parts: dict[Path, BinaryIO | None] = {}
        self._written: set[tuple[int, int]] = set()

    def all(self, wanted: Iterable[tuple[Node, Path | None]]) -> list[Exception | None]:
        """Copy files to their targets; return for each its error, or None."""

        async def copy(tree: Tree, caller: Caller) -> list[Exception | None]:
            return await each(wanted, lambda one: self._copy(tree, caller, *one), AT_ONCE)

        try:
            return done(self._tree.run(copy))
        finally:
            for part in list(self._parts):  # if the copying was interrupted
                self._discard(part)

    async def _copy(self, tree: Tree, caller: Caller, node: Node, local: Path | None) -> None:
        if local is None:
            raise OSError("it can't be the name of a file of this machine")
        part = await caller.run(partial(self._begin, local))
        try:
            download = await tree.client.download(node.cap)
            try:
                async for chunk in download:
                    await caller.run(partial(self._write, part, chunk))
            finally:
                download.close()
            await caller.run(partial(self._finish, part, local))
        finally:
            caller.call_soon(partial(self._discard, Path(part.name)))

    def _begin(self, local: Path) -> BinaryIO:
        """A new file beside the target, so that the target is whole whatever ends this process."""
        if not self._replaces and local.exists():
            raise _there(local)
        local.parent.mkdir(parents=True, exist_ok=True)
        path = local.parent / f".tahoe-get-{token_hex(8)}"
        self._parts[path] = None  # before the file exists: Ctrl-C can come at any moment
        self._parts[path] = part = path.open("xb")
        return part

    def _write(self, part: BinaryIO, chunk: bytes) -> None:
        part.write(chunk)
        self._counter.add(len(chunk))

    def _finish(self, part: BinaryIO, local: Path) -> None:
        part.close()
        if self._replaces:
            self._replace(part.name, local)
            return
        try:
            _name(part.name, local)
        except FileExistsError:
            raise _there(local) from None

    def _replace(self, part: str, local: Path) -> None:
        # Two names can be one file here, by a link, or if the disk ignores case.
        if local.exists() and _identity(local) in self._written:
            raise FileExistsError(f"another file of this copy is at {str(local)!r} already")
        os.replace(part, local)
        self._written.add(_identity(local))

    def _discard(self, path: Path) -> None:
        """Remove a part; nothing if it has got its name."""
        part = self._parts.get(path)
        if part is not None:
            with suppress(OSError):  # if the disk is full, for example
                part.close()
        path.unlink(missing_ok=True)
        self._parts.pop(path, None)


def _name(part: str, local: Path) -> None:
    """Give a part its name. Raises: FileExistsError if a file has it."""
    try:
        os.link(part, local)
    except FileExistsError:
        raise
    except OSError:  # exFAT, for example, has no second names
        local.open("xb").close()
        os.replace(part, local)


def _there(local: Path) -> FileExistsError:
    return FileExistsError(f"{str(local)!r} is there already; --replace replaces it")


def _identity(local: Path) -> tuple[int, int]:
    status = local.stat()
    return status.st_dev, status.st_ino
