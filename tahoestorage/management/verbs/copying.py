"""Copy files between this machine and the grid."""

from __future__ import annotations

import os
import posixpath
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.management.base import CommandError

from tahoestorage.grid.file import TahoeFile
from tahoestorage.management.arguments import argument, flag
from tahoestorage.management.printing import adding, bar
from tahoestorage.management.verb import Verb
from tahoestorage.management.verbs.names import find
from tahoestorage.reactor.waiting import Caller, done
from txtahoe.api.directories import Replace
from txtahoe.concurrency import each
from txtahoe.errors import ExistingChild
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
    arguments = (
        argument("name", help="a file or a directory; '' for the whole storage"),
        argument(
            "file",
            nargs="?",
            help="where to copy it; default: its name, in this folder; -: to standard output",
        ),
        flag("--replace", help="replace files of this machine"),
    )

    def run(self) -> None:
        start = self.path
        found = self.work("reading", "names", find, start)
        found = {path: node for path, node in found.items() if not node.is_directory}
        if self.options["file"] == "-":
            self._print(start, found)
            return
        target = Path(self.options["file"] or (start[-1] if start else "."))
        if list(found) == [start] and target.is_dir():
            target /= start[-1]
        targets = {path: _local(target, path[len(start) :]) for path in found}
        with bar("copying", "B") as progress:
            add = adding(sum(node.size or 0 for node in found.values()), progress)
            copies = _Copies(self.options["replace"], add)
            wanted = [(node, targets[path]) for path, node in found.items()]
            try:
                results = done(self.whole.tree.run(partial(copies.make, wanted)))
            finally:
                copies.discard_all()
        outcomes = dict(zip(found, results, strict=True))
        copied = [str(targets[path]) for path, error in outcomes.items() if error is None]
        self.finish("copied", copied, self.problems(outcomes))

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
            add = adding(node.size or 0, progress)
            for chunk in file.chunks(_BLOCK):
                sys.stdout.buffer.write(chunk)
                add(len(chunk))
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


class _Copies:
    """Copies files, several at a time. Only the thread that waits for them touches the disk."""

    def __init__(self, replaces: bool, add: Callable[[int], None]) -> None:
        self._replaces = replaces
        self._add = add
        self._parts: dict[Path, BinaryIO | None] = {}
        self._written: set[tuple[int, int]] = set()

    async def make(
        self, wanted: Iterable[tuple[Node, Path | None]], tree: Tree, caller: Caller
    ) -> list[Exception | None]:
        """Copy files to their targets; return for each its error, or None."""
        return await each(wanted, lambda one: self._copy(tree, caller, *one), AT_ONCE)

    def discard_all(self) -> None:
        """Remove the parts that an interrupted copy has left."""
        for part in list(self._parts):
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
            raise _exists(local)
        local.parent.mkdir(parents=True, exist_ok=True)
        path = local.parent / f".tahoe-get-{token_hex(8)}"
        self._parts[path] = None  # before the file exists: Ctrl-C can come at any moment
        self._parts[path] = part = path.open("xb")
        return part

    def _write(self, part: BinaryIO, chunk: bytes) -> None:
        part.write(chunk)
        self._add(len(chunk))

    def _finish(self, part: BinaryIO, local: Path) -> None:
        part.close()
        if not self._replaces:
            try:
                _name(part.name, local)
            except FileExistsError:
                raise _exists(local) from None
            return
        # Two names can be one file here, by a link, or if the disk ignores case.
        if local.exists() and _identity(local) in self._written:
            raise FileExistsError(f"another file of this copy is at {str(local)!r} already")
        os.replace(part.name, local)
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


def _exists(local: Path) -> FileExistsError:
    return FileExistsError(f"{str(local)!r} is there already; --replace replaces it")


def _identity(local: Path) -> tuple[int, int]:
    status = local.stat()
    return status.st_dev, status.st_ino


