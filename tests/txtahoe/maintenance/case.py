"""The test case of maintenance."""

from __future__ import annotations

from collections.abc import Sequence

from tests.txtahoe.case import ClockTestCase
from txtahoe import Cap, Client, Transport, Tree


class MaintenanceTestCase(ClockTestCase):
    """A test with a tree on a gateway in memory. No request is repeated."""

    def setUp(self) -> None:
        super().setUp()
        self.client = Client(
            Transport(self.clock, "http://fake/", agent=self.fake.agent, pauses=())
        )
        self.tree = Tree(self.client, self.root)
        self.caps: dict[str, Cap] = {}

    def save(self, *paths: str, size: int = 300) -> None:
        """Save a file of `size` bytes at each path; it replaces a file that is there."""
        for path in paths:
            content = (path.encode() * size)[:size]
            self.caps[path] = self.now(self.tree.save(path, content, replace="only-files"))

    def lose(self, path: str | Sequence[str], shares: int = 3) -> None:
        """Destroy shares of what a path leads to."""
        self.fake.lose(self.now(self.tree.resolve(path)).cap, shares)

    def remove(self, *paths: str) -> None:
        """Remove files and directories."""
        for path in paths:
            if self.now(self.tree.resolve(path)).is_directory:
                self.now(self.tree.remove_directory(path))
            else:
                self.now(self.tree.unlink(path))
