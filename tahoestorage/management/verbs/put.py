"""`manage.py tahoe put FILE [NAME]`."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.maintenance import WholeTree
from tahoestorage.management.failures import problem_of, raise_failed
from tahoestorage.management.printing import Counter, add_json_argument, bar, print_json
from tahoestorage.management.quoting import shown
from tahoestorage.management.storages import add_storage_argument, storage_of
from tahoestorage.waiting import done
from txtahoe.directories import Replace

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
    found = _found(options["file"], options["name"])
    replace: Replace = "only-files" if options["replace"] else False
    total = sum(local.stat().st_size for local in found.values())
    with bar("saving", "B") as progress:
        counter = Counter(total, progress)
        files = [(whole.path_of(name), LocalFile(found[name], counter)) for name in found]
        results = done(whole.tree.save_many(files, replace=replace))
    failed = {
        name: problem_of(error)
        for name, error in zip(found, results, strict=True)
        if error is not None
    }
    saved = [name for name in found if name not in failed]
    if options["json"]:
        print_json(command, {"saved": saved, "failed": failed})
    elif options["verbosity"]:
        for name in saved:
            command.stdout.write(shown(command, name))
    raise_failed(failed)


def _found(local: Path, name: str | None) -> dict[str, Path]:
    """The files to be saved, by the names that they are to have."""
    name = name or local.resolve().name
    if not local.is_dir():
        return {name: local}
    files = [each for each in sorted(local.rglob("*")) if each.is_file()]
    if not files:
        raise CommandError(f"There is no file in the folder {str(local)!r}.")
    return {posixpath.join(name, each.relative_to(local).as_posix()): each for each in files}


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
