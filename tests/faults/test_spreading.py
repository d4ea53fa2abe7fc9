"""A directory is spread by processes that are killed, while other processes use it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.faults.spreading import DIRECTORY, literal
from tests.grid.case import GridTestCase
from txtahoe import Tree

OLD = [f"old-{number}" for number in range(24)]
USERS = ("ann", "bob", "cyd")
ROUNDS = 6
LIMIT = 6
# So short that processes on a slow machine are often not sure, and have to look once more.
PACE = 0.4


class Processes(GridTestCase):
    """Three users of a directory that is too large from the start, and those who spread it."""

    timeout = 300

    async def test_nothing_is_lost_and_no_name_is_given_away_twice(self) -> None:
        tree = await self.new_tree()
        await tree.link_many([(f"{DIRECTORY}/{name}", literal(name)) for name in OLD])
        users = [self.begin(tree, who) for who in USERS]
        kills = 0
        while any(user.poll() is None for user in users):
            mover = self.begin(tree, "mover")
            try:
                told, _ = mover.communicate(timeout=1.5 + kills % 3)
                self.assertEqual(mover.returncode, 0, told)
                await deferLater(reactor, 0.5)
            except subprocess.TimeoutExpired:
                mover.kill()
                mover.communicate()
                kills += 1
        said = [line.split() for user in users for line in self.lines(user)]
        await self.check(tree, said)

    def begin(self, tree: Tree, who: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.faults.spreading", self.gateway, who]
        process = subprocess.Popen(
            [*command, str(ROUNDS), str(LIMIT), str(PACE)],
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

    def lines(self, user: subprocess.Popen[str]) -> list[str]:
        told, _ = user.communicate()
        self.assertEqual(user.returncode, 0, told)
        return told.splitlines()

    async def check(self, tree: Tree, said: list[list[str]]) -> None:
        """That the directory has what the users have said, and nothing else."""
        expected = {name: name for name in OLD}
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
