"""A model of a directory: the contents that its acknowledged changes allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping

# No link of the name.
ABSENT = None
# The target of a name: a cap, or whatever else tells contents apart.
Value = Hashable | None


class Directory:
    """
    The possible targets of each name. An acknowledged change leaves one possibility, a change of
    unknown outcome adds one, and a change that is reported as not made changes nothing.
    """

    def __init__(self) -> None:
        self._possible: defaultdict[str, set[Value]] = defaultdict(lambda: {ABSENT})

    def possible(self, name: str) -> set[Value]:
        return self._possible[name]

    def acknowledge(self, changes: Mapping[str, Value]) -> None:
        for name, value in changes.items():
            self._possible[name] = {value}

    def doubt(self, changes: Mapping[str, Value]) -> None:
        for name, value in changes.items():
            self._possible[name] = self._possible[name] | {value}

    def names(self) -> list[str]:
        """The names that may be there."""
        return [name for name, values in self._possible.items() if values != {ABSENT}]

    def mistakes(self, there: Mapping[str, Value], names: Iterable[str] | None = None) -> list[str]:
        """The contradictions between `there` and the model, for all names or for `names`."""
        chosen = {*self._possible, *there} if names is None else set(names)
        return [
            f"{name!r} is {there.get(name)!r}, and may be {sorted(map(repr, self._possible[name]))}"
            for name in sorted(chosen)
            if there.get(name) not in self._possible[name]
        ]

    @property
    def doubtful(self) -> int:
        """How many names have more than one possibility."""
        return sum(len(values) > 1 for values in self._possible.values())
