"""The trees of this site's storages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import define, field
from django.conf import DEFAULT_STORAGE_ALIAS, settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage, storages

from tahoestorage import conf
from tahoestorage.care.references import every_file_field
from tahoestorage.care.wholetree import WholeTree
from tahoestorage.storage import TahoeStorage
from txtahoe.tree.paths import Path, is_reserved


@define
class Root:
    """
    A tree, and the storages on it: their aliases in STORAGES, and the file fields that use them.

    `whole`: None if settings are missing or wrong; `problem` then says what to change.
    """

    whole: WholeTree | None = field(default=None, repr=False)
    problem: str = ""
    aliases: list[str] = field(factory=list)
    fields: list[str] = field(factory=list)
    storages: list[TahoeStorage] = field(factory=list, repr=False)

    @property
    def names(self) -> list[str]:
        """The aliases of its storages; if none has one, the fields. The first is for URLs."""
        return self.aliases or self.fields

    @property
    def alias(self) -> str | None:
        """The value of `--storage` for `manage.py tahoe`; None if the option is not needed."""
        is_needed = self.aliases and DEFAULT_STORAGE_ALIAS not in self.aliases
        return self.aliases[0] if is_needed else None

    def url_of(self, path: Path) -> str | None:
        """
        The URL of a file: that of the storage with the deepest location around it.

        None if no storage has the file, or if that storage gives it no URL; a URL of another
        storage might make a private file public.

        Raises: the errors of `TahoeStorage.url`.
        """
        if is_reserved(path):
            return None
        for storage in sorted(self.storages, key=lambda each: len(each.location), reverse=True):
            name = WholeTree.of(storage).name_of(path)
            if not name.startswith("/"):
                with suppress(ValueError):
                    return storage.url(name)
                return None
        return None


def all_roots() -> list[Root]:
    """Each tree once, with all storages on it."""
    roots: dict[Any, Root] = {}
    for alias in settings.STORAGES:
        if root := _root_of(roots, partial(storages.__getitem__, alias)):
            root.aliases.append(alias)
    for _, each in every_file_field():
        if root := _root_of(roots, partial(getattr, each, "storage")):
            root.fields.append(str(each))
    # Perhaps the site's own code makes its only storage.
    if not roots and conf.value({}, "tahoe_base_url") and (root := _root_of(roots, TahoeStorage)):
        root.fields.append("settings")
    return list(roots.values())


def _root_of(roots: dict[Any, Root], storage_of: Callable[[], Storage]) -> Root | None:
    """The known or new root of a storage; None if it is not a TahoeStorage."""
    try:
        storage = storage_of()
        if not isinstance(storage, TahoeStorage):
            return None
        whole = WholeTree.of(storage)
        key = whole.connection.gateways, whole.connection.base_cap
    except ImproperlyConfigured as error:
        return roots.setdefault(str(error), Root(problem=str(error)))
    except TypeError:  # of a class that is not ours, for its own OPTIONS
        return None
    root = roots.setdefault(key, Root(whole))
    root.storages.append(storage)
    return root
