"""`manage.py tahoe rm NAME…`."""

from __future__ import annotations

from django.core.management.base import CommandError, CommandParser

from tahoestorage.management.finding import below
from tahoestorage.management.printing import bar
from tahoestorage.management.verb import Verb, raise_failed
from txtahoe.concurrency import each
from txtahoe.errors import DirectoryNotEmpty, NoSuchChild
from txtahoe.maintenance import Progress
from txtahoe.maintenance.walking import AT_ONCE
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree


class Rm(Verb):
    help = """
    Remove files, empty directories, or (-r) whole directories.

    Only a snapshot brings them back. The storage servers keep the shares of a removed file until
    its leases expire.

    Example, a directory with everything below it:
      manage.py tahoe rm -r documents/2019
    """

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="+", metavar="name", help="a file or an empty directory")
        parser.add_argument(
            *("-r", "--recursive"),
            action="store_true",
            help="remove directories with everything below them",
        )
        parser.add_argument(
            "-f", "--force", action="store_true", help="ignore names that do not exist"
        )

    def run(self) -> None:
        self._removed: list[str] = []
        self._failed: dict[str, str] = {}
        with bar("removing", "names") as progress:
            for name in self.options["names"]:
                self._remove(name, progress)
        lines = [f"Removed names: {len(self._removed):,}"] if self.options["recursive"] else []
        self.tell_done({"removed": self._removed, "failed": self._failed}, lines)
        raise_failed(self._failed)

    def cure(self, error: Exception) -> str:
        if isinstance(error, DirectoryNotEmpty) and not self.options["recursive"]:
            return "-r removes it with everything below it"
        return super().cure(error)

    def _remove(self, name: str, progress: Progress) -> None:
        path = self.whole.path_of(name)
        if path == self.whole.location.root:
            raise CommandError(
                "The root of the storage is not removed; give the names of what is in it: "
                "`manage.py tahoe ls` lists them."
            )
        try:
            self.whole.run(lambda tree, told: self._remove_path(tree, path, told), progress)
        except NoSuchChild as error:
            if not self.options["force"]:
                self._failed[name] = self.problem(error)

    async def _remove_path(self, tree: Tree, path: Path, progress: Progress) -> None:
        node = await tree.resolve(path, fresh=True)
        is_whole = self.options["recursive"] and node.is_directory
        found = await below(tree, path, progress) if is_whole else {}
        found[path] = node
        done = 0

        def told(number: int) -> None:
            nonlocal done
            done += number
            progress(done, len(found))

        files = [path for path, node in found.items() if not node.is_directory]
        self._note(files, await each(files, tree.unlink, AT_ONCE, told))
        directories = [path for path, node in found.items() if node.is_directory]
        for depth in sorted(set(map(len, directories)), reverse=True):  # the deepest ones first
            level = [directory for directory in directories if len(directory) == depth]
            self._note(level, await each(level, tree.remove_directory, AT_ONCE, told))

    def _note(self, paths: list[Path], results: list[Exception | None]) -> None:
        for path, result in zip(paths, results, strict=True):
            name = self.whole.name_of(path)
            if result is None:
                self._removed.append(name)
            elif not (self.options["force"] and isinstance(result, NoSuchChild)):
                self._failed[name] = self.problem(result)
