"""The number of simultaneous bare requests that is fastest on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.bench.bare import RefusedRequest
from tests.bench.place import Concurrency, Place, random_content

_UPLOADS = 64
_DIRECTORIES = 20


def calibrated(place: Place) -> Concurrency:
    """The best of some concurrencies, for each kind of work."""
    bare = place.bare

    def upload(at_once: int) -> None:
        bare.together(bare.upload, [random_content() for _ in range(_UPLOADS)], at_once)

    def make(at_once: int) -> None:
        bare.together(bare.make_directory, [{"1.bin": cap}] * _DIRECTORIES, at_once)

    def list_all(at_once: int) -> None:
        bare.together(bare.children, directories, at_once)

    cap = bare.upload(random_content())
    directories = [bare.make_directory({"1.bin": cap}) for _ in range(_DIRECTORIES)]
    return Concurrency(
        uploads=_best(upload, (4, 8, 16, 32, _UPLOADS)),
        new_directories=_best(make, (4, 8, _DIRECTORIES)),
        listings=_best(list_all, (4, 8, _DIRECTORIES)),
    )


def _best(work: Callable[[int], None], candidates: tuple[int, ...], rounds: int = 2) -> int:
    """The fastest of the candidates. The gateway may refuse requests if it has too many at once."""
    seconds = dict.fromkeys(candidates, 0.0)
    for number in range(rounds + 1):
        for at_once in list(seconds):
            began = time.perf_counter()
            try:
                work(at_once)
            except RefusedRequest:
                del seconds[at_once]
                continue
            if number:  # the first one opens the connections
                seconds[at_once] += time.perf_counter() - began
    return min(seconds, key=seconds.__getitem__)
