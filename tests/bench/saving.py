"""Cases of saving."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import Storage

from tahoestorage.storage import TahoeStorage
from tests.bench.case import Action, Case, Limits, Side, Speed
from tests.bench.place import Place, random_content, random_files

_THREADS = 16


def sequential_saves(files: int = 20) -> Case:
    """Saves one after another into a known directory."""

    def bare(place: Place) -> Action:
        caps = place.upload_all({"first.bin": random_content()})
        directory = place.bare.make_directory(caps)
        contents = random_files(files)

        def run() -> None:
            for name, content in contents.items():
                place.bare.link(directory, {name: place.bare.upload(content)})

        return run

    return Case(
        "save, one after another",
        files,
        _saving_into_one(files, save_each),
        bare,
        Speed(time=1.15),
        Limits(requests=2 * files, uploads=files, directory_writes=files),
        local=_saving_into_one(files, save_each, Place.local),
    )


def concurrent_saves(files: int = 64) -> Case:
    """Saves from 16 threads into one directory."""
    return Case(
        f"save, {files} from {_THREADS} threads",
        files,
        _saving_into_one(files, _save_from_threads),
        _bare_into_one(files),
        Speed(throughput=0.85),
        Limits(uploads=files, directory_writes=8),
        local=_saving_into_one(files, _save_from_threads, Place.local),
    )


def batch(files: int = 64) -> Case:
    """`save_many` into one directory."""
    return Case(
        f"save_many, {files} files",
        files,
        _saving_into_one(files, _save_many),
        _bare_into_one(files),
        Speed(throughput=0.95),
        Limits(uploads=files, directory_writes=1),
        local=_saving_into_one(files, save_each, Place.local),
    )


def batch_into_new_directories(files: int = 64) -> Case:
    """`save_many` of files, each in a new directory of its own, all below one new directory."""
    return Case(
        f"save_many, {files} new directories",
        files,
        _saving_into_new(files, _save_many),
        _bare_into_new(files),
        # A write for each directory, one for the directory above them, and one for the root.
        limits=Limits(uploads=files, directory_writes=files + 2),
        local=_saving_into_new(files, save_each, Place.local),
    )


def concurrent_saves_into_new_directories(files: int = 64) -> Case:
    """Saves from 16 threads, each into a new directory of its own."""
    return Case(
        f"save, {files} new directories, threads",
        files,
        _saving_into_new(files, _save_from_threads),
        _bare_into_new(files),
        limits=Limits(uploads=files),
        local=_saving_into_new(files, _save_from_threads, Place.local),
    )


def _new_storage(place: Place) -> TahoeStorage:
    return place.storage(place.bare.make_directory())


def _saving_into_one(
    files: int,
    save: Callable[[Any, dict[str, bytes]], None],
    new_storage: Callable[[Place], Storage] = _new_storage,
) -> Side:
    def ours(place: Place) -> Action:
        storage = new_storage(place)
        storage.save("documents/first.bin", ContentFile(random_content()))
        contents = random_files(files, "documents")
        return lambda: save(storage, contents)

    return ours


def _bare_into_one(files: int) -> Callable[[Place], Action]:
    def bare(place: Place) -> Action:
        directory = place.bare.make_directory(place.upload_all({"first.bin": random_content()}))
        contents = random_files(files)
        return lambda: place.bare.link(directory, place.upload_all(contents))

    return bare


def _saving_into_new(
    files: int,
    save: Callable[[Any, dict[str, bytes]], None],
    new_storage: Callable[[Place], Storage] = _new_storage,
) -> Side:
    def ours(place: Place) -> Action:
        storage = new_storage(place)
        storage.save("first.bin", ContentFile(random_content()))
        contents = {f"albums/{n}/1.bin": random_content() for n in range(files)}
        return lambda: save(storage, contents)

    return ours


def _bare_into_new(files: int) -> Callable[[Place], Action]:
    def bare(place: Place) -> Action:
        root = place.bare.make_directory(place.upload_all({"first.bin": random_content()}))
        contents = random_files(files)

        def run() -> None:
            caps = place.upload_all(contents)
            albums = place.make_directories(*({name: cap} for name, cap in caps.items()))
            parent = dict(zip(contents, albums, strict=True))
            place.bare.link(root, {"albums": place.bare.make_directory(parent)})

        return run

    return bare


def save_each(storage: Storage, contents: dict[str, bytes]) -> None:
    """Save files, each under its own name."""
    for name, content in contents.items():
        assert storage.save(name, ContentFile(content)) == name


def _save_from_threads(storage: Storage, contents: dict[str, bytes]) -> None:
    with ThreadPoolExecutor(_THREADS) as threads:
        saved = threads.map(
            lambda item: storage.save(item[0], ContentFile(item[1])), contents.items()
        )
        assert list(saved) == list(contents)


def _save_many(storage: TahoeStorage, contents: dict[str, bytes]) -> None:
    files = [(name, ContentFile(content)) for name, content in contents.items()]
    assert storage.save_many(files) == list(contents)
