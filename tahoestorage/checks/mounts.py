"""System checks of the URLs at which this site serves files, and of who can read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import product
from typing import Any

from asgiref.sync import iscoroutinefunction
from attrs import frozen
from django.apps import AppConfig
from django.conf import DEFAULT_STORAGE_ALIAS, settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from tahoestorage import conf
from tahoestorage.checks.found import TAG, Place, class_of, every_place, name_of, place_of
from tahoestorage.contract.fileurls import Mount, mounts
from tahoestorage.serving.views import hook_name
from tahoestorage.storage import storage_of

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


@register(Tags.files, TAG)
def check_mounts(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that the site can serve what it mounts, and that nothing gets past its guards."""
    messages: list[CheckMessage] = []
    served: list[_Served] = []
    for mount in mounts():
        problems = list(_check_parameters(mount))
        messages += [*problems, *_check_hook(mount)]
        if not problems:
            with suppress(ImproperlyConfigured, TypeError, ValueError):  # other checks report it
                options = storage_of(mount.alias).options
                served.append(_Served(mount, place_of(name_of(mount.alias), options)))
    guarded = [each for each in served if each.is_guarded]
    public = [each for each in served if not each.is_guarded]
    return [*messages, *_check_links(guarded), *_check_public(public, guarded)]


def _check_parameters(mount: Mount) -> Iterator[CheckMessage]:
    strange = mount.captured | (mount.given.keys() - _PARAMETERS)
    if strange:
        names = ", ".join(map(repr, sorted(strange)))
        yield Error(
            f"tahoestorage.urls at {mount.route!r} cannot serve files: its view does not take "
            f"{names}",
            hint="Give 'storage' and 'permission' alone, in the dictionary of a path() whose URL "
            "has no parameter.",
            obj=name_of(mount.alias),
            id="tahoestorage.E021",
        )
    elif mount.alias != DEFAULT_STORAGE_ALIAS and not class_of(
        settings.STORAGES.get(mount.alias, {})
    ):
        yield Error(
            f"tahoestorage.urls at {mount.route!r} cannot serve files: {mount.alias!r} is not a "
            "TahoeStorage of STORAGES",
            hint="Give the alias of one as 'storage', in the dictionary of its path().",
            obj=name_of(mount.alias),
            id="tahoestorage.E021",
        )


def _check_hook(mount: Mount) -> Iterator[CheckMessage]:
    hook = mount.permission
    is_async = iscoroutinefunction(hook) or iscoroutinefunction(type(hook).__call__)
    if is_async and not getattr(settings, "ASGI_APPLICATION", None):
        yield Warning(
            f"the permission hook {hook_name(hook)} of {mount.route!r} is 'async def': a "
            "WSGI server cannot wait for it, and serves none of the files",
            hint="Make it 'def'. If the site runs on an ASGI server only, set ASGI_APPLICATION.",
            obj=name_of(mount.alias),
            id="tahoestorage.W023",
        )


def _check_links(guarded: Sequence[_Served]) -> Iterator[CheckMessage]:
    """Find storages whose url() makes links past the guard of their files."""
    for served in guarded:
        users = [place.user for place in every_place() if _links_into(place, served.place)]
        if users:
            yield Warning(
                f"the files at {served} are guarded, but url() of {', '.join(map(str, users))} "
                "makes links with which everyone can read them, for ever",
                hint="Give 'base_url': None as an option there: then url() leads to this site.",
                obj=users[0],
                id="tahoestorage.W021",
            )


def _links_into(place: Place, guarded: Place) -> bool:
    makes_links = conf.value(place.options, "base_url") and not conf.signed_urls(place.options)
    is_static = place.user == name_of("staticfiles")
    return bool(makes_links) and not is_static and guarded.holds(place)


def _check_public(public: Sequence[_Served], guarded: Sequence[_Served]) -> Iterator[CheckMessage]:
    """Find files that one URL guards and another URL does not."""
    for each, other in product(public, guarded):
        if each.place.holds(other.place):
            yield Warning(
                f"the files at {other} are guarded, but everyone can read them at {each}: the "
                "storage there contains them",
                hint="Give each of the two storages a 'location' that does not contain the "
                "other's, such as 'public' and 'private'.",
                obj=each.place.user,
                id="tahoestorage.W022",
            )
