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


def options_of(alias: str | None) -> conf.Options:
    """
    The options of a storage, for the functions of `conf`. None is for "default", and where that
    one is of another kind for the settings alone, as those of a storage without options.

    Raises: CommandError where `alias` is no TahoeStorage.
    """
    try:
        storage = storages[alias or "default"]
    except (InvalidStorageError, ImproperlyConfigured) as error:
        raise CommandError(str(error)) from None
    if isinstance(storage, TahoeStorage):
        return storage.options
    if alias is None:
        return {}
    raise CommandError(f"The storage {alias!r} is no TahoeStorage.")
