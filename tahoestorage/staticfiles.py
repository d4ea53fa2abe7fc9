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
from tahoestorage.grid.paths import Name
from tahoestorage.grid.pending import StagedTree
from tahoestorage.reactor.waiting import done, in_any_thread
from tahoestorage.storage import TahoeStorage
from txtahoe.caps import BadCap, Cap
from txtahoe.errors import IsADirectory
from txtahoe.sealing import sealed

# In templates and style sheets, a query or a fragment can follow the name of a static file.
_NAME_AND_REST = re.compile(r"([^?#]*)(.*)", re.DOTALL)
_SECONDS = 10.0  # for which an event loop can stand still until the manifest is read


class TahoeStaticFilesStorage(TahoeStorage):
    """
    Static files on a Tahoe-LAFS grid, for Django's `collectstatic`.

    A save always replaces the file of the same name. Give the storage a `location` of its own:
    `collectstatic --clear` deletes all files there.

    Saves and deletions are pending: this process sees them at once, the grid after `flush()`, which
    `collectstatic` calls through `post_process()`; with `--no-post-process`, the exit of the
    process does, with exit status 1 if it fails. If an exception or a signal ends the process,
    pending changes are lost. All other changes, and `walk`, make the pending changes first.

    Each directory is listed once, so only one process at a time should write static files. Equal
    bytes are not uploaded again. If style sheets or scripts refer to other files, use
    TahoeManifestStaticFilesStorage: no relative URL leads from cap to cap.
    """

    holds_scripts = True

    @cached_property
    def _whole_tree(self) -> StagedTree:
        return StagedTree(conf.connection(self.options), ())

    @property
    def _tree(self) -> StagedTree:
        return evolve(self._whole_tree, root=self._location.root)

    _allow_overwrite = True

    def flush(self) -> None:
        """
        Make all pending changes: wait for the uploads, link the files, delete.

        Raises: SomeFailed, which names the files; the others are saved. If a file could not be
        saved, nothing is deleted.
        """
        done(self._tree.flush())

    def post_process(
        self, paths: dict[str, Any], dry_run: bool = False, **options: Any
    ) -> Iterator[Any]:
        """
        Flush, at the end of `collectstatic`.

        Raises: CommandError if two names are one on the grid; as `flush`.
        """
        self._require_distinct(paths)
        if not dry_run:
            self.flush()
        yield from ()

    def _require_distinct(self, names: Iterable[str]) -> None:
        # `collectstatic` would take the second file for the first one, and leave it out.
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
        path = self._location.path_of(name)
        self._require_writable(name)
        done(self._tree.stage(path, content, name))
        return self._location.name_of(path)

    def delete(self, name: Name) -> None:
        self._require_writable(str(name))
        super().delete(name)

    def _require_writable(self, name: str) -> None:
        self._tree.require_writable(name)


class TahoeManifestStaticFilesStorage(ManifestFilesMixin, TahoeStaticFilesStorage):  # type: ignore[misc]
    """
    As TahoeStaticFilesStorage and Django's ManifestStaticFilesStorage: files are also saved under
    names with a hash of their content. References in them become full URLs with the cap of the
    other file, so `collectstatic` needs the `base_url`.

    The manifest holds the read-caps of the files. A process reads it once, in the thread of an
    event loop too; after that, `url()` makes no request. It is linked last, and deletions follow. A
    `collectstatic` whose post-processing fails changes nothing.

    `manifest_storage`: another storage for the manifest.
    """

    manifest_storage: Any

    def __init__(
        self, *, manifest_storage: Storage | None = None, **options: Unpack[conf.Options]
    ) -> None:
        # Not ManifestFilesMixin's, which reads the manifest before it is needed.
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
        """Save the manifest after all other files. Raises: SomeFailed; then it is not saved."""
        paths = dict(sorted(self.hashed_files.items()))
        hashed = ContentFile(json.dumps(list(paths.items())).encode())
        self.manifest_hash = self.file_hash(self.manifest_name, hashed) or ""
        self._caps = {}
        for name in paths.values():
            with suppress(OSError):  # the link of a failed upload raises
                self._caps[name] = done(self.operations.node(name)).cap.reader
        manifest = {
            "paths": paths,
            "version": self.manifest_version,
            "hash": self.manifest_hash,
            "caps": {name: str(cap) for name, cap in self._caps.items()},
        }
        if self.manifest_storage is not self:
            done(self._tree.link())
        if self.manifest_storage.exists(self.manifest_name):
            self.manifest_storage.delete(self.manifest_name)
        self.manifest_storage._save(self.manifest_name, ContentFile(json.dumps(manifest).encode()))
        if self.manifest_storage is self:
            done(self._tree.link(but=self._location.path_of(self.manifest_name)))

    def post_process(
        self, paths: dict[str, Any], dry_run: bool = False, **options: Any
    ) -> Iterator[Any]:
        """
        As Django's.

        Raises: ImproperlyConfigured if there is no base URL; CommandError if two names are one on
        the grid; as `flush`.
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
        # A file that refers to others comes after them, because it gets their caps.
        adjustable = set(adjustable_paths)
        for is_adjustable in (False, True):
            some = {name: paths[name] for name in paths if (name in adjustable) is is_adjustable}
            yield from super()._post_process(some, adjustable_paths, hashed_files)  # type: ignore[misc]

    def _stored_name(self, name: str, hashed_files: dict[str, str]) -> str:
        """
        The hashed name of a file that another one refers to.

        In the first pass, it can be a file that is not processed yet. Django's mixin would open it
        to find the hash, which here is a download. Until the next pass, its last hashed name stands
        for it, so that unchanged files are not saved in between.
        """
        name = self.clean_name(posixpath.normpath(name.strip()))
        key = self.hash_key(name)
        if key in hashed_files:
            return hashed_files[key]
        if not self.exists(name):
            raise ValueError(f"The file {name!r} could not be found with {self!r}.")
        with suppress(ValueError, OSError):  # an unreadable manifest is about to be replaced
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
        """As Django's, but names with a percent sign are right: Django unquotes the URL."""
        path, rest = _NAME_AND_REST.fullmatch(name).groups()  # type: ignore[union-attr]
        if hashed_files is not None:
            if path.endswith("/"):
                raise IsADirectory(f"{path!r} is a directory; only files have a URL")
            # A URL that is written into a file must lead to a file.
            hashed_name = hashed_name_func(path, hashed_files)
            url = done(self.operations.url_of_file(hashed_name))
            # `url_converter` takes the part after the last slash, and unquotes it. It puts the "?"
            # of "f.eot?#iefix" back itself, which Python leaves in the name since 3.14.
            return quote(url + (rest if rest != "?" else ""), safe="")
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
        """As Django's, but with full URLs: no relative one leads from cap to cap."""
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
    """The caps in a manifest by hashed name; none in the manifest of another storage."""
    caps: dict[str, Cap] = {}
    with suppress(ValueError, AttributeError):  # `load_manifest` reports the problem
        for name, text in json.loads(manifest).get("caps", {}).items():
            with suppress(BadCap, TypeError):
                cap = Cap.parse(text)
                if cap.is_file and cap.is_readable and not cap.is_mutable:
                    caps[name] = cap.reader
    return caps
