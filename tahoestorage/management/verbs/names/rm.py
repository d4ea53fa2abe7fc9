"""`manage.py tahoe rm NAME`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.management.failures import problem_of, raise_failed
from tahoestorage.management.printing import add_json_argument, bar, print_json
from tahoestorage.management.storages import add_storage_argument, storage_of
from txtahoe.concurrency import each
from txtahoe.errors import NoSuchChild
from txtahoe.maintenance import Progress
from txtahoe.maintenance.walking import AT_ONCE
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree

help = (
    "Take the names of files away. Only a snapshot brings them back; on the servers a file stays "
    "until its leases run out."
)


def add_arguments(parser: CommandParser) -> None:
    """See `Verb`."""
    parser.add_argument("names", nargs="+", metavar="name", help="a file or an empty directory")
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="directories with all that is below them"
    )
    parser.add_argument("-f", "--force", action="store_true", help="what is missing is no error")
    add_storage_argument(parser)
    add_json_argument(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """See `Verb`."""
    whole = WholeTree.of(storage_of(options["storage"]))
    removing = _Removing(whole, options["recursive"], options["force"])
    with bar("removing", "names") as progress:
        for name in options["names"]:
            removing.remove(name, progress)
    if options["json"]:
        print_json(command, {"removed": removing.removed, "failed": removing.failed})
    elif options["recursive"] and options["verbosity"]:
        command.stdout.write(f"Names removed: {len(removing.removed):,}")
    raise_failed(removing.failed)


class _Removing:
    def __init__(self, whole: WholeTree, is_recursive: bool, is_forced: bool) -> None:
        self._whole = whole
        self._is_recursive = is_recursive
        self._is_forced = is_forced
        self.removed: list[str] = []
        self.failed: dict[str, str] = {}

    def remove(self, name: str, progress: Progress) -> None:
        path = self._whole.path_of(name)
        if path == self._whole.location.root:
            raise CommandError("The storage itself is not removed: name what is in it.")
        try:
            self._whole.run(lambda tree, told: self._remove(tree, path, told), progress)
        except NoSuchChild as error:
            if not self._is_forced:
                self.failed[name] = problem_of(error)

    async def _remove(self, tree: Tree, path: Path, progress: Progress) -> None:
        files, directories = await self._found(tree, path)
        known = len(files) + len(directories)
        done = 0

        def told(number: int) -> None:
            nonlocal done
            done += number
            progress(done, known)

        results = await each(files, tree.unlink, AT_ONCE, told)
        self._note(files, results)
        # Those that are in others come first.
        for depth in sorted({len(directory) for directory in directories}, reverse=True):
            level = [directory for directory in directories if len(directory) == depth]
            self._note(level, await each(level, tree.remove_directory, AT_ONCE, told))

    async def _found(self, tree: Tree, path: Path) -> tuple[list[Path], list[Path]]:
        """The files and the directories that are to be removed."""
        if not (await tree.resolve(path, fresh=True)).is_directory:
            return [path], []
        files: list[Path] = []
        directories = [path]
        if self._is_recursive:
            async for directory, children in tree.walk(path):
                for name, node in children.items():
                    (directories if node.is_directory else files).append((*directory, name))
        return files, directories

    def _note(self, paths: list[Path], results: list[Exception | None]) -> None:
        for path, result in zip(paths, results, strict=True):
            name = self._whole.name_of(path)
            if result is None:
                self.removed.append(name)
            elif not (self._is_forced and isinstance(result, NoSuchChild)):
                self.failed[name] = problem_of(result)
