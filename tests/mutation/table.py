"""The tests that are to kill the mutants of a module, and the mutants that may live."""

from __future__ import annotations

_CACHE = (
    "tests.txtahoe.contentcache.test_cache",
    "tests.txtahoe.contentcache.test_folder",
    "tests.txtahoe.api.test_keeping",
)
_SPREAD = (
    "tests.txtahoe.tree.test_spread_states",
    "tests.txtahoe.tree.test_spread_building",
    "tests.txtahoe.tree.test_spread_races",
    "tests.txtahoe.tree.test_spread_roots",
    "tests.txtahoe.tree.test_spreading",
    "tests.txtahoe.tree.test_spread_requests",
    "tests.txtahoe.tree.test_deep.Loops",
    "tests.txtahoe.tree.test_commits",
    "tests.txtahoe.maintenance.test_spread_moving",
    "tests.txtahoe.tree.test_conditions",
    "tests.txtahoe.tree.test_known",
    "tests.txtahoe.tree.test_rounds",
    "tests.txtahoe.tree.test_tree",
    "tests.tahoestorage.grid.test_fanout",
    "tests.simulation.test_simulation.Runs.test_spreading_a_directory_keeps_all_properties",
)
_SPOOL = (
    "tests.txtahoe.spool.test_spool",
    "tests.txtahoe.spool.test_uploader",
    "tests.txtahoe.spool.test_kills.Forks",
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
        "tests.tahoestorage.grid.test_spooled.OnePicture",
        "tests.tahoestorage.grid.test_reader",
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
        "tests.txtahoe.tree.test_deep.Deep",
        "tests.txtahoe.tree.test_rounds.Saving",
        "tests.txtahoe.tree.test_rounds.TakenNames",
        "tests.txtahoe.tree.test_terms",
        "tests.txtahoe.tree.test_tree",
    ),
    "txtahoe/spool/spool.py": _SPOOL,
    "txtahoe/spool/uploader.py": _SPOOL,
    "txtahoe/spool/entries.py": _SPOOL,
    "txtahoe/spool/database.py": _SPOOL,
    "txtahoe/spool/files.py": _SPOOL,
    "tahoestorage/grid/spooled.py": ("tests.tahoestorage.grid.test_spooled",),
    "tahoestorage/grid/pending.py": (
        "tests.tahoestorage.test_staticfiles.Collecting",
        "tests.tahoestorage.test_staticfiles.Pending",
        "tests.tahoestorage.test_staticfiles.Failing",
        "tests.tahoestorage.test_staticfiles.Exiting",
        "tests.tahoestorage.test_static_manifest.Manifest",
        "tests.tahoestorage.test_static_manifest.Failing",
        "tests.tahoestorage.grid.test_tree.OneTree",
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
        "Download._verified: self._answer = await self._open() self._answer_start = "
        "self.position -> self._answer_start = self.position self._answer = await "
        "self._open()": ("the position stands still meanwhile"),
    },
    "tahoestorage/grid/reader.py": {
        "SECOND_WINDOW = 2**20": "a size",
        "_GAP = 2**16 # bytes that are read over faster than another range is asked for": "a size",
        "_FETCHED = 2**18": "a size",
        "_MOST = 2**18 # bytes that the content cache gives at a time, unless all are wanted": (
            "a size"
        ),
        'Reader.__init__: self._fetched: tuple[int, bytes] = 0, b"" -> '
        'self._fetched: tuple[int, bytes] = 1, b""': "there are no bytes",
        "Reader.__init__: self._window_end = -1 -> self._window_end = -2": "no position either",
        "Reader.readall: left = self.size - self._position -> "
        "left = (self.size + self._position)": "the file ends before; it takes a copy more",
        "return _bytes_of(data)": "it takes a copy more",
        "Reader._fetch: while sum(map(len, blocks)) < _FETCHED and "
        "window.position < self._window_end: -> "
        "while sum(map(len, blocks)) <= _FETCHED and window.position < self._window_end:": "a size",
        "_bytes_of: return whole if isinstance(whole, bytes) and len(whole) == len(data) "
        "else bytes(data) -> return whole if (len(whole) == len(data)) else bytes(data)": (
            "the whole object is always bytes"
        ),
    },
    "txtahoe/contentcache/cache.py": {
        "_EXACT = 1.0 # the time of a copy's last use, and the counts of reads, can be so old": (
            "a pace"
        ),
        "_QUIET = 60.0 # without another line in the log": ("a pace"),
        "self._told = self._quiet_until = 0.0": ("a pace"),
        'ContentCache.keeps: return cap.kind == "CHK" and (cap.size or 0) <= '
        'self.max_file_bytes -> return cap.kind == "CHK" and ((cap.size)) <= '
        "self.max_file_bytes": ("a CHK cap has its size"),
        'ContentCache.keeps: return cap.kind == "CHK" and (cap.size or 0) <= '
        'self.max_file_bytes -> return cap.kind == "CHK" and (cap.size or 1) <= '
        "self.max_file_bytes": ("a CHK cap has its size"),
        "ContentCache.read: if data and monotonic() > self._told + _EXACT: -> if (data):": (
            "a pace"
        ),
        "ContentCache.read: if data and monotonic() > self._told + _EXACT: -> if data "
        "and monotonic() >= self._told + _EXACT:": ("no clock stands still"),
        "ContentCache.read: if data and monotonic() > self._told + _EXACT: -> if data "
        "and monotonic() > (self._told - _EXACT):": ("a pace"),
        "ContentCache.read: self._told = monotonic() -> pass": ("a pace"),
        "ContentCache._change: return None -> pass": ("a function without it returns None"),
        "ContentCache._read: if abs(time() - os.fstat(copy).st_mtime) > _EXACT: -> if "
        "abs(time() - os.fstat(copy).st_mtime) >= _EXACT:": ("no clock stands still"),
        "ContentCache._read: if abs(time() - os.fstat(copy).st_mtime) > _EXACT: -> if "
        "abs((time() + os.fstat(copy).st_mtime)) > _EXACT:": ("a pace"),
        "ContentCache._tell: if monotonic() > self._quiet_until: -> if monotonic() >= "
        "self._quiet_until:": ("no clock stands still"),
        "Writer.finish: self._cap, (self._name, self._seal) = known, _sealing(known) -> pass": (
            "then it is renamed, which is slower"
        ),
        '_sealing: return cap.storage_index or "", AESGCM(key_of(cap, "txtahoe content '
        'cache 1")) -> return (cap.storage_index), AESGCM(key_of(cap, "txtahoe content '
        'cache 1"))': ("a file without one is not kept"),
    },
    "txtahoe/contentcache/ledger.py": {
        "_PATIENCE = 0.2 # seconds; a step under the lock takes a millisecond": "a pace",
        "_lock: if monotonic() >= deadline: -> if monotonic() > deadline:": "no clock stands still",
        "sleep(0.0005)": "a pace",
        "_SHELVES = 256": ("a size"),
        "_MOST = 2**60 # more than any of these numbers can be": "a size",
        "_SAMPLE = 64 # copies; one of eight goes": "a size",
        "_ROUNDS = 16 # samples, at most, to make room for one block": "a size",
        "Ledger._evict: if len(sample) >= _SAMPLE: -> if len(sample) > _SAMPLE:": "a size",
        "Ledger._evict: for _, _, name in sorted(sample)[: len(sample) // 8 or 1]: -> "
        "for _, _, name in sorted(sample)[: len(sample) // 9 or 1]:": "a size",
        "Ledger._look: soon = time() + 1 -> soon = time() + 2": "a pace",
        "Ledger._look: used = told.st_mtime if told.st_mtime < soon else 0.0 -> "
        "used = told.st_mtime if told.st_mtime <= soon else 0.0": "no clock stands still",
        "Ledger._look: used = told.st_mtime if told.st_mtime < soon else 0.0 -> "
        "used = told.st_mtime if told.st_mtime < soon else 1.0": "as long ago",
        "_THIS_VERSION = 0x7461686F65000001": ("a number of the format, which any other could be"),
        "Ledger.__init__: told = os.pread(opened, 2**14, 0) -> told = os.pread(opened, 3**14, 0)": (
            "a size"
        ),
        "Ledger.__init__: told = os.pread(opened, 2**14, 0) -> told = os.pread(opened, 2**15, 0)": (
            "a size"
        ),
        "Ledger.__init__: os.ftruncate(opened, 0) -> os.ftruncate(opened, 1)": (
            "the next statement writes over it"
        ),
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
        "_ANSWER = 2**20": ("a size"),
    },
    "txtahoe/tree/commits.py": {
        "CommitQueue._commit_next: return -> pass": (
            "the write without links fails, and no caller is left to be told"
        ),
        "CommitQueue._commit_next: raise -> pass": "Python ends its caller as well",
        "CommitQueue._gather: if queue.expected and left > 0 and first.link is not None: -> "
        "if queue.expected and left >= 0 and first.link is not None:": "a pace",
        "_links_of: if change.link is not None and not change.done.called -> "
        "if (not change.done.called)": "each change has its link by then",
    },
    "txtahoe/tree/spread/memory.py": {
        "count: int = 0": "it counts only for directories that were pushed out of the memory",
    },
    "txtahoe/tree/spread/building.py": {
        "_AT_ONCE = 8": "a size",
        "return dict(zip(slices, parts, strict=True))": "there are as many",
        "Builder.advance: if (await self._lookup.ask(path, cap, depth, anew=True)).is_closed: -> "
        "if (await self._lookup.ask(path, cap, depth, anew=False)).is_closed:": (
            "a state never goes back, so that of an older reading only takes longer"
        ),
        "Builder.is_due: return layout.state is State.CLOSING and self._wait(layout) <= 0 -> "
        "return (self._wait(layout) <= 0)": "only a closing directory has a time to wait",
        "Builder.link_parts: with self._lookup.changing(path, cap): -> "
        "with __import__('contextlib').nullcontext():": (
            "an older reading takes no part out of the memory"
        ),
        "Builder._mark: with self._lookup.changing(path, cap): -> "
        "with __import__('contextlib').nullcontext():": (
            "after a mark its state is remembered, or the directory is read anew"
        ),
        "Builder.mark_path: for depth in range(len(path) + 1): -> "
        "for depth in range(len(path) + 2):": "the last directory again, which has its mark",
        "Builder.make_part: parts = (await self._lookup.ask(path, cap, depth, anew=True)).parts -> "
        "parts = (await self._lookup.ask(path, cap, depth, anew=False)).parts": (
            "no reading under way is shared after the write that was refused"
        ),
    },
    "txtahoe/tree/spread/changing.py": {
        "_AT_ONCE = 8": "a size",
        "Outcome.add: self.refusal = self.refusal or other.refusal -> "
        "self.refusal = (other.refusal)": (
            "it counts if no name has a result, and then each group of them has one"
        ),
        "Changer.look_ahead: return -> pass": "it fails then, and nobody asks for its result",
        "Changer.unlink: was_stray = await self._unlink_above(path, target, name) "
        "missing = None -> missing = None "
        "was_stray = await self._unlink_above(path, target, name)": "the two are independent",
        "Changer._unlink_above: with self._lookup.changing(path, cap), _changed(was_stray), "
        "suppress(NoSuchChild): -> with __import__('contextlib').nullcontext(), "
        "_changed(was_stray), suppress(NoSuchChild):": (
            "the part decides, whatever an older answer says of the stray"
        ),
        "Changer.adopt: with self._lookup.changing(path, target.cap), suppress(ExistingChild): -> "
        "with __import__('contextlib').nullcontext(), suppress(ExistingChild):": (
            "an older answer does not prove that the name is missing"
        ),
        "Changer.adopt: with self._lookup.changing(path, directory), suppress(NoSuchChild): -> "
        "with __import__('contextlib').nullcontext(), suppress(NoSuchChild):": (
            "the part decides, whatever an older answer says of the stray"
        ),
        "Changer.write: targets = await each(links, lambda name: "
        "self.target(path, directory, name), len(links)) outcome = Outcome() -> "
        "outcome = Outcome() targets = await each(links, lambda name: "
        "self.target(path, directory, name), len(links))": "the two are independent",
        "for (name, link), target in zip(links.items(), targets, strict=True):": (
            "there are as many"
        ),
        "for (_, names), result in zip(groups.values(), results, strict=True):": (
            "there are as many"
        ),
        "Changer._repeat_in_parts: if is_refused and await self._has_link(path, late.way[0], name, "
        "made[name]): -> if (await self._has_link(path, late.way[0], name, made[name])):": (
            "a request more, in a rare race"
        ),
        "Changer._repeat_in_parts: outcome.results[name] = _in_doubt(result or outcome.refusal) -> "
        "outcome.results[name] = _in_doubt((result))": "its text, if another deletes the stray now",
    },
    "txtahoe/tree/spread/format.py": {
        "part_links: part_name(digit, names): Link(part, {_PART: digit, HIDDEN: True}) -> "
        "part_name(digit, names): Link(part, {_PART: digit, HIDDEN: False})": (
            "the key alone counts"
        ),
        'mark: return {f".tahoe-spread-{token_hex(8)}": Link(_NOTE, {_SPREAD: state, '
        'HIDDEN: True})} -> return {f".tahoe-spread-{token_hex(8)}": Link(_NOTE, '
        "{_SPREAD: state, HIDDEN: False})}": "the key alone counts",
        "contents_of: if not node.cap.is_known or ((node.created or 0) > since and "
        "not is_like_part(name)) -> if not node.cap.is_known or ((node.created or 1) > since and "
        "not is_like_part(name))": "a second after 1970 is as long ago",
        "gather: digits = None if wanted is None else {digit_of(name, depth) for name in wanted} "
        "contents = await read(way[-1], depth, wanted) -> "
        "contents = await read(way[-1], depth, wanted) "
        "digits = None if wanted is None else {digit_of(name, depth) for name in wanted}": (
            "the two are independent"
        ),
    },
    "txtahoe/tree/spread/states.py": {
        "limit: int = field(default=128, validator=ge(1))": "a size that users can choose",
        "pace: float = field(default=10.0, validator=gt(0))": "a pace that users can choose",
    },
    "tahoestorage/grid/spooled.py": {
        "_QUIET = 5.0 # seconds for which a file that somebody appends to is left alone": "a pace",
        "_OFTEN = 30.0 # seconds after which a process looks for files of others, which may have "
        "ended": "a pace",
        "_POLL = 0.02 # seconds between two looks at an entry": "a pace",
        'SpooledTree.save_many: progress = how.get("progress") '
        "caps = await self._caps([content for _, content in files]) -> "
        "caps = await self._caps([content for _, content in files]) "
        'progress = how.get("progress")': "the two are independent",
        "for number, ((path, content), cap) in enumerate(zip(files, caps, strict=True)):": (
            "there are as many"
        ),
        "SpooledTree.put: put, due = partial(super().put, name=name, link=link), monotonic() "
        "(cap,) = await self._caps([content]) -> (cap,) = await self._caps([content]) "
        "put, due = partial(super().put, name=name, link=link), monotonic()": "a pace",
        "SpooledTree.put: (cap,) = await self._caps([content]) "
        'due += _QUIET if how.get("is_growing") else 0 -> '
        'due += _QUIET if how.get("is_growing") else 0 '
        "(cap,) = await self._caps([content])": "the two are independent",
        'SpooledTree.put: due += _QUIET if how.get("is_growing") else 0 -> '
        'due += _QUIET if how.get("is_growing") else 1': "a pace",
        "SpooledTree._settled: if monotonic() > deadline: -> if monotonic() >= deadline:": (
            "no clock stands still"
        ),
        "SpooledTree._take: entry = evolve(entry, size=cap.size or 0, cap=cap, "
        "state=State.UPLOADED) -> "
        "entry = evolve(entry, size=(cap.size), cap=cap, state=State.UPLOADED)": (
            "the cap of a file that was uploaded has its size"
        ),
        "SpooledTree._wake: if anew or uploader is None or "
        "monotonic() > uploader.woken + _OFTEN: -> "
        "if anew or uploader is None or monotonic() >= uploader.woken + _OFTEN:": "a pace",
    },
    "tahoestorage/grid/pending.py": {
        "_NAMED = 5 # failures that a message names": "a size",
    },
    "txtahoe/spool/database.py": {
        "_PATIENCE = 30.0 # seconds that a change waits for those of other processes": "a pace",
        "_Opened.connection: if self._connection is None or "
        "not (self._file and os.path.samestat(self._file, told)): -> "
        "if self._connection is None or not ((os.path.samestat(self._file, told))):": (
            "a connection has its file"
        ),
        "self.close()": "Python closes what nobody has any more",
        'self._connection.execute("PRAGMA synchronous = FULL")': "SQLite's own default",
        "self._connection.close()": "Python closes what nobody has any more",
    },
    "txtahoe/spool/files.py": {
        "_blocks: while len(held) >= BLOCK: -> while len(held) > BLOCK:": (
            "a last block that is whole is given out at the end"
        ),
        "lock: file.close() -> pass": "Python closes what nobody has any more",
    },
    "txtahoe/spool/uploader.py": {
        "_AT_ONCE = 32 # links that are looked at one by one": "a size",
        "_LONGEST_PAUSE = 30.0 # seconds between two attempts while the grid is away": "a pace",
        "Uploader.__init__: self._lanes = Lane(self, range(SMALL), TOGETHER), "
        "Lane(self, _LARGE, 8) -> "
        "self._lanes = Lane(self, range(SMALL), TOGETHER), Lane(self, _LARGE, 9)": "a size",
        "self._lock.close()": "Python closes what nobody has any more",
        "for entry, cap in zip(entries, caps, strict=True)": "there are as many",
        "for entry, outcome in zip(entries, outcomes, strict=True):": "there are as many",
        "results.update(zip(links, error.results, strict=True))": "there are as many",
        "Uploader.tidy: if monotonic() > self._tidied + REMEMBERED: -> "
        "if monotonic() >= self._tidied + REMEMBERED:": "a pace",
        "Uploader.tidy: self._tidied = monotonic() await self.in_thread(self.spool.tidy) -> "
        "await self.in_thread(self.spool.tidy) self._tidied = monotonic()": (
            "the two lanes can tidy the spool at a time"
        ),
        "Uploader._open: return BlockingSource(partial(self._chunks, entry), self.in_thread, "
        "repeatable=True) -> return BlockingSource(partial(self._chunks, entry), "
        "self.in_thread, repeatable=False)": "the lane tries again too",
        "Uploader._open: if entry.size >= SMALL: -> if entry.size > SMALL:": "a size",
        "Uploader._link: links = {e.number: (e.path, e.cap) for e in entries "
        "if e.over == over and e.cap} -> "
        "links = {e.number: (e.path, e.cap) for e in entries if (e.over == over)}": (
            "each has its cap by then"
        ),
        "_is_woken: bool = False": "`wake` sets it before anything asks for it",
        "Lane._round: self._pause = min(max(1.0, 2 * self._pause), _LONGEST_PAUSE) "
        "if is_away else 0.0 -> self._pause = min(max(2.0, 2 * self._pause), _LONGEST_PAUSE) "
        "if is_away else 0.0": "a pace",
        "Lane._round: self._pause = min(max(1.0, 2 * self._pause), _LONGEST_PAUSE) "
        "if is_away else 0.0 -> self._pause = min(max(1.0, 3 * self._pause), _LONGEST_PAUSE) "
        "if is_away else 0.0": "a pace",
        "_failed: due=monotonic() + min(2.0 ** min(entry.tries, 9), _LONGEST_PAUSE), -> "
        "due=monotonic() + min(3.0 ** min(entry.tries, 9), _LONGEST_PAUSE),": "a pace",
        "_failed: due=monotonic() + min(2.0 ** min(entry.tries, 9), _LONGEST_PAUSE), -> "
        "due=monotonic() + min(2.0 ** min(entry.tries, 10), _LONGEST_PAUSE),": "a pace",
    },
    "txtahoe/spool/spool.py": {
        "_LATEST = 60.0 # seconds: nothing is due later; the clock began anew, as after a "
        "restart": "a pace",
        "REMEMBERED = 3600.0": "a pace",
        "Spool.open: opened = SealedFile.open(self._file(number), self._seal, number, "
        "node.size or 0) -> "
        "opened = SealedFile.open(self._file(number), self._seal, number, (node.size))": (
            "a pending file has a size"
        ),
        "values = State.UPLOADED, now, now + _LATEST, sizes.start, sizes.stop, most + 100": (
            "a size"
        ),
        "Spool.has_work: return bool(self.due(range(2**62), 1, at=inf)) -> "
        "return bool(self.due(range(2**62), 2, at=inf))": "a size",
        "Spool.update: with self._database.use(changes=True) as connection: -> "
        "with self._database.use(changes=False) as connection:": (
            "each entry stands for itself; to write them together is faster"
        ),
        "Spool.tidy: is_old = suffix == _SUFFIX and file.stat().st_mtime < old -> "
        "is_old = suffix == _SUFFIX and file.stat().st_mtime <= old": "no clock stands still",
        'Spool._range: return "place > ? AND place < ?", place, '
        'place + b"\\xff" * (_HASH + 1) -> '
        'return "place > ? AND place < ?", place, place + b"\\xff" * ((_HASH - 1))': (
            "no hash begins with so many of these bytes"
        ),
        'Spool._range: return "place > ? AND place < ?", place, '
        'place + b"\\xff" * (_HASH + 1) -> '
        'return "place > ? AND place < ?", place, place + b"\\xff" * (_HASH + 2)': "a size",
        "Spool._execute: with self._database.use(changes=True) as connection: -> "
        "with self._database.use(changes=False) as connection:": (
            "one statement is a transaction; only questions wait until it is synced"
        ),
    },
}
"""The mutants that may live, by the path of their module."""
