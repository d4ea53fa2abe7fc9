"""System checks of the places among the URLs of this site where it serves files, and to whom."""

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
from tahoestorage.checks.site import Place, every_place, place_of
from tahoestorage.checks.storages import TAG, is_ours
from tahoestorage.contract.fileurls import Mount, mounts
from tahoestorage.serving.aliases import storage_of
from tahoestorage.serving.views import hook_name

_PARAMETERS = {"storage", "permission"}


@frozen
class _Served:
    """The files that are served at a place among the URLs."""

    mount: Mount
    place: Place

    def __str__(self) -> str:
        return repr(self.mount.route)

    @property
    def is_guarded(self) -> bool:
        """Whether not everybody may read them."""
        is_signed_only = conf.signed_urls(self.place.options) is not None
        return self.mount.permission is not None or is_signed_only


@register(Tags.files, TAG)
def check_mounts(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that what this site serves is served, and to those alone who may read it."""
    messages: list[CheckMessage] = []
    served: list[_Served] = []
    for mount in mounts():
        problems = list(_check_parameters(mount))
        messages += [*problems, *_check_hook(mount)]
        if not problems:
            with suppress(ImproperlyConfigured, TypeError, ValueError):  # said elsewhere
                options = storage_of(mount.alias).options
                served.append(_Served(mount, place_of(mount.alias, options)))
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
            hint="Give it 'storage' and 'permission', in the dictionary of a path() whose URL has "
            "no parameter.",
            id="tahoestorage.E021",
        )
    elif mount.alias != DEFAULT_STORAGE_ALIAS and not is_ours(
        settings.STORAGES.get(mount.alias, {})
    ):
        yield Error(
            f"tahoestorage.urls at {mount.route!r} cannot serve files: {mount.alias!r} is no "
            "TahoeStorage of STORAGES",
            hint="Give the alias of one as 'storage', in the dictionary of its path().",
            id="tahoestorage.E021",
        )


def _check_hook(mount: Mount) -> Iterator[CheckMessage]:
    hook = mount.permission
    is_async = iscoroutinefunction(hook) or iscoroutinefunction(type(hook).__call__)
    if is_async and not getattr(settings, "ASGI_APPLICATION", None):
        yield Warning(
            f"the permission hook {hook_name(hook)} of {mount.route!r} is 'async def': a server "
            "that is not asynchronous (WSGI) can't wait for it, and reads no file to anybody",
            hint="Make it 'def'. Where the site has an ASGI server alone, set ASGI_APPLICATION.",
            id="tahoestorage.W023",
        )


def _check_links(guarded: Sequence[_Served]) -> Iterator[CheckMessage]:
    """Find links that read guarded files to everybody who has them."""
    for served in guarded:
        names = [str(place) for place in every_place() if _links_into(place, served.place)]
        if names:
            yield Warning(
                f"not everybody may read the files of {served}, but url() of {', '.join(names)} "
                "makes links with which everybody can, for ever",
                hint="Give 'base_url': None as an option there: then url() leads to this site.",
                id="tahoestorage.W021",
            )


def _links_into(place: Place, guarded: Place) -> bool:
    makes_links = conf.value(place.options, "base_url") and not conf.signed_urls(place.options)
    return bool(makes_links) and place.user != "staticfiles" and guarded.holds(place)


def _check_public(public: Sequence[_Served], guarded: Sequence[_Served]) -> Iterator[CheckMessage]:
    """Find files that are guarded by one URL and not by another one."""
    for each, other in product(public, guarded):
        if each.place.holds(other.place):
            yield Warning(
                f"everybody can read the files of {other} at {each}: the storage there contains "
                "them",
                hint="Give each of the two storages a 'location' that does not contain the "
                "other's, such as 'public' and 'private'.",
                id="tahoestorage.W022",
            )
