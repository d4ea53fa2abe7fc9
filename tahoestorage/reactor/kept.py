"""What a reactor thread keeps for its users: what was used last, and what is still in use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")

# What a tree knows is good for `max_age`, some seconds, in which a process uses fewer trees than
# this. One that was let go costs its next user a walk from the root; one that is kept, a kilobyte
# or so for each name that it knows.
_MOST = 64


class Kept:
    """
    Things by their keys. The last `most` that were used stay; others live for as long as somebody
    holds them, a request that is under way, say. So there are never two things of one key.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._recent: OrderedDict[Hashable, Any] = OrderedDict()
        self._alive: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()

    def get(self, key: Hashable) -> Any:
        """The thing of a key; None where there is none. May be called in any thread."""
        return self._alive.get(key)

    def use(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing of a key, which is made where there is none. In the reactor thread."""
        thing: T | None = self._alive.get(key)
        if thing is None:
            thing = self._alive[key] = make()
        self._recent[key] = thing
        self._recent.move_to_end(key)
        if len(self._recent) > self._most:
            self._recent.popitem(last=False)
        return thing
