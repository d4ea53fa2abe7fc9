"""The tests that are to kill the mutants of a module, and the mutants that may live."""

from __future__ import annotations

_CACHE = (
    "tests.txtahoe.contentcache.test_cache",
    "tests.txtahoe.contentcache.test_folder",
    "tests.txtahoe.api.test_keeping",
)
_SPREAD = (
    "tests.txtahoe.tree.test_spread_states",
    "tests.txtahoe.tree.test_spread_races",
    "tests.txtahoe.tree.test_spread_roots",
    "tests.txtahoe.tree.test_spreading",
    "tests.txtahoe.tree.test_deep.Loops",
    "tests.txtahoe.tree.test_commits",
    "tests.txtahoe.maintenance.test_spread_moving",
    "tests.tahoestorage.grid.test_fanout",
)

TESTS = {
    "txtahoe/api/download.py": (
        "tests.txtahoe.api.test_download",
        "tests.txtahoe.api.test_download_in_memory",
        "tests.txtahoe.api.test_keeping",
        "tests.txtahoe.api.test_serving",
    ),
    "tahoestorage/grid/reader.py": (
        "tests.tahoestorage.grid.test_file",
        "tests.tahoestorage.grid.test_contentcache",
    ),
    "txtahoe/contentcache/cache.py": _CACHE,
    "txtahoe/contentcache/ledger.py": _CACHE,
    "txtahoe/api/keeping.py": _CACHE,
    "txtahoe/tree/spread/states.py": _SPREAD,
    "txtahoe/tree/spread/memory.py": _SPREAD,
    "txtahoe/tree/spread/format.py": _SPREAD,
    "txtahoe/tree/spread/building.py": _SPREAD,
    "txtahoe/tree/spread/changing.py": _SPREAD,
    "txtahoe/tree/commits.py": (
        "tests.txtahoe.tree.test_commits",
        "tests.txtahoe.tree.test_conditions",
        "tests.txtahoe.tree.test_bulk",
        "tests.txtahoe.tree.test_tree",
        "tests.txtahoe.tree.test_terms",
    ),
}
"""The modules, by path, and the modules or classes of their tests."""

# A line of a module, or its change as `function: before -> after`; and why no test must notice.
LIVE: dict[str, dict[str, str]] = {
    "txtahoe/api/download.py": {
        "_MARKER_SILENCE = 2.0": "a pace",
        "_RESUME_PAUSES = (0.5, 1.5)": "a pace",
        "Download._next: self.close() await self._transport.pause(pause, error) -> "
        "await self._transport.pause(pause, error) self.close()": (
            "the requests of passing errors have ended"
        ),
    },
    "txtahoe/contentcache/ledger.py": {
        "_PATIENCE = 0.2 # seconds; a step under the lock takes a millisecond": "a pace",
        "_lock: if monotonic() >= deadline: -> if monotonic() > deadline:": "no clock stands still",
        "sleep(0.0005)": "a pace",
    },
    "txtahoe/api/keeping.py": {
        "_THREADS = 4": "a size",
        'pool = _pools[reactor] = ThreadPool(0, _THREADS, "content cache")': "a size",
        "self._next = 0": "the first bytes make a writer whatever it is",
        "KeptDownload.keep: if is_last or len(self._held) >= _TOGETHER: -> "
        "if is_last or len(self._held) > _TOGETHER:": "a size",
        "KeptSource.chunks: if len(self._held) >= _TOGETHER: -> "
        "if len(self._held) > _TOGETHER:": "a size",
        "KeptSource.chunks: if len(self._held) >= _TOGETHER: -> "
        "if (not (len(self._held) >= _TOGETHER)):": (
            "each piece that is smaller than that is written at once"
        ),
        "KeptSource.finish: await self._writing writer, self._writer = self._writer, None -> "
        "writer, self._writer = self._writer, None await self._writing": (
            "a write that is under way has its writer already"
        ),
    },
    "txtahoe/tree/commits.py": {
        "CommitQueue._commit_next: return -> pass": (
            "the write without links fails, and no caller is left to be told"
        ),
        "CommitQueue._commit_next: raise -> pass": "Python ends its caller as well",
    },
    "txtahoe/tree/spread/building.py": {
        "Builder.make_part: parts = (await self._lookup.ask(path, cap, depth, anew=True)).parts -> "
        "parts = (await self._lookup.ask(path, cap, depth, anew=False)).parts": (
            "no reading under way is shared after the write that was refused"
        ),
    },
    "txtahoe/tree/spread/states.py": {
        "limit: int = 128": "a size that users can choose",
        "pace: float = 10.0": "a pace that users can choose",
    },
}
"""The mutants that may live, by the path of their module."""
