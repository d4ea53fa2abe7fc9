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
# A signed URL stays the same for a tenth of its time, so that browsers can keep the file.
_STEADY = 10
# Seconds by which the clocks of two hosts can differ: one must serve a URL that the other one has
# just signed.
_APART = 5


def public_url(base_url: str, cap: Cap, file_name: str) -> str:
    """The URL of a file at a public gateway; see txtahoe/docs/gateway.md 3."""
    return f"{base_url}named/{cap!s}/{_quoted(file_name)}"


def missing_url(base_url: str, file_name: str) -> str:
    """A URL that leads nowhere: a gateway, and a proxy before it, answers 404 there."""
    return f"{base_url}missing/{_quoted(file_name)}"


def _quoted(file_name: str) -> str:
    # As Django: the characters that JavaScript's encodeURIComponent() does not escape are safe.
    return quote(file_name, safe="~!*()'")


@frozen
class Mount:
    """
    A place among the URLs of this site where `tahoestorage.urls` serves a storage.

    `given`: the arguments of its `path()` for the view.
    `captured`: the parameters in its route; the view takes none of them.
    """

    route: str
    namespace: str
    given: Mapping[str, Any]
    captured: frozenset[str]

    @property
    def alias(self) -> str:
        return str(self.given.get("storage", DEFAULT_STORAGE_ALIAS))

    @property
    def permission(self) -> Any:
        return self.given.get("permission")

    @property
    def place(self) -> Any:
        """See `TahoeStorage.place`; None for a storage of another kind."""
        storage = storages[self.alias]
        if self.alias == DEFAULT_STORAGE_ALIAS and not hasattr(storage, "place"):
            # The default storage is of another kind: the three settings name the one served.
            return conf.connection({}), Location(conf.location({})).path
        return getattr(storage, "place", None)

    def url(
        self,
        store: str,
        name: str,
        served: str,
        seconds: float | None,
        expire: float | None = None,
        download: str | None = None,
    ) -> str:
        """
        The URL of a file; one that expires can be used for 90 % of its seconds, or up to all.

        `store`: see `is_signed`. `served`: the name in the URL. `seconds`: those of `signed_urls`.
        `expire`: other ones for this URL. `download`: the name under which browsers save the file.
        """
        url = reverse(f"{self.namespace}:file", kwargs={"name": served})
        terms = {} if download is None else {"download": download}
        if expire is not None:
            terms["seconds"] = str(expire)
        if seconds is not None:
            seconds = expire or seconds
            step = seconds / _STEADY
            terms["expires"] = f"{time.time() // step * step + seconds:.12g}"
        if not terms:
            return url
        terms["signature"] = _signer().signature(_signed(self.alias, store, name, terms))
        return f"{url}?{urlencode(terms)}"


def is_signed(
    alias: str, store: str, name: str, query: Mapping[str, str], seconds: float | None
) -> bool:
    """
    Whether `Mount.url` has made a URL with this query, for this file, and the URL can still be
    used.

    `store`: `TahoeStorage.seal`; the storage of one alias can be at another place in each request.
    `seconds`: for how long it can be used at most, unless it says so itself; None for ever. A host
    whose clock is ahead signs URLs for longer; they are refused.
    """
    try:
        _signer().unsign(f"{_signed(alias, store, name, query)}:{query.get('signature', '')}")
    except (BadSignature, UnicodeEncodeError):
        return False
    if seconds is None:
        return True
    # Only this site can have signed them, so they are numbers.
    left = float(query.get("expires", 0)) - time.time()
    return 0 <= left <= float(query.get("seconds", seconds)) + _APART


def mount_of(place: Any) -> Mount | None:
    """The mount that serves the storage of a place, see `TahoeStorage.place`, if there is one."""
    reachable: dict[str, Mount] = {}
    for mount in mounts():
        # Of two mounts with one namespace, Django makes the URLs of the first.
        reachable.setdefault(mount.namespace, mount)
    for mount in reachable.values():
        if not mount.captured and mount.place == place:
            return mount
    return None


def mounts() -> tuple[Mount, ...]:
    return _mounts(get_urlconf() or getattr(settings, "ROOT_URLCONF", None))


@lru_cache(maxsize=16)
def _mounts(urlconf: Any) -> tuple[Mount, ...]:
    return () if urlconf is None else tuple(_mounts_in(Mount("", "", {}, frozenset()), urlconf))


def _mounts_in(above: Mount, urlconf: Any) -> Iterator[Mount]:
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


def _signed(alias: str, store: str, name: str, query: Mapping[str, str]) -> str:
    """The text that is signed, in a form that can be read in one way only."""
    terms = map(query.get, ("expires", "seconds", "download"))
    return json.dumps([alias, store, name, *terms])
