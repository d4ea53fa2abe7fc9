"""System checks of what can be wrong in the settings; none of them asks the network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import isclass, signature
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.db.models import FileField
from django.utils.module_loading import import_string

from tahoestorage import conf
from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.care.filefields import every_file_field
from tahoestorage.checks.addresses import check_addresses
from tahoestorage.grid.paths import Location
from tahoestorage.reactor import threads
from tahoestorage.staticfiles import TahoeManifestStaticFilesStorage
from tahoestorage.storage import TahoeStorage
from txtahoe.caps import redact

TAG = "tahoe"
_MAKE_A_CAP = (
    "`manage.py tahoe init` makes a directory and prints its cap, URI:DIR2:…, or writes it to a "
    "file. Keep a copy: whoever loses it loses the files."
)
_CAP_IN_A_FILE = (
    "Give the path of a file that holds the cap and nothing else, and that the site can read; or "
    "give the cap itself."
)
_PROBLEMS: list[tuple[str, Callable[[conf.Options], object], str]] = [
    ("E002", conf.gateways, "Give the web address of a gateway, as in its tahoe.cfg (web.port)."),
    ("E011", conf.written_cap, _CAP_IN_A_FILE),
    ("E003", conf.base_cap, _MAKE_A_CAP),
    ("E004", conf.numbers, "Without it the default is used; see the README."),
    ("E007", conf.location, "Give the path of a directory below that of the cap."),
    ("E008", conf.cache, "Give one of its names, or leave it out to share nothing."),
    ("E010", conf.signed_urls, "3600 is an hour. Without it links do not expire."),
    ("E016", conf.fanout, "True is best. Without it no directory is spread."),
]
_ROOM = 255  # characters for a name with its cap
_UNFIT = {
    "dummy.DummyCache": "keeps nothing",
    "locmem.LocMemCache": "is of one process alone",
}


@register(Tags.files, TAG)
def check_storages(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check every TahoeStorage of STORAGES and of the models' file fields."""
    found: dict[tuple[str, str], CheckMessage] = {}
    for kind, options in every_storage():
        for message in _check(kind, options):
            # Two storages with the same settings have the same problem once.
            found.setdefault((str(message.id), message.msg), message)
    return list(found.values())


