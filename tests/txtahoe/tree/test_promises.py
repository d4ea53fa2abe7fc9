"""
Random look-ups and changes by two trees, while another client moves, replaces and deletes.

The gateway in memory tells the true history of each directory. Every answer and every change must
fit it: a target counts if the path led to it within `max_age`. See `tests.seeds` for the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred

from tests.seeds import SEED, random_for
from tests.txtahoe.case import ClockTestCase, Late, start
from txtahoe import Cap, Tree
from txtahoe.errors import ExistingChild, IsADirectory, NoSuchChild, NotADirectory, TahoeError
from txtahoe.testing.fake import Delay
from txtahoe.testing.fake.http.site import Exchange
from txtahoe.testing.fake.objects.links import Directory, Links
from txtahoe.tree.paths import Path

STEPS = 300
MAX_AGE = 10.0
CAPS = [Cap.parse(f"URI:LIT:m{c}") for c in "eimqu"]
MISSING, IN_THE_WAY = "missing", "a file is in the way"
Value = Cap | str


@define(eq=False)
class Operation:
    """
    An operation of a tree. `own`: the number of the state that the tree itself has made last, by
    directory and name; `changed`: those that the operation has made.
    """

    tree: Tree
    kind: str
    path: Path
    cap: Cap | None
    began: float
    own: dict[tuple[Cap, str], int] = field(repr=False)
    changed: dict[tuple[Cap, str], int] = field(factory=dict, repr=False)


class History:
    """The targets of the names in each directory, and from when on."""

    def __init__(self, root: Cap, read: Callable[[Cap], dict[str, Cap]]) -> None:
        self.root = root.reader
        self._read = read
        self._states: dict[Cap, list[tuple[float, dict[str, Cap]]]] = {}

    def note(self, directory: Cap, time: float, links: dict[str, Cap]) -> dict[str, Cap]:
        """Keep a new state; returns the one before."""
        states = self._states.setdefault(directory, [(-inf, {})])
        states.append((time, links))
        return states[-2][1]

    def number(self, directory: Cap) -> int:
        """The number of the present state of a directory."""
        return len(self._states[directory]) - 1

    def knows(self, directory: Cap) -> bool:
        return directory in self._states

    def begin(self, directory: Cap, links: dict[str, Cap]) -> None:
        self._states.setdefault(directory, [(-inf, links)])

    def between(
        self, directory: Cap, since: float, until: float, first: int = 0
    ) -> Iterator[dict[str, Cap]]:
        """The states that were in force at some time, from the `first` one on."""
        states = self._states.get(directory) or [(-inf, self._read(directory))]
        for begin, links in reversed(states[first:]):
            if begin <= until:
                yield links
            if begin < since:  # and those before ended earlier
                return

    def directories(self, operation: Operation, path: Path, now: float) -> set[Cap]:
        found = self.outcomes(operation, path, now) if path else {self.root}
        return {value for value in found if isinstance(value, Cap) and value.is_directory}

    def outcomes(
        self, operation: Operation, path: Path, now: float, *, fresh: bool = False
    ) -> set[Value]:
        """The results that a path may have. With `fresh` the last name counts as it is."""
        here, results = {self.root}, set[Value]()
        for depth, name in enumerate(path, 1):
            is_last = depth == len(path)
            found: set[Cap] = set()
            for directory in here:
                since = operation.began - (0 if fresh and is_last else MAX_AGE)
                first = operation.own.get((directory, name), 0)
                for links in self.between(directory, since, now, first):
                    found |= {links[name]} if name in links else set()
                # That a name is missing is never taken from memory.
                if any(name not in s for s in self.between(directory, operation.began, now)):
                    results.add(MISSING)
            if not is_last and any(cap.is_file for cap in found):
                results.add(IN_THE_WAY)
            here = found if is_last else {cap for cap in found if cap.is_directory}
        return results | here


class Promises(ClockTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.random = random_for(__name__, self.id())
        self.history = History(
            self.root, lambda cap: plain(Directory(self.fake._store, cap).links())
        )
        self.other = Tree(self.client, self.root, max_age=0.0)
        self.is_other = False
        self.flying: list[tuple[Operation, Deferred[Any]]] = []
        self.own: dict[Tree, dict[tuple[Cap, str], int]] = {}
        self.mistakes: list[str] = []
        self.fake.fail_next("*", self, times=10**9)  # type: ignore[arg-type]
        write = Directory._write

        def noted(directory: Directory, links: Links) -> None:
            cap = directory._cap.reader
            if not self.history.knows(cap):
                self.history.begin(cap, plain(directory.links()))
            write(directory, links)
            self.note(cap, plain(links))

        self.patch(Directory, "_write", noted)

    def happen(self, exchange: Exchange) -> None:
        """Answer a request: at once if the other client makes it, and otherwise often late."""
        late = self.random.choice([0.1, 0.3, 1.0, 4.0])
        if self.is_other or self.random.random() < 0.3:
            exchange.send(exchange.work())
        else:
            self.random.choice([Late, Delay])(late).happen(exchange)

    # The history, and the changes that it gets.

    def note(self, directory: Cap, links: dict[str, Cap]) -> None:
        now = self.clock.seconds()
        before = self.history.note(directory, now, links)
        for name in before.keys() | links.keys():
            change = before.get(name), links.get(name)
            if change[0] != change[1] and not self.is_other:
                self.check_change(directory, name, *change)

    def check_change(self, at: Cap, name: str, before: Cap | None, after: Cap | None) -> None:
        """Note a mistake unless an operation of a tree is to make this change."""
        now = self.clock.seconds()
        for operation, _ in self.flying:
            path = operation.path
            depths = [d for d in range(len(path)) if path[d] == name]
            for depth in depths:
                if at not in self.history.directories(operation, path[:depth], now):
                    continue
                is_last = depth == len(path) - 1
                if operation.kind == "unlink":
                    is_right = is_last and after is None
                elif operation.kind in ("link", "replace") and is_last:
                    is_free = before is None or (operation.kind == "replace" and before.is_file)
                    is_right = is_free and after == operation.cap
                else:  # a new directory
                    is_new = after is not None and not self.history.knows(after)
                    is_right = operation.kind != "unlink" and before is None and is_new
                if is_right:
                    operation.changed[at, name] = self.history.number(at)
                    return
        self.mistakes.append(f"{now} {at} {name!r}: {before} became {after}")

    # The operations, and their results.

    def path(self, *, of_file: bool) -> Path:
        names = [self.random.choice("abc") for _ in range(self.random.randint(1, 4))]
        if of_file:
            names[-1] = self.random.choice("fg")
        return tuple(names)

    def change_elsewhere(self) -> None:
        """A change by the other client, as a whole."""
        choose = self.random.random()
        file, directory = self.path(of_file=True), self.path(of_file=False)
        if choose < 0.45:
            change: Any = self.other.link(file, self.random.choice(CAPS), replace="only-files")
        elif choose < 0.6:
            change = self.other.unlink(file)
        elif choose < 0.7:
            change = self.other.unlink(directory, only_files=False)
        elif choose < 0.75:  # a file where directories are
            change = self.other.link(directory, self.random.choice(CAPS), replace=True)
        else:
            change = self.other.rename(directory, self.path(of_file=False))
        self.is_other = True
        done = start(change)
        done.addErrback(lambda failure: failure.trap(TahoeError, ValueError))
        self.is_other = False
        self.assertTrue(done.called)

    def begin(self, tree: Tree) -> None:
        kinds = ["resolve"] * 5 + ["fresh", "known", "list", "prefetch", "link", "replace"]
        kind = self.random.choice([*kinds, "unlink"])
        changes = kind in ("link", "replace", "unlink")
        path = self.path(of_file=changes or self.random.random() < 0.7)
        cap = self.random.choice(CAPS) if kind in ("link", "replace") else None
        now = self.clock.seconds()
        operation = Operation(tree, kind, path, cap, now, dict(self.own[tree]))
        ways = {
            "resolve": lambda: tree.resolve(path),
            "fresh": lambda: tree.resolve(path, fresh=True),
            "list": lambda: tree.list(path),
            "prefetch": lambda: tree.prefetch([path]),
            "link": lambda: tree.link(path, cap),
            "replace": lambda: tree.link(path, cap, replace="only-files"),
            "unlink": lambda: tree.unlink(path),
        }
        if kind == "known":
            node = tree.known(path)
            if node is not None:
                self.check(operation, node)
            return
        doing: Deferred[Any] = Deferred()
        self.flying.append((operation, doing))
        start(ways[kind]()).chainDeferred(doing)
        doing.addBoth(self.end, operation)
        doing.addErrback(lambda failure: self.mistakes.append(failure.getTraceback()))

    def end(self, result: Any, operation: Operation) -> None:
        self.flying = [each for each in self.flying if each[0] is not operation]
        if result is None:
            self.own[operation.tree].update(operation.changed)
        self.check(operation, getattr(result, "value", result))

    def check(self, operation: Operation, result: Any) -> None:
        now, kind, path = self.clock.seconds(), operation.kind, operation.path
        may = self.history.outcomes(operation, path, now, fresh=kind == "fresh")
        if kind in ("link", "replace", "unlink"):
            allowed = (NoSuchChild, NotADirectory, ExistingChild, IsADirectory, type(None))
            is_right = isinstance(result, allowed)
            if result is None and kind != "unlink":
                is_right = operation.cap in may
        elif kind == "list" and isinstance(result, dict):
            is_right = any(
                plain_nodes(result) == links
                for directory in self.history.directories(operation, path, now)
                for links in self.history.between(directory, operation.began, now)
            )
        else:
            if kind == "prefetch" and isinstance(result, dict):
                result = result.get(path, NoSuchChild("left out"))
            told: Any = {NoSuchChild: MISSING, NotADirectory: IN_THE_WAY}.get(type(result))
            if told is None and not isinstance(result, Exception):
                told = result.cap.reader
            if kind == "list":  # of a file
                is_right = told == MISSING or any(
                    value == IN_THE_WAY or (isinstance(value, Cap) and value.is_file)
                    for value in may
                )
            elif kind == "prefetch" and told == MISSING:
                is_right = bool(may & {MISSING, IN_THE_WAY})
            else:
                is_right = told in may
        if not is_right:
            self.mistakes.append(f"{operation} at {now}: {result!r}, not {may}")

    def run_steps(self, *trees: Tree) -> None:
        self.own = {tree: {} for tree in trees}
        for step in range(STEPS):
            self.clock.advance(self.random.choice([0.01, 0.01, 0.1, 0.5, 3.0, 8.0]))
            self.clock.advance(0.001)
            if self.random.random() < 0.4:
                self.change_elsewhere()
            self.clock.advance(0.001)
            self.begin(self.random.choice(trees))
            self.assertEqual(self.mistakes, [], f"seed {SEED}, step {step}")
        self.clock.pump([1.0] * 200)
        self.assertEqual([operation for operation, _ in self.flying], [])
        self.assertEqual(self.mistakes, [], f"seed {SEED}")

    def test_answers_and_changes_are_as_promised(self) -> None:
        self.run_steps(Tree(self.client, self.root), Tree(self.client, self.root, concurrency=1))

    def test_with_little_memory_too(self) -> None:
        self.run_steps(Tree(self.client, self.root, max_known=3))


def plain(links: Links) -> dict[str, Cap]:
    return {name: link.node.known.reader for name, link in links.items()}


def plain_nodes(children: Any) -> dict[str, Cap]:
    return {name: node.cap.reader for name, node in children.items()}
