"""
A directory is spread by processes that are killed, while other processes use it.

With TXTAHOE_SPREAD_NAMES=20000 in the environment it is a large one, which takes some minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from unittest import SkipTest

from attrs import frozen
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.faults.spreading import DIRECTORY, literal
from tests.grid.case import GatewayTestCase
from tests.needs import GRID, TIME, needs
from txtahoe import Tree
from txtahoe.maintenance import spread
from txtahoe.tree.spread.format import contents_of
from txtahoe.tree.spread.states import Fanout

# So many names are linked by one write of a large directory.
_TOGETHER = 2_000


@frozen
class Scale:
    """
    The size of the test. `names`: links at the start. `rounds`: of each user, with some changes in
    each. `limit`, `pace`: the arguments of `Fanout`. `kills`: the seconds that each of the first
    spreading processes has, one after the other, until it is killed.
    """

    names: int
    users: int
    rounds: int
    limit: int
    pace: float
    kills: tuple[float, ...]


# With so short a pace, users on a slow machine are often not sure, and look once more.
SMALL = Scale(24, 3, 6, 6, 0.4, (1.5, 2.5, 3.5) * 2)
NAMES = int(os.environ.get("TXTAHOE_SPREAD_NAMES", "0"))
SCALE = Scale(NAMES, 4, 40, 128, 2.0, (5.0, 15.0, 25.0)) if NAMES else SMALL


@needs(GRID, TIME)
class Processes(GatewayTestCase):
    """Users of a directory that is too large from the start, and processes that spread it."""

    timeout = 3600 if NAMES else 300

    async def test_nothing_is_lost_and_no_name_is_given_away_twice(self) -> None:
        tree = await self.new_tree()
        old = [f"old-{number}" for number in range(SCALE.names)]
        for start in range(0, len(old), _TOGETHER):
            some = old[start : start + _TOGETHER]
            await tree.link_many([(f"{DIRECTORY}/{name}", literal(name)) for name in some])
        users = [self.begin(tree, f"user{number}") for number in range(SCALE.users)]
        kills = 0
        for seconds in SCALE.kills:
            kills += await self.is_killed(self.begin(tree, "mover"), seconds)
        while any(user.poll() is None for user in users):
            await self.is_killed(self.begin(tree, "mover"), None)
            await deferLater(reactor, 0.5)
        said = [line.split() for user in users for line in self.lines(user)]
        await self.check(tree, {name: name for name in old}, said)
        await self.check_spread(tree)
        # A process that is to be killed late may be done before.
        if kills < len(SCALE.kills) // 2:
            raise SkipTest(f"inconclusive: {kills} processes were killed while they spread")

    def begin(self, tree: Tree, who: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.faults.spreading", self.gateway, who]
        process = subprocess.Popen(
            [*command, str(SCALE.rounds), str(SCALE.limit), str(SCALE.pace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
            text=True,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdin is not None
        process.stdin.write(str(tree.root) + "\n")
        process.stdin.flush()
        return process

    async def is_killed(self, mover: subprocess.Popen[str], seconds: float | None) -> bool:
        """Whether a process had to be killed after some seconds; if not, it must have succeeded."""
        try:
            told, _ = await deferToThread(mover.communicate, timeout=seconds)
        except subprocess.TimeoutExpired:
            mover.kill()
            mover.communicate()
            return True
        self.assertEqual(mover.returncode, 0, told)
        return False

    def lines(self, user: subprocess.Popen[str]) -> list[str]:
        told, _ = user.communicate()
        self.assertEqual(user.returncode, 0, told)
        return told.splitlines()

    async def check(self, tree: Tree, expected: dict[str, str], said: list[list[str]]) -> None:
        """The directory has the old links and those that the users reported, and nothing else."""
        for what, name, text in said:
            self.assertIn(what, ("saved", "replaced", "deleted", "taken"), name)
            if what == "deleted":
                del expected[name]
            elif what != "taken":
                expected[name] = text
        shared = Counter(name for what, name, _ in said if what == "saved" and "shared" in name)
        self.assertEqual(set(shared.values()), {1})
        for each in (tree, Tree(self.client, tree.root)):
            found = await each.list(DIRECTORY)
            texts = {name: (node.cap.literal or b"").decode() for name, node in found.items()}
            self.assertEqual(texts, expected)

    async def check_spread(self, tree: Tree) -> None:
        """The directory has its links in its parts, and none of its own."""
        await spread(Tree(self.client, tree.root, fanout=Fanout(SCALE.limit, SCALE.pace)))
        cap = (await tree.resolve(DIRECTORY, fresh=True)).cap
        contents = contents_of(await self.client.list(cap), 0)
        self.assertEqual((contents.kept, len(contents.parts)), (set(), 16))
