"""Cases of `collectstatic`, with the files of Django's admin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from tempfile import mkdtemp
from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands
from django.test import override_settings

from tests.bench.case import Action, Case, Limits, Skipped, Speed
from tests.bench.place import Place
from tests.processes import forget_trees

_MODULE = "tahoestorage.staticfiles"
_BACKEND = f"{_MODULE}.TahoeStaticFilesStorage"


def first_collectstatic(below: str = "admin") -> Case:
    """Collect static files into an empty directory. `below`: a folder of the admin's files."""
    files, directories = _extent(below)

    def ours(place: Place) -> Action:
        folder = _new_files(place, below)
        options = place.options(place.bare.make_directory())
        return lambda: _collect(folder, options)

    def bare(place: Place) -> Action:
        folder = _new_files(place, below)
        root = place.bare.make_directory()
        return lambda: place.bare.link(root, _uploaded(place, folder))

    return Case(
        f"collectstatic, first, {files} files",
        files,
        ours,
        bare,
        Speed(throughput=0.8),
        # A write for each directory, the root among them.
        Limits(uploads=files, directory_writes=directories),
        local=lambda place: _collecting_locally(place, below),
    )


def unchanged_collectstatic(below: str = "admin") -> Case:
    """The same again in a new process, when no file has changed."""
    files, directories = _extent(below)

    @cache
    def collected(place: Place) -> tuple[Path, str]:
        folder, root = _new_files(place, below), place.bare.make_directory()
        _collect(folder, place.options(root))
        return folder, root

    def ours(place: Place) -> Action:
        folder, root = collected(place)
        options = place.options(root)
        return lambda: _collect(folder, options)

    def bare(place: Place) -> Action:
        _, root = collected(place)
        return lambda: _list_all(place, root)

    return Case(
        f"collectstatic, unchanged, {files} files",
        files,
        ours,
        bare,
        limits=Limits(requests=directories, uploads=0, directory_reads=directories),
    )


def _collecting_locally(place: Place, below: str) -> Action:
    folder, options = _new_files(place, below), {"location": place.local().location}
    backend = "django.contrib.staticfiles.storage.StaticFilesStorage"
    return lambda: _collect(folder, options, backend)


def _admin_files() -> Path:
    spec = find_spec("django.contrib.admin")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "static"


def _extent(below: str) -> tuple[int, int]:
    """The number of files, and of directories with the root and those in between."""
    paths = list((_admin_files() / below).rglob("*"))
    files = sum(path.is_file() for path in paths)
    return files, len(paths) - files + len(Path(below).parts) + 1


def _new_files(place: Place, below: str) -> Path:
    """A folder of the admin's files, each with a new comment at its end."""
    source = _admin_files()
    folder = Path(mkdtemp(dir=place.folder))
    for path in (source / below).rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            begin, end = ("<!--", "-->") if path.suffix == ".svg" else ("/*", "*/")
            comment = f"\n{begin} {token_hex(16)} {end}\n"
            target.write_bytes(path.read_bytes() + comment.encode())
    return folder


def _collect(folder: Path, options: dict[str, Any], backend: str = _BACKEND) -> None:
    with _static_settings(folder, options, backend):
        call_command("collectstatic", interactive=False, verbosity=0)


@contextmanager
def _static_settings(folder: Path, options: dict[str, Any], backend: str) -> Iterator[None]:
    if find_spec(_MODULE) is None:
        raise Skipped(f"{_MODULE} is missing")
    forget_trees()
    with override_settings(
        INSTALLED_APPS=[*settings.INSTALLED_APPS, "django.contrib.staticfiles"],
        STATIC_URL="static/",
        STATICFILES_DIRS=[folder],
        STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
        STORAGES={**settings.STORAGES, "staticfiles": {"BACKEND": backend, "OPTIONS": options}},
    ):
        get_commands.cache_clear()  # type: ignore[attr-defined]
        yield
    get_commands.cache_clear()  # type: ignore[attr-defined]


def _uploaded(place: Place, folder: Path) -> dict[str, str]:
    """Upload the files of a folder; return their names and caps."""
    paths = sorted(folder.rglob("*"))
    files = [path for path in paths if path.is_file()]

    def upload(path: Path) -> str:
        return place.bare.upload(path.read_bytes())

    caps = place.bare.together(upload, files, place.concurrency.uploads)
    children: dict[Path, dict[str, str]] = defaultdict(dict)
    for path, cap in zip(files, caps, strict=True):
        children[path.parent][path.name] = cap
    for level in _levels([path for path in paths if path.is_dir()]):
        made = place.make_directories(*(children[path] for path in level))
        for path, cap in zip(level, made, strict=True):
            children[path.parent][path.name] = cap
    return children[folder]


def _levels(directories: list[Path]) -> list[list[Path]]:
    """Directories by depth, the deepest first: each is made with its children."""
    levels: dict[int, list[Path]] = defaultdict(list)
    for path in directories:
        levels[len(path.parts)].append(path)
    return [levels[depth] for depth in sorted(levels, reverse=True)]


def _list_all(place: Place, root: str) -> None:
    directories = [root]
    while directories:
        listings = place.bare.together(place.bare.children, directories, place.concurrency.listings)
        directories = [
            cap for listing in listings for cap in listing.values() if cap.startswith("URI:DIR2:")
        ]
