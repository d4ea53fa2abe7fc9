"""System checks of the options of each storage. They ask no network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import frozen
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from tahoestorage import conf
from tahoestorage.checks.addresses import check_addresses
from tahoestorage.checks.found import TAG, Found, User, every_storage, told_once
from tahoestorage.conf.options import shown
from tahoestorage.grid.paths import Location

_MAKE_A_CAP = (
    "Run `manage.py tahoe init`: it makes a directory and prints its cap, URI:DIR2:…, or writes "
    "it to a file. Keep a copy: without the cap the files are lost."
)
_COPY_THE_CAP = "Copy the whole cap, URI:DIR2:…, as `manage.py tahoe init` gave it."
_QUOTE_THE_CAP = "Give the cap as a str, 'URI:DIR2:…'."
_CAP_IN_A_FILE = (
    "`manage.py tahoe init` makes the directory and this file. Or give the path of a file that "
    "holds the cap and nothing else, and that the site can read; or give the cap itself."
)


@frozen
class _Reading:
    """A check that `read` can read an option, and what to do if it cannot."""

    id: str
    read: Callable[[conf.Options], object]
    hint: str

    def id_and_hint(self, error: ImproperlyConfigured) -> tuple[str, str]:
        if isinstance(error, conf.CapMissing):
            return "E003", _MAKE_A_CAP
        if isinstance(error, conf.CapNotText):
            return "E023", _QUOTE_THE_CAP
        return self.id, self.hint


_GATEWAY = "Give the URL of a gateway, with the port that its tahoe.cfg has as web.port."


def _by_table(id: str, name: str) -> _Reading:
    option = conf.OPTIONS[name]
    hint = f"Give {option.must_be}; or remove it, and the default counts, {option.default!r}."
    return _Reading(id, lambda options: conf.checked(options, name), hint)


_READINGS = [
    _Reading("E002", conf.gateways, _GATEWAY),
    _Reading("E002", conf.writer, _GATEWAY),
    _Reading("E011", conf.written_cap, _CAP_IN_A_FILE),
    _Reading("E024", conf.base_cap, _COPY_THE_CAP),
    *(_by_table("E004", name) for name in ("timeout", "max_age", "concurrency", "commit_delay")),
    _Reading("E008", conf.cache, "Give an alias of CACHES; or remove it, to share nothing."),
    _by_table("E010", "signed_urls"),
    _by_table("E014", "allow_overwrite"),
    _by_table("E016", "fanout"),
]
_UNFIT = {
    "dummy.DummyCache": "keeps nothing",
    "locmem.LocMemCache": "each process has for itself",
}


@register(Tags.files, TAG)
def check_storages(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check the options of every TahoeStorage of STORAGES and of the models' file fields."""
    return told_once(_check_all())


def _check_all() -> Iterator[tuple[User, CheckMessage]]:
    for found in every_storage():
        for message in _check(found):
            yield found.user, message


def _check(found: Found) -> Iterator[CheckMessage]:
    options = found.options
    unknown = conf.unknown_options(dict(options))
    if unknown is not None:
        yield Error(unknown, hint="Correct or remove it.", id="tahoestorage.E001")
    yield from _check_readings(options)
    yield from _check_location(options)
    yield from _check_rights(options)
    yield from _check_cap_file(options)
    yield from check_addresses(found.kind, options)
    yield from _check_cache(options)


def _check_readings(options: conf.Options) -> Iterator[CheckMessage]:
    said: set[str] = set()  # base_cap() fails as written_cap() does
    for reading in _READINGS:
        try:
            reading.read(options)
        except ImproperlyConfigured as error:
            if str(error) not in said:
                said.add(str(error))
                id, hint = reading.id_and_hint(error)
                yield Error(str(error), hint=hint, id=f"tahoestorage.{id}")


def _check_location(options: conf.Options) -> Iterator[CheckMessage]:
    given = conf.value(options, "location")
    try:
        conf.location(options)
        Location(given)
    except ImproperlyConfigured as error:
        text = str(error)
    except (TypeError, ValueError):
        text = f"{conf.where('location')} must be a path, not {shown(given)}"
    else:
        return
    yield Error(
        text,
        hint="Give the path of a directory below that of the cap, such as 'media'.",
        id="tahoestorage.E007",
    )


def _check_rights(options: conf.Options) -> Iterator[CheckMessage]:
    try:
        cap, (_, where) = conf.base_cap(options), conf.written_cap(options)
    except ImproperlyConfigured:
        return
    if not cap.is_writable:
        yield Warning(
            f"{where} is {cap!r}, a read-cap: nothing can be saved with it",
            hint="Give the write-cap, URI:DIR2:…. If the storage is for reading only, silence "
            "this with SILENCED_SYSTEM_CHECKS.",
            id="tahoestorage.W012",
        )


def _check_cap_file(options: conf.Options) -> Iterator[CheckMessage]:
    file = conf.cap_file(options)
    try:
        mode = 0 if file is None else os.stat(file).st_mode
    except (OSError, ValueError):
        return  # E011
    if mode & 0o077:
        yield Warning(
            f"{str(file)!r} holds the cap, and its mode {mode & 0o777:04o} lets others than its "
            "owner use it",
            hint="Run chmod 600 on it. If a container mounts it, mount it with the mode 0400, or "
            "silence this with SILENCED_SYSTEM_CHECKS if nobody else is in the container.",
            id="tahoestorage.W004",
        )


def _check_cache(options: conf.Options) -> Iterator[CheckMessage]:
    alias = conf.value(options, "cache")
    cache = settings.CACHES.get(alias, {}) if isinstance(alias, str) else {}
    wrong = _UNFIT.get(cache.get("BACKEND", "").removeprefix("django.core.cache.backends."))
    if cache.get("TIMEOUT", 0) is None:
        wrong = "never forgets, not even what another Tahoe client has changed"
    if wrong:
        yield Warning(
            f"{conf.where('cache')} is {alias!r}, a cache that {wrong}",
            hint="Give a cache in Redis or Memcached, with a TIMEOUT.",
            id="tahoestorage.W002",
        )
