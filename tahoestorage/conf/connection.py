"""How a storage reaches its grid: gateways, times, numbers, cache, read from options."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from inspect import iscoroutinefunction
from os import PathLike
from typing import Any

from attrs import field, frozen
from django.conf import settings
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from tahoestorage.conf.basecap import base_cap, text
from tahoestorage.conf.options import Options, checked, shown, value, where
from txtahoe.caps import Cap
from txtahoe.contentcache import ContentCache
from txtahoe.http.events import Observer
from txtahoe.http.security import BadSecurity, Security
from txtahoe.http.terms import Terms
from txtahoe.http.transport import gateway_url
from txtahoe.sealing import sealed
from txtahoe.tree.paths import split
from txtahoe.tree.spread.states import Fanout

# Each call of a storage asks for its location, and there are few.
_split = lru_cache(maxsize=1024)(split)

_SECURITY = ("ca_file", "client_certificate", "authorization")
_NUMBERS = ("timeout", "max_age", "concurrency", "commit_delay")


@frozen(cache_hash=True)
class Connection:
    """
    How a tree of files is reached and used. Storages with equal connections share the tree, and so
    its caches and pending changes. The fields with `eq=False` do not count in that comparison.

    `gateways`, `writer`: URLs in the spelling of `address`. The writer makes all changes of
    directories. With `has_common_writer` it makes those of all hosts; then the tree itself can name
    another writer.
    `timeout`, `max_age`: in seconds; each call goes by the storage that calls.
    `security`: what it tells these gateways, and no other.
    `concurrency`, `commit_delay`, `observer`: the storage that uses the tree first sets them.
    `fanout`, `content_cache`: the first storage that has one sets it.
    """

    gateways: tuple[str, ...]
    writer: str
    has_common_writer: bool
    base_cap: Cap
    security: Security
    timeout: float = field(eq=False)
    max_age: float = field(eq=False)
    concurrency: int = field(eq=False)
    commit_delay: float = field(eq=False)
    fanout: Fanout | None = field(eq=False)
    cache: str | None = field(eq=False)
    observer: Observer | None = field(eq=False)
    content_cache: ContentCache | None = field(eq=False)

    @property
    def terms(self) -> Terms:
        """The time limits of its requests."""
        return Terms(self.timeout, self.max_age)


# All functions below raise ImproperlyConfigured, which names the option and its setting, and says
# what to do.


@sealed
def connection(options: Options) -> Connection:
    """Read everything that a storage needs to reach its files."""
    every, common = gateways(options), writer(options)
    numbers: dict[str, Any] = {name: checked(options, name) for name in _NUMBERS}
    return Connection(
        tuple(map(address, every)),
        address(common or every[0]),
        common is not None,
        base_cap(options),
        security(options),
        **numbers,
        fanout=fanout(options),
        cache=cache(options),
        observer=observer(options),
        content_cache=content_cache(options),
    )


@sealed
def gateways(options: Options) -> tuple[str, ...]:
    """The gateways, of which there is at least one."""
    given = value(options, "tahoe_base_url")
    if not given:
        raise ImproperlyConfigured(
            f"{where('tahoe_base_url')} is missing: give the URL of a Tahoe-LAFS gateway, such as "
            "'http://127.0.0.1:3456/'"
        )
    urls = tuple(map(text, given if isinstance(given, list | tuple) else [given]))
    for url in urls:
        _require_address(url, "tahoe_base_url")
    return urls


@sealed
def writer(options: Options) -> str | None:
    """The gateway that makes all changes, if one is given."""
    url: str | None = text(value(options, "tahoe_writer_url")) or None
    if url is not None:
        _require_address(url, "tahoe_writer_url")
    return url


@sealed
def security(options: Options) -> Security:
    """How the gateways are known, and what they are told of this site."""
    given = {name: text(checked(options, name)) or None for name in _SECURITY}
    known = tuple(map(address, filter(None, (*gateways(options), writer(options)))))
    try:
        return Security(**given, gateways=known)
    except BadSecurity as error:
        raise ImproperlyConfigured(f"{where('authorization')}: {error}") from None


def _require_address(url: Any, name: str) -> None:
    try:
        gateway_url(url)
    except ValueError as error:
        given = "" if "@" in str(url) else f" is {shown(url)}"  # it can have a password
        raise ImproperlyConfigured(f"{where(name)}{given}: {error}") from None


def address(url: str) -> str:
    """The one spelling of all URLs of a gateway. Raises: ValueError."""
    parsed = gateway_url(url)
    return parsed.to_text().rstrip("/") + ("" if parsed.scheme == "unix" else "/")


def base_url(options: Options) -> str | None:
    """The base of download URLs, if there is one."""
    return str(text(value(options, "base_url")) or "") or None


@sealed
def location(options: Options) -> str:
    """The directory in which names begin."""
    given = value(options, "location")
    if not isinstance(given, str | PathLike | Promise):
        raise ImproperlyConfigured(f"{where('location')} must be a path, not {shown(given)}")
    try:
        _split(str(given).replace("\\", "/"))
    except ValueError as error:
        # An error of encoding would show the whole text.
        reason = "it cannot be UTF-8" if isinstance(error, UnicodeError) else error
        raise ImproperlyConfigured(f"{where('location')} is {shown(given)}: {reason}") from None
    return str(given)


@sealed
def signed_urls(options: Options) -> float | None:
    """Seconds for which links can be used; None for ever."""
    seconds: float | None = checked(options, "signed_urls")
    return seconds


@sealed
def cache(options: Options) -> str | None:
    """The alias of the shared cache, if there is one."""
    given: str | None = text(value(options, "cache"))
    if given is None:
        return None
    if given not in list(settings.CACHES):
        known = ", ".join(map(repr, settings.CACHES))
        raise ImproperlyConfigured(
            f"{where('cache')} is {shown(given)}, which is not in CACHES: give one of {known}"
        )
    with suppress(ImportError):  # Django itself reports it, in better words
        if issubclass(import_string(settings.CACHES[given]["BACKEND"]), BaseDatabaseCache):
            raise ImproperlyConfigured(
                f"{where('cache')} is {given!r}, a cache in the database: if a transaction is "
                "rolled back, it forgets that a file has changed. Give another cache"
            )
    return given


@sealed
def observer(options: Options) -> Observer | None:
    """The function that gets the events, if there is one."""
    given: str | None = text(checked(options, "observer"))
    if given is None:
        return None
    named = f"{where('observer')} is {shown(given)}"
    try:
        found: Observer = import_string(given)
    except ImportError as error:
        raise ImproperlyConfigured(f"{named}, which cannot be imported: {error}") from None
    if not callable(found):
        raise ImproperlyConfigured(f"{named}, which cannot be called")
    if iscoroutinefunction(found):
        raise ImproperlyConfigured(
            f"{named}, which is a coroutine function: nothing would await it"
        )
    return found


@sealed
def fanout(options: Options) -> Fanout | None:
    """When directories are spread; None for never."""
    given: bool | int = checked(options, "fanout")
    if isinstance(given, bool):
        return Fanout() if given else None
    return Fanout(given)


@sealed
def content_cache(options: Options) -> ContentCache | None:
    """The content cache, if there is one: one object for each folder, which counts its reads."""
    given: Any = checked(options, "content_cache")
    if given is None:
        return None
    return _content_cache(**(given if isinstance(given, dict) else {"path": given}))


_content_cache = lru_cache(ContentCache)
