"""A process that uses a tree which is being spread: `python -m tests.faults.spreading`."""

from __future__ import annotations

import sys
from base64 import b32encode
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.seeds import random_for
from txtahoe import Cap, Client, Transport, Tree
from txtahoe.errors import ExistingChild, NoSuchChild
from txtahoe.maintenance import spread
from txtahoe.tree.spread.states import Fanout

DIRECTORY = "d"


def literal(text: str) -> Cap:
    """The cap of a file that needs no upload."""
    return Cap.parse(f"URI:LIT:{b32encode(text.encode()).decode().lower().rstrip('=')}")


class User:
    """Saves, replaces and deletes its own names and common ones, and reports its changes."""

    def __init__(self, tree: Tree, who: str) -> None:
        self._tree = tree
        self._who = who
        self._random = random_for(who)
        self._own: list[str] = []

    async def run(self, count: int) -> None:
        for number in range(count):
            name = f"{self._who}-{number}"
            await self._link("saved", name, self._who)
            self._own.append(name)
            try:
                await self._link("saved", f"shared-{number}", self._who)
            except ExistingChild:
                print("taken", f"shared-{number}", "-", flush=True)
            name = self._random.choice(self._own)
            if self._random.random() < 0.5:
                await self._link("replaced", name, f"{self._who}.{number}")
            else:
                await self._delete(name)

    async def _link(self, what: str, name: str, text: str) -> None:
        path = f"{DIRECTORY}/{name}"
        await self._tree.link(
            path, literal(text), replace="only-files" if what == "replaced" else False
        )
        print(what, name, text, flush=True)

    async def _delete(self, name: str) -> None:
        self._own.remove(name)
        await self._tree.unlink(f"{DIRECTORY}/{name}")
        print("deleted", name, "-", flush=True)
        try:
            await self._tree.resolve(f"{DIRECTORY}/{name}", fresh=True)
            print("undead", name, "-", flush=True)
        except NoSuchChild:
            pass


def main(
    reactor: Any, gateway: str, who: str, count: str, limit: str, pace: str
) -> Deferred[object]:
    cap = Cap.parse(sys.stdin.readline().strip())
    fanout = Fanout(int(limit), float(pace))
    tree = Tree(Client(Transport(reactor, gateway)), cap, fanout=fanout)
    if who == "mover":
        return Deferred.fromCoroutine(spread(tree)).addCallback(print)
    return Deferred.fromCoroutine(User(tree, who).run(int(count)))


if __name__ == "__main__":
    react(main, sys.argv[1:])
