"""System checks of the options of each storage. They ask no network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Tags
from django.core.exceptions import ImproperlyConfigured

from tahoestorage import conf
from tahoestorage.checks.found import Found, every_storage, told_once
from tahoestorage.checks.messages import message, system_check
from tahoestorage.contract.fileurls import mount_of
from txtahoe.caps import redact
from txtahoe.contentcache import ContentCache
from txtahoe.http.security import BadSecurity
from txtahoe.http.transport import gateway_url

_BASE_URL = conf.where("base_url")
# A gateway has these below its address, and clients add them to that address.
_ROOMS = ("uri", "named", "file", "cap")
_SERVE_HERE = (
    "Serve them from this site: add path('media/', include('tahoestorage.urls')) to its URLs"
)
_PUBLIC = (
    "give the address of a gateway that the public can read from and cannot write to: "
    "`manage.py tahoe proxy` prints the configuration of one"
)
_MAKE_A_CAP = (
    "Run `manage.py tahoe init`: it makes a directory and prints its cap, URI:DIR2:…, or writes "
    "it to a file. Keep a copy: without the cap the files are lost."
)
_GATEWAY = (
    "Give the URL of a gateway, with the port or the socket that its tahoe.cfg has as web.port."
)
# A function that reads an option, and the id and the hint of the message if it fails.
_Reading = tuple[str, Callable[[conf.Options], object], str]


def _by_table(id: str, name: str) -> _Reading:
    option = conf.OPTIONS[name]
    hint = f"Give {option.must_be}; or remove it, and the default counts, {option.default!r}."
    return id, lambda options: conf.checked(options, name), hint


_READINGS: list[_Reading] = [
    ("E002", conf.gateways, _GATEWAY),
    ("E002", conf.writer, _GATEWAY),
    *(_by_table("E014", name) for name in ("allow_overwrite", "read_only")),
    (
        "E026",
        lambda options: conf.security(options).check(),
        "Give the paths of PEM files that the site can read, and 'file:' and a path, or 'env:' and "
        "the name of a variable, for credentials.",
    ),
    (
        "E011",
        conf.written_cap,
        "`manage.py tahoe init` makes the directory and this file. Or give the path of a file that "
        "holds the cap and nothing else, and that the site can read; or give the cap itself.",
    ),
    ("E024", conf.base_cap, "Copy the whole cap, URI:DIR2:…, as `manage.py tahoe init` gave it."),
    *(_by_table("E004", name) for name in ("timeout", "max_age", "concurrency", "commit_delay")),
    ("E007", conf.location, "Give the path of a directory below that of the cap, such as 'media'."),
    ("E008", conf.cache, "Give an alias of CACHES; or remove it, to share nothing."),
    _by_table("E010", "signed_urls"),
    _by_table("E016", "fanout"),
    ("E020", conf.observer, "Give the dotted path of a function, such as 'mysite.metrics.count'."),
    _by_table("E027", "content_cache"),
]
_UNFIT = {
    "dummy.DummyCache": "keeps nothing",
    "locmem.LocMemCache": "each process has for itself",
}


@system_check(Tags.files)
def check_storages() -> list[CheckMessage]:
    """Check the options of every TahoeStorage of STORAGES and of the models' file fields."""
    return told_once((found.user, each) for found in every_storage() for each in _check(found))


def _check(found: Found) -> Iterator[CheckMessage]:
    options = found.options
    unknown = conf.unknown_options(dict(options))
    if unknown is not None:
        yield message("E001", unknown, "Correct or remove it.")
    yield from _check_readings(options)
    yield from _check_cap(options)
    yield from _check_modes(options)
    yield from _check_addresses(found)
    yield from _check_cache(options)
    yield from _check_content_cache(options)


