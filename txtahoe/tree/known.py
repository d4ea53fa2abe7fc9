"""
The memory of what paths below a root lead to.

An answer counts for `max_age` seconds from the moment at which its request began. It does not count
longer than the answer that led to its directory, which can have moved since. So nothing that is
known is older than `max_age`, however the answers came together. (Callers of `learn` vouch for it.)

That a path leads nowhere is never known: another process can save there at any moment.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Generic, TypeVar

from txtahoe.caps import Cap
from txtahoe.http.terms import max_age
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path
from txtahoe.tree.removed import REMOVED

T = TypeVar("T")

# The metadata of a directory of which only the cap is known. It can be a removed one.
FROM_ELSEWHERE: Mapping[str, Any] = {REMOVED: True}


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

    def since(self, path: Path) -> float | None:
        """From when on the value of a path counts, however old it is."""
        found = self._values.get(path)
        return None if found is None else found[0]

    def put(self, path: Path, value: T, since: float | None = None) -> None:
        """Keep a value. It counts from `since` on, or from now on."""
        self._values[path] = self._seconds() if since is None else since, value
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


class Known:
    """
    The nodes to which paths below `root` led lately.

    It keeps the last `max_known` files, and as many directories: so the files of a large directory
    do not push the directory out. Each counts for `max_age` seconds.
    """

    def __init__(
        self, root: Node, seconds: Callable[[], float], max_age: float, max_known: int
    ) -> None:
        self.root = root
        self.now = seconds
        """The reactor's time, in seconds."""
        self._files: Recent[Node] = Recent(seconds, max_age, max_known)
        self._directories: Recent[Node] = Recent(seconds, max_age, max_known)
        # Whether a path led anywhere, if no more was known.
        self._is_there: Recent[bool] = Recent(seconds, max_age, max_known)

    def known(self, path: Path) -> Node | None:
        """The node at a path, if it is known. Can be called in any thread."""
        node = self._get(path)
        return None if node is None or REMOVED in node.metadata else node

    def known_directory(self, path: Path) -> Cap | None:
        """The cap of a directory, if that is known. The directory can be a removed one."""
        node = self._get(path)
        return node.cap if node is not None and node.is_directory else None

    def is_taken(self, path: Path) -> bool:
        """Whether a path lately led anywhere, be it to a removed directory."""
        return self._get(path) is not None or bool(self._is_there.get(path))

    def note(self, path: Path, *, is_there: bool) -> None:
        """
        Keep whether a path leads anywhere. Go by that only for a change that is refused, or does no
        harm, if it is wrong by now.
        """
        self._is_there.put(path, is_there)

    def learn(self, path: Path, node: Node, since: float | None = None) -> None:
        """Keep what a path leads to, or led to at `since`."""
        before = self._directories.last(path) or self._files.last(path)
        if before is not None and before.cap != node.cap:
            self.forget(path[:-1], path[-1:])
        self._is_there.pop(path)
        here, other = self._files, self._directories
        if node.is_directory:
            here, other = other, here
        other.pop(path)
        here.put(path, node, since)

    def learn_below(
        self, path: Path, directory: Cap, children: Mapping[str, Node], since: float
    ) -> None:
        """
        Keep what names in a directory lead to, by a listing or a change that began at `since`.

        If the path is not known to lead to the directory any more, this forgets the names instead.
        """
        if self._last_known(path) != directory:
            self.forget(path, children)
            return
        known = self._directories.since(path)
        for name, node in children.items():
            self.learn((*path, name), node, since if known is None else min(since, known))

    def forget(self, directory: Path, names: Iterable[str]) -> None:
        """Forget names in a directory, and everything below them."""
        paths = [(*directory, name) for name in names]
        for path in paths:
            self._is_there.pop(path)
        # Nothing is below a file.
        above = {path for path in paths if self._files.pop(path) is None}
        if above:
            self._is_there.forget_below(above, len(directory) + 1)
            self._files.forget_below(above, len(directory) + 1)
            self._directories.forget_below(above, len(directory) + 1)

    def _get(self, path: Path) -> Node | None:
        return (self._directories.get(path) or self._files.get(path)) if path else self.root

    def _known_depth(self, path: Path) -> int:
        """The depth of the last directory on a path that is known."""
        depths = range(len(path), 0, -1)
        return next((d for d in depths if self.known_directory(path[:d]) is not None), 0)

    def _last_known(self, path: Path) -> Cap | None:
        """The cap that a directory had when it was last known, however long ago."""
        node = self._directories.last(path) if path else self.root
        return None if node is None else node.cap

    def _is_sure(self, path: Path) -> bool:
        """Whether the tree has listed, or made, the links to all directories on a path."""
        nodes = [self._get(path[:depth]) for depth in range(len(path) + 1)]
        return all(node is not None and node.metadata is not FROM_ELSEWHERE for node in nodes)
