"""`manage.py tahoe put FILE [NAME]`."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.management.base import CommandError, CommandParser

from tahoestorage.management.printing import Counter, bar
from tahoestorage.management.verb import Verb
from tahoestorage.reactor.waiting import done
from txtahoe.api.directories import Replace
from txtahoe.errors import ExistingChild
from txtahoe.tree import paths


class Put(Verb):
    help = """
    Save a file or a folder of this machine on the grid.

    A name that is taken is an error, unless --replace is given.

    Example, a folder with everything in it:
      manage.py tahoe put photos/2026 archive/photos-2026
    """

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="a file or a folder of this machine")
        parser.add_argument(
            "name", nargs="?", help="the name on the grid; default: that of the file or folder"
        )
        parser.add_argument(
            "--replace", action="store_true", help="replace files that have the same names"
        )

    def run(self) -> None:
        found, self._failed = _found(self.options["file"], self.options["name"])
        wanted = self._by_path(found)
        replace: Replace = "only-files" if self.options["replace"] else False
        with bar("saving", "B") as progress:
            counter = Counter(sum(map(_size, wanted.values())), progress)
            files = [(path, LocalFile(local, counter)) for path, local in wanted.items()]
            results = done(self.whole.tree.save_many(files, replace=replace))
        saved = []
        for path, error in zip(wanted, results, strict=True):
            name = self.whole.name_of(path)
            if error is None:
                saved.append(name)
            else:
                self._failed[name] = self.problem(error)
        self.finish("saved", saved, dict(sorted(self._failed.items())))

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
    """Why this is not saved; "" for a file, and for a folder that `os.walk` enters."""
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
    """A file of this machine that is opened when it is saved."""

    def __init__(self, local: Path, counter: Counter) -> None:
        super().__init__(None, str(local))
        self._local = local
        self._counter = counter

    def seekable(self) -> bool:
        return self._local.is_file()  # and no pipe

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        with self._local.open("rb") as file:
            while chunk := file.read(chunk_size or self.DEFAULT_CHUNK_SIZE):
                yield chunk
                self._counter.add(len(chunk))
