"""System checks of settings, STORAGES and models together. They ask no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches

from django.conf import settings
from django.contrib.staticfiles.storage import HashedFilesMixin
from django.core.checks import CheckMessage, Tags
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.utils.module_loading import import_string

from tahoestorage import conf
from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.checks.found import Place, every_class, every_place, file_fields, name_of
from tahoestorage.checks.messages import message, system_check
from tahoestorage.reactor import threads
from tahoestorage.redaction.reporter import RedactingExceptionReporter
from tahoestorage.staticfiles import TahoeManifestStaticFilesStorage
from txtahoe.caps import Cap

# Characters of a column that a file's name needs. Django takes 8 of them to tell files of one name
# apart.
_ROOM = 40
_ROOM_WITH_CAP = 255
_PREFIX = "TAHOE_STORAGE_"


@system_check(Tags.files)
def check_names_of_settings() -> Iterator[CheckMessage]:
    """Find settings that are misspelt."""
    known = [*conf.SETTINGS.values()]
    for name in dir(settings):
        if not name.startswith("TAHO") or name in known:
            continue
        # Other apps can have settings that begin with TAHO.
        for near in get_close_matches(name, known, 1, 0 if name.startswith(_PREFIX) else 0.75):
            yield message(
                "W008",
                f"{name} is not a setting of tahoestorage; the nearest one is {near}",
                f"Rename it to {near}, or remove it.",
                name,
            )


@system_check(Tags.security)
def check_reporter() -> Iterator[CheckMessage]:
    """Check that Django's error pages and error mails hide caps."""
    path = settings.DEFAULT_EXCEPTION_REPORTER
    try:
        if issubclass(import_string(path), RedactingExceptionReporter):
            return
    except (ImportError, TypeError):
        pass  # Django fails by itself when it needs the class
    ours = f"{RedactingExceptionReporter.__module__}.{RedactingExceptionReporter.__qualname__}"
    yield message(
        "W025",
        f"DEFAULT_EXCEPTION_REPORTER is {path!r}: error pages and error mails can show caps, with "
        "which anyone can read files",
        f"Set DEFAULT_EXCEPTION_REPORTER = {ours!r}, or a subclass of it.",
        "DEFAULT_EXCEPTION_REPORTER",
    )


@system_check(Tags.files)
def check_threads() -> Iterator[CheckMessage]:
    """Check that a storage can wait in the threads of this process."""
    if problem := threads.problem():
        yield message("E009", problem.text, problem.hint)


@system_check(Tags.files)
def check_storages_setting() -> Iterator[CheckMessage]:
    """Find values in STORAGES that Django does not read, and classes that do not fit."""
    for alias, cls in every_class():
        backend, obj = settings.STORAGES[alias], name_of(alias)
        for name in backend.keys() - {"BACKEND", "OPTIONS"}:
            text = f"{name!r} is a key beside OPTIONS, which Django does not read"
            yield message("E018", text, "Move it into OPTIONS.", obj)
        options = backend.get("OPTIONS", {})
        if not isinstance(options, Mapping):
            text = f"OPTIONS must be a dictionary, not {type(options).__name__}"
            yield message("E019", text, "Give a dictionary, or remove OPTIONS.", obj)
        if issubclass(cls, HashedFilesMixin) and not issubclass(
            cls, TahoeManifestStaticFilesStorage
        ):
            yield message(
                "E022",
                f"{cls.__name__} mixes Django's {HashedFilesMixin.__name__} into a TahoeStorage: "
                "the URLs in its style sheets would lead nowhere, without an error",
                "Use tahoestorage.staticfiles.TahoeManifestStaticFilesStorage, or a subclass.",
                obj,
            )


@system_check(Tags.staticfiles, Tags.files)
def check_addresses_of_manifests() -> Iterator[CheckMessage]:
    """Check that static files can refer to each other. `collectstatic` runs this check too."""
    for alias, cls in every_class():
        if issubclass(cls, TahoeManifestStaticFilesStorage) and _lacks_base_url(alias):
            yield message(
                "E017",
                f"{conf.where('base_url')} is missing, and static files of this storage refer to "
                "each other by URLs that begin with it: `collectstatic` can save nothing",
                "Give the address of a public gateway, whose configuration `manage.py tahoe "
                "proxy` prints; or use TahoeStaticFilesStorage.",
                name_of(alias),
            )


def _lacks_base_url(alias: str) -> bool:
    try:
        return getattr(storages[alias], "base_url", "") is None
    except (ImproperlyConfigured, TypeError):
        return False  # `check_storages` reports it


@system_check(Tags.files)
def check_lengths_of_names() -> Iterator[CheckMessage]:
    """Check that file fields have room for the names of files, and for the caps in them."""
    for field in file_fields():
        length = field.max_length
        if length is None:
            continue
        if isinstance(field.storage, TahoeCapStorage) and length < _ROOM_WITH_CAP:
            yield message(
                "W006",
                f"max_length is {length}: names that carry a cap are about 100 characters longer "
                "than other names",
                f"Give the field max_length={_ROOM_WITH_CAP} or more, and migrate.",
                field,
            )
        # As FileField.generate_filename() does it. A function can make names of any length.
        folder = "" if callable(field.upload_to) else datetime.now().strftime(str(field.upload_to))
        left = length - len(folder.rstrip("/") + "/" if folder else "")
        if left < _ROOM:
            yield message(
                "W011",
                f"max_length is {length}, which leaves {max(left, 0)} characters for the name of "
                "a file: Django cuts longer names, or cannot save the file",
                f"Give the field max_length={_ROOM_WITH_CAP}, and migrate.",
                field,
            )


@system_check(Tags.files)
def check_static_files() -> Iterator[CheckMessage]:
    """Check that `collectstatic --clear` deletes static files only."""
    places, staticfiles = list(every_place()), name_of("staticfiles")
    static = [place for place in places if place.user == staticfiles]
    others = [place for place in places if place.user != staticfiles]
    held = [other for other in others if any(place.holds(other) for place in static)]
    if held:
        yield message(
            "W009",
            f"the directory of the static files contains the files of {held[0].user}: "
            "`collectstatic --clear` would delete them too",
            "Give the storage of the static files a 'location' of its own.",
            staticfiles,
        )


@system_check(Tags.files)
def check_writers() -> Iterator[CheckMessage]:
    """Check that one gateway makes all changes of each root directory."""
    by_root: dict[Cap | None, list[Place]] = {}
    for place in every_place():
        if place.root.is_writable:
            by_root.setdefault(place.root.verifier, []).append(place)
    for first, *others in by_root.values():
        for other in [other for other in others if other.writer != first.writer][:1]:
            yield message(
                "W010",
                f"it changes a directory through {other.writer}, and {first.user} changes the "
                f"same one through {first.writer}: some changes get lost",
                "Give both the same first gateway, or the same 'tahoe_writer_url'.",
                other.user,
            )