@register(Tags.files, TAG)
def check_threads(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that the threads of this process, in which a storage waits and works, are real."""
    problem = threads.problem()
    if problem is None:
        return []
    return [Error(problem.text, hint=problem.hint, id="tahoestorage.E009")]


@register(Tags.files)
def check_fields(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that names that carry caps have room in the database."""
    return [
        Warning(
            f"{field} has max_length={field.max_length}: names that carry a cap are longer than "
            "those of other storages by some 100 characters",
            hint=f"Give it max_length={_ROOM} or more.",
            obj=field,
            id="tahoestorage.W006",
        )
        for field, _ in file_fields()
        if isinstance(field.storage, TahoeCapStorage)
        and field.max_length is not None
        and field.max_length < _ROOM
    ]


@register(Tags.staticfiles, Tags.files, TAG)
def check_addresses_of_manifests(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that static files can refer to others; `collectstatic` does so too."""
    return [
        Error(
            f"STORAGES[{alias!r}] is for static files that refer to others by their URLs, and "
            "TAHOE_PUBLIC_BASE_URL (or the option 'base_url'), which these begin with, is missing: "
            "`collectstatic` can save nothing",
            hint="Give the address of a public gateway, which `manage.py tahoe proxy` makes; or "
            "use TahoeStaticFilesStorage.",
            id="tahoestorage.E017",
        )
        for alias, backend in settings.STORAGES.items()
        if issubclass(_ours(backend) or object, TahoeManifestStaticFilesStorage)
        and _lacks_base_url(alias)
    ]


def _lacks_base_url(alias: str) -> bool:
    try:
        return getattr(storages[alias], "base_url", "") is None
    except (ImproperlyConfigured, TypeError):
        return False  # said of its options


def every_options() -> Iterator[conf.Options]:
    """Those of every TahoeStorage of STORAGES and of the models' file fields."""
    for _, options in every_storage():
        yield options


def every_storage() -> Iterator[tuple[type[TahoeStorage], conf.Options]]:
    """As `every_options`, with the kind of each storage."""
    for alias, options in options_by_alias():
        yield _kind(_ours(settings.STORAGES[alias])), options
    for field, options in file_fields():
        # The default storage stands behind a proxy, which has another type.
        yield _kind(field.storage.__class__), options


def _kind(cls: type[Any] | None) -> type[TahoeStorage]:
    is_carrying = cls is not None and issubclass(cls, TahoeCapStorage)
    return TahoeCapStorage if is_carrying else TahoeStorage


def options_by_alias() -> Iterator[tuple[str, conf.Options]]:
    """Those of every TahoeStorage of STORAGES, whatever is wrong with them."""
    for alias, backend in settings.STORAGES.items():
        cls = _ours(backend)
        if cls is not None:
            # A subclass may have arguments of its own.
            own = signature(cls.__init__).parameters
            given = backend.get("OPTIONS")
            given = given if isinstance(given, Mapping) else {}
            options: Any = {name: given[name] for name in given if name not in own}
            yield alias, conf.hidden(options)


def file_fields() -> Iterator[tuple[FileField, conf.Options]]:
    """The models' file fields whose storage is a TahoeStorage, and its options."""
    for _, field in every_file_field():
        if (storage := _storage_of(field)) is not None:
            yield field, storage.options


def _storage_of(field: FileField) -> TahoeStorage | None:
    try:
        # The default storage is made when it is first looked at.
        return field.storage if isinstance(field.storage, TahoeStorage) else None
    except (ImproperlyConfigured, TypeError):
        return None  # said of STORAGES


def is_ours(backend: Mapping[str, Any]) -> bool:
    """Whether a value of STORAGES is for a TahoeStorage."""
    return _ours(backend) is not None


def _ours(backend: Mapping[str, Any]) -> type[TahoeStorage] | None:
    try:
        cls = import_string(backend.get("BACKEND", ""))
    except ImportError:
        return None  # Django itself says so, in better words
    return cls if isclass(cls) and issubclass(cls, TahoeStorage) else None


def _check(kind: type[TahoeStorage], options: conf.Options) -> Iterator[CheckMessage]:
    unknown = conf.unknown_options(dict(options))
    if unknown is not None:
        yield Error(unknown, hint="Correct or remove it.", id="tahoestorage.E001")
    said: set[str] = set()
    for number, read, hint in _PROBLEMS:
        try:
            read(options)
        except ImproperlyConfigured as error:
            if str(error) not in said:
                said.add(str(error))
                yield Error(str(error), hint=hint, id=f"tahoestorage.{number}")
    yield from _check_rights(options)
    yield from _check_cap_file(options)
    yield from _check_location(options)
    yield from _check_overwriting(options)
    yield from check_addresses(kind, options)
    yield from _check_cache(options)


def _check_rights(options: conf.Options) -> Iterator[CheckMessage]:
    try:
        cap, (_, where) = conf.base_cap(options), conf.written_cap(options)
    except ImproperlyConfigured:
        return
    if not cap.is_writable:
        yield Warning(
            f"{where} is {cap!r}, which can only be read: nothing can be saved with it",
            hint="Give the write cap, URI:DIR2:…. Where the storage is for reading alone, silence "
            "this with SILENCED_SYSTEM_CHECKS.",
            id="tahoestorage.W012",
        )


def _check_cap_file(options: conf.Options) -> Iterator[CheckMessage]:
    file = conf.cap_file(options)
    try:
        mode = 0 if file is None else os.stat(file).st_mode
    except (OSError, ValueError):
        return  # said elsewhere
    if mode & 0o077:
        yield Warning(
            f"{str(file)!r} holds the cap, and others than its owner may use it: its mode is "
            f"{mode & 0o777:04o}",
            hint="chmod 600. Where a container mounts it, ask for the mode 0400 there, or silence "
            "this with SILENCED_SYSTEM_CHECKS if nobody else is in the container.",
            id="tahoestorage.W004",
        )


def _check_location(options: conf.Options) -> Iterator[CheckMessage]:
    location = conf.value(options, "location")
    try:
        conf.location(options)
        Location(location)
    except ImproperlyConfigured:
        return  # said elsewhere
    except (TypeError, ValueError):
        yield Error(
            f"the option 'location' is {redact(repr(location))}, which is no path",
            hint="Give the path of a directory below that of the cap, such as 'media'.",
            id="tahoestorage.E007",
        )


def _check_overwriting(options: conf.Options) -> Iterator[CheckMessage]:
    given = conf.value(options, "allow_overwrite")
    if not isinstance(given, bool):
        yield Error(
            f"the option 'allow_overwrite' is {redact(repr(given))}, and not True or False",
            hint="Any text, 'False' too, lets files be replaced: make a bool of it.",
            id="tahoestorage.E014",
        )


def _check_cache(options: conf.Options) -> Iterator[CheckMessage]:
    alias = conf.value(options, "cache")
    cache = settings.CACHES.get(alias, {}) if isinstance(alias, str) else {}
    wrong = _UNFIT.get(cache.get("BACKEND", "").removeprefix("django.core.cache.backends."))
    if cache.get("TIMEOUT", 0) is None:
        wrong = "never forgets, also not what another Tahoe client has changed"
    if wrong:
        yield Warning(
            f"the option 'cache' is {alias!r}, a cache that {wrong}",
            hint="Give a cache in Redis or Memcached, with a TIMEOUT.",
            id="tahoestorage.W002",
        )
