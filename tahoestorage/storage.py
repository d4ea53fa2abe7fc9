"""Django's Storage on a Tahoe-LAFS grid."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import datetime
from functools import cache, cached_property, lru_cache
from typing import Any, Self, Unpack, cast
from weakref import WeakValueDictionary

from asgiref.sync import sync_to_async
from django.conf import DEFAULT_STORAGE_ALIAS
from django.core.exceptions import ImproperlyConfigured
from django.core.files import File
from django.core.files.storage import Storage, storages
from django.core.files.utils import validate_file_name
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.deconstruct import deconstructible

from tahoestorage import conf
from tahoestorage.contract.fileurls import mount_of
from tahoestorage.contract.operations import Operations, to_save, twins
from tahoestorage.grid.file import TahoeFile, is_only_read
from tahoestorage.grid.paths import Location, Name, is_for_files, names_shown
from tahoestorage.grid.spooled import SpooledTree
from tahoestorage.grid.tree import StorageTree
from tahoestorage.reactor.waiting import done
from txtahoe.caps import Cap
from txtahoe.errors import NoSuchChild
from txtahoe.tree.paths import is_reserved

_location_at = lru_cache(maxsize=1024)(Location)
# `save` knows it, `_save` has no parameter for it.
_max_length: ContextVar[int | None] = ContextVar("max_length", default=None)
# A site can have a storage for each of a thousand tenants. A receiver for each would make every new
# storage, and every one that is dropped, cost a walk through all of them.
_alive: WeakValueDictionary[int, TahoeStorage] = WeakValueDictionary()


@deconstructible(path="tahoestorage.storage.TahoeStorage")
class TahoeStorage(Storage):
    """
    Files on a Tahoe-LAFS grid, as Django's FileSystemStorage has them on a disk.

    All arguments are optional keywords, those of `conf.Options`; the settings give the others. No
    request is made before the first call. Each method has an asynchronous twin; see `twins`.

    Every method raises the errors of `txtahoe`, each an OSError: FileNotFoundError for a missing
    file, and always another error if the grid cannot answer. A name outside of the storage raises
    SuspiciousFileOperation; a setting that is missing or wrong, ImproperlyConfigured.
    """

    holds_scripts = False
    """Whether its files are the site's own scripts and style sheets, which pages can load."""

    _constructor_args: tuple[tuple[Any, ...], dict[str, Any]]

    def __init__(self, **options: Unpack[conf.Options]) -> None:
        given: Any = options.get("tahoe_base_cap")
        options = conf.hidden(options)
        self.options = options
        """The arguments, with the cap as a value whose repr shows a fingerprint."""
        self._write_down(given)
        problem = conf.unknown_options(dict(options))
        del options, given  # a misspelt option may hold the cap
        if problem is not None:
            raise ImproperlyConfigured(f"TahoeStorage: {problem}")
        _alive[id(self)] = self

    # Where names begin. In a subclass, these can depend on the request.

    @property
    def base_location(self) -> str:
        return conf.location(self.options)

    @property
    def location(self) -> str:
        return _location_at(self.base_location).path

    @location.setter
    def location(self, location: str) -> None:
        # As FileSystemStorage allows it; commands of other apps, such as filer_check, do it.
        self.options = {**self.options, "location": location}

    @property
    def _location(self) -> Location:
        return _location_at(self.location)

    @cached_property
    def base_url(self) -> str | None:
        url = conf.base_url(self.options)
        return url if url is None or url.endswith("/") else f"{url}/"

    @property
    def connection(self) -> conf.Connection:
        return self._tree.connection

    @property
    def place(self) -> tuple[Any, ...]:
        """Equal for two storages that have the same files."""
        return self.connection, self.location

    @property
    def seal(self) -> str:
        """
        The root directory and the location, as a text to which signed and sealed URLs are bound. A
        read-cap gives the same text: one process can sign, and another one only read and serve.
        """
        return f"{self._root_named} {self._location.path}"

    @property
    def _allow_overwrite(self) -> bool:
        return bool(conf.value(self.options, "allow_overwrite"))

    @cached_property
    def _whole_tree(self) -> StorageTree:
        connection = conf.connection(self.options)
        if connection.spool is None:
            return StorageTree(connection)
        return SpooledTree(connection, self._waits_for_cap)

    def _waits_for_cap(self) -> bool:
        """Whether a file has no URL before it is on the grid."""
        return self.base_url is not None and mount_of(self.place) is None

    @cached_property
    def _root_named(self) -> str:
        root = self._whole_tree.connection.base_cap
        return repr(root.verifier or root)

    @property
    def _tree(self) -> StorageTree:
        return self._whole_tree

    @property
    def operations(self) -> Operations:
        """The operations behind the methods, as coroutines."""
        return Operations(self, self._tree, self._location)

    def save(self, name: Name | None, content: Any, max_length: int | None = None) -> str:
        """
        Save a file under `name`, or under another name if that is taken; return the name.

        The bytes are on the grid, and the name leads to them, when this returns; with a spool, they
        are on the disk of this host, and go to the grid afterwards. They are uploaded once,
        whatever names turn out to be taken.
        """
        token = _max_length.set(max_length)
        try:
            if self._is_asked_first:
                return super().save(name, content, max_length)  # type: ignore[arg-type]
            saved: str = self._save(*to_save(name, content))
        finally:
            _max_length.reset(token)
        validate_file_name(saved, allow_relative_path=True)
        return saved

    def _save(self, name: str, content: File[Any]) -> str:
        return done(self.operations.save(name, content, _max_length.get()))

    def walk(self, path: Name = "") -> Iterator[tuple[str, list[str], list[str]]]:
        """
        Walk a directory and those below it, as `os.walk` does: for each, give its path, and the
        names of the directories and of the files in it.
        """
        location = self._location
        start = location.path_of(path)
        is_there = False
        try:
            for directory, children in self._tree.walk(start, str(path)):
                is_there = True
                if not is_reserved(directory):
                    yield location.name_of(directory), *names_shown(children)
        except NoSuchChild:
            if is_there or start != location.root:
                raise
            yield "", [], []  # the first save makes it

    def _open(self, name: Name, mode: str = "rb") -> TahoeFile:
        return TahoeFile(
            self._tree,
            self._location.path_of(name),
            str(name),
            mode,
            allow_overwrite=self._allow_overwrite,
        )

    def url(
        self, name: str | None, *, expire: float | None = None, download: str | None = None
    ) -> str:
        """
        The URL of a file: `<base_url>named/<read-cap>/<name>`, which gives only the right to read
        the file. If the file is missing, the URL leads nowhere. If there is no base URL, or links
        are signed: the address at which `tahoestorage.urls` serves the file; its name is not
        looked up.

        `expire`: in place of `signed_urls`, the seconds for which this URL can be used.
        `download`: the name under which browsers save the file. They do not show a file that this
        site serves with it.

        Raises: ValueError if the file has no URL, or none that expires; SuspiciousFileOperation if
        `download` is not the name of a file.
        """
        served = self._served_url(name or "", expire, download)
        return served or done(self.operations.url_by_cap(name or "", download))

    def get_accessed_time(self, name: Name) -> datetime:
        raise NotImplementedError("Tahoe-LAFS does not record when a file is read.")

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        if not is_for_files(name):
            return False
        if self._allow_overwrite:
            return not (max_length and len(name) > max_length)
        return super().is_name_available(name, max_length=max_length)

    def get_alternative_name(self, file_root: str, file_ext: str) -> str:
        if self._allow_overwrite and is_for_files(f"{file_root}{file_ext}"):
            return f"{file_root}{file_ext}"
        return super().get_alternative_name(file_root, file_ext)

    delete, adelete = twins(Operations.delete)
    exists, aexists = twins(Operations.exists)
    get_created_time, aget_created_time = twins(Operations.get_created_time)
    get_modified_time, aget_modified_time = twins(Operations.get_modified_time)
    listdir, alistdir = twins(Operations.listdir)
    prefetch, aprefetch = twins(Operations.prefetch)
    save_many, asave_many = twins(Operations.save_many)
    size, asize = twins(Operations.size)
    aurl = twins(Operations.url)[1]  # `url` itself is for any thread, if the site serves the file

    async def aget_accessed_time(self, name: Name) -> datetime:
        return await sync_to_async(self.get_accessed_time)(str(name))

    async def aopen(self, name: Name, mode: str = "rb") -> TahoeFile:
        """
        Open a file for reading with `aread` and `aiter_chunks`. To write, use `asave`.

        Raises: ValueError for another mode.
        """
        if not is_only_read(mode):
            raise ValueError(f"aopen() is for reading, not for mode {mode!r}: use asave()")
        if self._has_own("open", "_open"):
            return cast(TahoeFile, await sync_to_async(self.open)(str(name), mode))
        operations = self.operations
        path = operations.location.path_of(name)
        found = await operations.file(name)
        return TahoeFile(operations.tree, path, str(name), mode, found=found)

    async def asave(self, name: Name | None, content: Any, max_length: int | None = None) -> str:
        if self._has_own("save", "_save") or self._is_asked_first:
            chosen = content.name if name is None else str(name)
            return await sync_to_async(self.save)(chosen, content, max_length)
        saved = await self.operations.save(*to_save(name, content), max_length)
        validate_file_name(saved, allow_relative_path=True)
        return saved

    def _served_url(self, name: str, expire: float | None, download: str | None) -> str | None:
        """The address at which this site serves a file, if it has no other. Raises: as `url`."""
        seconds = conf.signed_urls(self.options)
        if expire is not None:
            _require_expiry(expire, seconds)
        if download is not None:
            validate_file_name(download)
        if self.base_url is not None and seconds is None:
            return None
        url = self._mounted_url(name, expire, download)
        if url is not None:
            return url
        if seconds is not None:
            raise ImproperlyConfigured(
                "the option 'signed_urls' is for files that this site serves: add "
                "path('media/', include('tahoestorage.urls')) to its URLs"
            )
        return None

    def _mounted_url(self, name: str, expire: float | None, download: str | None) -> str | None:
        mount = mount_of(self.place)
        if mount is None:
            return None
        name = self._location.clean(name)
        seconds = conf.signed_urls(self.options)
        served = self._name_in_url(name)
        return mount.url(self.seal, name, served, seconds, expire, download)

    def _name_in_url(self, name: str) -> str:
        return name

    def name_served(self, name: str) -> str:
        """
        The name of the file that is served under a name in a URL.

        Raises: SuspiciousFileOperation if no file can have it.
        """
        return self._location.clean(name)

    @property
    def _is_asked_first(self) -> bool:
        """Whether a subclass chooses names in its own way, which `save` must then follow."""
        return self._has_own("get_available_name", "is_name_available", "exists")

    def _has_own(self, *methods: str) -> bool:
        return any(getattr(type(self), name) is not getattr(TahoeStorage, name) for name in methods)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {conf.value(self.options, 'location') or '/'}>"

    def __copy__(self, memo: object = None) -> Self:
        return self

    __deepcopy__ = __copy__

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), *self._constructor_args)

    def _write_down(self, given: Any) -> None:
        """
        Replace the cap that was `given` in the arguments that @deconstructible keeps, by its
        fingerprint. A process that knows the cap finds it again by that.
        """
        shown = conf.written_down(self.options)

        def written(value: Any, name: str = "") -> Any:
            if isinstance(value, Cap):
                return repr(value)
            return shown if name == "tahoe_base_cap" or value is given else value

        args, kwargs = self._constructor_args
        self._constructor_args = (
            tuple(map(written, args)),
            {name: written(value, name) for name, value in kwargs.items()},
        )


