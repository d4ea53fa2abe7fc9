"""Cases with a content cache, beside files of this machine, and beside a storage without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage
from django.http import FileResponse, HttpRequest
from django.test import Client, override_settings
from django.urls import include, path

from tahoestorage.storage import TahoeStorage
from tests.bench.case import Action, Case, Limits, Speed
from tests.bench.place import Place, random_content, random_files
from tests.bench.reading import read_each
from tests.bench.saving import save_each

_MEGABYTE = 10**6


def warm_reads(files: int = 50) -> Case:
    """Open and read files that the disk has, whose names are known."""

    def action(storage: Storage) -> Action:
        contents = random_files(files, "documents")
        return _warm(storage, contents, lambda: read_each(storage, contents))

    return Case(
        "open and read, content cache",
        files,
        lambda place: action(_cached(place)),
        lambda place: action(place.local()),
        Speed(seconds=400e-6),
        Limits(requests=0),
    )


def warm_reads_of_tasks(files: int = 50) -> Case:
    """As `warm_reads`, in a task of asyncio."""

    def ours(place: Place) -> Action:
        storage = _cached(place)
        contents = random_files(files, "documents")

        async def read() -> None:
            for name, content in contents.items():
                async with await storage.aopen(name) as file:
                    assert await file.aread() == content

        return _warm(storage, contents, lambda: asyncio.run(read()))

    return Case(
        "aopen and aread, content cache",
        files,
        ours,
        None,
        Speed(seconds=1e-3),
        Limits(requests=0),
    )


def warm_answers(files: int = 50, times: int = 10) -> Case:
    """Answers of the site with files that the disk has, beside FileResponse; each file `times`."""

    def action(place: Place, prefix: str) -> Action:
        cap = place.bare.make_directory()
        is_local = prefix == "local"
        storage = place.local() if is_local else TahoeStorage(**_options(place, cap))
        contents = random_files(files)
        client = Client()

        def get() -> None:
            with _serving(place, cap):
                for name, content in [*contents.items()] * times:
                    response: Any = client.get(f"/{prefix}/{name}")
                    assert b"".join(response.streaming_content) == content

        return _warm(storage, contents, get)

    return Case(
        "answer of the site, content cache",
        files * times,
        lambda place: action(place, "grid"),
        lambda place: action(place, "local"),
        Speed(time=2.0),
        Limits(requests=0),
    )


def warm_large(megabytes: int = 100) -> Case:
    """Read a large file that the disk has."""

    def action(storage: Storage) -> Action:
        name = storage.save("large.bin", ContentFile(random_content() * (megabytes * 100)))

        def run() -> None:
            with storage.open(name) as file:
                assert len(file.read()) == megabytes * _MEGABYTE

        run()
        return run

    return Case(
        f"read {megabytes} MB, content cache",
        1,
        lambda place: action(_cached(place)),
        lambda place: action(place.local()),
        Speed(throughput=0.5),
        Limits(requests=0),
        most_rounds=5,
    )


def first_reads(files: int = 20) -> Case:
    """Open and read files that no cache has; bare is a storage without one."""

    def action(place: Place, make: Callable[[Place, str], TahoeStorage]) -> Action:
        contents = random_files(files)
        directory = place.bare.make_directory(place.upload_all(contents))
        storage = make(place, directory)
        storage.listdir("")
        return lambda: read_each(storage, contents)

    return Case(
        "open and read, content cache, first time",
        files,
        lambda place: action(place, _cached),
        lambda place: action(place, _plain),
        Speed(time=1.05),
        Limits(requests=files, file_reads=files),
    )


def saves(files: int = 20, size: int = 1) -> Case:
    """Saves with a content cache; bare is a storage without one."""

    def action(storage: TahoeStorage) -> Action:
        storage.save("documents/first.bin", ContentFile(random_content()))
        contents = random_files(files, "documents")
        larger = {name: content * size for name, content in contents.items()}
        return lambda: save_each(storage, larger)

    return Case(
        "save, content cache" if size == 1 else f"save {size / 100:g} MB, content cache",
        files,
        lambda place: action(_cached(place)),
        lambda place: action(_plain(place)),
        Speed(time=1.05),
        Limits(requests=2 * files, uploads=files, directory_writes=files),
    )


def show(request: HttpRequest, name: str) -> FileResponse:
    """A view of a file of this machine."""
    return FileResponse(_shown.open(name))


_shown = FileSystemStorage()
urlpatterns = [
    path("grid/", include("tahoestorage.urls")),
    path("local/<name>", show),
]


def _serving(place: Place, cap: str) -> AbstractContextManager[None]:
    backend = {"BACKEND": "tahoestorage.storage.TahoeStorage", "OPTIONS": _options(place, cap)}
    return override_settings(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=[],
        STORAGES={"default": backend},
        MEDIA_ROOT=place.folder / "local",
    )


def _options(place: Place, cap: str) -> dict[str, Any]:
    contents = {"path": place.folder / "contents", "max_bytes": 2 * 10**9}
    return {**place.options(cap), "content_cache": contents, "max_age": 3600}


def _cached(place: Place, cap: str | None = None) -> TahoeStorage:
    cap = cap or place.bare.make_directory()
    return place.storage(cap, **_options(place, cap))


def _plain(place: Place, cap: str | None = None) -> TahoeStorage:
    return place.storage(cap or place.bare.make_directory())


def _warm(storage: Storage, contents: dict[str, bytes], action: Action) -> Action:
    """Save files, and run an action on them once. Returns the action, to be run again."""
    save_each(storage, contents)
    action()
    return action
