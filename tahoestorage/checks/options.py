"""System checks of the options of each storage. They ask no network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from django.conf import settings
from django.core.checks import CheckMessage, Tags
from django.core.exceptions import ImproperlyConfigured

from tahoestorage import conf
from tahoestorage.checks.addresses import check_addresses
from tahoestorage.checks.found import Found, User, every_storage, told_once
from tahoestorage.checks.messages import message, system_check
from tahoestorage.grid.paths import Location

_MAKE_A_CAP = (
    "Run `manage.py tahoe init`: it makes a directory and prints its cap, URI:DIR2:…, or writes "
    "it to a file. Keep a copy: without the cap the files are lost."
)
_GATEWAY = "Give the URL of a gateway, with the port that its tahoe.cfg has as web.port."
# A function that reads an option, and the id and the hint of the message if it fails.
_Reading = tuple[str, Callable[[conf.Options], object], str]


def _by_table(id: str, name: str) -> _Reading:
    option = conf.OPTIONS[name]
    hint = f"Give {option.must_be}; or remove it, and the default counts, {option.default!r}."
    return id, lambda options: conf.checked(options, name), hint


_READINGS: list[_Reading] = [
    ("E002", conf.gateways, _GATEWAY),
    ("E002", conf.writer, _GATEWAY),
    (
        "E011",
        conf.written_cap,
        "Give the path of a file that holds the cap and nothing else, and that the site can read; "
        "or give the cap itself.",
    ),
    ("E024", conf.base_cap, "Copy the whole cap, URI:DIR2:…, as `manage.py tahoe init` gave it."),
    *(_by_table("E004", name) for name in ("timeout", "max_age", "concurrency", "commit_delay")),
    ("E008", conf.cache, "Give an alias of CACHES; or remove it, to share nothing."),
    _by_table("E010", "signed_urls"),
    _by_table("E014", "allow_overwrite"),
    _by_table("E016", "fanout"),
]
_UNFIT = {
    "dummy.DummyCache": "keeps nothing",
    "locmem.LocMemCache": "each process has for itself",
}


@system_check(Tags.files)
def check_storages() -> list[CheckMessage]:
    """Check the options of every TahoeStorage of STORAGES and of the models' file fields."""
    return told_once(_check_all())


def _check_all() -> Iterator[tuple[User, CheckMessage]]:
    for found in every_storage():
        for each in _check(found):
            yield found.user, each


def _check(found: Found) -> Iterator[CheckMessage]:
    options = found.options
    unknown = conf.unknown_options(dict(options))
    if unknown is not None:
        yield message("E001", unknown, "Correct or remove it.")
    yield from _check_readings(options)
    yield from _check_location(options)
    yield from _check_cap(options)
    yield from check_addresses(found.kind, options)
    yield from _check_cache(options)


def _check_readings(options: conf.Options) -> Iterator[CheckMessage]:
    said: set[str] = set()  # base_cap() fails as written_cap() does
    for id, read, hint in _READINGS:
        try:
            read(options)
        except ImproperlyConfigured as error:
            if isinstance(error, conf.CapMissing):
                id, hint = "E003", _MAKE_A_CAP
            elif isinstance(error, conf.CapNotText):
                id, hint = "E023", "Give the cap as a str, 'URI:DIR2:…'."
            if str(error) not in said:
                yield message(id, str(error), hint)
            said.add(str(error))


def _check_location(options: conf.Options) -> Iterator[CheckMessage]:
    given = conf.value(options, "location")
    try:
        conf.location(options)
        Location(given)
    except ImproperlyConfigured as error:
        text = str(error)
    except (TypeError, ValueError):
        text = f"{conf.where('location')} must be a path, not {conf.shown(given)}"
    else:
        return
    hint = "Give the path of a directory below that of the cap, such as 'media'."
    yield message("E007", text, hint)


def _check_cap(options: conf.Options) -> Iterator[CheckMessage]:
    try:
        cap, (_, where) = conf.base_cap(options), conf.written_cap(options)
        if not cap.is_writable:
            yield message(
                "W012",
                f"{where} is {cap!r}, a read-cap: nothing can be saved with it",
                "Give the write-cap, URI:DIR2:…. If the storage is for reading only, silence this "
                "with SILENCED_SYSTEM_CHECKS.",
            )
    except ImproperlyConfigured:
        pass  # `_check_readings` reports it
    file = conf.cap_file(options)
    try:
        mode = 0 if file is None else os.stat(file).st_mode
    except (OSError, ValueError):
        return  # E011
    if mode & 0o077:
        yield message(
            "W004",
            f"{str(file)!r} holds the cap, and its mode {mode & 0o777:04o} lets others than its "
            "owner use it",
            "Run chmod 600 on it. If a container mounts it, mount it with the mode 0400, or "
            "silence this with SILENCED_SYSTEM_CHECKS if nobody else is in the container.",
        )


def _check_cache(options: conf.Options) -> Iterator[CheckMessage]:
    alias = conf.value(options, "cache")
    cache = settings.CACHES.get(alias, {}) if isinstance(alias, str) else {}
    wrong = _UNFIT.get(cache.get("BACKEND", "").removeprefix("django.core.cache.backends."))
    if cache.get("TIMEOUT", 0) is None:
        wrong = "never forgets, not even what another Tahoe client has changed"
    if wrong:
        yield message(
            "W002",
            f"{conf.where('cache')} is {alias!r}, a cache that {wrong}",
            "Give a cache in Redis or Memcached, with a TIMEOUT.",
        )
