"""The objects that a reactor thread keeps for its users."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")

# A process uses fewer trees within `max_age`, some seconds, than this. A tree that was let go costs
# its next user a walk from the root; a tree that is kept, about a kilobyte for each name it knows.
_MOST = 64


class Kept:
    """
    Objects by key, never two of one key. The last `most` that were used stay; others live as long
    as somebody holds them, for example a request that is under way.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._recent: OrderedDict[Hashable, Any] = OrderedDict()
        self._alive: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()

    def get(self, key: Hashable) -> Any:
        """The object of a key, or None. Any thread can call it."""
        return self._alive.get(key)

    def use(self, key: Hashable, make: Callable[[], T]) -> T:
        """The object of a key; it is made if there is none. In the reactor thread."""
        thing: T | None = self._alive.get(key)
        if thing is None:
            thing = self._alive[key] = make()
        self._recent[key] = thing
        self._recent.move_to_end(key)
        if len(self._recent) > self._most:
            self._recent.popitem(last=False)
        return thing
