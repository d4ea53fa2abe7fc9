"""Storages as other processes have them: with connections and a memory of their own."""

from __future__ import annotations

from itertools import count
from typing import TypeVar

from attrs import evolve, field, fields, frozen

from tahoestorage.conf import Connection
from tahoestorage.reactor.loop import Kept, current_loop
from tahoestorage.storage import TahoeStorage

S = TypeVar("S", bound=TahoeStorage)

_numbers = count()


@frozen(cache_hash=True)
class _Apart(Connection):
    """Equal to no other."""

    number: int = field(factory=_numbers.__next__, kw_only=True)


def apart(storage: S) -> S:
    """The storage, which from now on shares nothing with others, as one of another process."""
    given = {each.name: getattr(storage.connection, each.name) for each in fields(Connection)}
    tree = evolve(storage._whole_tree, connection=_Apart(**given))
    storage.__dict__["_whole_tree"] = tree
    return storage


def forget_trees() -> None:
    """From now on all storages know nothing, as in a new process."""
    current_loop().kept = Kept()
