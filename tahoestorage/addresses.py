"""The URLs of files: by cap, for a public gateway; by name, where this site serves them."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

from attrs import frozen
from django.conf import DEFAULT_STORAGE_ALIAS, settings
from django.core.files.storage import storages
from django.core.signing import BadSignature, Signer
from django.urls import get_resolver, get_script_prefix, get_urlconf, resolve, reverse

from tahoestorage import conf
from tahoestorage.locations import Location
from txtahoe.caps import Cap

NAMESPACE = "tahoestorage"
# A signed URL stays the same for this part of its time, so that browsers can keep the file.
_STEADY = 10


def public_url(base_url: str, cap: Cap, file_name: str) -> str:
    """`<base_url>named/<cap>/<file name>`; see GATEWAY.md 3."""
    # Percent signs for what JavaScript's encodeURIComponent() escapes, as Django does it.
    escaped = quote(file_name, safe="~!*()'")
    return f"{base_url}named/{cap!s}/{escaped}"


@frozen
class Mount:
    """A place among the URLs of this site where `tahoestorage.urls` serves the storage `alias`."""

    namespace: str
    alias: str

    def url(self, name: str, served: str, seconds: float | None) -> str:
        """
        The URL of a file; a signed one can be used for 90 % of `seconds`, or up to all.

        `served`: the name in the URL.
        """
        url = reverse(f"{self.namespace}:file", kwargs={"name": served})
        if seconds is None:
            return url
        step = max(1, int(seconds / _STEADY))
        expires = int(time.time() // step * step + seconds)
        signature = _signer().signature(_signed(self.alias, name, expires))
        return f"{url}?{urlencode({'expires': expires, 'signature': signature})}"


def is_signed(alias: str, name: str, expires: str, signature: str) -> bool:
    """Whether a URL was made by `Mount.url`, for this file, and can still be used."""
    if not expires.isdecimal() or not expires.isascii() or int(expires) < time.time():
        return False
    try:
        _signer().unsign(f"{_signed(alias, name, int(expires))}:{signature}")
    except BadSignature:
        return False
    return True


def mount_of(place: Any) -> Mount | None:
    """Where the storage of a place, see `TahoeStorage.place`, is served, if it is."""
    for mount in _mounts(get_urlconf() or getattr(settings, "ROOT_URLCONF", None)):
        if _place_of(mount.alias) == place:
            return mount
    return None


@lru_cache(maxsize=16)
def _mounts(urlconf: Any) -> tuple[Mount, ...]:
    if urlconf is None:
        return ()
    namespaces = get_resolver(urlconf).app_dict.get(NAMESPACE, [])
    return tuple(Mount(namespace, _alias(namespace)) for namespace in namespaces)


def _alias(namespace: str) -> str:
    """The storage of a mount: what its `path()` gives to the view."""
    url = reverse(f"{namespace}:file", kwargs={"name": "name"})
    match = resolve("/" + url.removeprefix(get_script_prefix()))
    return str(match.kwargs.get("storage", DEFAULT_STORAGE_ALIAS))


def _place_of(alias: str) -> Any:
    storage = storages[alias]
    if alias == DEFAULT_STORAGE_ALIAS and not hasattr(storage, "place"):
        # Files are elsewhere by default: what is served is the storage of the three settings.
        return conf.connection({}), Location(conf.location({})).path
    return getattr(storage, "place", None)


def _signer() -> Signer:
    return Signer(salt="tahoestorage.addresses")


def _signed(alias: str, name: str, expires: int) -> str:
    return f"{expires}:{alias}:{name}"
