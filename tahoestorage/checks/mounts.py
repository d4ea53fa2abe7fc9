"""System checks of the URLs at which this site serves files, and of who can read them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import product

from asgiref.sync import iscoroutinefunction
from attrs import frozen
from django.conf import DEFAULT_STORAGE_ALIAS, settings
from django.core.checks import CheckMessage, Tags
from django.core.exceptions import ImproperlyConfigured

from tahoestorage import conf
from tahoestorage.checks.found import Place, class_of, every_place, name_of, place_of
from tahoestorage.checks.messages import message, system_check
from tahoestorage.contract.fileurls import Mount, mounts
from tahoestorage.serving.aliases import storage_of
from tahoestorage.serving.views import hook_name

_PARAMETERS = {"storage", "permission"}


@frozen
class _Served:
    """The files that the site serves below one of its URLs."""

    mount: Mount
    place: Place

    def __str__(self) -> str:
        return repr(self.mount.route)

    @property
    def is_guarded(self) -> bool:
        """Whether a hook or a signature decides who can read them."""
        is_signed_only = conf.signed_urls(self.place.options) is not None
        return self.mount.permission is not None or is_signed_only


@system_check(Tags.files)
def check_mounts() -> Iterator[CheckMessage]:
    """Check that the site can serve what it mounts, and that nothing gets past its guards."""
    served: list[_Served] = []
    for mount in mounts():
        problems = list(_check_parameters(mount))
        yield from problems
        yield from _check_hook(mount)
        if not problems:
            with suppress(ImproperlyConfigured, TypeError, ValueError):  # other checks report it
                options = storage_of(mount.alias).options
                served.append(_Served(mount, place_of(name_of(mount.alias), options)))
    guarded = [each for each in served if each.is_guarded]
    for each in guarded:
        users = [place.user for place in every_place() if _links_into(place, each.place)]
        if users:
            yield message(
                "W021",
                f"the files at {each} are guarded, but url() of {', '.join(map(str, users))} makes "
                "links with which everyone can read them, for ever",
                "Give 'base_url': None as an option there: then url() leads to this site.",
                users[0],
            )
    for each, other in product([each for each in served if not each.is_guarded], guarded):
        if each.place.holds(other.place):
            yield message(
                "W022",
                f"the files at {other} are guarded, but everyone can read them at {each}: the "
                "storage there contains them",
                "Give each of the two storages a 'location' that does not contain the other's, "
                "such as 'public' and 'private'.",
                each.place.user,
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
            "Give 'storage' and 'permission' alone, in the dictionary of a path() whose URL has "
            "no parameter.",
            name_of(mount.alias),
        )
    elif not is_default and not class_of(settings.STORAGES.get(mount.alias, {})):
        yield message(
            "E021",
            f"{failing}{mount.alias!r} is not a TahoeStorage of STORAGES",
            "Give the alias of one as 'storage', in the dictionary of its path().",
            name_of(mount.alias),
        )


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
    makes_links = conf.value(place.options, "base_url") and not conf.signed_urls(place.options)
    is_static = place.user == name_of("staticfiles")
    return bool(makes_links) and not is_static and guarded.holds(place)
