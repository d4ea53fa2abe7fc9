"""Cases with a spool, beside files of this machine that are synced to the disk too."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage

from tests.bench.case import Action, Case, Speed
from tests.bench.place import FILE_SIZE, Place, random_content, random_files, upload
from txtahoe.spool import Uploader

_THREADS = 16
_MEGABYTE = 10**6


class SyncedStorage(FileSystemStorage):
    """As FileSystemStorage; a saved file and its name are on the disk when `save` returns."""

    def _save(self, name: str, content: File[Any]) -> str:
        saved: str = super()._save(name, content)
        for path in (Path(self.path(saved)), Path(self.path(saved)).parent):
            opened = os.open(path, os.O_RDONLY)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)
        return saved


def spooled_saves(files: int = 20) -> Case:
    """Saves one after another."""
    return _case(f"save {FILE_SIZE // 1000} KB, spool", files, _save_each)


def large_spooled_saves(files: int = 3, megabytes: int = 20) -> Case:
    """Saves of large files one after another."""
    return _case(f"save {megabytes} MB, spool", files, _save_each, megabytes * _MEGABYTE)


def concurrent_spooled_saves(files: int = 64) -> Case:
    """Saves from 16 threads into one directory."""
    return _case(f"save, {files} from {_THREADS} threads, spool", files, _save_from_threads)


def upload_of_pending(files: int = 64) -> Case:
    """The upload of what has waited, as after an outage; bare is `save_many` without a spool."""

    def ours(place: Place) -> Action:
        storage = place.spooled()
        storage.save("documents/first.bin", ContentFile(random_content()))
        upload(storage)
        with mock.patch.object(Uploader, "wake"):
            _save_each(storage, [random_content() for _ in range(files)])
        return lambda: upload(storage)

    def bare(place: Place) -> Action:
        storage = place.storage(place.bare.make_directory())
        storage.save("documents/first.bin", ContentFile(random_content()))
        contents = random_files(files, "documents")
        many = [(name, ContentFile(content)) for name, content in contents.items()]
        return lambda: storage.save_many(many)

    return Case(
        f"upload {files} from the spool", files, ours, bare, Speed(throughput=0.9), most_rounds=20
    )


def _case(
    name: str, files: int, save: Callable[[Storage, list[bytes]], None], size: int = FILE_SIZE
) -> Case:
    def action(storage: Storage) -> Action:
        storage.save("documents/first.bin", ContentFile(b"first"))
        contents = [random_content() * (size // FILE_SIZE) for _ in range(files)]
        return lambda: save(storage, contents)

    return Case(
        name,
        files,
        lambda place: action(place.spooled()),
        lambda place: action(SyncedStorage(place.local().location)),
        Speed(time=5.0),
        most_rounds=20,
    )


def _save_each(storage: Storage, contents: list[bytes]) -> None:
    for content in contents:
        storage.save("documents/file.bin", ContentFile(content))


def _save_from_threads(storage: Storage, contents: list[bytes]) -> None:
    with ThreadPoolExecutor(_THREADS) as threads:
        saved = threads.map(
            lambda content: storage.save("documents/file.bin", ContentFile(content)), contents
        )
        assert len(set(saved)) == len(contents)
