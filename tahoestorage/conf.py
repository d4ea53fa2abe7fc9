"""Settings and OPTIONS, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from math import inf
from os import PathLike
from typing import Any, TypedDict

from attrs import field, frozen
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from txtahoe.caps import BadCap, Cap, redact
from txtahoe.layouts import Fanout
from txtahoe.sealing import sealed
from txtahoe.transport import gateway_url


class Options(TypedDict, total=False):
    """The arguments of TahoeStorage, which are also the OPTIONS in Django's STORAGES."""

    tahoe_base_url: str | Sequence[str]
    """The web address of the gateway. Of several, the first one makes all changes."""
    tahoe_writer_url: str | None
    """That of another gateway, which makes all changes of directories, for all hosts."""
    tahoe_base_cap: str | Cap | None
    """The read-write cap of the directory under which everything is kept."""
    tahoe_base_cap_file: str | PathLike[str] | None
    """Instead of it: the path of a file in which it stands."""
    base_url: str | None
    """The base of download URLs."""
    location: str
    """A directory below that of the cap, where the names begin."""
    allow_overwrite: bool
    """Whether `save` replaces a file of the same name."""
    timeout: float
    """Seconds that a request may go on without progress."""
    max_age: float
    """Seconds for which what a name leads to is used without asking again."""
    concurrency: int
    """How many uploads are under way at a time, of small files and of large ones each."""
    commit_delay: float
    """Seconds that a save waits, at most, for others in its directory, to be linked with them."""
    signed_urls: float
    """Seconds for which a URL of a file that `tahoestorage.urls` serves can be used."""
    cache: str | None
    """The cache of Django, by its alias, in which processes share what names lead to."""
    fanout: bool | int
    """Whether a directory that has grown is spread over parts; a number: with how many names."""


SETTINGS = {
    "tahoe_base_url": "TAHOE_STORAGE_BASE_URL",
    "tahoe_writer_url": "TAHOE_STORAGE_WRITER_URL",
    "tahoe_base_cap": "TAHOE_STORAGE_BASE_CAP",
    "tahoe_base_cap_file": "TAHOE_STORAGE_BASE_CAP_FILE",
    "base_url": "TAHOE_PUBLIC_BASE_URL",
}
_remembered: dict[str, Cap] = {}
_LONGEST_FILE = 2**16  # bytes of a file that may hold a cap
_NUMBERS = {"timeout": 60.0, "max_age": 10.0, "concurrency": 8, "commit_delay": 0.5}
_LEAST_FANOUT = 16  # with fewer names, most of their requests would be about parts
_MAY_BE_ZERO = ("max_age", "commit_delay")
DEFAULTS: dict[str, Any] = {"location": "", "allow_overwrite": False, **_NUMBERS}


@frozen(cache_hash=True)
class Connection:
    """
    What it takes to reach a tree of files. Storages with equal ones share their connections.

    `writer`: the gateway that makes all changes; with `has_common_writer` it does so for other
    hosts too, and the tree may name another one.
    """

    gateways: tuple[str, ...]
    writer: str
    has_common_writer: bool
    base_cap: Cap
    timeout: float
    max_age: float
    concurrency: int
    commit_delay: float
    fanout: Fanout | None
    cache: str | None = field(eq=False)  # the tree is the same with any


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
    given: Any = options.get("tahoe_base_cap")
    if not given or isinstance(given, Cap | BadCap):
        return options
    try:
        cap: Any = Cap.parse(given)
    except (BadCap, TypeError) as error:
        cap = BadCap(str(error))  # raised when the cap is needed; anew, without a traceback
    return {**options, "tahoe_base_cap": cap}


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


def remember(cap: Cap) -> str:
    """The fingerprint by which this process, and those that it forks, can `recall` a cap."""
    _remembered[cap.fingerprint] = cap
    return cap.fingerprint


def recall(fingerprint: str) -> Cap | None:
    """The directory cap of a fingerprint, if it was remembered or stands in the settings."""
    every: list[Options] = [{}]
    every += [backend.get("OPTIONS", {}) for backend in settings.STORAGES.values()]
    for options in every:
        with suppress(ImproperlyConfigured):
            remember(base_cap(options))
    return _remembered.get(fingerprint)


def value(options: Options, name: str) -> Any:
    """An option, else its setting, else its default."""
    chosen: Any = options.get(name)
    if chosen is None and name in SETTINGS:
        chosen = getattr(settings, SETTINGS[name], None)
    return DEFAULTS.get(name) if chosen is None else chosen


@sealed
def connection(options: Options) -> Connection:
    """Raises: ImproperlyConfigured, saying which option or setting to mend, and how."""
    every, common = gateways(options), writer(options)
    return Connection(
        every,
        common or every[0],
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
    urls = tuple(given) if isinstance(given, list | tuple) else (given,)
    for url in urls:
        _require_address(url, "tahoe_base_url")
    return urls


@sealed
def writer(options: Options) -> str | None:
    """The gateway that makes all changes, where it is given. Raises: ImproperlyConfigured."""
    url: str | None = value(options, "tahoe_writer_url") or None
    if url is not None:
        _require_address(url, "tahoe_writer_url")
    return url


def _require_address(url: str, option: str) -> None:
    try:
        gateway_url(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"{_where(option)}: {error}") from None


@sealed
def base_cap(options: Options) -> Cap:
    """Raises: ImproperlyConfigured."""
    given, where = written_cap(options)
    if not given:
        raise ImproperlyConfigured(
            f"{where} is missing: the cap of a directory; `manage.py tahoe init` makes one"
        )
    try:
        if isinstance(given, BadCap):
            raise given
        cap = given if isinstance(given, Cap) else Cap.parse(given)
    except (BadCap, TypeError) as error:
        raise ImproperlyConfigured(f"{where}: {error}") from None
    if not cap.is_directory or not cap.is_readable:
        raise ImproperlyConfigured(
            f"{where} is {cap!r}, not the cap of a directory, such as 'URI:DIR2:…'"
        )
    return cap


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
    cap, file = options.get("tahoe_base_cap"), options.get("tahoe_base_cap_file")
    if cap is not None or file is not None:
        return cap, file
    return value({}, "tahoe_base_cap"), value({}, "tahoe_base_cap_file")


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
    if ".." in given.replace("\\", "/").split("/"):
        raise ImproperlyConfigured("the option 'location' must not climb with '..'")
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
    if given is None or given in list(settings.CACHES):
        return given
    known = ", ".join(map(repr, settings.CACHES))
    raise ImproperlyConfigured(f"the option 'cache' is not one of CACHES, which are {known}")


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
