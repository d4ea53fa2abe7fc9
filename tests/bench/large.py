"""Cases of one large file, against curl."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from django.core.files import File
from django.core.files.storage import Storage

from tests.bench.case import Action, Case, Limits, Skipped, Speed
from tests.bench.place import Place

_MEGABYTE = 10**6


def upload_of_large(megabytes: int = 300) -> Case:
    """Save a large file from a file of this machine."""

    def save(place: Place, storage: Storage) -> Action:
        path = _file(place, megabytes)

        def run() -> None:
            with path.open("rb") as file:
                storage.save("large.bin", File(file))

        return run

    def bare(place: Place) -> Action:
        path = _file(place, megabytes)
        directory = place.bare.make_directory()
        # Without it, curl waits up to a second for the permission to send.
        command = ["--header", "Expect:", "--upload-file", str(path), f"{place.gateway}uri"]
        return lambda: place.bare.link(directory, {"large.bin": _curl(*command)})

    return Case(
        f"save {megabytes} MB",
        1,
        lambda place: save(place, place.storage(place.bare.make_directory())),
        bare,
        Speed(throughput=0.95),
        # The third asks for the root while the file is on its way: see `txtahoe.tree.spread`.
        Limits(requests=3),
        most_rounds=3,
        local=lambda place: save(place, place.local()),
    )


def download_of_large(megabytes: int = 300) -> Case:
    """Read a large file through `chunks()`, and keep nothing."""
    # It is uploaded once: a read does not change the cost of the next one.
    uploaded: list[str] = []

    def cap(place: Place) -> str:
        if not uploaded:
            with _file(place, megabytes).open("rb") as file:
                uploaded.append(place.bare.upload(file))
        return uploaded[0]

    def read(storage: Storage) -> Action:
        def run() -> None:
            with storage.open("large.bin") as file:
                size = sum(map(len, file.chunks()))
            assert size == megabytes * _MEGABYTE

        return run

    def ours(place: Place) -> Action:
        return read(place.storage(place.bare.make_directory({"large.bin": cap(place)})))

    def local(place: Place) -> Action:
        storage = place.local()
        with _file(place, megabytes).open("rb") as file:
            storage.save("large.bin", File(file))
        return read(storage)

    def bare(place: Place) -> Action:
        url = f"{place.gateway}uri/{cap(place)}"
        return lambda: _curl("--output", os.devnull, url)

    return Case(
        f"read {megabytes} MB",
        1,
        ours,
        bare,
        Speed(throughput=0.95),
        Limits(directory_reads=1),
        most_rounds=3,
        local=local,
    )


def _file(place: Place, megabytes: int) -> Path:
    """A file of random bytes, with a cap of its own."""
    path = place.folder / f"{megabytes}.bin"
    if not path.exists():
        with path.open("wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(_MEGABYTE))
    with path.open("r+b") as file:
        file.write(os.urandom(32))
    return path


def _curl(*arguments: str) -> str:
    curl = shutil.which("curl")
    if curl is None:
        raise Skipped("curl is missing")
    command = [curl, "--silent", "--show-error", "--fail", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
