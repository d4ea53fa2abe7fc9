"""
Save a file or a folder of this machine on the grid.

A name that is taken is an error, unless --replace is given.

Example, a folder with everything in it:
  manage.py tahoe put photos/2026 archive/photos-2026
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.management.base import CommandError

from tahoestorage.management.arguments import argument, flag
from tahoestorage.management.printing import adding, bar
from tahoestorage.management.verb import Verb
from tahoestorage.reactor.waiting import done
from txtahoe.api.directories import Replace
from txtahoe.errors import ExistingChild
from txtahoe.tree import paths


class Put(Verb):
    help = __doc__
    arguments = (
        argument("file", type=Path, help="a file or a folder of this machine"),
        argument("name", nargs="?", help="the name on the grid; default: that of the file"),
        flag("--replace", help="replace files that have the same names"),
    )

    def run(self) -> None:
        found, self._failed = _found(self.options["file"], self.options["name"])
        wanted = self._by_path(found)
        replace: Replace = "only-files" if self.options["replace"] else False
        with bar("saving", "B") as progress:
            add = adding(sum(map(_size, wanted.values())), progress)
            files = [(path, LocalFile(local, add)) for path, local in wanted.items()]
            results = done(self.whole.tree.save_many(files, replace=replace))
        outcomes = dict(zip(wanted, results, strict=True))
        saved = [self.whole.name_of(path) for path, error in outcomes.items() if error is None]
        failed = {**self._failed, **self.problems(outcomes)}
        self.finish("saved", saved, dict(sorted(failed.items())))

    def cure(self, error: Exception) -> str:
        if isinstance(error, ExistingChild) and not self.options["replace"]:
            return "--replace replaces a file of this name"
        return super().cure(error)

    def _by_path(self, found: Mapping[str, Path]) -> dict[paths.Path, Path]:
        """The files by their paths on the grid. Those that cannot be there have failed."""
        names: dict[paths.Path, list[str]] = {}
        for name in found:
            try:
                names.setdefault(self.whole.path_of(name), []).append(name)
            except SuspiciousFileOperation as error:
                self._failed[name] = str(error)
        # Composed and decomposed letters are the same on the grid, and a backslash is a slash.
        taken = "another file here has the same name on the grid; rename one, or put it alone"
        for same in names.values():
            if len(same) > 1:
                self._failed.update(dict.fromkeys(same, taken))
        return {path: found[same[0]] for path, same in names.items() if len(same) == 1}


def _found(local: Path, name: str | None) -> tuple[dict[str, Path], dict[str, str]]:
    """The files to save, by their names to be; and by name why others are left out."""
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
        for path in (Path(folder, each) for each in (*folders, *sorted(files))):
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
