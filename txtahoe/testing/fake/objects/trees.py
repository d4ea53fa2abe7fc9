"""A walk over a directory and all below it; after `allmydata.dirnode` and `deep_stats`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from math import sqrt
from typing import Any

from txtahoe.testing.fake.api.checks import check_and_repair, result
from txtahoe.testing.fake.http.refusals import Lost
from txtahoe.testing.fake.objects.links import Directory, Link
from txtahoe.testing.fake.objects.nodes import Node
from txtahoe.testing.fake.objects.store import Store, as_file

Path = list[str]
# Told of each object that is met: its path, and the object.
Meet = Callable[[Path, Node], None]

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
    One walk from a directory. Each object is met once, however many names it has.

    Files come before the directories beside them, both in the order of their names.
    """

    def __init__(self, store: Store, root: Node, meet: Meet) -> None:
        self._store = store
        self._root = root
        self._meet = meet
        self._found = {root.verify_uri}
        self._stats = dict.fromkeys(_COUNTERS, 0)
        self._sizes: dict[tuple[int, int], int] = {}

    def run(self) -> None:
        """Raises: Lost at the first directory that can't be read."""
        self._walk([], self._root)

    @property
    def stats(self) -> dict[str, Any]:
        """What was counted, as Tahoe's `DeepStats.get_results`."""
        histogram = [[*bucket, count] for bucket, count in sorted(self._sizes.items())]
        return {"api-version": 1, **self._stats, "size-files-histogram": histogram}

    def _walk(self, path: Path, node: Node) -> None:
        self._visit(path, node)
        links = Directory(self._store, node.known).links()
        self._count_directory(len(self._store.read(as_file(node.known))), len(links))
        children = sorted(links.items(), key=lambda item: (_rank(item[1]), item[0]))
        for name, link in children:
            self._enter([*path, name], link.node)

    def _enter(self, path: Path, node: Node) -> None:
        if node.verify_uri:
            if node.verify_uri in self._found:
                return
            self._found.add(node.verify_uri)
        if node.type == "dirnode":
            self._walk(path, node)
        else:
            self._visit(path, node)

    def _visit(self, path: Path, node: Node) -> None:
        self._meet(path, node)
        self._count(node)

    def _count(self, node: Node) -> None:
        if node.type != "filenode":
            kind = "count-directories" if node.type == "dirnode" else "count-unknown"
            self._stats[kind] += 1
            return
        self._stats["count-files"] += 1
        cap = node.known
        if cap.size is None:
            self._stats["count-mutable-files"] += 1
            return
        kind = "literal" if cap.literal is not None else "immutable"
        self._stats[f"count-{kind}-files"] += 1
        self._stats[f"size-{kind}-files"] += cap.size
        if kind == "immutable":
            self._raise("largest-immutable-file", cap.size)
        bucket = next(bucket for bucket in _buckets() if cap.size <= bucket[1])
        self._sizes[bucket] = self._sizes.get(bucket, 0) + 1

    def _count_directory(self, size: int, children: int) -> None:
        self._stats["size-directories"] += size
        self._raise("largest-directory", size)
        self._raise("largest-directory-children", children)

    def _raise(self, counter: str, value: int) -> None:
        self._stats[counter] = max(self._stats[counter], value)


def manifest_stream(store: Store, root: Node) -> bytes:
    """`t=stream-manifest`: a line of JSON for each object, and one of statistics at the end."""
    return _stream(store, root, lambda node: {})


def check_stream(store: Store, root: Node, repair: bool) -> bytes:
    """`t=stream-deep-check`: as the manifest, with what the check of each object finds."""
    if repair:
        return _stream(
            store, root, lambda node: {"check-and-repair-results": check_and_repair(store, node)}
        )
    return _stream(store, root, lambda node: {"check-results": result(store, node)})


def describe(path: Path, node: Node) -> dict[str, Any]:
    """The line of an object in a stream."""
    index = node.cap.storage_index if node.cap else None
    return {
        "path": path,
        "cap": node.uri,
        "type": {"dirnode": "directory", "filenode": "file"}.get(node.type, "unknown"),
        "verifycap": node.verify_uri,
        "repaircap": _repair_uri(node),
        "storage-index": index or "",
    }


def _stream(store: Store, root: Node, more: Callable[[Node], dict[str, Any]]) -> bytes:
    lines: list[bytes] = []
    walk = Walk(
        store, root, lambda path, node: lines.append(_line(describe(path, node) | more(node)))
    )
    try:
        walk.run()
        lines.append(_line({"type": "stats", "stats": walk.stats}))
    except Lost as error:
        # What has been found so far is sent before it, with status 200.
        lines.append(_error(error))
    return b"".join(lines)


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _error(error: Lost) -> bytes:
    name = error.name.rpartition(".")[2]
    return (
        f"ERROR: {name}({error.reason})\n"
        f"[Failure instance: Traceback: <class '{error.name}'>: {error.reason}\n]\n"
    ).encode()


def _repair_uri(node: Node) -> str:
    """What it takes to repair it: nothing will do for directories that can't be written."""
    if node.cap is None or not (node.cap.is_writable or node.cap.kind == "CHK"):
        return ""
    return node.uri if node.cap.is_writable else node.verify_uri


def _rank(link: Link) -> int:
    return ("unknown", "filenode", "dirnode").index(link.node.type)


def _buckets() -> Iterator[tuple[int, int]]:
    """The classes of the histogram of sizes: two to each power of ten."""
    yield 0, 0
    lower, upper, power = 1, 3, 1
    while True:
        yield lower, upper
        power += 1
        lower, upper = upper + 1, int(sqrt(10) ** power)
