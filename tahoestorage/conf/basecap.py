"""The cap under which a storage keeps everything: where it is given, and how it stays hidden."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from typing import Any
from weakref import WeakValueDictionary

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise

from tahoestorage.conf.options import SETTINGS, Options, checked, value, where
from txtahoe.caps import BadCap, Cap, redact
from txtahoe.sealing import sealed

# The caps of the storages of this process, by their fingerprints.
_remembered: WeakValueDictionary[str, Cap] = WeakValueDictionary()
# The repr of a cap: migrations and pickles hold it in place of the cap.
_FINGERPRINT = re.compile(r"<Cap \S+ (\w{12})>")
_LONGEST_FILE = 2**16  # bytes of a file that can hold a cap
_NAMES = ("tahoe_base_cap", "tahoe_base_cap_file")


class CapMissing(ImproperlyConfigured):
    """No cap is given, neither by itself nor in a file."""


class CapNotText(ImproperlyConfigured):
    """The site gives something else than a str as the cap."""


def text(given: Any) -> Any:
    """A str, also a lazy one, without blanks around it; anything else unchanged."""
    return str(given).strip() if isinstance(given, str | Promise) else given


def hidden(options: Options) -> Options:
    """
    Return the same options with the cap as a value whose repr shows a fingerprint.

    A malformed cap becomes the error that tells why. `base_cap` raises it.
    """
    given: Any = text(options.get("tahoe_base_cap"))
    if not given or isinstance(given, BadCap | TypeError) or _fingerprint(given) is not None:
        return options
    try:
        cap: Any = given if isinstance(given, Cap) else Cap.parse(given)
        cap = _remembered.setdefault(cap.fingerprint, cap)
    except (BadCap, TypeError) as error:
        cap = type(error)(str(error))  # anew, without a traceback
    return {**options, "tahoe_base_cap": cap}


def written_down(options: Options) -> str | None:
    """Return the text for the cap of `hidden` options in migrations and pickles: its repr."""
    cap: Any = options.get("tahoe_base_cap")
    if cap is None or isinstance(cap, str):
        return cap
    return repr(cap) if isinstance(cap, Cap) else ""


def hide_caps() -> None:
    """Replace the caps in the settings by hidden ones: `diffsettings`, say, prints all settings."""
    given: Any = getattr(settings, SETTINGS["tahoe_base_cap"], None)
    if given:
        settings.TAHOE_STORAGE_BASE_CAP = hidden({"tahoe_base_cap": given})["tahoe_base_cap"]
    settings.STORAGES = {
        alias: {**backend, "OPTIONS": hidden(backend["OPTIONS"])}
        if isinstance(backend.get("OPTIONS"), Mapping)
        else backend
        for alias, backend in settings.STORAGES.items()
    }


@sealed
def base_cap(options: Options) -> Cap:
    """
    Return the cap of a directory, with `read_only` its read-cap; the storage can at least read it.

    Raises: CapMissing; CapNotText; ImproperlyConfigured for another cap, and as `written_cap`.
    """
    given, name = written_cap(options)
    fingerprint = _fingerprint(given)
    cap = _parsed(given, name) if fingerprint is None else _recalled(fingerprint)
    if cap is None:
        raise ImproperlyConfigured(
            f"{name} is {given!r}: the cap of this fingerprint is not among the settings and "
            "STORAGES here. Give it there, or in a file by the option 'tahoe_base_cap_file'"
        )
    if not cap.is_directory or not cap.is_readable:
        raise ImproperlyConfigured(
            f"{name} is {cap!r}, not the cap of a directory: give one such as 'URI:DIR2:…'"
        )
    return cap.reader if checked(options, "read_only") else cap


def _parsed(given: Any, name: str) -> Cap:
    if not given:
        raise CapMissing(
            f"{name} is missing: give the cap of a directory; `manage.py tahoe init` makes one"
        )
    try:
        if isinstance(given, BadCap | TypeError):
            raise given
        return given if isinstance(given, Cap) else Cap.parse(given)
    except TypeError as error:
        raise CapNotText(f"{name}: {error}") from None
    except BadCap as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def _fingerprint(given: Any) -> str | None:
    """The fingerprint in what `written_down` gives; None for anything else."""
    found = isinstance(given, str) and _FINGERPRINT.fullmatch(given)
    return found[1] if found else None


def _recalled(fingerprint: str) -> Cap | None:
    """The cap of a fingerprint, if a storage of this process or the settings have it."""
    if known := _remembered.get(fingerprint):
        return known
    every: list[Any] = [{}, *(backend.get("OPTIONS") for backend in settings.STORAGES.values())]
    for given in every:
        with suppress(ImproperlyConfigured):
            options: Any = given if isinstance(given, Mapping) else {}
            cap = _parsed(*written_cap(options))
            if cap.fingerprint == fingerprint:
                return cap
    return None


@sealed
def written_cap(options: Options) -> tuple[Any, str]:
    """
    Return the cap as it is given, or as its file holds it, and the setting it is from.

    Raises: ImproperlyConfigured if the file cannot be read, or if the cap and a file are given.
    """
    cap, file = _cap_and_file(options)
    if not file:
        return cap, where("tahoe_base_cap")
    name = where("tahoe_base_cap_file")
    if cap:
        raise ImproperlyConfigured(
            f"{where('tahoe_base_cap')} and {name} are both given: keep one of them"
        )
    return _content(file, name), name


def cap_file(options: Options) -> str | PathLike[str] | None:
    """The file that holds the cap, if one is given."""
    file = _cap_and_file(options)[1]
    return file if file and isinstance(file, str | PathLike) else None


def _cap_and_file(options: Options) -> tuple[Any, Any]:
    """Both of them from the options if one of them is there, else from the settings."""
    given: list[Any] = [options.get(name) for name in _NAMES]
    if given == [None, None]:
        given = [value(options, name) for name in _NAMES]
    return text(given[0]), text(given[1])


def _content(file: Any, name: str) -> bytes:
    named = f"{name} is {redact(str(file))!r}"
    try:
        if not isinstance(file, str | PathLike):
            raise ValueError("no path")  # open() takes numbers too
        with open(file, "rb") as opened:
            content = opened.read(_LONGEST_FILE).strip()
    except ValueError:
        raise ImproperlyConfigured(f"{named}, not the path of a file") from None
    except OSError as error:
        raise ImproperlyConfigured(f"{named}, which cannot be read: {error.strerror}") from None
    if not content:
        raise ImproperlyConfigured(f"{named}, an empty file: write the cap into it")
    return content
