"""What was learnt of paths lately."""

from __future__ import annotations

from collections.abc import Callable

from txtahoe.nodes import Node
from txtahoe.paths import Path
from txtahoe.terms import max_age

_Times = dict[Path, tuple[float, Node]]


class Known:
    """
    What paths led to, for `max_age` seconds after it was learnt, or as long as the caller allows;
    the last `max_known` files, and as many directories, so that the files of a large directory do
    not make it forgotten.

    That a path leads nowhere is not kept: somebody else may save there at any moment.
    """

    def __init__(self, seconds: Callable[[], float], max_age: float, max_known: int) -> None:
        self._seconds = seconds
        self._max_known = max_known
        self._max_age = max_age
        # In the order in which it was learnt, so that what comes first is the oldest.
        self._files: _Times = {}
        self._directories: _Times = {}

    def get(self, path: Path) -> Node | None:
        """May be called in any thread."""
        found = self._directories.get(path) or self._files.get(path)
        if found is None or self._seconds() - found[0] >= max_age(self._max_age):
            return None
        return found[1]

    def put(self, path: Path, node: Node) -> None:
        self._pop(path)
        nodes = self._directories if node.is_directory else self._files
        nodes[path] = self._seconds(), node
        if len(nodes) > self._max_known:
            del nodes[next(iter(nodes))]

    def forget(self, path: Path) -> None:
        """Forget a path and all that is below it."""
        node = self._pop(path)
        if node is not None and not node.is_directory:
            return
        for nodes in (self._files, self._directories):
            for known in [known for known in nodes if known[: len(path)] == path]:
                del nodes[known]

    def _pop(self, path: Path) -> Node | None:
        found = self._directories.pop(path, None) or self._files.pop(path, None)
        return None if found is None else found[1]
