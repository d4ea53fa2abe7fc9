"""Django's Storage on a Tahoe-LAFS grid."""

from __future__ import annotations

import pickle
import posixpath
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from os import PathLike, fspath
from typing import Any, Self, TypeVar, Unpack
from unicodedata import normalize
from urllib.parse import quote

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import Storage
from django.core.files.utils import validate_file_name
from django.core.signals import setting_changed
from django.utils.deconstruct import deconstructible

from tahoestorage import conf
from tahoestorage.blocking import BlockingTree
from tahoestorage.files import TahoeFile
from tahoestorage.naming import FreeName
from txtahoe.caps import Cap
from txtahoe.directories import Replace
from txtahoe.errors import ExistingChild, IsADirectory, NoSuchChild, NotADirectory
from txtahoe.many import Done, all_done
from txtahoe.nodes import Node, names_by_kind
from txtahoe.paths import Path, split
from txtahoe.tree import TOGETHER, Tree

T = TypeVar("T")
Name = str | PathLike[str]

# `save` knows it, `_save` has no parameter for it.
_max_length: ContextVar[int | None] = ContextVar("max_length", default=None)


@deconstructible(path="tahoestorage.storage.TahoeStorage")
class TahoeStorage(Storage):
    """
    Files on a Tahoe-LAFS grid. It behaves as Django's FileSystemStorage does, where a remote
    storage can; see Django's "File storage API".

    Arguments, all of them optional and by name, are those of `conf.Options`; what is not given
    comes from the settings. Nothing is asked of the network before the first call.

    Every method raises the errors of `txtahoe`, each an OSError: FileNotFoundError for what is
    missing, and another one, never that, for what cannot be reached now. Names that climb out of
    the storage raise SuspiciousFileOperation. Where a setting is missing or wrong, the first call
    raises ImproperlyConfigured.
    """

    _constructor_args: tuple[tuple[Any, ...], dict[str, Any]]

    def __init__(self, **options: Unpack[conf.Options]) -> None:
        options = conf.hidden(options)
        self.options = options
        """The arguments; the cap among them in a form that shows itself nowhere."""
        # @deconstructible keeps all arguments. Migrations and pickles must not have the cap.
        args, kwargs = self._constructor_args
        kwargs = {name: kwargs[name] for name in kwargs if name != "tahoe_base_cap"}
        self._constructor_args = args, kwargs
        problem = conf.unknown_options(dict(options))
        del options, kwargs  # a misspelt name may have the cap
        if problem is not None:
            raise ImproperlyConfigured(f"TahoeStorage: {problem}")
        setting_changed.connect(self._setting_changed)

    # The values of the settings, kept until one of them changes.

    @cached_property
    def base_location(self) -> str:
        return conf.location(self.options)

    @cached_property
    def location(self) -> str:
        return posixpath.normpath(posixpath.join("/", _slashed(self.base_location)))

    @cached_property
    def base_url(self) -> str | None:
        url = conf.value(self.options, "base_url")
        return url if url is None or str(url).endswith("/") else f"{url}/"

    @cached_property
    def _allow_overwrite(self) -> bool:
        return bool(conf.value(self.options, "allow_overwrite"))

    @cached_property
    def _tree(self) -> BlockingTree:
        return BlockingTree(conf.connection(self.options))

    def _setting_changed(self, *, setting: str, **kwargs: Any) -> None:
        if setting in conf.SETTINGS.values():
            for name in (
                "base_location",
                "location",
                "base_url",
                "_allow_overwrite",
                "_root",
                "_tree",
            ):
                self.__dict__.pop(name, None)

    # Django's contract.

    def save(self, name: Name | None, content: Any, max_length: int | None = None) -> str:
        """
        Save a file under `name`, or under another one where that is taken; return which.

        It returns when the bytes are on the grid and the name leads to them. They are uploaded
        once, whatever names turn out to be taken, and no name is asked for beforehand.
        """
        if self._is_asked_first:
            return super().save(name, content, max_length)  # type: ignore[arg-type]
        if name is None:
            name = content.name
        if not hasattr(content, "chunks"):
            content = File(content, name)  # type: ignore[arg-type]
        validate_file_name(name, allow_relative_path=True)
        token = _max_length.set(max_length)
        try:
            saved: str = self._save(str(name), content)
        finally:
            _max_length.reset(token)
        validate_file_name(saved, allow_relative_path=True)
        return saved

    def _save(self, name: str, content: File[Any]) -> str:
        free = FreeName(self, name, _max_length.get(), self._is_asked_first)
        path = self._path(free.chosen)
        self._tree.require_writable(free.chosen)
        try:
            self._tree.save(
                path,
                content,
                free.chosen,
                replace=self._replace,
                otherwise=None if self._replace else lambda: self._path(free.choose()),
            )
        except ExistingChild:
            if self._replace:
                raise IsADirectory(f"{free.chosen!r} is a directory") from None
            raise
        return self._name(self._path(free.chosen))

    def save_many(
        self, files: Iterable[tuple[Name, Any]], *, progress: Done | None = None
    ) -> list[str]:
        """
        Save many files, given as names and contents; return the names that they have got.

        They are uploaded side by side, and each directory is written once for 500 of them. Names
        are chosen as by `save`. `files` is read, and `progress` called with the number of files
        that were uploaded since the last call, in this thread.

        Raises: SomeFailed, whose `results` have each file's name or exception; those with a name
        are saved.
        """
        self._tree.require_writable(None)
        left = iter(files)
        results: list[str | Exception] = []
        while some := list(islice(left, TOGETHER)):
            results += self._save_together(some, progress)
        return all_done(results, "saving many files")

    def _save_together(
        self, files: list[tuple[Name, Any]], progress: Done | None
    ) -> list[str | Exception]:
        names = [self._first_name(str(name)) for name, _ in files]
        free: list[FreeName] = []
        ready: list[tuple[Path, File[Any]]] = []
        for name, (_, content) in zip(names, files, strict=True):
            if isinstance(name, FreeName):
                free.append(name)
                content = content if hasattr(content, "chunks") else File(content, name.chosen)
                ready.append((self._path(name.chosen), content))
        errors = self._tree.save_many(
            ready,
            replace=self._replace,
            otherwise=None if self._replace else lambda n: self._path(free[n].choose()),
            progress=progress,
        )
        saved = iter([self._saved(name, error) for name, error in zip(free, errors, strict=True)])
        return [next(saved) if isinstance(name, FreeName) else name for name in names]

    def _saved(self, name: FreeName, error: Exception | None) -> str | Exception:
        if error is None:
            return self._name(self._path(name.chosen))
        if self._replace and isinstance(error, ExistingChild):
            error = IsADirectory("there is a directory of this name")
        if isinstance(error, OSError):
            error.filename = error.filename or name.chosen
        return error

    def _first_name(self, name: str) -> FreeName | Exception:
        try:
            validate_file_name(name, allow_relative_path=True)
            free = FreeName(self, name, None, self._is_asked_first)
            self._path(free.chosen)
            return free
        except SuspiciousFileOperation as error:
            return error

    def prefetch(self, names: Iterable[Name]) -> set[str]:
        """
        Look up many names at once; return those that are there.

        Each directory is asked once, side by side. For `max_age` seconds the `url`, `size`, times
        and opening of these names need no look then.
        """
        paths = {self._path(name): str(name) for name in names}
        return {paths[path] for path in self._tree.prefetch(paths)}

    def walk(self, path: Name = "") -> Iterator[tuple[str, list[str], list[str]]]:
        """
        The directories below one, and itself first, each as its path, the names of the
        directories in it and those of the files, as `os.walk` gives them.
        """
        for directory, children in self._tree.walk(self._path(path), str(path)):
            yield self._name(directory), *names_by_kind(children)

    def _open(self, name: Name, mode: str = "rb") -> TahoeFile:
        return TahoeFile(
            self._tree,
            self._path(name),
            str(name),
            mode,
            allow_overwrite=self._allow_overwrite,
        )

    def delete(self, name: Name) -> None:
        """Delete a file, or a directory that is empty. What is missing is deleted already."""
        if not name:
            raise ValueError("The name must be given to delete().")
        path = self._path(name)

        async def delete(tree: Tree) -> None:
            try:
                await tree.unlink(path)
            except IsADirectory:
                await tree.remove_directory(path)

        with suppress(NoSuchChild):
            self._tree.change(delete, path, str(name))

    def exists(self, name: Name) -> bool:
        """Whether there is a file or directory of this name; a grid that can't answer raises."""
        try:
            self._node(name)
        except (NoSuchChild, NotADirectory):
            return False
        return True

    def listdir(self, path: Name) -> tuple[list[str], list[str]]:
        """The names of the directories and of the files in a directory."""
        return names_by_kind(self._run(lambda tree: tree.list(self._path(path)), path))

    def size(self, name: Name) -> int:
        """The size of a file in bytes."""
        cap = self._node(name).cap
        if cap.is_file and cap.size is not None:
            return cap.size
        return self._run(lambda tree: tree.client.size(cap), name)

    def url(self, name: str | None) -> str:
        """
        `<base_url>named/<read cap>/<name>`, which reads the file and gives no other right.

        Raises: ValueError where there is no base URL.
        """
        if self.base_url is None:
            raise ValueError("This file is not accessible via a URL.")
        name = name or ""
        try:
            node = self._node(name)
        except NoSuchChild as error:
            # Django's way to say: in a template this is an empty string and not a broken page.
            error.silent_variable_failure = True  # type: ignore[attr-defined]
            raise
        if node.is_directory:
            raise IsADirectory(f"{name!r} is a directory; only files have a URL")
        # Percent signs for what JavaScript's encodeURIComponent() escapes, as Django does it.
        file_name = quote(self._path(name)[-1], safe="~!*()'")
        return f"{self.base_url}named/{node.cap.reader!s}/{file_name}"

    def get_created_time(self, name: Name) -> datetime:
        """When the name was first linked; see Django on aware and naive times."""
        return self._time(name, self._linked(name).created)

    def get_modified_time(self, name: Name) -> datetime:
        """When the name was last linked; see Django on aware and naive times."""
        return self._time(name, self._linked(name).modified)

    def get_accessed_time(self, name: Name) -> datetime:
        raise NotImplementedError("Tahoe-LAFS does not record when a file is read.")

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        if self._allow_overwrite:
            return not (max_length and len(name) > max_length)
        return super().is_name_available(name, max_length=max_length)

    def get_alternative_name(self, file_root: str, file_ext: str) -> str:
        if self._allow_overwrite:
            return f"{file_root}{file_ext}"
        return super().get_alternative_name(file_root, file_ext)

    # What stands behind them.

    @property
    def _is_asked_first(self) -> bool:
        """Whether a subclass has its own way to choose names, which `save` must then follow."""
        own = ("get_available_name", "is_name_available", "exists")
        return any(getattr(type(self), name) is not getattr(TahoeStorage, name) for name in own)

    @cached_property
    def _root(self) -> Path:
        return split(self.location)

    @property
    def _replace(self) -> Replace:
        return "only-files" if self._allow_overwrite else False

    def _path(self, name: Name) -> Path:
        """The path below the root cap. As `safe_join` does it, a name may be absolute."""
        text = _slashed(name)
        below = posixpath.normpath(text)
        if posixpath.isabs(below) and self.location != "/":
            below = posixpath.relpath(below, self.location)
        if posixpath.isabs(below) or below.split("/")[0] == "..":
            raise SuspiciousFileOperation(f"{text!r} lies outside of the storage")
        try:
            return (*self._root, *split(below))
        except ValueError:
            raise SuspiciousFileOperation(f"{text!r} cannot be the name of a file") from None

    def _name(self, path: Path) -> str:
        return "/".join(path[len(self._root) :])

    def _node(self, name: Name) -> Node:
        return self._tree.resolve(self._path(name), str(name))

    def _linked(self, name: Name) -> Node:
        """As `_node`, with the times, which the gateway gives to a link."""
        node = self._node(name)
        if node.modified is not None:
            return node
        return self._tree.resolve(self._path(name), str(name), fresh=True)

    def _run(self, operation: Callable[[Tree], Awaitable[T]], name: Name) -> T:
        return self._tree.run(operation, str(name))

    def _time(self, name: Name, timestamp: float | None) -> datetime:
        if timestamp is None:
            raise NotImplementedError(f"The grid has no time for {str(name)!r}.")
        return datetime.fromtimestamp(timestamp, UTC if settings.USE_TZ else None)

    # How it is written down: without the cap.

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {conf.value(self.options, 'location') or '/'}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        given = self.options.get("tahoe_base_cap")
        fingerprint = conf.remember(given) if isinstance(given, Cap) else None
        return _unpickled, (type(self), *self._constructor_args, fingerprint)


def _slashed(name: Name) -> str:
    return normalize("NFC", fspath(name)).replace("\\", "/")


def _unpickled(
    cls: type[TahoeStorage], args: Any, options: dict[str, Any], fingerprint: str | None
) -> TahoeStorage:
    """A pickle names its cap by fingerprint; the cap itself is known here already, or nowhere."""
    if fingerprint is None:
        return cls(*args, **options)
    cap = conf.recall(fingerprint)
    if cap is not None:
        return cls(*args, **options, tahoe_base_cap=cap)
    raise pickle.UnpicklingError(
        f"the directory cap {fingerprint} of this storage is not among the settings here"
    )
