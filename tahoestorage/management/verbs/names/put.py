"""`manage.py tahoe put FILE [NAME]`."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files import File
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.failures import problem_of, raise_failed
from tahoestorage.management.printing import Counter, add_json_argument, bar, print_json
from tahoestorage.management.quoting import shown
from tahoestorage.management.storages import add_storage_argument, storage_of
from tahoestorage.reactor.waiting import done
from txtahoe.api.directories import Replace
from txtahoe.tree import paths

help = "Save a file, or a folder with all that is in it, under a name that is free."


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument("file", type=Path, help="a file or a folder of this machine")
    parser.add_argument("name", nargs="?", help="default: the name of the file or folder")
    parser.add_argument(
        "--replace", action="store_true", help="replace files that have the name already"
    )
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    whole = WholeTree.of(storage_of(options["storage"]))
    found, failed = _found(options["file"], options["name"])
    wanted = _by_path(whole, found, failed)
    replace: Replace = "only-files" if options["replace"] else False
    with bar("saving", "B") as progress:
        counter = Counter(sum(map(_size, wanted.values())), progress)
        files = [(path, LocalFile(local, counter)) for path, local in wanted.items()]
        results = done(whole.tree.save_many(files, replace=replace))
    saved = []
    for path, error in zip(wanted, results, strict=True):
        if error is None:
            saved.append(whole.name_of(path))
        else:
            failed[whole.name_of(path)] = problem_of(error)
    if options["json"]:
        print_json(command, {"saved": saved, "failed": failed})
    elif options["verbosity"]:
        for name in saved:
            command.stdout.write(shown(command, name))
    raise_failed(dict(sorted(failed.items())))


def _found(local: Path, name: str | None) -> tuple[dict[str, Path], dict[str, str]]:
    """The files to be saved, by the names that they are to have, and why others are left out."""
    name = name or local.resolve().name
    if not local.is_dir():
        return {name: local}, {}
    found: dict[str, Path] = {}
    left_out: dict[str, str] = {}

    def name_of(path: str | Path) -> str:
        return posixpath.join(name, Path(path).relative_to(local).as_posix())

    def note(error: OSError) -> None:
        left_out[name_of(error.filename)] = problem_of(error)

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
    """Why what is in a folder is not saved; "" for a file, and for a folder that is gone into."""
    try:
        mode = path.stat().st_mode
    except OSError as error:  # a link that leads nowhere, say
        return problem_of(error)
    if stat.S_ISDIR(mode):
        return "it is a link to a folder, which is not followed" if path.is_symlink() else ""
    return "" if stat.S_ISREG(mode) else "it is no file and no folder"


def _by_path(
    whole: WholeTree, found: Mapping[str, Path], failed: dict[str, str]
) -> dict[paths.Path, Path]:
    """The files by where they are to be on the grid. Those that can't be there are noted."""
    names: dict[paths.Path, list[str]] = {}
    for name in found:
        try:
            names.setdefault(whole.path_of(name), []).append(name)
        except SuspiciousFileOperation as error:
            failed[name] = str(error)
    # Composed and decomposed letters are the same ones there, and a backslash is a slash.
    for same in names.values():
        if len(same) > 1:
            failed.update(dict.fromkeys(same, "another file here has the same name on the grid"))
    return {path: found[same[0]] for path, same in names.items() if len(same) == 1}


def _size(local: Path) -> int:
    try:
        return local.stat().st_size
    except OSError:  # told when its turn has come
        return 0


class LocalFile(File):  # type: ignore[type-arg]  # no generic at run time
    """A file of this machine that is opened when its turn has come."""

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
