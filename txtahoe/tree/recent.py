"""Values that were lately learnt of paths."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from txtahoe.http.terms import max_age
from txtahoe.tree.paths import Path

T = TypeVar("T")


class Recent(Generic[T]):
    """
    The last `most` values, by path. Each counts for `max_age` seconds, or less if the caller asks
    for that.
    """

    def __init__(self, seconds: Callable[[], float], max_age: float, most: int) -> None:
        self._seconds = seconds
        self._max_age = max_age
        self._most = most
        # Oldest first.
        self._values: OrderedDict[Path, tuple[float, T]] = OrderedDict()

    def get(self, path: Path) -> T | None:
        """The value of a path, if it is new enough. Can be called in any thread."""
        found = self._values.get(path)
        if found is None or self._seconds() - found[0] >= max_age(self._max_age):
            return None
        return found[1]

    def last(self, path: Path) -> T | None:
        """The value of a path, however old."""
        found = self._values.get(path)
        return None if found is None else found[1]

    def put(self, path: Path, value: T) -> None:
        self._values[path] = self._seconds(), value
        self._values.move_to_end(path)
        if len(self._values) > self._most:
            self._values.popitem(last=False)

    def pop(self, path: Path) -> T | None:
        """Forget a path; return its value, even if it is old."""
        found = self._values.pop(path, None)
        return None if found is None else found[1]

    def forget_below(self, above: Collection[Path], length: int) -> None:
        """Forget the paths that begin with one in `above`, each `length` names long."""
        for path in [path for path in self._values if path[:length] in above]:
            del self._values[path]
