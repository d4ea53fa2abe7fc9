"""The files that the site has acknowledged, which must therefore be there."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from time import monotonic

from attrs import define, field

from tests.faults.model import ABSENT, Directory, Value


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


@define
class Truth:
    """
    The SHA-256 that each name may have. A name belongs to one client, which leaves it alone once an
    outcome is unknown: a process that was given up may still change it.

    `max_age`: the seconds for which a process may use its knowledge about a name.
    `kept`: the SHA-256 of acknowledged names that carry their caps. `doubted`: contents of saves
    with an unknown outcome, which may be there under any name.
    """

    max_age: float
    kept: dict[str, str] = field(factory=dict)
    doubted: set[str] = field(factory=set)
    wrong: list[str] = field(factory=list)
    _model: Directory = field(factory=Directory)
    _past: defaultdict[str, list[tuple[float, set[Value]]]] = field(
        factory=lambda: defaultdict(list)
    )
    _lock: threading.Lock = field(factory=threading.Lock)

    def acknowledge(self, changes: Mapping[str, Value]) -> None:
        with self._lock:
            now = monotonic()
            for name in changes:
                past = [each for each in self._past[name] if each[0] > now - self.max_age]
                self._past[name] = [*past, (now, self._model.possible(name))]
            self._model.acknowledge(changes)

    def doubt(self, changes: Mapping[str, Value]) -> None:
        with self._lock:
            self._model.doubt(changes)
            self.doubted |= {str(value) for value in changes.values() if value is not ABSENT}

    def allowed(self, name: str, asked: float) -> set[Value]:
        """The values that a process may give for a name, asked at this `monotonic` time."""
        with self._lock:
            past = [values for until, values in self._past[name] if until > asked - self.max_age]
            return self._model.possible(name).union(*past)

    def compare(self, name: str, found: Value, asked: float, where: str) -> None:
        if found not in (allowed := self.allowed(name, asked)):
            self.wrong.append(f"{where}: {name!r} is {_short(found)}, not {_shown(allowed)}")

    def judge(self, there: Mapping[str, str], kept: Mapping[str, str]) -> Verdict:
        """Compare all that is on the grid in the end: SHA-256 by name, or why it is unreadable."""
        verdict = Verdict()
        for name in sorted({*self._model.names(), *there}):
            may, found = self._model.possible(name), there.get(name)
            if found in may:
                continue
            if ABSENT not in may:
                verdict.lost.append(f"{name!r} is {_short(found)}, not {_shown(may)}")
            elif found not in self.doubted:
                verdict.wrong.append(f"at the end: {name!r} is {_short(found)}, and must be absent")
        for name, value in sorted(self.kept.items()):
            if kept.get(name) != value:
                verdict.lost.append(f"{name!r} is {_short(kept.get(name))}, not {_short(value)}")
        twice = Counter(value for value in there.values() if value not in self.doubted)
        verdict.duplicates = [_short(value) for value, number in twice.items() if number > 1]
        verdict.compared = len(there) + len(kept)
        verdict.doubtful = self._model.doubtful
        return verdict


@define
class Verdict:
    """The files that were compared, and every contradiction, in words."""

    lost: list[str] = field(factory=list)
    wrong: list[str] = field(factory=list)
    duplicates: list[str] = field(factory=list)
    compared: int = 0
    doubtful: int = 0


def _short(value: Value) -> str:
    return "absent" if value is ABSENT else str(value)[:60]


def _shown(values: Iterable[Value]) -> str:
    return " or ".join(sorted(map(_short, values)))
