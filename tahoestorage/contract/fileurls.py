"""The URLs of files: by cap, for a public gateway; by name, where this site serves them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

from attrs import frozen
from django.conf import DEFAULT_STORAGE_ALIAS, settings
from django.core.files.storage import storages
from django.core.signing import BadSignature, Signer
from django.urls import URLResolver, get_resolver, get_urlconf, reverse

from tahoestorage import conf
from tahoestorage.grid.paths import Location
from txtahoe.caps import Cap

NAMESPACE = "tahoestorage"
# A signed URL stays the same for this part of its time, so that browsers can keep the file.
_STEADY = 10
# Seconds by which the clocks of hosts that sign and that serve may differ: a URL that was signed
# just now must be served.
_APART = 5


def public_url(base_url: str, cap: Cap, file_name: str) -> str:
    """`<base_url>named/<cap>/<file name>`; see txtahoe/docs/gateway.md 3."""
    return f"{base_url}named/{cap!s}/{_quoted(file_name)}"


def missing_url(base_url: str, file_name: str) -> str:
    """A link that leads nowhere: a gateway, and a proxy before it, answers 404 there."""
    return f"{base_url}missing/{_quoted(file_name)}"


def _quoted(file_name: str) -> str:
    # Percent signs for what JavaScript's encodeURIComponent() escapes, as Django does it.
    return quote(file_name, safe="~!*()'")


@frozen
class Mount:
    """
    A place among the URLs of this site where `tahoestorage.urls` serves a storage.

    `route`: as it stands there. `given`: what its `path()` gives to the view.
    `captured`: the parameters that are taken from the URL; the view takes none of them.
    """

    route: str
    namespace: str
    given: Mapping[str, Any]
    captured: frozenset[str]

    @property
    def alias(self) -> str:
        """That of the storage."""
        return str(self.given.get("storage", DEFAULT_STORAGE_ALIAS))

    @property
    def permission(self) -> Any:
        """The hook that says who may read, if there is one."""
        return self.given.get("permission")

    @property
    def place(self) -> Any:
        """See `TahoeStorage.place`; None where the storage is of another kind."""
        storage = storages[self.alias]
        if self.alias == DEFAULT_STORAGE_ALIAS and not hasattr(storage, "place"):
            # Files are elsewhere by default: what is served is the storage of the three settings.
            return conf.connection({}), Location(conf.location({})).path
        return getattr(storage, "place", None)

    def url(self, name: str, served: str, seconds: float | None) -> str:
        """
        The URL of a file; a signed one can be used for 90 % of `seconds`, or up to all.

        `served`: the name in the URL.
        """
        url = reverse(f"{self.namespace}:file", kwargs={"name": served})
        if seconds is None:
            return url
        step = max(1, int(seconds / _STEADY))
        expires = str(int(time.time() // step * step + seconds))
        signature = _signer().signature(_signed(self.alias, name, expires))
        return f"{url}?{urlencode({'expires': expires, 'signature': signature})}"


def is_signed(alias: str, name: str, expires: str, signature: str, seconds: float) -> bool:
    """
    Whether a URL was made by `Mount.url`, for this file, and can still be used.

    `seconds`: for how long it can be used at most. A host whose clock is ahead signs URLs that
    could be used for longer; these are refused.
    """
    try:
        _signer().unsign(f"{_signed(alias, name, expires)}:{signature}")
    except (BadSignature, UnicodeEncodeError):
        return False
    # It is a number: nobody else could have signed it.
    return 0 <= int(expires) - time.time() <= seconds + _APART


def mount_of(place: Any) -> Mount | None:
    """Where the storage of a place, see `TahoeStorage.place`, is served, if it is."""
    reachable: dict[str, Mount] = {}
    for mount in mounts():
        # Of two with one namespace, Django makes the URLs of the first.
        reachable.setdefault(mount.namespace, mount)
    for mount in reachable.values():
        if not mount.captured and mount.place == place:
            return mount
    return None


def mounts() -> tuple[Mount, ...]:
    """All mounts of the site, or of what serves the present request."""
    return _mounts(get_urlconf() or getattr(settings, "ROOT_URLCONF", None))


@lru_cache(maxsize=16)
def _mounts(urlconf: Any) -> tuple[Mount, ...]:
    return () if urlconf is None else tuple(_mounts_in(Mount("", "", {}, frozenset()), urlconf))


def _mounts_in(above: Mount, urlconf: Any) -> Iterator[Mount]:
    """The mounts in a URLconf, which is included at the place of `above`."""
    resolver = urlconf if isinstance(urlconf, URLResolver) else get_resolver(urlconf)
    for below in resolver.url_patterns:
        if not isinstance(below, URLResolver):
            continue
        regex = below.pattern.regex
        mount = Mount(
            above.route + str(below.pattern),
            ":".join(filter(None, (above.namespace, below.namespace))),
            {**above.given, **below.default_kwargs},
            above.captured | (set(regex.groupindex) or set(map(str, range(regex.groups)))),
        )
        if below.app_name == NAMESPACE:
            yield mount
        else:
            yield from _mounts_in(mount, below)


def _signer() -> Signer:
    return Signer(salt="tahoestorage.signed_urls")


def _signed(alias: str, name: str, expires: str) -> str:
    """What is signed, in a form that can be read in one way only."""
    return json.dumps([alias, name, expires])
