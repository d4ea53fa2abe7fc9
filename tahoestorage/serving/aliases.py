"""The storage behind an alias."""

from __future__ import annotations

from functools import cache

from django.conf import DEFAULT_STORAGE_ALIAS
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages

from tahoestorage.storage import TahoeStorage

# The storage of the three settings, for sites whose default storage is of another kind.
_of_settings = cache(TahoeStorage)


def storage_of(alias: str = DEFAULT_STORAGE_ALIAS) -> TahoeStorage:
    """
    The TahoeStorage of an alias in STORAGES; that of the three settings if the default storage is
    of another kind.

    Raises: ImproperlyConfigured.
    """
    storage = storages[alias]
    if isinstance(storage, TahoeStorage):
        return storage
    if alias == DEFAULT_STORAGE_ALIAS:
        return _of_settings()
    raise ImproperlyConfigured(f"STORAGES[{alias!r}] is not a TahoeStorage")
