"""System checks of the web addresses in the settings. They ask no network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from tahoestorage import conf
from tahoestorage.checks.messages import message
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
    for url in _gateways(options):
        if _is_more_than_address(url) or _split(url) is None:
            yield message(
                "E013",
                f"{redact(url)!r} must be the address of a gateway alone, and is more",
                "Give the host and the port, and remove what follows, such as "
                "'http://127.0.0.1:3456/'.",
            )
    is_served = _is_served(kind, options)
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
    names = "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS", "SESSION_COOKIE_SECURE"
    return any(getattr(settings, name) for name in (*names, "CSRF_COOKIE_SECURE"))


def _is_served(kind: type[TahoeStorage], options: conf.Options) -> bool:
    try:
        return mount_of(kind(**options).place) is not None
    except ImproperlyConfigured:
        return False  # another check reports it