def _require_expiry(expire: Any, seconds: float | None) -> None:
    if seconds is None:
        raise ValueError(
            f"url(expire={expire!r}): the links of this storage never expire. Give it the option "
            "'signed_urls'"
        )
    option = conf.OPTIONS["signed_urls"]
    if not (option.accepts and option.accepts(expire)):
        raise ValueError(f"url(): 'expire' must be {option.must_be}, not {conf.shown(expire)}")


@receiver(setting_changed)
def _forget_settings(*, setting: str, **kwargs: Any) -> None:
    if setting in conf.SETTINGS.values():
        for storage in list(_alive.values()):
            for name in ("base_url", "_root_named", "_whole_tree"):
                storage.__dict__.pop(name, None)


def storage_of(alias: str = DEFAULT_STORAGE_ALIAS) -> TahoeStorage:
    """
    The TahoeStorage of an alias in STORAGES; that of the three settings if the default storage is
    of another kind.

    Raises: ImproperlyConfigured.
    """
    storage = storages[alias]
    if isinstance(storage, TahoeStorage):
        return storage
    if alias == DEFAULT_STORAGE_ALIAS:
        return _of_settings()
    kind = type(storage).__name__
    raise ImproperlyConfigured(
        f"STORAGES[{alias!r}] is not a TahoeStorage but a {kind}; give the alias of one"
    )


_of_settings = cache(TahoeStorage)


def _unpickled(cls: type[TahoeStorage], args: Any, options: dict[str, Any]) -> TahoeStorage:
    storage = cls(*args, **options)
    if isinstance(storage.options.get("tahoe_base_cap"), str):  # a fingerprint
        try:
            conf.base_cap(storage.options)
        except ImproperlyConfigured as error:
            raise pickle.UnpicklingError(str(error)) from None
    return storage
