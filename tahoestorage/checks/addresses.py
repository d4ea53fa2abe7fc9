"""System checks of the web addresses in the settings. They ask no network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from tahoestorage import conf
from tahoestorage.contract.fileurls import mount_of
from tahoestorage.storage import TahoeStorage
from txtahoe.caps import redact

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


def check_addresses(kind: type[TahoeStorage], options: conf.Options) -> Iterator[CheckMessage]:
    """Check the gateways and the base URL of a storage. `kind`: a class that takes `options`."""
    yield from _check_gateways(options)
    yield from _check_signed_urls(kind, options)
    url = conf.base_url(options)
    if url:
        yield from _check_base_url(url, options)
    elif not _is_served(kind, options):
        yield Warning(
            f"{_BASE_URL} is missing: files have no URL",
            hint=f"{_SERVE_HERE}; or {_PUBLIC}.",
            id="tahoestorage.W001",
        )


def _check_gateways(options: conf.Options) -> Iterator[CheckMessage]:
    for url in _gateways(options):
        if _is_more_than_address(url) or _split(url) is None:
            yield Error(
                f"{redact(url)!r} must be the address of a gateway alone, and is more",
                hint="Give the host and the port, and remove what follows, such as "
                "'http://127.0.0.1:3456/'.",
                id="tahoestorage.E013",
            )


def _check_signed_urls(kind: type[TahoeStorage], options: conf.Options) -> Iterator[CheckMessage]:
    with suppress(ImproperlyConfigured):  # E010
        seconds = conf.signed_urls(options)
        if seconds is not None and not _is_served(kind, options):
            yield Error(
                f"{conf.where('signed_urls')} is {seconds!r}, but this site does not serve the "
                "files of this storage, and only it can read signed links",
                hint=f"{_SERVE_HERE}, with {{'storage': ALIAS}} if it is not the default storage; "
                "or give None.",
                id="tahoestorage.E015",
            )


def _check_base_url(url: str, options: conf.Options) -> Iterator[CheckMessage]:
    if _is_more_than_address(url):
        yield Error(
            f"{_BASE_URL} is more than an address: it has a cap, a query, a password, or a path "
            "that url() adds",
            hint="Give the address alone, such as 'https://files.example.com/'.",
            id="tahoestorage.E006",
        )
        return
    parts = _split(url)
    if url.startswith("/"):  # a path of this site, or a host with the scheme of the page
        return
    if parts is None:
        yield Error(
            f"{_BASE_URL} is {url!r}, which is not a web address: browsers would look for the "
            "files below the address of the page",
            hint="Give the whole address, such as 'https://files.example.com/'.",
            id="tahoestorage.E012",
        )
        return
    if settings.DEBUG:
        return
    if _host_and_port(url) in map(_host_and_port, _gateways(options)):
        yield Warning(
            f"{_BASE_URL} is {url!r}, the gateway itself: anyone who can reach a gateway can use "
            "it fully",
            hint=f"{_SERVE_HERE}, and remove this address; or {_PUBLIC}.",
            id="tahoestorage.W003",
        )
    elif _is_loopback(parts.hostname or ""):
        yield Warning(
            f"{_BASE_URL} is {url!r}: each browser would look for the files on its own machine",
            hint="Give the address at which the public reads. If all browsers are on this "
            "machine, silence this with SILENCED_SYSTEM_CHECKS.",
            id="tahoestorage.W005",
        )
    elif parts.scheme == "http" and _is_secure_site():
        yield Warning(
            f"{_BASE_URL} is {url!r}, and this site uses HTTPS: browsers do not show files from "
            "http:// in its pages, and anyone on the way can read the links and the files",
            hint="Let the public gateway use HTTPS too, and give its https:// address.",
            id="tahoestorage.W007",
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


def _is_served(kind: type[TahoeStorage], options: conf.Options) -> bool:
    try:
        return mount_of(kind(**options).place) is not None
    except ImproperlyConfigured:
        return True  # not known, and another check reports it
