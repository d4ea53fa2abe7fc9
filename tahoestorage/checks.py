"""System checks of what can be wrong in the settings; none of them asks the network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from inspect import isclass, signature
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db.models import FileField
from django.utils.module_loading import import_string

from tahoestorage import conf, servers
from tahoestorage.addresses import mount_of
from tahoestorage.storage import TahoeStorage

_MAKE_A_CAP = (
    "`tahoe mkdir` makes a directory and prints its cap, URI:DIR2:…; or, with a gateway at "
    "http://127.0.0.1:3456/: curl -X POST 'http://127.0.0.1:3456/uri?t=mkdir'. "
    "Keep a copy: whoever loses it loses the files."
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
_UNFIT = {
    "dummy.DummyCache": "keeps nothing",
    "locmem.LocMemCache": "is of one process alone",
    "db.DatabaseCache": "forgets, with a transaction that is rolled back, that a file has changed",
}


@register(Tags.files)
def check_storages(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check every TahoeStorage of STORAGES and of the models' file fields."""
    found: dict[tuple[str, str], CheckMessage] = {}
    for options in _every_options():
        for message in _check(options):
            # Two storages with the same settings have the same problem once.
            found.setdefault((str(message.id), message.msg), message)
    return list(found.values())


@register(Tags.files)
def check_threads(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that the threads of this process, in which a storage waits and works, are real."""
    problem = servers.problem()
    if problem is None:
        return []
    return [Error(problem.text, hint=problem.hint, id="tahoestorage.E009")]


def _every_options() -> Iterator[conf.Options]:
    for backend in settings.STORAGES.values():
        cls = _ours(backend.get("BACKEND", ""))
        if cls is not None:
            # A subclass may have arguments of its own.
            own = signature(cls.__init__).parameters
            given: Any = backend.get("OPTIONS", {})
            options: Any = {name: given[name] for name in given if name not in own}
            yield conf.hidden(options)
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if isinstance(field, FileField) and isinstance(field.storage, TahoeStorage):
                yield field.storage.options


def _ours(backend: str) -> type[TahoeStorage] | None:
    try:
        cls = import_string(backend)
    except ImportError:
        return None  # Django itself says so, in better words
    return cls if isclass(cls) and issubclass(cls, TahoeStorage) else None


def _check(options: conf.Options) -> Iterator[CheckMessage]:
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
    yield from _check_base_url(options)
    yield from _check_cache(options)


def _check_rights(options: conf.Options) -> Iterator[CheckMessage]:
    try:
        cap, (_, where) = conf.base_cap(options), conf.written_cap(options)
    except ImproperlyConfigured:
        return
    if not cap.is_writable:
        yield Error(
            f"{where} is {cap!r}, which can only be read: nothing can be saved with it",
            hint="Give the write cap, URI:DIR2:…. Where a read-only storage is meant, silence "
            "this with SILENCED_SYSTEM_CHECKS.",
            id="tahoestorage.E005",
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


def _check_base_url(options: conf.Options) -> Iterator[CheckMessage]:
    url = conf.value(options, "base_url")
    if not url:
        if not _is_served(options):
            yield Warning(
                "TAHOE_PUBLIC_BASE_URL (or the option 'base_url') is missing: files have no URL",
                hint="Serve them from this site, with path('media/', include('tahoestorage.urls'))"
                " among its URLs; or give the address of a gateway that the public can read from,"
                " and cannot write to: `manage.py tahoe proxy` makes one.",
                id="tahoestorage.W001",
            )
    elif "URI:" in str(url) or urlsplit(str(url)).query:
        yield Error(
            "TAHOE_PUBLIC_BASE_URL (or the option 'base_url') holds a cap or a query",
            hint="Give the address alone, such as 'https://files.example.com/'.",
            id="tahoestorage.E006",
        )


def _is_served(options: conf.Options) -> bool:
    try:
        return mount_of(TahoeStorage(**options).place) is not None
    except ImproperlyConfigured:
        return False  # said elsewhere


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
