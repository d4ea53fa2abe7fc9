"""System checks of settings, STORAGES and models together. They ask no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.staticfiles.storage import HashedFilesMixin
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.utils.module_loading import import_string

from tahoestorage import conf
from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.checks.found import TAG, Place, every_class, every_place, file_fields, name_of
from tahoestorage.reactor import threads
from tahoestorage.redaction.reporter import RedactingExceptionReporter
from tahoestorage.staticfiles import TahoeManifestStaticFilesStorage
from txtahoe.caps import Cap

# Characters of a column that a file's name needs. Django takes 8 of them to tell files of one name
# apart.
_ROOM = 40
_ROOM_WITH_CAP = 255
_PREFIX = "TAHOE_STORAGE_"


@register(Tags.files, TAG)
def check_names_of_settings(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Find settings that are misspelt."""
    known = [*conf.SETTINGS.values()]
    messages: list[CheckMessage] = []
    for name in dir(settings):
        if not name.startswith("TAHO") or name in known:
            continue
        # Other apps can have settings that begin with TAHO.
        near = get_close_matches(name, known, 1, 0 if name.startswith(_PREFIX) else 0.75)
        if near:
            messages.append(
                Warning(
                    f"{name} is not a setting of tahoestorage; the nearest one is {near[0]}",
                    hint=f"Rename it to {near[0]}, or remove it.",
                    obj=name,
                    id="tahoestorage.W008",
                )
            )
    return messages


@register(Tags.security, TAG)
def check_reporter(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that Django's error pages and error mails hide caps."""
    path = settings.DEFAULT_EXCEPTION_REPORTER
    try:
        if issubclass(import_string(path), RedactingExceptionReporter):
            return []
    except (ImportError, TypeError):
        pass  # Django fails by itself when it needs the class
    ours = f"{RedactingExceptionReporter.__module__}.{RedactingExceptionReporter.__qualname__}"
    return [
        Warning(
            f"DEFAULT_EXCEPTION_REPORTER is {path!r}: error pages and error mails can show caps, "
            "with which anyone can read files",
            hint=f"Set DEFAULT_EXCEPTION_REPORTER = {ours!r}, or a subclass of it.",
            obj="DEFAULT_EXCEPTION_REPORTER",
            id="tahoestorage.W025",
        )
    ]


@register(Tags.files, TAG)
def check_threads(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that a storage can wait in the threads of this process."""
    problem = threads.problem()
    if problem is None:
        return []
    return [Error(problem.text, hint=problem.hint, id="tahoestorage.E009")]


@register(Tags.files, TAG)
def check_keys_of_storages(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Find what Django does not read, or cannot read, in STORAGES."""
    messages: list[CheckMessage] = []
    for alias, _ in every_class():
        backend = settings.STORAGES[alias]
        messages += [
            Error(
                f"{name!r} is a key beside OPTIONS, which Django does not read",
                hint="Move it into OPTIONS.",
                obj=name_of(alias),
                id="tahoestorage.E018",
            )
            for name in backend.keys() - {"BACKEND", "OPTIONS"}
        ]
        options = backend.get("OPTIONS", {})
        if not isinstance(options, Mapping):
            messages.append(
                Error(
                    f"OPTIONS must be a dictionary, not {type(options).__name__}",
                    hint="Give a dictionary, or remove OPTIONS.",
                    obj=name_of(alias),
                    id="tahoestorage.E019",
                )
            )
    return messages


@register(Tags.files, TAG)
def check_manifests(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Find storages of hashed static files whose style sheets would have dead links."""
    return [
        Error(
            f"{cls.__name__} mixes Django's {HashedFilesMixin.__name__} into a TahoeStorage: the "
            "URLs in its style sheets would lead nowhere, without an error",
            hint="Use tahoestorage.staticfiles.TahoeManifestStaticFilesStorage, or a subclass.",
            obj=name_of(alias),
            id="tahoestorage.E022",
        )
        for alias, cls in every_class()
        if issubclass(cls, HashedFilesMixin)
        and not issubclass(cls, TahoeManifestStaticFilesStorage)
    ]


@register(Tags.staticfiles, Tags.files, TAG)
def check_addresses_of_manifests(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that static files can refer to each other. `collectstatic` runs this check too."""
    return [
        Error(
            f"{conf.where('base_url')} is missing, and static files of this storage refer to each "
            "other by URLs that begin with it: `collectstatic` can save nothing",
            hint="Give the address of a public gateway, whose configuration `manage.py tahoe "
            "proxy` prints; or use TahoeStaticFilesStorage.",
            obj=name_of(alias),
            id="tahoestorage.E017",
        )
        for alias, cls in every_class()
        if issubclass(cls, TahoeManifestStaticFilesStorage) and _lacks_base_url(alias)
    ]


def _lacks_base_url(alias: str) -> bool:
    try:
        return getattr(storages[alias], "base_url", "") is None
    except (ImproperlyConfigured, TypeError):
        return False  # `check_storages` reports it


@register(Tags.files)
def check_lengths_of_names_with_caps(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that file fields have room for names that carry caps."""
    return [
        Warning(
            f"max_length is {field.max_length}: names that carry a cap are about 100 characters "
            "longer than other names",
            hint=f"Give the field max_length={_ROOM_WITH_CAP} or more, and migrate.",
            obj=field,
            id="tahoestorage.W006",
        )
        for field, _ in file_fields()
        if isinstance(field.storage, TahoeCapStorage)
        and field.max_length is not None
        and field.max_length < _ROOM_WITH_CAP
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
        # As FileField.generate_filename() does it. A function can make names of any length.
        folder = "" if callable(field.upload_to) else datetime.now().strftime(str(field.upload_to))
        left = field.max_length - len(folder.rstrip("/") + "/" if folder else "")
        if left < _ROOM:
            messages.append(
                Warning(
                    f"max_length is {field.max_length}, which leaves {max(left, 0)} characters "
                    "for the name of a file: Django cuts longer names, or cannot save the file",
                    hint=f"Give the field max_length={_ROOM_WITH_CAP}, and migrate.",
                    obj=field,
                    id="tahoestorage.W011",
                )
            )
    return messages


@register(Tags.files, TAG)
def check_places(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that storages in one directory do no harm to each other."""
    places = list(every_place())
    return [*_check_static_files(places), *_check_writers(places)]


def _check_static_files(places: Sequence[Place]) -> Iterator[CheckMessage]:
    staticfiles = name_of("staticfiles")
    static = [place for place in places if place.user == staticfiles]
    others = [place for place in places if place.user != staticfiles]
    held = [other for other in others if any(place.holds(other) for place in static)]
    if held:
        yield Warning(
            f"the directory of the static files contains the files of {held[0].user}: "
            "`collectstatic --clear` would delete them too",
            hint="Give the storage of the static files a 'location' of its own.",
            obj=staticfiles,
            id="tahoestorage.W009",
        )


def _check_writers(places: Sequence[Place]) -> Iterator[CheckMessage]:
    by_root: dict[Cap | None, list[Place]] = {}
    for place in places:
        if place.root.is_writable:
            by_root.setdefault(place.root.verifier, []).append(place)
    for first, *others in by_root.values():
        for other in others:
            if other.writer != first.writer:
                yield Warning(
                    f"it changes a directory through {other.writer}, and {first.user} changes "
                    f"the same one through {first.writer}: some changes get lost",
                    hint="Give both the same first gateway, or the same 'tahoe_writer_url'.",
                    obj=other.user,
                    id="tahoestorage.W010",
                )
                break
