"""List and remove files and directories, and print URLs of files."""

from __future__ import annotations

from functools import partial

from django.core.management.base import CommandError

from tahoestorage.management.arguments import argument, flag
from tahoestorage.management.printing import Line, adding, bar, size, table, time
from tahoestorage.management.verb import Verb, raise_failed
from txtahoe.concurrency import each
from txtahoe.errors import DirectoryNotEmpty, NoSuchChild
from txtahoe.maintenance import Progress
from txtahoe.maintenance.walking import AT_ONCE
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path, is_reserved
from txtahoe.tree.tree import Tree

_KINDS = {"dirnode": "directory", "filenode": "file"}


class Ls(Verb):
    help = """
    List a directory, or everything below it.

    Example, everything below a directory, with sizes and times:
      manage.py tahoe ls -lR documents
    """
    arguments = (
        argument(
            "name", nargs="?", default="", help="a directory or a file; default: the whole storage"
        ),
        flag("-l", "--long", help="show sizes and times"),
        flag("-R", "--recursive", help="list everything below the directory"),
    )

    def run(self) -> None:
        recursive = self.options["recursive"]
        found = self.work("reading", "names", find, self.path, recursive=recursive)
        told, rows = [], []
        for path, node in sorted(found.items()):
            name, kind = self.whole.name_of(path), _KINDS.get(node.type, node.type)
            told.append({"name": name, "type": kind, "size": node.size, "linked": node.modified})
            shown = self.shown(name) + ("/" if node.is_directory else "")
            rows.append(["" if node.is_directory else size(node.size), time(node.modified), shown])
        short = [Line(shown) for *_, shown in rows]
        self.tell(told, table(["size", "linked", "name"], rows) if self.options["long"] else short)


class Rm(Verb):
    help = """
    Remove files, empty directories, or (-r) whole directories.

    Only a snapshot brings them back. The storage servers keep the shares of a removed file until
    its leases expire.

    Example, a directory with everything below it:
      manage.py tahoe rm -r documents/2019
    """
    arguments = (
        argument("names", nargs="+", metavar="name", help="a file or an empty directory"),
        flag("-r", "--recursive", help="remove directories with everything below them"),
        flag("-f", "--force", help="ignore names that do not exist"),
    )

    def run(self) -> None:
        paths = dict.fromkeys(map(self.whole.path_of, self.options["names"]))
        if self.whole.location.root in paths:
            raise CommandError(
                "The root of the storage is not removed; give the names of what is in it: "
                "`manage.py tahoe ls` lists them."
            )
        outcomes: dict[Path, Exception | None] = {}
        with bar("removing", "names") as progress:
            for path in paths:
                try:
                    outcomes |= self.whole.run(partial(self._remove, path), progress)
                except NoSuchChild as error:
                    outcomes.setdefault(path, error)  # a directory above is perhaps removed
        if self.options["force"]:
            outcomes = {p: e for p, e in outcomes.items() if not isinstance(e, NoSuchChild)}
        removed = [self.whole.name_of(path) for path, error in outcomes.items() if error is None]
        failed = self.problems(outcomes)
        lines = [f"Removed names: {len(removed):,}"] if self.options["recursive"] else []
        self.tell_done({"removed": removed, "failed": failed}, lines)
        raise_failed(failed)

    def cure(self, error: Exception) -> str:
        if isinstance(error, DirectoryNotEmpty) and not self.options["recursive"]:
            return "-r removes it with everything below it"
        return super().cure(error)

    async def _remove(
        self, path: Path, tree: Tree, progress: Progress
    ) -> dict[Path, Exception | None]:
        """The outcome for a path, and for each one below it if the user wants them removed."""
        node = await tree.resolve(path, fresh=True)
        is_whole = self.options["recursive"] and node.is_directory
        found = await below(tree, path, progress=progress) if is_whole else {}
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


class Url(Verb):
    help = """
    Print the URLs of files.

    Anyone who knows a URL with a cap can read its file.

    Example:
      manage.py tahoe url documents/2026/report.pdf
    """
    arguments = (argument("names", nargs="+", metavar="name", help="a file"),)

    def run(self) -> None:
        names = self.options["names"]
        with bar("reading"):
            missing = set(names) - self.storage.prefetch(names)
        if missing:
            lists = "`manage.py tahoe ls` lists the names that exist."
            told = (f"There is no file {name!r}; {lists}" for name in sorted(missing))
            raise CommandError("\n".join(told))
        for name in names:
            self.storage.size(name)  # raises for a directory
        try:
            urls = {name: self.storage.url(name) for name in names}
        except ValueError as error:
            raise CommandError(
                f"{error} Set TAHOE_PUBLIC_BASE_URL, or serve the files with tahoestorage.urls."
            ) from None
        self.tell(urls, urls.values())


async def find(
    tree: Tree, path: Path, *, progress: Progress, recursive: bool = True
) -> dict[Path, Node]:
    """Find the file at a path; or the content of the directory, and all below if `recursive`."""
    node = await tree.resolve(path)
    if not node.is_directory:
        return {path: node}
    found = await below(tree, path, progress=progress, recursive=recursive)
    return {path: node for path, node in found.items() if not is_reserved(path)}


async def below(
    tree: Tree, path: Path, *, progress: Progress, recursive: bool = True
) -> dict[Path, Node]:
    """As `find`, in a directory, with reserved names too. `progress` counts names."""
    found: dict[Path, Node] = {}
    async for directory, children in tree.walk(path):
        found.update({(*directory, name): node for name, node in children.items()})
        progress(len(found), 0)
        if not recursive:
            break
    return found
