"""The TahoeStorages of the project: those of STORAGES, and those of the models' file fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import isclass, signature
from typing import Any

from attrs import frozen
from django.conf import settings
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db.models import FileField
from django.utils.module_loading import import_string

from tahoestorage import conf
from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.care.references import every_file_field
from tahoestorage.grid.paths import Location
from tahoestorage.storage import TahoeStorage
from txtahoe.caps import Cap
from txtahoe.http.transport import gateway_url
from txtahoe.tree.paths import Path

_MOST_NAMES = 3  # that one message lists

User = str | FileField
"""A storage as messages name it: `STORAGES['default']`, or the file field that has it."""


@frozen
class Found:
    """A storage that the project uses. `options` are arguments of the class `kind`."""

    user: User
    kind: type[TahoeStorage]
    options: conf.Options


def every_storage() -> Iterator[Found]:
    """All storages, whatever is wrong with their options."""
    for alias, cls in every_class():
        yield Found(name_of(alias), _kind(cls), _options(alias, cls))
    for field in file_fields():
        storage: Any = field.storage  # perhaps lazy, so that type() would be of its wrapper
        yield Found(field, _kind(storage.__class__), storage.options)


def name_of(alias: str) -> str:
    """How messages name the storage of an alias."""
    return f"STORAGES[{alias!r}]"


def class_of(backend: Mapping[str, Any]) -> type[TahoeStorage] | None:
    """The class of a value of STORAGES if it is a TahoeStorage."""
    try:
        cls = import_string(backend.get("BACKEND", ""))
    except ImportError:
        return None  # Django itself reports it, in better words
    return cls if isclass(cls) and issubclass(cls, TahoeStorage) else None


def every_class() -> Iterator[tuple[str, type[TahoeStorage]]]:
    """The aliases of STORAGES that are TahoeStorages, with their classes."""
    for alias, backend in settings.STORAGES.items():
        if (cls := class_of(backend)) is not None:
            yield alias, cls


def _options(alias: str, cls: type[TahoeStorage]) -> conf.Options:
    """The options among the OPTIONS of an alias; its class can have arguments of its own too."""
    own = signature(cls.__init__).parameters
    given = settings.STORAGES[alias].get("OPTIONS")
    given = given if isinstance(given, Mapping) else {}
    options: Any = {name: given[name] for name in given if name not in own}
    return conf.hidden(options)


def _kind(cls: type[Any]) -> type[TahoeStorage]:
    return TahoeCapStorage if issubclass(cls, TahoeCapStorage) else TahoeStorage


def file_fields() -> Iterator[FileField]:
    """The models' file fields whose storage is a TahoeStorage."""
    for _, field in every_file_field():
        # Django makes the default storage at the first look. `check_storages` reports what fails.
        with suppress(ImproperlyConfigured, TypeError):
            if isinstance(field.storage, TahoeStorage):
                yield field


def told_once(found: Iterable[tuple[User, CheckMessage]]) -> list[CheckMessage]:
    """The messages without repetitions; the `obj` of each names the storages that it is about."""
    messages: dict[tuple[str, str], CheckMessage] = {}
    users: dict[tuple[str, str], dict[User, None]] = {}
    for user, message in found:
        key = str(message.id), message.msg
        messages.setdefault(key, message)
        users.setdefault(key, {})[user] = None
    for key, message in messages.items():
        message.obj = message.obj or _listed([*users[key]])
    return [*messages.values()]


def _listed(users: Sequence[User]) -> User:
    if len(users) == 1:
        return users[0]
    more = len(users) - _MOST_NAMES
    *names, last = map(str, [*users[:_MOST_NAMES], *([f"{more} more"] if more > 0 else [])])
    return f"{', '.join(names)} and {last}"


@frozen
class Place:
    """The directory in which a storage keeps its files, and the gateway that changes it."""

    user: User
    root: Cap
    location: Path
    writer: str
    base_url: str | None
    is_signed: bool

    def holds(self, other: Place) -> bool:
        """Whether the files of another storage are among its own."""
        is_above = other.location[: len(self.location)] == self.location
        return is_above and self.root.names_same(other.root)


def every_place() -> Iterator[Place]:
    """The places of all storages whose options are good; `check_storages` reports the others."""
    for found in every_storage():
        with suppress(ImproperlyConfigured, TypeError, ValueError):
            yield place_of(found.user, found.options)


def place_of(user: User, options: conf.Options) -> Place:
    """Raises: ImproperlyConfigured, TypeError, ValueError if an option is wrong."""
    location = Location(conf.location(options)).root
    writer = conf.writer(options) or conf.gateways(options)[0]
    url = gateway_url(writer).to_text()
    is_signed = conf.signed_urls(options) is not None
    root, base_url = conf.base_cap(options), conf.base_url(options)
    return Place(user, root, location, url, base_url, is_signed)
