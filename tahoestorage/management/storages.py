"""Which storage a command is about."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import InvalidStorageError, storages
from django.core.management.base import CommandError, CommandParser

from tahoestorage import conf
from tahoestorage.storage import TahoeStorage


def add_storage_argument(parser: CommandParser) -> None:
    """`--storage ALIAS`, to be read by `options_of`."""
    parser.add_argument(
        "--storage",
        metavar="ALIAS",
        help="one of STORAGES; default: 'default', or else the TAHOE_ settings",
    )


def storage_of(alias: str | None) -> TahoeStorage:
    """
    A storage by its alias. None is for "default", and where that one is of another kind for a
    storage that has the settings alone.

    Raises: CommandError where `alias` is no TahoeStorage.
    """
    try:
        storage = storages[alias or "default"]
    except (InvalidStorageError, ImproperlyConfigured) as error:
        raise CommandError(str(error)) from None
    if isinstance(storage, TahoeStorage):
        return storage
    if alias is None:
        return TahoeStorage()
    raise CommandError(f"The storage {alias!r} is no TahoeStorage.")


def options_of(alias: str | None) -> conf.Options:
    """The options of `storage_of`, for the functions of `conf`. Raises: as that."""
    return storage_of(alias).options
