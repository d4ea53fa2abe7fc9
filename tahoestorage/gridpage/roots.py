"""The trees of this site's storages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from attrs import evolve, field, frozen
from django.conf import DEFAULT_STORAGE_ALIAS, settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages

from tahoestorage import conf
from tahoestorage.care.references import every_file_field
from tahoestorage.care.wholetree import WholeTree
from tahoestorage.storage import TahoeStorage
from txtahoe.tree.paths import Path, is_reserved


@frozen
class Root:
    """
    A tree, and the storages on it.

    `names`: the alias of each storage in STORAGES; if none has an alias, the fields that use them.
    `whole`: None if settings are missing or wrong; `problem` then says what to change.
    """

    names: tuple[str, ...]
    whole: WholeTree | None = field(default=None, repr=False)
    problem: str = ""
    storages: tuple[TahoeStorage, ...] = field(default=(), repr=False)

    @property
    def key(self) -> str:
        """The name of the tree in an address."""
        return self.names[0]

    @property
    def alias(self) -> str | None:
        """The value of `--storage` for `manage.py tahoe`; None if the option is not needed."""
        aliases = [name for name in self.names if name in settings.STORAGES]
        return None if DEFAULT_STORAGE_ALIAS in aliases or not aliases else aliases[0]

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

    @property
    def _identity(self) -> Any:
        connection = self.whole and self.whole.connection
        return (connection.gateways, connection.base_cap) if connection else self.problem


def all_roots() -> list[Root]:
    """Each tree once, with all storages on it."""
    found: dict[Any, Root] = {}
    for roots in (_of_settings(), _of_fields()):
        named = set(found)
        for root in roots:
            if root._identity not in named:
                known = found.setdefault(root._identity, evolve(root, names=(), storages=()))
                found[root._identity] = evolve(
                    known,
                    names=known.names + root.names,
                    storages=known.storages + root.storages,
                )
    return list(found.values()) or list(_of_the_three_settings())


def _of_settings() -> Iterator[Root]:
    for alias in settings.STORAGES:
        try:
            storage = storages[alias]
        except ImproperlyConfigured as error:
            yield Root((alias,), problem=str(error))
            continue
        if isinstance(storage, TahoeStorage):
            yield _root(alias, storage)


def _of_fields() -> Iterator[Root]:
    for _, each in every_file_field():
        with suppress(ImproperlyConfigured):  # of the default storage, which is in the list already
            if isinstance(each.storage, TahoeStorage):
                yield _root(str(each), each.storage)


def _of_the_three_settings() -> Iterator[Root]:
    """A storage that only the site's own code may construct."""
    if conf.value({}, "tahoe_base_url"):
        yield _root("settings", TahoeStorage())


def _root(name: str, storage: TahoeStorage) -> Root:
    try:
        return Root((name,), WholeTree.of(storage), storages=(storage,))
    except ImproperlyConfigured as error:
        return Root((name,), problem=str(error))
