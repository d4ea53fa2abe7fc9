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

from tahoestorage.grid.file import TahoeFile
from tahoestorage.storage import TahoeStorage

# The files that are in a folder and on the grid, with what tells whether they change there.
_KNOWN: dict[Path, tuple[int, int]] = {}
_LOCK = RLock()


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
        _bring_to_grid(Path(folder))
        return folder

    def _served_url(self, name: str, *terms: Any) -> str:
        # A storage of another folder is taken for one that is served at its URL.
        url = self.base_url or settings.MEDIA_URL
        return super()._served_url(name, *terms) or urljoin(url, filepath_to_uri(name).lstrip("/"))

    def _save(self, name: str, content: File[Any]) -> str:
        saved = super()._save(name, content)
        self.bring_to_disk(saved)
        return saved

    def delete(self, name: Any) -> None:
        super().delete(name)
        self.bring_to_disk(name)

    def _open(self, name: Any, mode: str = "rb") -> TahoeFile:
        file = super()._open(name, mode)
        file.__class__ = _OpenedFile
        file.storage = self  # type: ignore[attr-defined]
        return file

    if "SUITE_SPOOL" in os.environ:
        # The tests name files exactly: a storage that chooses names in its own way is asked first,
        # and gives them no random suffix.
        def get_available_name(self, name: str, max_length: int | None = None) -> str:
            return super().get_available_name(name, max_length)

    def bring_to_disk(self, name: Any) -> None:
        path = self.path_on_disk(name)
        with _LOCK:
            if TahoeStorage.exists(self, name):
                os.makedirs(path.parent, exist_ok=True)
                path.write_bytes(TahoeStorage._open(self, name).read())
                _KNOWN[path] = _state(path)
            elif path.is_dir():
                os.rmdir(path)
            elif path.exists():
                _KNOWN.pop(path, None)
                os.remove(path)

    def path_on_disk(self, name: Any) -> Path:
        return Path("/", *self._location.path_of(name))


class _OpenedFile(TahoeFile):
    def _save(self, spool: Any) -> None:
        super()._save(spool)
        self.storage.bring_to_disk(self.name)


def _bring_to_grid(folder: Path) -> None:
    with _LOCK:
        there = {path: _state(path) for path in folder.rglob("*") if path.is_file()}
        for path in [path for path in _KNOWN if path.is_relative_to(folder) and path not in there]:
            del _KNOWN[path]
            _delete_from_grid(path)
        new = [path for path, state in there.items() if _KNOWN.get(path) != state]
        _grid().save_many([(str(path)[1:], ContentFile(path.read_bytes())) for path in new])
        _KNOWN.update(there)


def _delete_from_grid(path: Path) -> None:
    """Delete a file, and the directories above it that are not in the folder."""
    with suppress(OSError):
        while not path.is_dir():
            _grid().delete(str(path)[1:])
            path = path.parent


@cache
def _grid() -> TahoeStorage:
    return TahoeStorage(allow_overwrite=True)


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size
