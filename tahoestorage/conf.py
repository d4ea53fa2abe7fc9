"""Settings and OPTIONS, in one place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from math import inf
from os import PathLike
from typing import Any, TypedDict
from weakref import WeakValueDictionary

from attrs import field, frozen
from django.conf import settings
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from txtahoe.caps import BadCap, Cap, redact
from txtahoe.http.terms import Terms
from txtahoe.http.transport import gateway_url
from txtahoe.sealing import sealed
from txtahoe.tree.paths import split
from txtahoe.tree.spread.states import Fanout


class Options(TypedDict, total=False):
    """
    The arguments of TahoeStorage, which are also the OPTIONS in Django's STORAGES.

    One that is given wins over its setting, None too: it switches the setting off.
    """

    tahoe_base_url: str | Sequence[str] | None
    """The web address of the gateway. Of several, the first one makes all changes."""
    tahoe_writer_url: str | None
    """That of another gateway, which makes all changes of directories, for all hosts."""
    tahoe_base_cap: str | Cap | None
    """The read-write cap of the directory under which everything is kept."""
    tahoe_base_cap_file: str | PathLike[str] | None
    """Instead of it: the path of a file in which it stands."""
    base_url: str | None
    """The base of download URLs."""
    location: str | None
    """A directory below that of the cap, where the names begin."""
    allow_overwrite: bool | None
    """Whether `save` replaces a file of the same name."""
    timeout: float | None
    """Seconds that a request may go on without progress."""
    max_age: float | None
    """Seconds for which what a name leads to is used without asking again."""
    concurrency: int | None
    """How many uploads are under way at a time, of small files and of large ones each."""
    commit_delay: float | None
    """Seconds that a save waits, at most, for others in its directory, to be linked with them."""
    signed_urls: float | None
    """Seconds for which a URL of a file that `tahoestorage.urls` serves can be used."""
    cache: str | None
    """The cache of Django, by its alias, in which processes share what names lead to."""
    fanout: bool | int | None
    """Whether a directory that has grown is spread over parts; a number: with how many names."""


SETTINGS = {
    "tahoe_base_url": "TAHOE_STORAGE_BASE_URL",
    "tahoe_writer_url": "TAHOE_STORAGE_WRITER_URL",
    "tahoe_base_cap": "TAHOE_STORAGE_BASE_CAP",
    "tahoe_base_cap_file": "TAHOE_STORAGE_BASE_CAP_FILE",
    "base_url": "TAHOE_PUBLIC_BASE_URL",
}
# The caps of the storages of this process, by their fingerprints.
_remembered: WeakValueDictionary[str, Cap] = WeakValueDictionary()
# What stands for a cap where it must not be: its repr.
_FINGERPRINT = re.compile(r"<Cap \S+ (\w{12})>")
_LONGEST_FILE = 2**16  # bytes of a file that may hold a cap
_NUMBERS = {"timeout": 60.0, "max_age": 10.0, "concurrency": 8, "commit_delay": 0.5}
_LEAST_FANOUT = 16  # with fewer names, most of their requests would be about parts
_MAY_BE_ZERO = ("max_age", "commit_delay")
DEFAULTS: dict[str, Any] = {"location": "", "allow_overwrite": False, **_NUMBERS}


@frozen(cache_hash=True)
class Connection:
    """
    How a tree of files is reached, and used. Storages with equal ones share the tree: what is known
    of it, and its changes. How it is used does not count there.

    `gateways`, `writer`: addresses, as `address` gives them. The writer makes all changes; with
    `has_common_writer` it does so for other hosts too, and the tree may name another one.
    `timeout`, `max_age`: go by the storage that calls. `concurrency`, `commit_delay`: go by the one
    that was the first to use the tree. `fanout`: by the first one that has it.
    """

    gateways: tuple[str, ...]
    writer: str
    has_common_writer: bool
    base_cap: Cap
    timeout: float = field(eq=False)
    max_age: float = field(eq=False)
    concurrency: int = field(eq=False)
    commit_delay: float = field(eq=False)
    fanout: Fanout | None = field(eq=False)
    cache: str | None = field(eq=False)

    @property
    def terms(self) -> Terms:
        """On which terms its requests are made."""
        return Terms(self.timeout, self.max_age)


def unknown_options(options: dict[str, Any]) -> str | None:
    """What is wrong with the names of `options`; None where nothing is."""
    for name in options:
        if name not in Options.__annotations__:
            known = sorted(Options.__annotations__)
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(known)}."
            return f"unknown option {name!r}: {hint}"
    return None


def hidden(options: Options) -> Options:
    """The same options, with the cap in a form that shows itself nowhere."""
    given: Any = _text(options.get("tahoe_base_cap"))
    if not given or isinstance(given, BadCap) or _fingerprint(given) is not None:
        return options
    try:
        cap: Any = given if isinstance(given, Cap) else Cap.parse(given)
        cap = _remembered.setdefault(cap.fingerprint, cap)
    except (BadCap, TypeError) as error:
        cap = BadCap(str(error))  # raised when the cap is needed; anew, without a traceback
    return {**options, "tahoe_base_cap": cap}


def written_down(options: Options) -> str | None:
    """What stands for the cap of `hidden` options in migrations and pickles, and leads to it."""
    cap: Any = options.get("tahoe_base_cap")
    if cap is None or isinstance(cap, str):
        return cap
    return repr(cap) if isinstance(cap, Cap) else ""


def hide_caps() -> None:
    """Let no cap show itself in the settings: `diffsettings`, say, prints them as they are."""
    given: Any = getattr(settings, SETTINGS["tahoe_base_cap"], None)
    if given:
        settings.TAHOE_STORAGE_BASE_CAP = hidden({"tahoe_base_cap": given})["tahoe_base_cap"]
    settings.STORAGES = {
        alias: {**backend, "OPTIONS": hidden(backend["OPTIONS"])}
        if (backend.get("OPTIONS") or {}).get("tahoe_base_cap")
        else backend
        for alias, backend in settings.STORAGES.items()
    }


def value(options: Options, name: str) -> Any:
    """An option where it is given, else its setting; where that is None, the default."""
    chosen: Any = options.get(name)
    if name not in options and name in SETTINGS:
        chosen = getattr(settings, SETTINGS[name], None)
    return DEFAULTS.get(name) if chosen is None else chosen


def _text(given: Any) -> Any:
    """A text, be it a lazy one, without blanks around it; anything else as it is."""
    return str(given).strip() if isinstance(given, str | Promise) else given


@sealed
def connection(options: Options) -> Connection:
    """Raises: ImproperlyConfigured, saying which option or setting to mend, and how."""
    every, common = gateways(options), writer(options)
    return Connection(
        tuple(map(address, every)),
        address(common or every[0]),
        common is not None,
        base_cap(options),
        **numbers(options),
        fanout=fanout(options),
        cache=cache(options),
    )


@sealed
def gateways(options: Options) -> tuple[str, ...]:
    """Raises: ImproperlyConfigured."""
    given = value(options, "tahoe_base_url")
    if not given:
        raise ImproperlyConfigured(
            f"{_where('tahoe_base_url')} is missing: the web address of a Tahoe-LAFS gateway, "
            "such as 'http://127.0.0.1:3456/'"
        )
    urls = tuple(map(_text, given if isinstance(given, list | tuple) else [given]))
    for url in urls:
        _require_address(url, "tahoe_base_url")
    return urls


@sealed
def writer(options: Options) -> str | None:
    """The gateway that makes all changes, where it is given. Raises: ImproperlyConfigured."""
    url: str | None = _text(value(options, "tahoe_writer_url")) or None
    if url is not None:
        _require_address(url, "tahoe_writer_url")
    return url


def _require_address(url: str, option: str) -> None:
    try:
        gateway_url(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"{_where(option)}: {error}") from None


def address(url: str) -> str:
    """The one spelling of all addresses of a gateway. Raises: ValueError."""
    return f"{gateway_url(url).to_text().rstrip('/')}/"


def base_url(options: Options) -> str | None:
    """The base of download URLs, where there is one."""
    return str(_text(value(options, "base_url")) or "") or None


@sealed
def base_cap(options: Options) -> Cap:
    """Raises: ImproperlyConfigured."""
    given, where = written_cap(options)
    fingerprint = _fingerprint(given)
    cap = _parsed(given, where) if fingerprint is None else _recalled(fingerprint)
    if cap is None:
        raise ImproperlyConfigured(
            f"{where} is {given!r}: the cap of this fingerprint is not among the settings and "
            "STORAGES here. Give it there, or in a file by the option 'tahoe_base_cap_file'"
        )
    if not cap.is_directory or not cap.is_readable:
        raise ImproperlyConfigured(
            f"{where} is {cap!r}, not the cap of a directory, such as 'URI:DIR2:…'"
        )
    return cap


def _parsed(given: Any, where: str) -> Cap:
    if not given:
        raise ImproperlyConfigured(
            f"{where} is missing: the cap of a directory; `manage.py tahoe init` makes one"
        )
    try:
        if isinstance(given, BadCap):
            raise given
        return given if isinstance(given, Cap) else Cap.parse(given)
    except (BadCap, TypeError) as error:
        raise ImproperlyConfigured(f"{where}: {error}") from None


def _fingerprint(given: Any) -> str | None:
    """The fingerprint in what `written_down` gives; None for anything else."""
    found = _FINGERPRINT.fullmatch(given) if isinstance(given, str) else None
    return found and found[1]


def _recalled(fingerprint: str) -> Cap | None:
    """The cap of a fingerprint, if a storage of this process or the settings have it."""
    known = _remembered.get(fingerprint)
    return known or next((cap for cap in _caps() if cap.fingerprint == fingerprint), None)


def _caps() -> Iterator[Cap]:
    """Those of the settings and of STORAGES."""
    every: list[Any] = [{}, *(backend.get("OPTIONS") for backend in settings.STORAGES.values())]
    for given in every:
        options: Any = given if isinstance(given, dict) else {}
        with suppress(ImproperlyConfigured):
            yield _parsed(*written_cap(options))


@sealed
def written_cap(options: Options) -> tuple[Any, str]:
    """
    The base cap as it is given, or as it stands in its file, and which setting is to be mended
    where it is wrong.

    Raises: ImproperlyConfigured where the file cannot be read, or where there are both.
    """
    cap, file = _cap_and_file(options)
    if not file:
        return cap, _where("tahoe_base_cap")
    where = _where("tahoe_base_cap_file")
    if cap:
        raise ImproperlyConfigured(
            f"{_where('tahoe_base_cap')} and {where} are both given: keep one of them"
        )
    return _content(file, where), where


def cap_file(options: Options) -> str | PathLike[str] | None:
    """The file in which the base cap stands, if it does."""
    file = _cap_and_file(options)[1]
    return file if file and isinstance(file, str | PathLike) else None


def _cap_and_file(options: Options) -> tuple[Any, Any]:
    """Both of them from the options where one is there, else from the settings."""
    names = ("tahoe_base_cap", "tahoe_base_cap_file")
    given: list[Any] = [options.get(name) for name in names]
    if given == [None, None]:
        given = [value(options, name) for name in names]
    return _text(given[0]), _text(given[1])


def _content(file: Any, where: str) -> bytes:
    named = f"{where} is {redact(str(file))!r}"
    try:
        if not isinstance(file, str | PathLike):
            raise ValueError("no path")  # open() takes numbers too
        with open(file, "rb") as opened:
            content = opened.read(_LONGEST_FILE).strip()
    except ValueError:
        raise ImproperlyConfigured(f"{named}, not the path of a file") from None
    except OSError as error:
        raise ImproperlyConfigured(f"{named}, and cannot be read: {error.strerror}") from None
    if not content:
        raise ImproperlyConfigured(f"{named}, a file that is empty: it is to hold the cap")
    return content


@sealed
def location(options: Options) -> str:
    """Raises: ImproperlyConfigured."""
    given = str(value(options, "location"))
    try:
        split(given.replace("\\", "/"))
    except ValueError as error:
        wrong = f"the option 'location' is {redact(repr(given))}: {error}"
        raise ImproperlyConfigured(wrong) from None
    return given


@sealed
def numbers(options: Options) -> dict[str, Any]:
    """The options that are numbers. Raises: ImproperlyConfigured."""
    given = {name: value(options, name) for name in _NUMBERS}
    for name, number in given.items():
        kinds = type(_NUMBERS[name]) | int
        is_number = isinstance(number, kinds) and not isinstance(number, bool)
        if not is_number or not 0 <= number < inf or (number == 0 and name not in _MAY_BE_ZERO):
            what = "whole number" if kinds is int else "number of seconds"
            least = "not below 0" if name in _MAY_BE_ZERO else "above 0"
            raise ImproperlyConfigured(f"the option {name!r} is a {what}, {least}")
    return given


@sealed
def signed_urls(options: Options) -> float | None:
    """Raises: ImproperlyConfigured."""
    seconds: float | None = value(options, "signed_urls")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is None or (is_number and 1 <= seconds < inf):
        return seconds
    raise ImproperlyConfigured("the option 'signed_urls' is a number of seconds, 1 or more")


@sealed
def cache(options: Options) -> str | None:
    """Raises: ImproperlyConfigured."""
    given: str | None = value(options, "cache")
    if given is None:
        return None
    if given not in list(settings.CACHES):
        known = ", ".join(map(repr, settings.CACHES))
        raise ImproperlyConfigured(f"the option 'cache' is not one of CACHES, which are {known}")
    with suppress(ImportError):  # Django itself says so, in better words
        if issubclass(import_string(settings.CACHES[given]["BACKEND"]), BaseDatabaseCache):
            raise ImproperlyConfigured(
                f"the option 'cache' is {given!r}, a cache in a database, which forgets with a "
                "transaction that is rolled back that a file has changed: give another one"
            )
    return given


@sealed
def fanout(options: Options) -> Fanout | None:
    """Raises: ImproperlyConfigured."""
    given: bool | int | None = value(options, "fanout")
    if given is None or isinstance(given, bool):
        return Fanout() if given else None
    if isinstance(given, int) and given >= _LEAST_FANOUT:
        return Fanout(given)
    raise ImproperlyConfigured(
        f"the option 'fanout' is True, or a number of names, {_LEAST_FANOUT} or more"
    )


def _where(option: str) -> str:
    return f"{SETTINGS[option]} (or the option {option!r})"
