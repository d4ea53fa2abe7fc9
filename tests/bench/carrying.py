"""Cases of names that carry caps."""

from __future__ import annotations

import os
from base64 import b32encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.core.files.base import ContentFile

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.care.anchoring import anchor
from tests.bench.case import Action, Case, Limits, Speed
from tests.bench.place import FILE_SIZE, Place, random_content, random_files
from txtahoe import Cap
from txtahoe.capnames.anchors import BATCH
from txtahoe.capnames.names import CapName

_THREADS = 16
# No save takes longer. The storage may make its links while the next files are saved.
_FLUSHES = 10


def sequential_cap_saves(files: int = 20) -> Case:
    """Saves one after another. Each is one upload."""

    def save(storage: TahoeCapStorage, contents: dict[str, bytes]) -> None:
        for name, content in contents.items():
            storage.save(name, ContentFile(content))

    def bare(place: Place) -> Action:
        place.settle()
        contents = random_files(files)

        def run() -> None:
            for content in contents.values():
                place.bare.upload(content)

        return run

    return Case(
        "save with caps, one after another",
        files,
        _saving(files, save),
        bare,
        Speed(time=1.15),
        Limits(uploads=files, directory_writes=_FLUSHES),
    )


def concurrent_cap_saves(files: int = 64) -> Case:
    """Saves from 16 threads."""

    def save(storage: TahoeCapStorage, contents: dict[str, bytes]) -> None:
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(lambda i: storage.save(i[0], ContentFile(i[1])), contents.items()))

    def bare(place: Place) -> Action:
        place.settle()
        contents = random_files(files)
        return lambda: place.upload_all(contents)

    return Case(
        f"save with caps, {files} from {_THREADS} threads",
        files,
        _saving(files, save),
        bare,
        Speed(throughput=0.9),
        Limits(uploads=files, directory_writes=_FLUSHES),
    )


def cap_urls(calls: int = 500) -> Case:
    """The URL and the size of a name that a process does not know."""

    def ours(place: Place) -> Action:
        name = place.cap_storage(place.bare.make_directory()).save(
            "documents/first.bin", ContentFile(random_content())
        )
        storage = place.cap_storage(place.bare.make_directory())

        def run() -> None:
            for _ in range(calls):
                assert storage.url(name)
                assert storage.size(name) == FILE_SIZE

        return run

    return Case(
        "url and size with caps, new process",
        calls,
        ours,
        None,
        Speed(seconds=200e-6),
        Limits(requests=0),
    )


def anchors(names: int = 10_000) -> Case:
    """Link all of many unlinked names, against the same directory writes."""

    def ours(place: Place) -> Action:
        tree = place.cap_storage(place.bare.make_directory()).operations.tree
        made = random_names(names)

        def run() -> None:
            assert anchor(tree, made).linked == names

        return run

    def bare(place: Place) -> Action:
        root = place.bare.make_directory()
        made = random_names(names)
        parts = [_links(made[start : start + BATCH]) for start in range(0, names, BATCH)]

        def run() -> None:
            make, at_once = place.bare.make_immutable_directory, place.concurrency.new_directories
            caps = place.bare.together(make, parts, at_once)
            cap = make({str(number): each for number, each in enumerate(caps)})
            for name in ("batch", "hour", "day", "month"):
                cap = place.bare.make_directory({name: cap})
            place.bare.link(root, {"links": cap})
            place.bare.link(cap, {"ledger": "URI:LIT:me"})

        return run

    return Case(
        f"anchor {names} names",
        names,
        ours,
        bare,
        Speed(time=1.3),
        # A write for each batch, and for their group, the hour, the day, the month, the links, the
        # root and the ledger.
        Limits(requests=names // BATCH + 14, directory_writes=names // BATCH + 7),
        most_rounds=3,
    )


def more_anchors(names: int = 10_000, more: int = 100) -> Case:
    """Link some new names beside many linked ones, against some new names alone."""

    def side(before: int) -> Callable[[Place], Action]:
        def ours(place: Place) -> Action:
            root = place.bare.make_directory()
            linked = random_names(before)
            anchor(place.cap_storage(root).operations.tree, linked)
            tree = place.cap_storage(root).operations.tree
            every = [*linked, *random_names(more)]

            def run() -> None:
                assert anchor(tree, every).linked == more

            return run

        return ours

    return Case(
        f"anchor {more} more beside {names}, against {more} beside {more}",
        more,
        side(names),
        side(more),
        Speed(time=1.5),
        Limits(requests=12, directory_writes=3),
        most_rounds=3,
    )


def random_names(number: int) -> list[str]:
    """Names of files that do not exist."""
    return [CapName("docs", _random_cap(), f"{index}.pdf").text for index in range(number)]


def _random_cap() -> Cap:
    key, hash_ = (b32encode(os.urandom(n)).decode().rstrip("=").lower() for n in (16, 32))
    return Cap.parse(f"URI:CHK:{key}:{hash_}:2:3:{FILE_SIZE}")


def _links(names: list[str]) -> dict[str, str]:
    links = {}
    for text in names:
        name = CapName.parse(text)
        assert name is not None
        links[name.label] = str(name.cap)
    return links


def _saving(
    files: int, save: Callable[[TahoeCapStorage, dict[str, bytes]], None]
) -> Callable[[Place], Action]:
    def ours(place: Place) -> Action:
        storage = place.cap_storage(place.bare.make_directory())
        storage.save("documents/first.bin", ContentFile(random_content()))
        storage.flush()
        contents = random_files(files, "documents")
        return lambda: save(storage, contents)

    return ours