class Put(Verb):
    help = """
    Save a file or a folder of this machine on the grid.

    A name that is taken is an error, unless --replace is given.

    Example, a folder with everything in it:
      manage.py tahoe put photos/2026 archive/photos-2026
    """
    arguments = (
        argument("file", type=Path, help="a file or a folder of this machine"),
        argument("name", nargs="?", help="the name on the grid; default: that of the file"),
        flag("--replace", help="replace files that have the same names"),
    )

    def run(self) -> None:
        found, failed = _found(self.options["file"], self.options["name"])
        wanted = self._by_path(found, failed)
        replace: Replace = "only-files" if self.options["replace"] else False
        with bar("saving", "B") as progress:
            add = adding(sum(map(_size, wanted.values())), progress)
            files = [(path, LocalFile(local, add)) for path, local in wanted.items()]
            results = done(self.whole.tree.save_many(files, replace=replace))
        outcomes = dict(zip(wanted, results, strict=True))
        saved = [self.whole.name_of(path) for path, error in outcomes.items() if error is None]
        failed.update(self.problems(outcomes))
        self.finish("saved", saved, dict(sorted(failed.items())))

    def cure(self, error: Exception) -> str:
        if isinstance(error, ExistingChild) and not self.options["replace"]:
            return "--replace replaces a file of this name"
        return super().cure(error)

    def _by_path(self, found: Mapping[str, Path], failed: dict[str, str]) -> dict[paths.Path, Path]:
        """The files by their paths on the grid; note in `failed` the files that have none."""
        names: dict[paths.Path, list[str]] = {}
        for name in found:
            try:
                names.setdefault(self.whole.path_of(name), []).append(name)
            except SuspiciousFileOperation as error:
                failed[name] = str(error)
        # Composed and decomposed letters are the same on the grid, and a backslash is a slash.
        taken = "another file here has the same name on the grid; rename one, or put it alone"
        for same in names.values():
            if len(same) > 1:
                failed.update(dict.fromkeys(same, taken))
        return {path: found[same[0]] for path, same in names.items() if len(same) == 1}


def _found(local: Path, name: str | None) -> tuple[dict[str, Path], dict[str, str]]:
    """The files to save, and the reasons why others are left out, by their names on the grid."""
    name = name or local.resolve().name
    if not local.is_dir():
        return {name: local}, {}
    found: dict[str, Path] = {}
    left_out: dict[str, str] = {}

    def name_of(path: str | Path) -> str:
        return posixpath.join(name, Path(path).relative_to(local).as_posix())

    def note(error: OSError) -> None:
        left_out[name_of(error.filename)] = str(error.strerror)

    for folder, folders, files in os.walk(local, onerror=note):
        folders.sort()
        for path in (Path(folder, entry) for entry in (*folders, *sorted(files))):
            problem = _problem(path)
            if problem:
                left_out[name_of(path)] = problem
            elif path.is_file():
                found[name_of(path)] = path
    if not found and not left_out:
        raise CommandError(f"There is no file in the folder {str(local)!r}.")
    return found, left_out


def _problem(path: Path) -> str:
    """The reason why this is not saved; "" for a file, and for a folder that `os.walk` enters."""
    try:
        mode = path.stat().st_mode
    except OSError as error:  # of a link that leads nowhere, for example
        return str(error.strerror)
    if stat.S_ISDIR(mode):
        return "it is a link to a folder, which is not followed" if path.is_symlink() else ""
    return "" if stat.S_ISREG(mode) else "it is no file and no folder"


def _size(local: Path) -> int:
    try:
        return local.stat().st_size
    except OSError:  # saving it tells the problem
        return 0


class LocalFile(File):  # type: ignore[type-arg]  # no generic at run time
    """A file of this machine that is opened when it is saved. `add` is told the bytes read."""

    def __init__(self, local: Path, add: Callable[[int], None]) -> None:
        super().__init__(None, str(local))
        self._local = local
        self._add = add

    def seekable(self) -> bool:
        return self._local.is_file()  # and no pipe

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        with self._local.open("rb") as file:
            while chunk := file.read(chunk_size or self.DEFAULT_CHUNK_SIZE):
                yield chunk
                self._add(len(chunk))
