"""Django's storages of static files, on a Tahoe-LAFS grid."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any, Unpack
from urllib.parse import quote, unquote, urldefrag

from attrs import evolve
from django.conf import settings
from django.contrib.staticfiles.storage import HashedFilesMixin, ManifestFilesMixin
from django.contrib.staticfiles.utils import check_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage
from django.core.management import CommandError

from tahoestorage import conf
from tahoestorage.contract.fileurls import public_url
from tahoestorage.grid.file import TahoeFile
from tahoestorage.grid.paths import Name, names_shown
from tahoestorage.grid.pending import StagedTree
from tahoestorage.reactor.waiting import done, in_any_thread
from tahoestorage.storage import TahoeStorage
from txtahoe.caps import BadCap, Cap
from txtahoe.concurrency import Done
from txtahoe.errors import IsADirectory, NoSuchChild
from txtahoe.sealing import sealed

# A static file's name stands in templates and style sheets with what belongs to its URL only.
_NAME_AND_REST = re.compile(r"([^?#]*)(.*)", re.DOTALL)
_SECONDS = 10.0  # for which an event loop may stand still until the manifest is read


class TahoeStaticFilesStorage(TahoeStorage):
    """
    Static files on a Tahoe-LAFS grid, for Django's `collectstatic`.

    The options are those of TahoeStorage. A file that is saved replaces the one of its name, with
    or without `allow_overwrite`. Give it a `location` of its own: `collectstatic --clear` deletes
    all files there.

    What is saved and deleted is pending: seen by this process at once, on the grid by `flush()`,
    which links all files together, after they were uploaded side by side. `collectstatic` calls it
    at its end, through `post_process()`; with `--no-post-process` it is called when the process
    exits, and the exit status is 1 where it fails. Who saves files otherwise calls `flush()`. Of a
    process that ends by an exception or a signal what is pending is not saved.

    Equal bytes are not uploaded again. Each directory is asked once; while changes are pending
    the answer holds, so one process at a time should write the static files.

    What changes or walks the grid in other ways, such as `save_many`, `walk`, opening for writing
    and the deletion of a directory, makes the pending changes first.

    By its URL, which begins with its cap, a file cannot be reached from another one: where style
    sheets or scripts refer to other files, use TahoeManifestStaticFilesStorage.
    """

    holds_scripts = True

    @cached_property
    def _whole_tree(self) -> StagedTree:
        return StagedTree(conf.connection(self.options), ())

    @property
    def _tree(self) -> StagedTree:
        return evolve(self._whole_tree, root=self._location.root)

    @cached_property
    def _allow_overwrite(self) -> bool:
        return True

    def flush(self) -> None:
        """
        Make all changes that are pending: wait for the uploads, link the files, delete.

        Raises: SomeFailed, which names the files; the others are saved. Where one could not be
        saved nothing is deleted.
        """
        self._tree.flush()

    def post_process(
        self, paths: dict[str, Any], dry_run: bool = False, **options: Any
    ) -> Iterator[Any]:
        """
        What `collectstatic` calls at its end.

        Raises: CommandError where two names are one on the grid; as `flush`.
        """
        self._require_distinct(paths)
        if not dry_run:
            self.flush()
        yield from ()

    def _require_distinct(self, names: Iterable[str]) -> None:
        # `collectstatic` takes the second one for the first one, and leaves it out.
        known: dict[str, str] = {}
        for name in names:
            other = known.setdefault(self._location.clean(name), name)
            if other != name:
                self._tree.discard()
                raise CommandError(
                    f"{other!a} and {name!a} are one name on the grid: rename one of the files. "
                    "No static file was saved."
                )

    def _save(self, name: str, content: File[Any]) -> str:
        location = self._location
        path = location.path_of(name)
        self._require_writable(name)
        self._tree.stage(path, content, name)
        return location.name_of(path)

    def delete(self, name: Name) -> None:
        if not name:
            raise ValueError("The name must be given to delete().")
        path = self._location.path_of(name)
        self._require_writable(str(name))
        try:
            done(self._tree.staged(lambda staging, _: staging.delete(path), str(name)))
        except IsADirectory:
            self.flush()
            super().delete(name)

    def listdir(self, path: Name) -> tuple[list[str], list[str]]:
        names = self._location.path_of(path)
        try:
            children = done(self._tree.staged(lambda staging, _: staging.list(names), str(path)))
        except NoSuchChild:
            if names != self._location.root:
                raise
            return [], []  # the first save makes it
        return names_shown(children)

    def _open(self, name: Name, mode: str = "rb") -> TahoeFile:
        if set(mode) <= set("rbt"):
            return super()._open(name, mode)
        self.flush()
        return _WrittenFile(
            self._tree, self._location.path_of(name), str(name), mode, allow_overwrite=True
        )

    def save_many(
        self, files: Iterable[tuple[Name, Any]], *, progress: Done | None = None
    ) -> list[str]:
        self.flush()
        return super().save_many(files, progress=progress)

    def prefetch(self, names: Iterable[Name]) -> set[str]:
        self.flush()
        return super().prefetch(names)

    def walk(self, path: Name = "") -> Iterator[tuple[str, list[str], list[str]]]:
        self.flush()
        return super().walk(path)

    def _require_writable(self, name: str) -> None:
        """Raises: NotWriteable."""
        self._tree.require_writable(name)


class _WrittenFile(TahoeFile):
    """A file that is saved as any other; what is known of the directories is outdated then."""

    _tree: StagedTree

    def _save(self, *spool: Any) -> None:
        super()._save(*spool)
        self._tree.flush()


class TahoeManifestStaticFilesStorage(ManifestFilesMixin, TahoeStaticFilesStorage):  # type: ignore[misc]
    """
    As TahoeStaticFilesStorage, and as Django's ManifestStaticFilesStorage: files are also saved
    under names with a hash of their content.

    References in style sheets and scripts become full URLs, with the cap of the file referred to,
    so `collectstatic` needs to know the `base_url`.

    The manifest holds the read caps of the files: `url()` needs no request once it was read, which
    it is once in a process, in the thread of an event loop too. It is linked last, and what is
    deleted goes after that, so the files of the old one are there until the new one is. A
    `collectstatic` of which the post-processing fails changes nothing.

    `manifest_storage`: another storage for the manifest.
    """

    manifest_storage: Any

    def __init__(
        self, *, manifest_storage: Storage | None = None, **options: Unpack[conf.Options]
    ) -> None:
        # ManifestFilesMixin's own reads the manifest, which may wait until it is needed.
        super(ManifestFilesMixin, self).__init__(**options)
        self.manifest_storage = self if manifest_storage is None else manifest_storage
        self._caps: dict[str, Cap] = {}
        del self.hashed_files

    @cached_property
    def hashed_files(self) -> dict[str, str]:  # type: ignore[override]
        return self._manifest[0]

    @cached_property
    def manifest_hash(self) -> str:  # type: ignore[override]
        return self._manifest[1]

    @cached_property
    def _manifest(self) -> tuple[dict[str, str], str]:
        return in_any_thread(sealed(self.load_manifest), _SECONDS)  # type: ignore[return-value]

    def read_manifest(self) -> Any:
        content: str | None = super().read_manifest()
        self._caps = {} if content is None else _caps_of(content)
        return content

    @sealed
    def save_manifest(self) -> None:
        """Save the manifest, after all else. Raises: SomeFailed, where it is not saved."""
        paths = dict(sorted(self.hashed_files.items()))
        hashed = ContentFile(json.dumps(list(paths.items())).encode())
        self.manifest_hash = self.file_hash(self.manifest_name, hashed) or ""
        self._caps = {}
        for name in paths.values():
            with suppress(OSError):  # what could not be uploaded, linking it tells
                self._caps[name] = done(self.operations.node(name)).cap.reader
        manifest = {
            "paths": paths,
            "version": self.manifest_version,
            "hash": self.manifest_hash,
            "caps": {name: str(cap) for name, cap in self._caps.items()},
        }
        if self.manifest_storage is not self:
            self._tree.link()
        if self.manifest_storage.exists(self.manifest_name):
            self.manifest_storage.delete(self.manifest_name)
        self.manifest_storage._save(self.manifest_name, ContentFile(json.dumps(manifest).encode()))
        if self.manifest_storage is self:
            self._tree.link(but=self._location.path_of(self.manifest_name))

    def post_process(
        self, paths: dict[str, Any], dry_run: bool = False, **options: Any
    ) -> Iterator[Any]:
        """
        As Django's.

        Raises: ImproperlyConfigured where there is no base URL; CommandError where two names are
        one on the grid; SomeFailed as `flush`.
        """
        self._require_distinct(paths)
        if dry_run:
            return
        try:
            check_settings()
            self._require_base_url()
            for processed in super().post_process(paths, **options):
                if isinstance(processed[2], Exception):
                    self._give_up()
                    yield processed
                    return
                yield processed
            self.flush()
        except BaseException:
            self._give_up()
            raise

    def _require_writable(self, name: str) -> None:
        """Raises: NotWriteable; ImproperlyConfigured where there is no base URL."""
        super()._require_writable(name)
        self._require_base_url()

    def _require_base_url(self) -> None:
        if self.base_url is None:
            raise ImproperlyConfigured(
                "Static files that refer to others need TAHOE_PUBLIC_BASE_URL (or the option "
                "'base_url'), which their URLs begin with."
            )

    def _give_up(self) -> None:
        self._tree.discard()
        self._caps = {}
        for name in ("hashed_files", "manifest_hash", "_manifest"):
            self.__dict__.pop(name, None)

    def _post_process(
        self, paths: dict[str, Any], adjustable_paths: list[str], hashed_files: dict[str, str]
    ) -> Iterator[tuple[Any, ...]]:
        # What refers to others comes after them, as their caps go into its content.
        adjustable = set(adjustable_paths)
        for is_adjustable in (False, True):
            some = {name: paths[name] for name in paths if (name in adjustable) is is_adjustable}
            yield from super()._post_process(some, adjustable_paths, hashed_files)  # type: ignore[misc]

    def _stored_name(self, name: str, hashed_files: dict[str, str]) -> str:
        """
        The hashed name of a file that is referred to.

        In the first pass it may be one that is yet to be processed. Django's mixin would open it
        to find the hash, which here means to download it. Until the next pass what it became the
        last time stands for it, so that what has not changed need not be saved in between.
        """
        name = self.clean_name(posixpath.normpath(name.strip()))
        key = self.hash_key(name)
        if key in hashed_files:
            return hashed_files[key]
        if not self.exists(name):
            raise ValueError(f"The file {name!r} could not be found with {self!r}.")
        with suppress(ValueError, OSError):  # one that can't be read is about to be replaced
            former = self._manifest[0].get(key, name)
            return former if self.exists(former) else name
        return name

    def _url(
        self,
        hashed_name_func: Callable[..., str],
        name: str,
        force: bool = False,
        hashed_files: dict[str, str] | None = None,
    ) -> str:
        """As Django's, which unquotes the URL; names with a percent sign are wrong then."""
        path, rest = _NAME_AND_REST.fullmatch(name).groups()  # type: ignore[union-attr]
        if hashed_files is not None:
            if path.endswith("/"):
                raise IsADirectory(f"{path!r} is a directory; only files have a URL")
            # It is written into a file, so it must lead to one.
            hashed_name = hashed_name_func(path, hashed_files)
            url = done(self.operations.url_of_file(hashed_name))
            # `url_converter` takes what follows the last slash, and unquotes it.
            return quote(url + rest, safe="")
        if not path.endswith("/") and (force or not settings.DEBUG):
            path = hashed_name_func(path)
        cap = self._caps.get(path)
        if cap is None or self.base_url is None:
            return super(HashedFilesMixin, self).url(path) + rest
        return public_url(self.base_url, cap, self._location.path_of(path)[-1]) + rest

    def url_converter(
        self,
        name: str,
        hashed_files: dict[str, Any],
        template: str | None = None,
        *ignored_blocks: Any,
    ) -> Callable[[re.Match[str]], str]:
        """As Django's, whose URLs are relative to the file's own; there is no way between caps."""
        convert = super().url_converter(name, hashed_files, template, *ignored_blocks)

        def converter(match: re.Match[str]) -> str:
            try:
                relative = convert(match)
            except IsADirectory:
                return match["matched"]
            path = urldefrag(match["url"])[0]
            directory = unquote(path[: path.rfind("/") + 1])
            return relative.replace(f"{directory}{self.base_url}", str(self.base_url))

        return converter


@sealed
def _caps_of(manifest: str) -> dict[str, Cap]:
    """The caps in a manifest, by hashed name; none in one that another storage has made."""
    caps: dict[str, Cap] = {}
    with suppress(ValueError, AttributeError):  # what is wrong with it, `load_manifest` tells
        for name, text in json.loads(manifest).get("caps", {}).items():
            with suppress(BadCap, TypeError):
                cap = Cap.parse(text)
                if cap.is_file and cap.is_readable and not cap.is_mutable:
                    caps[name] = cap.reader
    return caps
