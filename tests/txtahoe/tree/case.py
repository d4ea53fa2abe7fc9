"""The case that the tests of spread directories share."""

from __future__ import annotations

from typing import Any

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Cap, Tree
from txtahoe.tree.paths import AnyPath
from txtahoe.tree.spread.format import contents_of, digit_of
from txtahoe.tree.spread.states import Fanout, State

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

    def closed_part_of(self, name: str) -> Cap | None:
        """The part of the root for a name, if it is closed and has a part for the name itself."""
        part = contents_of(self.children(), 0).parts[digit_of(name, 0)]
        parts = contents_of(self.now(self.client.list(part)), 1).parts
        return part if digit_of(name, 1) in parts else None

    def stray(self, directory: Cap) -> str:
        """A new stray in a directory. It would be none below, where its digit has no part."""
        parts = contents_of(self.now(self.client.list(directory)), 0).parts
        name = next(
            name
            for name in map(str, range(999))
            if digit_of(name, 0) in parts and digit_of(name, 1) not in parts
        )
        self.clock.advance(1)
        self.now(self.client.link(directory, name, OTHER))
        return name

    def is_closing(self, name: str) -> bool:
        """Whether the part in which a name would be is about to be closed."""
        contents, depth = contents_of(self.children(), 0), 0
        while contents.is_closed:
            part = contents.parts.get(digit_of(name, depth))
            if part is None:
                return True
            depth += 1
            contents = contents_of(self.now(self.client.list(part)), depth)
        return contents.state is State.CLOSING or len(contents.names) >= FANOUT.limit
