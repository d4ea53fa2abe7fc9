"""
Remove files, empty directories, or (-r) whole directories.

Only a snapshot brings them back. The storage servers keep the shares of a removed file until its
leases expire.

Example, a directory with everything below it:
  manage.py tahoe rm -r documents/2019
"""

from __future__ import annotations

from django.core.management.base import CommandError

from tahoestorage.management.arguments import argument, flag
from tahoestorage.management.finding import below
from tahoestorage.management.printing import adding, bar
from tahoestorage.management.verb import Verb, raise_failed
from txtahoe.concurrency import each
from txtahoe.errors import DirectoryNotEmpty, NoSuchChild
from txtahoe.maintenance import Progress
from txtahoe.maintenance.walking import AT_ONCE
from txtahoe.tree.paths import Path
from txtahoe.tree.tree import Tree


class Rm(Verb):
    help = __doc__
    arguments = (
        argument("names", nargs="+", metavar="name", help="a file or an empty directory"),
        flag("-r", "--recursive", help="remove directories with everything below them"),
        flag("-f", "--force", help="ignore names that do not exist"),
    )

    def run(self) -> None:
        removed: list[str] = []
        failed: dict[str, str] = {}
        with bar("removing", "names") as progress:
            for name in self.options["names"]:
                for path, error in self._remove(name, progress).items():
                    if error is None:
                        removed.append(self.whole.name_of(path))
                    elif not (self.options["force"] and isinstance(error, NoSuchChild)):
                        failed[self.whole.name_of(path)] = self.problem(error)
        lines = [f"Removed names: {len(removed):,}"] if self.options["recursive"] else []
        self.tell_done({"removed": removed, "failed": failed}, lines)
        raise_failed(failed)

    def cure(self, error: Exception) -> str:
        if isinstance(error, DirectoryNotEmpty) and not self.options["recursive"]:
            return "-r removes it with everything below it"
        return super().cure(error)

    def _remove(self, name: str, progress: Progress) -> dict[Path, Exception | None]:
        path = self.whole.path_of(name)
        if path == self.whole.location.root:
            raise CommandError(
                "The root of the storage is not removed; give the names of what is in it: "
                "`manage.py tahoe ls` lists them."
            )
        try:
            return self.whole.run(lambda tree, told: self._remove_path(tree, path, told), progress)
        except NoSuchChild as error:
            return {path: error}

    async def _remove_path(
        self, tree: Tree, path: Path, progress: Progress
    ) -> dict[Path, Exception | None]:
        """The outcome for a path, and for each one below it if the user wants them removed."""
        node = await tree.resolve(path, fresh=True)
        is_whole = self.options["recursive"] and node.is_directory
        found = await below(tree, path, progress) if is_whole else {}
        found[path] = node
        told = adding(len(found), progress)
        files = [path for path, node in found.items() if not node.is_directory]
        outcomes = dict(zip(files, await each(files, tree.unlink, AT_ONCE, told), strict=True))
        directories = [path for path, node in found.items() if node.is_directory]
        for depth in sorted(set(map(len, directories)), reverse=True):  # the deepest ones first
            level = [directory for directory in directories if len(directory) == depth]
            results = await each(level, tree.remove_directory, AT_ONCE, told)
            outcomes.update(zip(level, results, strict=True))
        return outcomes
