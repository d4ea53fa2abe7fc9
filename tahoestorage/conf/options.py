"""
The options of a storage: one table of their names, settings, types, defaults and help.

Each option is an argument of TahoeStorage, a key of OPTIONS in Django's STORAGES, and a setting.
To add an option, add it to `Options`: the setting, the system check of its type, and the test that
compares the manual with this table follow from that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from math import inf
from os import PathLike
from typing import Annotated, Any, Required, TypedDict, get_type_hints

from attrs import frozen
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise

from tahoestorage.redaction import redact
from txtahoe.caps import Cap
from txtahoe.sealing import sealed

_LONGEST = 100  # characters of a wrong value that a message shows
_LEAST_FANOUT = 16  # with fewer names, most of their requests would be about parts


def _is_bool(given: Any) -> bool:
    return isinstance(given, bool)


def _is_whole(given: Any) -> bool:
    return isinstance(given, int) and not _is_bool(given)


def _is_number(given: Any) -> bool:
    return (_is_whole(given) or isinstance(given, float)) and -inf < given < inf


def _is_path(given: Any) -> bool:
    return isinstance(given, str | PathLike | Promise)


@frozen
class Option:
    """
    One option, as the manual and the checks describe it.

    `type`: its type in words; they follow "must be".
    `default`: counts if neither the option nor its setting is given, or if it is None.
    `accepts`: whether a value that is not None is good. None leaves that to a function of its own.
    """

    type: str
    help: str
    default: Any = None
    accepts: Callable[[Any], bool] | None = None
    unit: str = ""

    @property
    def must_be(self) -> str:
        """The type with its unit, for messages."""
        return f"{self.type}, in {self.unit}" if self.unit else self.type


class ContentCacheOptions(TypedDict, total=False):
    """The option `content_cache` as a dict: arguments of `txtahoe.ContentCache`."""

    path: Required[str | PathLike[str]]
    max_bytes: int
    max_file_bytes: int


def _is_content_cache(given: Any) -> bool:
    path, sizes = given, {}
    if isinstance(given, dict):
        path, sizes = given.get("path"), {k: v for k, v in given.items() if k != "path"}
    is_path = isinstance(path, str | PathLike) and path != ""
    has_sizes = all(_is_whole(size) and size > 0 for size in sizes.values())
    return is_path and has_sizes and sizes.keys() <= {"max_bytes", "max_file_bytes"}


class Options(TypedDict, total=False):
    """
    The arguments of TahoeStorage, which are also the OPTIONS in Django's STORAGES.

    An option that is given wins over its setting. So does None: it switches the setting off. The
    arguments of an `Option` follow each type.
    """

    tahoe_base_url: Annotated[
        str | Sequence[str] | None,
        "a URL, or a list of URLs",
        "The gateway. Of several, the first one makes all changes of directories. Required.",
    ]
    tahoe_writer_url: Annotated[
        str | None,
        "a URL",
        "The gateway that makes all changes of directories, for all hosts of the site. If "
        "None, the first gateway of `tahoe_base_url` makes them.",
    ]
    ca_file: Annotated[
        str | PathLike[str] | None,
        "the path of a file",
        "A PEM file with the authorities that have signed the gateways' certificates. If None, "
        "those of the machine.",
        None,
        _is_path,
    ]
    client_certificate: Annotated[
        str | PathLike[str] | None,
        "the path of a file",
        "A PEM file with the certificate that this site shows to gateways, and its private key.",
        None,
        _is_path,
    ]
    authorization: Annotated[
        str | None,
        "'file:' and a path, or 'env:' and the name of an environment variable",
        "Where the token, or `user:password`, for a server before the gateways is.",
    ]
    tahoe_base_cap: Annotated[
        str | Cap | None,
        "the cap of a directory",
        "The directory under which the storage keeps everything. `manage.py tahoe init` makes "
        "one. This option or `tahoe_base_cap_file` is required.",
    ]
    tahoe_base_cap_file: Annotated[
        str | PathLike[str] | None,
        "the path of a file",
        "A file that holds the cap and nothing else. Only the site's user should read it.",
    ]
    base_url: Annotated[
        str | None,
        "a URL",
        "The address of a public gateway: `url()` gives `<base_url>named/<read-cap>/<name>`. "
        "If None, the site serves the files itself, or they have no URL.",
    ]
    location: Annotated[
        str | None,
        "the path of a directory below that of the cap",
        "The directory in which the names of the storage begin.",
        "",
    ]
    allow_overwrite: Annotated[
        bool | None,
        "True or False",
        "Whether `save` replaces a file of the same name. If not, it takes another name.",
        False,
        _is_bool,
    ]
    read_only: Annotated[
        bool | None,
        "True or False",
        "Whether the storage only reads, with a read-cap that it makes of its cap. Every change "
        "raises NotWriteable.",
        False,
        _is_bool,
    ]
    timeout: Annotated[
        float | None,
        "a number greater than 0",
        "How long a request can go on without progress before it fails.",
        60.0,
        lambda given: _is_number(given) and given > 0,
        "seconds",
    ]
    max_age: Annotated[
        float | None,
        "a number, 0 or greater",
        "How long the storage uses what it knows about a name without asking the grid again. "
        "Changes by other processes are seen after this time at the latest.",
        10.0,
        lambda given: _is_number(given) and given >= 0,
        "seconds",
    ]
    concurrency: Annotated[
        int | None,
        "a whole number greater than 0",
        "How many uploads of small files, and as many of large files, run at the same time at "
        "most. The storage runs fewer if the gateway answers no sooner for more.",
        32,
        lambda given: _is_whole(given) and given > 0,
        "uploads",
    ]
    commit_delay: Annotated[
        float | None,
        "a number, 0 or greater",
        "How long a save waits at most for other saves into its directory, so that one write "
        "links them all. A lone save does not wait.",
        0.5,
        lambda given: _is_number(given) and given >= 0,
        "seconds",
    ]
    signed_urls: Annotated[
        float | None,
        "a number, 1 or greater",
        "How long a link to a file that this site serves can be used. If None, for ever.",
        None,
        lambda given: _is_number(given) and given >= 1,
        "seconds",
    ]
    cache: Annotated[
        str | None,
        "an alias of CACHES",
        "Django's cache in which the processes of the site share what names lead to. If None, "
        "they share nothing.",
    ]
    content_cache: Annotated[
        str | PathLike[str] | ContentCacheOptions | None,
        "the path of a folder, or a dict of 'path', 'max_bytes' and 'max_file_bytes'",
        "The folder of this host that keeps the contents of files, encrypted, so that they are "
        "read from the disk: of 1 GiB, and for files of an eighth of that, if the dict does not "
        "say otherwise. If None, nothing is kept.",
        None,
        _is_content_cache,
    ]
    spool: Annotated[
        str | PathLike[str] | None,
        "the path of a folder",
        "The folder of this host that takes files, encrypted, when they are saved; they are "
        "brought to the grid afterwards. If None, `save` waits for the grid.",
        None,
        lambda given: isinstance(given, str | PathLike) and given != "",
    ]
    spool_max_bytes: Annotated[
        int | None,
        "a whole number greater than 0",
        "How much can be in the spool. A file for which there is no room is saved on the grid "
        "directly.",
        10 * 2**30,
        lambda given: _is_whole(given) and given > 0,
        "bytes",
    ]
    spool_min_free: Annotated[
        int | None,
        "a whole number, 0 or greater",
        "How much the spool leaves free on its disk.",
        2**30,
        lambda given: _is_whole(given) and given >= 0,
        "bytes",
    ]
    fanout: Annotated[
        bool | int | None,
        f"True, False, or a whole number, {_LEAST_FANOUT} or greater",
        "Whether directories with many names are spread over parts. A number: from how many "
        "names on; True chooses it.",
        False,
        lambda given: _is_bool(given) or (_is_whole(given) and given >= _LEAST_FANOUT),
        "names",
    ]
    observer: Annotated[
        str | None,
        "the dotted path of a function",
        "A function that gets a `txtahoe.Event` for each request to a gateway, and for each "
        "look-up of a name.",
        None,
        lambda given: (
            isinstance(given, str | Promise)
            and all(map(str.isidentifier, str(given).strip().split(".")))
        ),
    ]


OPTIONS: dict[str, Option] = {
    name: Option(*hint.__metadata__)
    for name, hint in get_type_hints(Options, include_extras=True).items()
}
"""The table, by the names of the options."""

SETTINGS: dict[str, str] = {
    **{name: f"TAHOE_STORAGE_{name.removeprefix('tahoe_').upper()}" for name in OPTIONS},
    "base_url": "TAHOE_PUBLIC_BASE_URL",
}
"""The setting of each option."""


def unknown_options(options: dict[str, Any]) -> str | None:
    """Say which name among `options` is unknown; None if all are known."""
    for name in options:
        if name not in OPTIONS:
            near = get_close_matches(name, OPTIONS, 1)
            every = f"the options are {', '.join(sorted(OPTIONS))}."
            hint = f"did you mean {near[0]!r}?" if near else every
            return f"unknown option {redact(repr(name))}: {hint}"
    return None


def value(options: Options, name: str) -> Any:
    """The option if it is given, else its setting; the default in place of None."""
    given: Any = options
    chosen = given[name] if name in given else getattr(settings, SETTINGS[name], None)
    return OPTIONS[name].default if chosen is None else chosen


@sealed
def checked(options: Options, name: str) -> Any:
    """
    As `value`, if the value is one that the table accepts.

    Raises: ImproperlyConfigured, which names the option, its setting and the wrong value.
    """
    given, option = value(options, name), OPTIONS[name]
    if given is None or option.accepts is None or option.accepts(given):
        return given
    raise ImproperlyConfigured(f"{where(name)} must be {option.must_be}, not {shown(given)}")


def where(name: str) -> str:
    """The setting and the option, as messages name them."""
    return f"{SETTINGS[name]} (or the option {name!r})"


def shown(given: Any) -> str:
    """A wrong value and its type for a message, without caps."""
    text = redact(repr(given))
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f"{text} ({type(given).__name__})"
