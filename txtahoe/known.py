"""What was learnt of paths lately."""

from __future__ import annotations

from collections.abc import Callable

from txtahoe.nodes import Node
from txtahoe.paths import Path


class Known:
    """
    What paths led to, for `max_age` seconds after it was learnt; the last `max_known` ones.

    That a path leads nowhere is not kept: somebody else may save there at any moment.
    """

    def __init__(self, seconds: Callable[[], float], max_age: float, max_known: int) -> None:
        self._seconds = seconds
        self._max_known = max_known
        self._max_age = max_age
        # In the order in which it was learnt, so that what comes first is the oldest.
        self._nodes: dict[Path, tuple[float, Node]] = {}

    def get(self, path: Path) -> Node | None:
        """May be called in any thread."""
        since, node = self._nodes.get(path, (0.0, None))
        return None if node is None or self._seconds() - since >= self._max_age else node

    def put(self, path: Path, node: Node) -> None:
        self._nodes.pop(path, None)
        self._nodes[path] = self._seconds(), node
        if len(self._nodes) > self._max_known:
            del self._nodes[next(iter(self._nodes))]

    def forget(self, path: Path) -> None:
        """Forget a path and all that is below it."""
        _, node = self._nodes.pop(path, (0.0, None))
        if node is not None and not node.is_directory:
            return
        for known in [known for known in self._nodes if known[: len(path)] == path]:
            del self._nodes[known]
