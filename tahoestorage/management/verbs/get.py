"""`manage.py tahoe get NAME [FILE]`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

from attrs import frozen
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.files import TahoeFile
from tahoestorage.maintenance import WholeTree
from tahoestorage.management.failures import problem_of, raise_failed
from tahoestorage.management.printing import Counter, add_json_argument, bar, print_json
from tahoestorage.management.quoting import shown
from tahoestorage.management.storages import add_storage_argument, storage_of
from txtahoe import paths
from txtahoe.maintenance.walking import AT_ONCE
from txtahoe.nodes import Node
from txtahoe.tree import Tree

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
    getting = _Getting(whole, options["replace"], _umask())
    with bar("copying", "B") as progress:
        counter = Counter(sum(node.size or 0 for node in found.values()), progress)
        wanted = [(path, node, _local(target, path[len(start) :])) for path, node in found.items()]
        results = getting.all(wanted, counter)
    failed = {whole.name_of(path): problem for path, problem in results.items() if problem}
    copied = [str(local) for path, _, local in wanted if not results[path]]
    if options["json"]:
        print_json(command, {"copied": copied, "failed": failed})
    elif options["verbosity"]:
        for each in copied:
            command.stdout.write(shown(command, each))
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
                if not node.is_directory:
                    found[(*directory, name)] = node
        return found

    return whole.run(look)


def _local(target: Path, below: Iterable[str]) -> Path | None:
    """Where a file goes to; None where its name could lead out of the target."""
    names = list(below)
    if any(name in ("", ".", "..") or "/" in name or "\0" in name for name in names):
        return None
    return target.joinpath(*names)


def _print(whole: WholeTree, start: paths.Path, found: dict[paths.Path, Node]) -> None:
    if list(found) != [start]:
        raise CommandError("A directory can't be printed: give the name of a folder.")
    with _opened(whole, start, found[start]) as file:
        for chunk in file.chunks(_BLOCK):
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def _opened(whole: WholeTree, path: paths.Path, node: Node) -> TahoeFile:
    found = None if node.size is None else node
    return TahoeFile(whole.tree, path, whole.name_of(path), found=found)


@frozen
class _Getting:
    whole: WholeTree
    replaces: bool
    umask: int

    def all(
        self, wanted: Iterable[tuple[paths.Path, Node, Path | None]], counter: Counter
    ) -> dict[paths.Path, str]:
        """Copy files, side by side. Of each what went wrong, or ""."""

        def copy(each: tuple[paths.Path, Node, Path | None]) -> tuple[paths.Path, str]:
            path, node, local = each
            try:
                self._copy(path, node, local, counter)
            except OSError as error:
                return path, problem_of(error)
            return path, ""

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(pool.map(copy, wanted))

    def _copy(self, path: paths.Path, node: Node, local: Path | None, counter: Counter) -> None:
        if local is None:
            raise OSError("it can't be the name of a file of this machine")
        if not self.replaces and local.exists():
            raise FileExistsError(f"{str(local)!r} is there already; --replace replaces it")
        local.parent.mkdir(parents=True, exist_ok=True)
        # Under its name it is whole, whatever ends this process.
        prefix = f".{local.name[:100]}."
        with NamedTemporaryFile(dir=local.parent, prefix=prefix, delete=False) as temporary:
            try:
                self._write(path, node, temporary, counter)
                os.chmod(temporary.name, 0o666 & ~self.umask)
                (os.replace if self.replaces else os.link)(temporary.name, local)
            finally:
                Path(temporary.name).unlink(missing_ok=True)

    def _write(self, path: paths.Path, node: Node, target: IO[bytes], counter: Counter) -> None:
        with _opened(self.whole, path, node) as file:
            for chunk in file.chunks(_BLOCK):
                target.write(chunk)
                counter.add(len(chunk))
        target.flush()


def _umask() -> int:
    # It can only be read by setting it, which is not for several threads at once.
    mask = os.umask(0)
    os.umask(mask)
    return mask
