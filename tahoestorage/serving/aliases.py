"""The storage that a part of this site works with."""

from __future__ import annotations

from functools import cache

from django.conf import DEFAULT_STORAGE_ALIAS
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages

from tahoestorage.storage import TahoeStorage


def storage_of(alias: str = DEFAULT_STORAGE_ALIAS) -> TahoeStorage:
    """
    The TahoeStorage of an alias in STORAGES. Where the default one is of another kind, it is that
    of the three settings.

    Raises: ImproperlyConfigured.
    """
    storage = storages[alias]
    if isinstance(storage, TahoeStorage):
        return storage
    if alias == DEFAULT_STORAGE_ALIAS:
        return _of_settings()
    kind = type(storage).__name__
    raise ImproperlyConfigured(
        f"STORAGES[{alias!r}] is not a TahoeStorage but a {kind}; give the alias of one"
    )


@cache
def _of_settings() -> TahoeStorage:
    return TahoeStorage()
