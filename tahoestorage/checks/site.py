"""System checks of what can be wrong between settings, storages and models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from attrs import frozen
from django.apps import AppConfig
from django.conf import settings
from django.contrib.staticfiles.storage import HashedFilesMixin
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db.models import FileField
from django.utils.module_loading import import_string

from tahoestorage import conf
from tahoestorage.checks.storages import TAG, file_fields, is_ours, options_by_alias
from tahoestorage.grid.paths import Location
from tahoestorage.staticfiles import TahoeManifestStaticFilesStorage
from txtahoe.caps import Cap
from txtahoe.http.transport import gateway_url
from txtahoe.tree.paths import Path

# Characters that a file's name should be left with, of which Django takes 8 to tell two files of
# one name apart.
_ROOM = 40


@register(Tags.files, TAG)
def check_names_of_settings(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Find settings that are misspelt, or that are no settings."""
    known = list(conf.SETTINGS.values())
    messages: list[CheckMessage] = []
    for name in dir(settings):
        if not name.startswith("TAHO") or name in known:
            continue
        near = get_close_matches(name, known, 1, 0.75)
        option = name.removeprefix("TAHOE_STORAGE_").lower()
        if option in conf.Options.__annotations__:
            hint = (
                f"{option!r} is an option: give it in OPTIONS, or as an argument of TahoeStorage."
            )
        elif near:
            hint = f"Did you mean {near[0]}?"
        else:
            continue
        messages.append(
            Warning(f"{name} is no setting of tahoestorage", hint=hint, id="tahoestorage.W008")
        )
    return messages


@register(Tags.files, TAG)
def check_keys_of_storages(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Find what Django leaves unread in STORAGES, or cannot read."""
    messages: list[CheckMessage] = []
    for alias, backend in settings.STORAGES.items():
        if not is_ours(backend):
            continue
        where = f"STORAGES[{alias!r}]"
        messages += [
            Error(
                f"{where} has {name!r} beside OPTIONS, where nobody reads it",
                hint="Move it into OPTIONS.",
                id="tahoestorage.E001",
            )
            for name in backend.keys() - {"BACKEND", "OPTIONS"}
        ]
        if not isinstance(backend.get("OPTIONS", {}), Mapping):
            messages.append(
                Error(
                    f"OPTIONS of {where} is no dictionary",
                    hint="Give a dictionary, or leave it out.",
                    id="tahoestorage.E001",
                )
            )
    return messages


@register(Tags.files, TAG)
def check_manifests(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Find storages of hashed static files whose URLs would lead nowhere."""
    return [
        Error(
            f"the storage of STORAGES[{alias!r}] mixes {HashedFilesMixin.__name__} into a "
            "TahoeStorage: URLs in its style sheets would lead nowhere, and nothing would tell",
            hint="Use tahoestorage.staticfiles.TahoeManifestStaticFilesStorage, or a subclass.",
            id="tahoestorage.E022",
        )
        for alias, backend in settings.STORAGES.items()
        if is_ours(backend)
        and issubclass(kind := import_string(backend["BACKEND"]), HashedFilesMixin)
        and not issubclass(kind, TahoeManifestStaticFilesStorage)
    ]


@register(Tags.files, TAG)
def check_lengths_of_names(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that file fields have room for the names of files."""
    messages: list[CheckMessage] = []
    for field, _ in file_fields():
        if field.max_length is None:
            continue
        # As FileField.generate_filename() makes it. What a function makes is not known.
        folder = "" if callable(field.upload_to) else datetime.now().strftime(str(field.upload_to))
        left = field.max_length - len(folder.rstrip("/") + "/" if folder else "")
        if left < _ROOM:
            messages.append(
                Warning(
                    f"max_length is {field.max_length}, which leaves {max(left, 0)} characters "
                    "for the names of files: longer ones are cut, or cannot be saved",
                    hint="Give it max_length=255, and migrate.",
                    obj=field,
                    id="tahoestorage.W011",
                )
            )
    return messages


@frozen
class Place:
    """Where a storage keeps its files. `user`: its alias in STORAGES, or a field that has it."""

    user: str | FileField
    options: conf.Options
    root: Cap
    location: Path
    writer: str

    def __str__(self) -> str:
        return f"STORAGES[{self.user!r}]" if isinstance(self.user, str) else str(self.user)

    def holds(self, other: Place) -> bool:
        """Whether the files of another storage are among its own."""
        is_above = other.location[: len(self.location)] == self.location
        return is_above and self.root.names_same(other.root)


@register(Tags.files, TAG)
def check_places(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that storages of one directory go well together."""
    places = list(every_place())
    return [*_check_static_files(places), *_check_writers(places)]


def every_place() -> Iterator[Place]:
    """Those of STORAGES and of file fields whose settings are good."""
    every: list[tuple[str | FileField, conf.Options]] = [*options_by_alias(), *file_fields()]
    for user, options in every:
        with suppress(ImproperlyConfigured, TypeError, ValueError):  # said elsewhere
            yield place_of(user, options)


def place_of(user: str | FileField, options: conf.Options) -> Place:
    """Raises: ImproperlyConfigured, TypeError, ValueError where an option is wrong."""
    location = Location(conf.location(options)).root
    writer = conf.writer(options) or conf.gateways(options)[0]
    url = gateway_url(writer).to_text()
    return Place(user, options, conf.base_cap(options), location, url)


def _check_static_files(places: Sequence[Place]) -> Iterator[CheckMessage]:
    static = [place for place in places if place.user == "staticfiles"]
    others = [place for place in places if place.user != "staticfiles"]
    if any(place.holds(other) for place in static for other in others):
        yield Warning(
            "the static files and other files are in the same directory: `collectstatic --clear` "
            "would delete the other files too",
            hint="Give the storage of the static files a 'location' of its own.",
            id="tahoestorage.W009",
        )


def _check_writers(places: Sequence[Place]) -> Iterator[CheckMessage]:
    writers: dict[Cap | None, set[str]] = {}
    for place in places:
        if place.root.is_writable:
            writers.setdefault(place.root.verifier, set()).add(place.writer)
    for urls in writers.values():
        if len(urls) > 1:
            yield Warning(
                "storages change one directory through different gateways, "
                f"{' and '.join(sorted(urls))}: some of the changes get lost",
                hint="Give all of them the same first gateway, or the same 'tahoe_writer_url'.",
                id="tahoestorage.W010",
            )
