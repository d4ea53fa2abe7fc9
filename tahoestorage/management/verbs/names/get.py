"""`manage.py tahoe get NAME [FILE]`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.grid.file import TahoeFile
from tahoestorage.grid.tree import StorageTree
from tahoestorage.management.failures import problem_of, raise_failed
from tahoestorage.management.printing import Counter, add_json_argument, bar, print_json
from tahoestorage.management.quoting import shown
from tahoestorage.management.storages import add_storage_argument, storage_of
from tahoestorage.reactor.loop import Caller
from tahoestorage.reactor.waiting import done
from txtahoe.concurrency import each
from txtahoe.maintenance.walking import AT_ONCE
from txtahoe.nodes import Node
from txtahoe.tree import paths
from txtahoe.tree.tree import Tree

help = "Copy a file, or a directory with all that is below it, to this machine."
_BLOCK = 2**18


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument("name", help="a file or a directory; '' for all")
    parser.add_argument(
        "file", nargs="?", help="where to; default: the name, here; -: a file to standard output"
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace files of this machine that are there"
    )
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    whole = WholeTree.of(storage_of(options["storage"]))
    start = whole.path_of(options["name"])
    found = _found(whole, start)
    if options["file"] == "-":
        _print(whole, start, found)
        return
    target = Path(options["file"] or (start[-1] if start else "."))
    if list(found) == [start] and target.is_dir():
        target /= start[-1]
    targets = {path: _local(target, path[len(start) :]) for path in found}
    with bar("copying", "B") as progress:
        counter = Counter(sum(node.size or 0 for node in found.values()), progress)
        getting = _Getting(whole.tree, options["replace"], counter)
        results = getting.all([(node, targets[path]) for path, node in found.items()])
    problems = dict(zip(found, results, strict=True))
    failed = {whole.name_of(path): problem_of(each) for path, each in problems.items() if each}
    copied = [str(targets[path]) for path, problem in problems.items() if not problem]
    if options["json"]:
        print_json(command, {"copied": copied, "failed": failed})
    elif options["verbosity"]:
        for local in copied:
            command.stdout.write(shown(command, local))
    raise_failed(failed)


def _found(whole: WholeTree, start: paths.Path) -> dict[paths.Path, Node]:
    """The files at a path and below it."""

    async def look(tree: Tree, _: object) -> dict[paths.Path, Node]:
        node = await tree.resolve(start)
        if not node.is_directory:
            return {start: node}
        found = {}
        async for directory, children in tree.walk(start):
            for name, node in children.items():
                if not node.is_directory and not paths.is_reserved((*directory, name)):
                    found[(*directory, name)] = node
        return found

    return whole.run(look)


def _local(target: Path, below: Iterable[str]) -> Path | None:
    """Where a file goes to; None where its name could lead out of the target, or is none here."""
    names = list(below)
    if any(name in ("", ".", "..") or "/" in name or "\0" in name for name in names):
        return None
    local = target.joinpath(*names)
    try:
        os.fsencode(local)
    except UnicodeEncodeError:
        return None
    return local


def _print(whole: WholeTree, start: paths.Path, found: dict[paths.Path, Node]) -> None:
    if list(found) != [start]:
        raise CommandError("A directory can't be printed: give the name of a folder.")
    node = found[start]
    known = None if node.size is None else node
    with TahoeFile(whole.tree, start, whole.name_of(start), found=known) as file:
        for chunk in file.chunks(_BLOCK):
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


class _Getting:
    """Copies files, side by side. All that concerns the disk is done by the thread that waits."""

    def __init__(self, tree: StorageTree, replaces: bool, counter: Counter) -> None:
        self._tree = tree
        self._replaces = replaces
        self._counter = counter
        self._parts: dict[Path, BinaryIO | None] = {}
        self._written: set[tuple[int, int]] = set()

    def all(self, wanted: Iterable[tuple[Node, Path | None]]) -> list[Exception | None]:
        """Copy files to where they are wanted; of each what went wrong, or None."""

        async def copy(tree: Tree, caller: Caller) -> list[Exception | None]:
            return await each(wanted, lambda one: self._copy(tree, caller, *one), AT_ONCE)

        try:
            return done(self._tree.run(copy))
        finally:
            for part in list(self._parts):  # where the copying was interrupted
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
        """A file beside it: under its name it is whole, whatever ends this process."""
        if not self._replaces and local.exists():
            raise _there(local)
        local.parent.mkdir(parents=True, exist_ok=True)
        path = local.parent / f".tahoe-get-{token_hex(8)}"
        self._parts[path] = None  # before there is a file: Ctrl-C may come at any moment
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
        # Two names may be one here: by a link, or where case makes no difference.
        if local.exists() and _identity(local) in self._written:
            raise FileExistsError(f"another file of this copy is at {str(local)!r} already")
        os.replace(part, local)
        self._written.add(_identity(local))

    def _discard(self, path: Path) -> None:
        """Remove a part, if it has no name."""
        part = self._parts.get(path)
        if part is not None:
            with suppress(OSError):  # of what could not be written to the end
                part.close()
        path.unlink(missing_ok=True)
        self._parts.pop(path, None)


def _name(part: str, local: Path) -> None:
    """Give it a name. Raises: FileExistsError where that is taken."""
    try:
        os.link(part, local)
    except FileExistsError:
        raise
    except OSError:  # no file can have two names there, as on exFAT
        local.open("xb").close()
        os.replace(part, local)


def _there(local: Path) -> FileExistsError:
    return FileExistsError(f"{str(local)!r} is there already; --replace replaces it")


def _identity(local: Path) -> tuple[int, int]:
    status = local.stat()
    return status.st_dev, status.st_ino