def _check_readings(options: conf.Options) -> Iterator[CheckMessage]:
    said: set[str] = set()  # base_cap() fails as written_cap() does
    for id, read, hint in _READINGS:
        try:
            read(options)
        except (ImproperlyConfigured, BadSecurity) as error:
            if isinstance(error, conf.CapMissing):
                id, hint = "E003", _MAKE_A_CAP
            elif isinstance(error, conf.CapNotText):
                id, hint = "E023", "Give the cap as a str, 'URI:DIR2:…'."
            if str(error) not in said:
                yield message(id, str(error), hint)
            said.add(str(error))


def _check_cap(options: conf.Options) -> Iterator[CheckMessage]:
    try:
        cap, (_, where) = conf.base_cap(options), conf.written_cap(options)
        if not cap.is_writable and not conf.checked(options, "read_only"):
            yield message(
                "W012",
                f"{where} is {cap!r}, a read-cap: nothing can be saved with it",
                "Give the write-cap, URI:DIR2:…. If the storage is for reading only, give it the "
                "option read_only=True.",
            )
    except ImproperlyConfigured:
        pass  # `_check_readings` reports it


def _check_modes(options: conf.Options) -> Iterator[CheckMessage]:
    secrets = {"the cap": conf.cap_file(options)}
    with suppress(ImproperlyConfigured):  # E026
        security = conf.security(options)
        secrets["a private key"] = security.client_certificate
        secrets["credentials"] = security.authorization_file
    for what, file in secrets.items():
        try:
            mode = 0 if file is None else os.stat(file).st_mode
        except (OSError, ValueError):
            continue  # E011, E026
        if mode & 0o077:
            yield message(
                "W004",
                f"{str(file)!r} holds {what}, and its mode {mode & 0o777:04o} lets others than its "
                "owner use it",
                "Run chmod 600 on it. If a container mounts it, mount it with the mode 0400, or "
                "silence this with SILENCED_SYSTEM_CHECKS if nobody else is in the container.",
            )


def _check_cache(options: conf.Options) -> Iterator[CheckMessage]:
    try:
        alias = conf.cache(options)
    except ImproperlyConfigured:
        return  # E008
    cache = settings.CACHES[alias] if alias is not None else {}
    wrong = _UNFIT.get(cache.get("BACKEND", "").removeprefix("django.core.cache.backends."))
    if cache.get("TIMEOUT", 0) is None:
        wrong = "never forgets, not even what another Tahoe client has changed"
    if wrong:
        yield message(
            "W002",
            f"{conf.where('cache')} is {alias!r}, a cache that {wrong}",
            "Give a cache in Redis or Memcached, with a TIMEOUT.",
        )


def _check_content_cache(options: conf.Options) -> Iterator[CheckMessage]:
    with suppress(ImproperlyConfigured):  # E027
        cache = conf.content_cache(options)
        if cache is not None:
            problem, hint = _problem_of(cache)
            if problem:
                name = conf.where("content_cache")
                yield message("W027", f"{name} is {str(cache.path)!r}: {problem}", hint)


def _problem_of(cache: ContentCache) -> tuple[str, str]:
    """The problem with the folder of a content cache, or "", and a hint. It makes no folder."""
    path, hint = cache.path, "Give a folder that belongs to the site's user and holds nothing else."
    try:
        there = path if path.exists() else path.parent
        if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
            return f"{str(there)!r} is missing, or this user cannot write to it", hint
        cache.usage()
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o700
    except OSError as error:
        return str(error), hint
    if mode & 0o077:
        return f"its mode {mode:04o} lets others than its owner use it", "Run chmod 700 on it."
    return "", hint


