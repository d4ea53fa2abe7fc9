"""A walk over a directory and all below it; after `allmydata.dirnode` and `deep_stats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import sqrt
from typing import Any

from txtahoe.testing.fake.objects.links import Directory
from txtahoe.testing.fake.objects.nodes import Node
from txtahoe.testing.fake.objects.store import Store, as_file

Path = list[str]

_RANKS = ("unknown", "filenode", "dirnode")
_COUNTERS = (
    "count-immutable-files",
    "count-mutable-files",
    "count-literal-files",
    "count-files",
    "count-directories",
    "count-unknown",
    "size-immutable-files",
    "size-literal-files",
    "size-directories",
    "largest-directory",
    "largest-directory-children",
    "largest-immutable-file",
)


class Walk:
    """
    One walk from a directory: iterate over it once for the path and the node of each object.

    Each object is met once, however many names it has. Files come before the directories beside
    them, both in the order of their names. Raises: Lost at the first directory that can't be read.
    """

    def __init__(self, store: Store, root: Node) -> None:
        self._store = store
        self._root = root
        self._met = {root.verify_uri}
        self._stats = dict.fromkeys(_COUNTERS, 0)
        self._sizes: Counter[tuple[int, int]] = Counter()

    def __iter__(self) -> Iterator[tuple[Path, Node]]:
        return self._below([], self._root)

    @property
    def stats(self) -> dict[str, Any]:
        """The counts so far, as Tahoe's `DeepStats.get_results`."""
        histogram = [[*bucket, count] for bucket, count in sorted(self._sizes.items())]
        return {"api-version": 1, **self._stats, "size-files-histogram": histogram}

    def _below(self, path: Path, node: Node) -> Iterator[tuple[Path, Node]]:
        self._stats["count-directories"] += 1
        yield path, node
        links = Directory(self._store, node.known).links()
        size = len(self._store.read(as_file(node.known)))
        self._stats["size-directories"] += size
        self._raise("largest-directory", size)
        self._raise("largest-directory-children", len(links))
        for _, name in sorted((_RANKS.index(link.node.type), name) for name, link in links.items()):
            child = links[name].node
            if child.verify_uri and child.verify_uri in self._met:
                continue
            self._met.add(child.verify_uri)
            if child.type == "dirnode":
                yield from self._below([*path, name], child)
            else:
                self._count(child)
                yield [*path, name], child

    def _count(self, node: Node) -> None:
        if node.cap is None:
            self._stats["count-unknown"] += 1
            return
        self._stats["count-files"] += 1
        size = node.cap.size
        if size is None:
            self._stats["count-mutable-files"] += 1
            return
        kind = "immutable" if node.cap.literal is None else "literal"
        self._stats[f"count-{kind}-files"] += 1
        self._stats[f"size-{kind}-files"] += size
        if kind == "immutable":
            self._raise("largest-immutable-file", size)
        self._sizes[next(bucket for bucket in _buckets() if size <= bucket[1])] += 1

    def _raise(self, counter: str, value: int) -> None:
        self._stats[counter] = max(self._stats[counter], value)


def _buckets() -> Iterator[tuple[int, int]]:
    """The classes of the histogram of sizes: two to each power of ten."""
    yield 0, 0
    lower, upper, power = 1, 3, 1
    while True:
        yield lower, upper
        power += 1
        lower, upper = upper + 1, int(sqrt(10) ** power)
