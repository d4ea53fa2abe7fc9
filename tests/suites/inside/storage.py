"""The storage, made as FileSystemStorage is made."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.core.files.base import ContentFile, File
from django.utils.encoding import filepath_to_uri

from tahoestorage.files import TahoeFile
from tahoestorage.operations import Operations
from tahoestorage.storage import TahoeStorage
from tahoestorage.trees import StorageTree
from tahoestorage.waiting import done
from txtahoe.errors import IsADirectory, NoSuchChild, NotADirectory
from txtahoe.paths import Path as Names


class StorageOnGrid(TahoeStorage):
    """
    Keep on the grid what FileSystemStorage would keep in a folder.

    Tests of the suites put files into that folder, or look there, without a storage. So the folder
    and the grid are made alike: before each operation by what is new in the folder, after it by
    what is new on the grid. Every answer comes from the grid.
    """

    OS_OPEN_FLAGS = 0  # a class of Django's tests begins with this

    def __init__(
        self,
        location: Any = None,
        base_url: Any = None,
        file_permissions_mode: Any = None,
        directory_permissions_mode: Any = None,
        allow_overwrite: bool = False,
    ) -> None:
        super().__init__(allow_overwrite=allow_overwrite)
        self._folder = location
        self.base_url = base_url

    @property
    def base_location(self) -> str:
        folder = os.path.abspath(settings.MEDIA_ROOT if self._folder is None else self._folder)
        _MIRROR.bring_to_grid(folder)
        return folder

    def _served_url(self, name: str) -> str:
        # A storage of another folder is taken for one that is served at its URL.
        url = self.base_url or settings.MEDIA_URL
        return super()._served_url(name) or urljoin(url, filepath_to_uri(name).lstrip("/"))

    @property
    def operations(self) -> Operations:
        return _Operations(
            self._tree, self._location, self, self._is_asked_first, self._allow_overwrite
        )

    def _open(self, name: Any, mode: str = "rb") -> TahoeFile:
        file = super()._open(name, mode)
        file.__class__ = _OpenedFile
        return file


class _Operations(Operations):
    async def save(self, name: str, content: File[Any], max_length: int | None) -> str:
        saved = await super().save(name, content, max_length)
        await _MIRROR.bring_to_disk(self.tree, self.location.path_of(saved))
        return saved

    async def delete(self, name: Any) -> None:
        await super().delete(name)
        await _MIRROR.bring_to_disk(self.tree, self.location.path_of(name))


class _OpenedFile(TahoeFile):
    def _save(self, spool: Any) -> None:
        super()._save(spool)
        done(_MIRROR.bring_to_disk(self._tree, self._path))


class _Mirror:
    """The files of folders that are on the grid too, by their paths, with what tells a change."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int]] = {}
        self._lock = RLock()

    def bring_to_grid(self, folder: str) -> None:
        with self._lock:
            there = {path: _state(path) for path in _files(folder)}
            new = [path for path, state in there.items() if self._known.get(path) != state]
            _grid().save_many([(path[1:], ContentFile(Path(path).read_bytes())) for path in new])
            gone = {path for path in self._known.keys() - there.keys() if _is_below(path, folder)}
            for path in {_topmost_missing(path) for path in gone}:
                _unlink(path)
            for path in gone:
                del self._known[path]
            self._known |= there

    async def bring_to_disk(self, tree: StorageTree, names: Names) -> None:
        path = "/" + "/".join(names)
        try:
            node = await tree.file(names, path)
        except (NoSuchChild, NotADirectory, IsADirectory):
            self._remove(path)
        else:
            self._write(path, await tree.run(lambda tree, _: tree.client.read(node.cap)))

    def _write(self, path: str, data: bytes) -> None:
        with self._lock:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            Path(path).write_bytes(data)
            self._known[path] = _state(path)

    def _remove(self, path: str) -> None:
        with self._lock:
            self._known.pop(path, None)
            if os.path.isdir(path):
                os.rmdir(path)
            elif os.path.lexists(path):
                os.remove(path)


_MIRROR = _Mirror()


@cache
def _grid() -> TahoeStorage:
    return TahoeStorage(allow_overwrite=True)


def _unlink(path: str) -> None:
    """Take away what is on the grid at a path, be it a directory that is full."""
    operations = _grid().operations
    names = operations.location.path_of(path[1:])
    with suppress(NoSuchChild, NotADirectory):
        done(operations.tree.change(lambda tree: tree.unlink(names, only_files=False), names, path))


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(os.path.join(folder, ""))


def _topmost_missing(path: str) -> str:
    """What is missing on the disk at a path, or above it."""
    parent = os.path.dirname(path)
    return path if os.path.lexists(parent) else _topmost_missing(parent)


def _files(folder: str) -> list[str]:
    found = (os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)
    return [path for path in found if os.path.isfile(path)]


def _state(path: str) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_mtime_ns, stat.st_size