def _check_addresses(found: Found) -> Iterator[CheckMessage]:
    options = found.options
    for url in _gateways(options):
        is_socket = gateway_url(url).scheme == "unix"
        if not is_socket and (_is_more_than_address(url) or _split(url) is None):
            yield message(
                "E013",
                f"{redact(url)!r} must be the address of a gateway alone, and is more",
                "Give the host and the port alone, such as 'http://127.0.0.1:3456/'.",
            )
    is_served = _is_served(found)
    with suppress(ImproperlyConfigured):  # E010
        seconds = conf.signed_urls(options)
        if seconds is not None and not is_served:
            yield message(
                "E015",
                f"{conf.where('signed_urls')} is {seconds!r}, but this site does not serve the "
                "files of this storage, and only it can read signed links",
                f"{_SERVE_HERE}, with {{'storage': ALIAS}} if it is not the default storage; or "
                "give None.",
            )
    base_url = conf.base_url(options)
    if base_url:
        yield from _check_base_url(base_url, options)
    elif not is_served:
        yield message(
            "W001", f"{_BASE_URL} is missing: files have no URL", f"{_SERVE_HERE}; or {_PUBLIC}."
        )


def _check_base_url(url: str, options: conf.Options) -> Iterator[CheckMessage]:
    parts = _split(url)
    if _is_more_than_address(url):
        yield message(
            "E006",
            f"{_BASE_URL} is more than an address: it has a cap, a query, a password, or a path "
            "that url() adds",
            "Give the address alone, such as 'https://files.example.com/'.",
        )
    elif url.startswith("/"):  # a path of this site, or a host with the scheme of the page
        return
    elif parts is None:
        yield message(
            "E012",
            f"{_BASE_URL} is {url!r}, which is not a web address: browsers would look for the "
            "files below the address of the page",
            "Give the whole address, such as 'https://files.example.com/'.",
        )
    elif settings.DEBUG:
        return
    elif _host_and_port(url) in map(_host_and_port, _gateways(options)):
        yield message(
            "W003",
            f"{_BASE_URL} is {url!r}, the gateway itself: anyone who can reach a gateway can use "
            "it fully",
            f"{_SERVE_HERE}, and remove this address; or {_PUBLIC}.",
        )
    elif _is_loopback(parts.hostname or ""):
        yield message(
            "W005",
            f"{_BASE_URL} is {url!r}: each browser would look for the files on its own machine",
            "Give the address at which the public reads. If all browsers are on this machine, "
            "silence this with SILENCED_SYSTEM_CHECKS.",
        )
    elif parts.scheme == "http" and _is_secure_site():
        yield message(
            "W007",
            f"{_BASE_URL} is {url!r}, and this site uses HTTPS: browsers do not show files from "
            "http:// in its pages, and anyone on the way can read the links and the files",
            "Let the public gateway use HTTPS too, and give its https:// address.",
        )


def _is_more_than_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False  # no address at all: E012
    last = parts.path.rstrip("/").rpartition("/")[2]
    more = parts.query or parts.fragment or "@" in parts.netloc or last in _ROOMS
    return bool(more) or redact(url) != url


def _split(url: str) -> SplitResult | None:
    """The parts of an address, if browsers understand it."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if is_address and not any(map(str.isspace, url)) else None


def _gateways(options: conf.Options) -> list[str]:
    try:
        writer = conf.writer(options)
        return [*conf.gateways(options), *([writer] if writer else [])]
    except ImproperlyConfigured:
        return []  # E002


def _host_and_port(url: str) -> tuple[str, int] | None:
    parts = _split(url)
    if parts is None or parts.hostname is None:
        return None
    host = "localhost" if _is_loopback(parts.hostname) else parts.hostname
    return host, parts.port or {"http": 80, "https": 443}[parts.scheme]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_secure_site() -> bool:
    return bool(
        settings.SECURE_SSL_REDIRECT
        or settings.SECURE_HSTS_SECONDS
        or settings.SESSION_COOKIE_SECURE
        or settings.CSRF_COOKIE_SECURE
    )


def _is_served(found: Found) -> bool:
    try:
        place = found.kind(**found.options).place
    except ImproperlyConfigured:
        return True  # not known, and another check reports it
    with suppress(ImproperlyConfigured, TypeError):  # of another storage that a mount names
        return mount_of(place) is not None
    return False
