"""System checks of the URLs at which this site serves files, and of who can read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from inspect import signature
from itertools import product
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import DEFAULT_STORAGE_ALIAS, settings
from django.core.checks import CheckMessage, Tags
from django.core.exceptions import ImproperlyConfigured

from tahoestorage.checks.found import Place, class_of, every_place, name_of, place_of
from tahoestorage.checks.messages import message, system_check
from tahoestorage.contract.fileurls import Mount, mounts
from tahoestorage.serving.views import DISPOSITIONS, hook_name, serve
from tahoestorage.storage import storage_of

_PARAMETERS = {*signature(serve).parameters} - {"request", "name"}
_HEADERS: dict[str, Callable[[Any], bool]] = {
    "cache_control": lambda given: isinstance(given, str),
    "content_disposition": lambda given: given in DISPOSITIONS,
}


@system_check(Tags.files)
def check_mounts() -> Iterator[CheckMessage]:
    """Check that the site can serve what it mounts, and that nothing gets past its guards."""
    public: list[tuple[str, Place]] = []
    guarded: list[tuple[str, Place]] = []  # a hook or a signature decides who can read the files
    for mount in mounts():
        problems = list(_check_parameters(mount))
        yield from problems
        yield from _check_hook(mount)
        if not problems:
            with suppress(ImproperlyConfigured, TypeError, ValueError):  # other checks report it
                place = place_of(name_of(mount.alias), storage_of(mount.alias).options)
                is_guarded = place.is_signed or mount.permission is not None
                (guarded if is_guarded else public).append((mount.route, place))
    for route, served in guarded:
        users = [place.user for place in every_place() if _links_into(place, served)]
        if users:
            yield message(
                "W021",
                f"the files at {route!r} are guarded, but url() of {', '.join(map(str, users))} "
                "makes links with which everyone can read them, for ever",
                "Give 'base_url': None as an option there: then url() leads to this site.",
                users[0],
            )
    for (route, place), (guarded_route, served) in product(public, guarded):
        if place.holds(served):
            yield message(
                "W022",
                f"the files at {guarded_route!r} are guarded, but everyone can read them at "
                f"{route!r}: the storage there contains them",
                "Give each of the two storages a 'location' that does not contain the other's, "
                "such as 'public' and 'private'.",
                place.user,
            )


def _check_parameters(mount: Mount) -> Iterator[CheckMessage]:
    failing = f"tahoestorage.urls at {mount.route!r} cannot serve files: "
    strange = mount.captured | (mount.given.keys() - _PARAMETERS)
    is_default = mount.alias == DEFAULT_STORAGE_ALIAS
    if strange:
        names = ", ".join(map(repr, sorted(strange)))
        yield message(
            "E021",
            f"{failing}its view does not take {names}",
            f"Give {', '.join(map(repr, sorted(_PARAMETERS)))} alone, in the dictionary of a "
            "path() whose URL has no parameter.",
            name_of(mount.alias),
        )
    elif wrong := _wrong_header(mount):
        yield message(
            "E021",
            f"{failing}{wrong}",
            "Give a str, or a function ('def') of the request and the name that returns one, or "
            "None. A content_disposition is 'inline' or 'attachment'; the view itself adds the "
            "name of the file.",
            name_of(mount.alias),
        )
    elif not is_default and not class_of(settings.STORAGES.get(mount.alias, {})):
        yield message(
            "E021",
            f"{failing}{mount.alias!r} is not a TahoeStorage of STORAGES",
            "Give the alias of one as 'storage', in the dictionary of its path().",
            name_of(mount.alias),
        )


def _wrong_header(mount: Mount) -> str | None:
    """Say which header of a mount the view refuses."""
    for name, accepts in _HEADERS.items():
        given = mount.given.get(name)
        if iscoroutinefunction(given):
            return f"the function of {name!r} is 'async def'"
        if not (given is None or callable(given) or accepts(given)):
            return f"{name!r} is {given!r}"
    return None


def _check_hook(mount: Mount) -> Iterator[CheckMessage]:
    hook = mount.permission
    is_async = iscoroutinefunction(hook) or iscoroutinefunction(type(hook).__call__)
    if is_async and not getattr(settings, "ASGI_APPLICATION", None):
        yield message(
            "W023",
            f"the permission hook {hook_name(hook)} of {mount.route!r} is 'async def': a WSGI "
            "server cannot wait for it, and serves none of the files",
            "Make it 'def'. If the site runs on an ASGI server only, set ASGI_APPLICATION.",
            name_of(mount.alias),
        )


def _links_into(place: Place, guarded: Place) -> bool:
    """Whether url() of a storage makes links past the guard of these files."""
    makes_links = place.base_url is not None and not place.is_signed
    return makes_links and place.user != name_of("staticfiles") and guarded.holds(place)
