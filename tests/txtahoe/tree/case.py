"""The case that the tests of spread directories share."""

from __future__ import annotations

from typing import Any

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Cap, Tree
from txtahoe.tree.paths import AnyPath
from txtahoe.tree.spread.format import contents_of
from txtahoe.tree.spread.states import Fanout

CAP = Cap.parse("URI:LIT:me")
OTHER = Cap.parse("URI:LIT:mi")
FANOUT = Fanout(limit=4, pace=10.0)
NAMES = [f"name{number}" for number in range(60)]


class SpreadingTestCase(ClockTestCase):
    """A tree in which a directory of more than four names is spread."""

    def setUp(self) -> None:
        super().setUp()
        self.tree = self.another()
        self.plain = Tree(self.client, self.root)

    def another(self, fanout: Fanout | None = FANOUT, **options: Any) -> Tree:
        """The same tree, as another process sees it."""
        return Tree(self.client, self.root, fanout=fanout, **options)

    def failure(self, attempt: Any, expected: type[Exception]) -> Any:
        return self.failureResultOf(start(attempt), expected).value

    def save(self, *names: AnyPath, tree: Tree | None = None, cap: Cap = CAP) -> None:
        for name in names:
            self.now((tree or self.tree).link(name, cap))

    def children(self, *way: str) -> dict[str, Any]:
        """The links of a directory, or of a part of it, marks and parts included."""
        cap = self.root
        for name in way:
            cap = self.now(self.client.list(cap))[name].cap
        return self.now(self.client.list(cap))

    def closed(self) -> None:
        """Have the root closed, with six names in it."""
        self.save(*NAMES[:6])
        self.clock.advance(31)
        self.save(NAMES[6])
        self.assertTrue(contents_of(self.children(), 0).is_closed)

    def grown(self) -> None:
        """Have the root and some of its parts spread, with all names in them."""
        self.closed()
        self.save(*NAMES[7:40])
        self.clock.advance(31)
        self.save(*NAMES[40:50])
        self.clock.advance(31)
        self.save(*NAMES[50:])

    def depth(self, cap: Cap | None = None, depth: int = 0) -> int:
        contents = contents_of(self.now(self.client.list(cap or self.root)), depth)
        return max([depth, *(self.depth(part, depth + 1) for part in contents.parts.values())])
