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

_MEGABYTE = 10**6


def warm_reads(files: int = 50) -> Case:
    """Open and read files that the disk has, whose names are known."""

    def action(storage: Storage) -> Action:
        contents = random_files(files, "documents")
        return _after_one(storage, contents, lambda: _read_each(storage, contents))

    return Case(
        "open and read, content cache",
        files,
        lambda place: action(_cached(place)),
        lambda place: action(_local(place)),
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

        return _after_one(storage, contents, lambda: asyncio.run(read()))

    return Case(
        "aopen and aread, content cache",
        files,
        ours,
        None,
        Speed(seconds=1e-3),
        Limits(requests=0),
    )


def warm_answers(files: int = 50) -> Case:
    """Answers of the site with files that the disk has, beside FileResponse."""

    def action(place: Place, storage: Storage, prefix: str) -> Action:
        contents = random_files(files)
        client = Client()

        def get() -> None:
            for name, content in contents.items():
                response: Any = client.get(f"/{prefix}/{name}")
                assert b"".join(response.streaming_content) == content

        def run() -> None:
            with _serving(place, cap):
                get()

        cap = place.bare.make_directory()
        if isinstance(storage, TahoeStorage):
            storage = _cached(place, cap, is_apart=False)
        saved = _after_one(storage, contents, lambda: None)
        saved()
        run()  # the times of the names are known from now on
        return run

    return Case(
        "answer of the site, content cache",
        files,
        lambda place: action(place, _cached(place), "grid"),
        lambda place: action(place, _local(place), "local"),
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
        lambda place: action(_local(place)),
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
        return lambda: _read_each(storage, contents)

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

        def run() -> None:
            for name, content in contents.items():
                storage.save(name, ContentFile(content * size))

        return run

    return Case(
        "save, content cache" if size == 1 else f"save {size / 100:g} MB, content cache",
        files,
        lambda place: action(_cached(place)),
        lambda place: action(_plain(place)),
        Speed(time=1.05),
        Limits(requests=2 * files, uploads=files, directory_writes=files),
    )


def show(request: HttpRequest, name: str) -> FileResponse:
    """A file of this machine."""
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


def _cached(place: Place, cap: str | None = None, *, is_apart: bool = True) -> TahoeStorage:
    cap = cap or place.bare.make_directory()
    options = _options(place, cap)
    return place.storage(cap, **options) if is_apart else TahoeStorage(**options)


def _plain(place: Place, cap: str | None = None) -> TahoeStorage:
    return place.storage(cap or place.bare.make_directory())


def _local(place: Place) -> FileSystemStorage:
    return FileSystemStorage(place.folder / "local")


def _after_one(storage: Storage, contents: dict[str, bytes], action: Action) -> Action:
    """Save files, and do something once before it counts."""
    for name, content in contents.items():
        storage.delete(name)
        storage.save(name, ContentFile(content))
    action()
    return action


def _read_each(storage: Storage, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        with storage.open(name) as file:
            assert file.read() == content
