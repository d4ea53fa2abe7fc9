"""The trees that the storages of this site are on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from attrs import evolve, field, frozen
from django.conf import DEFAULT_STORAGE_ALIAS, settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages

from tahoestorage import conf
from tahoestorage.care.filefields import every_file_field
from tahoestorage.care.wholetree import WholeTree
from tahoestorage.storage import TahoeStorage


@frozen
class Root:
    """
    A tree, and the storages on it.

    `names`: of each storage its alias in STORAGES; where none has one, the fields that they are of.
    `whole`: None where the settings are not as they should be; `problem` says what to mend.
    """

    names: tuple[str, ...]
    whole: WholeTree | None = field(default=None, repr=False)
    problem: str = ""

    @property
    def key(self) -> str:
        """What tells it from others, in an address."""
        return self.names[0]

    @property
    def alias(self) -> str | None:
        """What the option `--storage` of `manage.py tahoe` is to be; None where it needs none."""
        aliases = [name for name in self.names if name in settings.STORAGES]
        return None if DEFAULT_STORAGE_ALIAS in aliases or not aliases else aliases[0]

    @property
    def _identity(self) -> Any:
        connection = self.whole and self.whole.connection
        return (connection.gateways, connection.base_cap) if connection else self.problem


def all_roots() -> list[Root]:
    """One for each tree, however many storages are on it."""
    found: dict[Any, Root] = {}
    for roots in (_of_settings(), _of_fields()):
        named = set(found)
        for root in roots:
            if root._identity not in named:
                known = found.setdefault(root._identity, evolve(root, names=()))
                found[root._identity] = evolve(known, names=known.names + root.names)
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
        with suppress(ImproperlyConfigured):  # of the default storage, which is told already
            if isinstance(each.storage, TahoeStorage):
                yield _root(str(each), each.storage)


def _of_the_three_settings() -> Iterator[Root]:
    """A storage that views may make by themselves."""
    if conf.value({}, "tahoe_base_url"):
        yield _root("settings", TahoeStorage())


def _root(name: str, storage: TahoeStorage) -> Root:
    try:
        return Root((name,), WholeTree.of(storage))
    except ImproperlyConfigured as error:
        return Root((name,), problem=str(error))
