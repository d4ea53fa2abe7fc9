"""
Random operations on one directory during random faults: acknowledged changes are there.

Faults come after so many operations, and not after so many seconds: so a slow machine has as many
of them. TXTAHOE_FAULT_OPERATIONS is the number of the operations; see `tests.seeds` for the seed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.faults.case import FaultTestCase, Outcome, in_thread
from tests.faults.model import ABSENT, Directory, Value
from tests.faults.spreading import literal
from tests.grid.proxy import Proxy
from tests.needs import is_long_wanted
from tests.seeds import SEED, random_for
from txtahoe import Cap, Tree
from txtahoe.errors import ExistingChild, NoSuchChild, TahoeError, UnknownOutcome

OPERATIONS = int(
    os.environ.get("TXTAHOE_FAULT_OPERATIONS", 500 if is_long_wanted(__name__) else 80)
)
WORKERS = 8
# Long enough for a gateway that is started again at once.
PAUSES = (0.25, 0.5, 1.0)


class Models(SynchronousTestCase):
    """The model itself can tell right from wrong."""

    def setUp(self) -> None:
        self.one, self.two = Cap.parse("URI:LIT:me"), Cap.parse("URI:LIT:mi")
        self.model = Directory()

    def test_an_acknowledged_link_must_be_there(self) -> None:
        self.model.acknowledge({"a": self.one})
        self.assertEqual(self.model.mistakes({"a": self.one}), [])
        self.assertEqual(len(self.model.mistakes({})), 1)
        self.assertEqual(len(self.model.mistakes({"a": self.two})), 1)

    def test_an_acknowledged_unlink_must_be_gone(self) -> None:
        self.model.acknowledge({"a": self.one})
        self.model.acknowledge({"a": ABSENT})
        self.assertEqual(self.model.mistakes({}), [])
        self.assertEqual(len(self.model.mistakes({"a": self.one})), 1)

    def test_an_unknown_link_may_be_there_or_not(self) -> None:
        self.model.doubt({"a": self.one})
        for there in ({}, {"a": self.one}):
            self.assertEqual(self.model.mistakes(there), [])
        self.assertEqual(len(self.model.mistakes({"a": self.two})), 1)

    def test_a_name_that_nobody_linked_must_not_be_there(self) -> None:
        self.assertEqual(len(self.model.mistakes({"a": self.one})), 1)


class Ends(SynchronousTestCase):
    """Faults that wait for operations."""

    def test_a_fault_that_begins_after_the_last_operation_does_not_wait(self) -> None:
        turns = Turns()
        before = ensureDeferred(turns.more(2))
        turns.count()
        self.assertNoResult(before)
        turns.end()
        self.successResultOf(before)
        self.successResultOf(ensureDeferred(turns.more(3)))


class Worker:
    """
    Does one operation after the other in a directory that it shares. Its names are its own, so it
    always knows their possible targets. Other workers have the same tree: one write may have the
    links of several.
    """

    def __init__(self, test: RandomOperations, number: int, tree: Tree, count: int) -> None:
        self.test = test
        self.tree = tree
        self.count = count
        self.choose = random_for("worker", number)
        self.names = [f"{number}-{name}" for name in range(8)]
        self.model = test.model
        self.made = 0

    async def work(self) -> None:
        operations = [self.put] * 6 + [self.several] * 3 + [self.unlink] * 4
        operations += [self.rename] * 3 + [self.list] * 4 + [self.read] * 4
        for _ in range(self.count):
            operation = self.choose.choice(operations)
            outcome = await operation()
            self.test.tally[operation.__name__, _kind(outcome)] += 1
            self.test.turns.count()

    async def put(self) -> Outcome:
        name, replace = self.choose.choice(self.names), self.choose.random() < 0.4
        data = self.new_bytes()
        uploaded = await self.test.outcome(self.tree.upload(data))
        if not uploaded.succeeded:
            return uploaded
        self.test.contents[uploaded.result] = data
        link = self.tree.link(name, uploaded.result, replace=replace)
        return await self.change({name: uploaded.result}, link)

    async def several(self) -> Outcome:
        names = self.choose.sample(self.names, 3)
        caps = [literal(self.new_word()) for _ in names]
        replace = self.choose.random() < 0.5
        linking = self.tree.link_many(zip(names, caps, strict=True), replace=replace)
        outcome = await self.test.outcome(linking)
        errors = [None] * 3 if outcome.succeeded else outcome.error.results
        for name, cap, error in zip(names, caps, errors, strict=True):
            self.told({name: cap}, error)
        return outcome

    async def unlink(self) -> Outcome:
        name = self.choose.choice(self.names)
        looked = await self.look(name)
        if not looked.succeeded:
            return looked
        return await self.change({name: ABSENT}, self.tree.unlink(name))

    async def rename(self) -> Outcome:
        old, new = self.choose.sample(self.names, 2)
        looked = await self.look(old)
        if not looked.succeeded:
            return looked
        outcome = await self.test.outcome(self.tree.rename(old, new))
        changes: dict[str, Value] = {new: looked.result.cap, old: ABSENT}
        if outcome.succeeded:
            self.model.acknowledge(changes)
        elif not isinstance(outcome.error, ExistingChild | NoSuchChild):
            # It is two changes, and its error may be that of the second one.
            self.model.doubt(changes)
        return outcome

    async def list(self) -> Outcome:
        outcome = await self.test.outcome(self.tree.list(""))
        if outcome.succeeded:
            there = {name: node.cap for name, node in outcome.result.items()}
            self.test.note(self.model.mistakes(there, self.names), "a listing")
        return outcome

    async def read(self) -> Outcome:
        looked = await self.look(self.choose.choice(self.names))
        if not looked.succeeded:
            return looked
        outcome = await self.test.outcome(self.tree.client.read(looked.result.cap))
        expected = self.test.contents.get(looked.result.cap)
        if outcome.succeeded and expected is not None and outcome.result != expected:
            self.test.note(["wrong bytes"], "a read")
        return outcome

    async def look(self, name: str) -> Outcome:
        """Look a name up; its target must be one that the model allows."""
        fresh = self.choose.random() < 0.5
        outcome = await self.test.outcome(self.tree.resolve(name, fresh=fresh))
        if outcome.succeeded:
            there = {name: outcome.result.cap}
            self.test.note(self.model.mistakes(there, [name]), "a look")
        elif isinstance(outcome.error, NoSuchChild):
            self.test.note(self.model.mistakes({}, [name]), "a look")
        return outcome

    async def change(self, changes: Mapping[str, Value], making: Awaitable[None]) -> Outcome:
        outcome = await self.test.outcome(making)
        self.told(changes, outcome.error)
        return outcome

    def told(self, changes: Mapping[str, Value], error: Exception | None) -> None:
        """Note the reported outcome of a change."""
        if error is None:
            self.model.acknowledge(changes)
        elif isinstance(error, UnknownOutcome):
            self.model.doubt(changes)
        elif isinstance(error, ExistingChild):
            taken = [name for name in changes if self.model.possible(name) != {ABSENT}]
            self.test.note([] if taken else [f"{list(changes)} called taken"], "a link")

    def new_word(self) -> str:
        self.made += 1
        return f"{self.names[0]} {self.made}"

    def new_bytes(self) -> bytes:
        return random_for(self.new_word()).randbytes(self.choose.choice((60, 2_000, 50_000)))


class Turns:
    """Counts operations, and lets others wait for some more of them."""

    def __init__(self) -> None:
        self._done: float = 0
        self._waiting: list[tuple[float, Deferred[None]]] = []

    def count(self) -> None:
        """One more operation has ended."""
        self._done += 1
        self._release()

    def end(self) -> None:
        """End: nobody waits for an operation, now or later."""
        self._done = inf
        self._release()

    async def more(self, number: int) -> None:
        """Return when so many more operations have ended, or when there are no more of them."""
        enough: Deferred[None] = Deferred()
        self._waiting.append((self._done + number, enough))
        self._release()
        await enough

    def _release(self) -> None:
        ready = [enough for number, enough in self._waiting if number <= self._done]
        self._waiting = [each for each in self._waiting if each[0] > self._done]
        for enough in ready:
            enough.callback(None)


class RandomOperations(FaultTestCase):
    """Operations of several tasks; half of them through a proxy with faults of its own."""

    timeout = 1800

    def setUp(self) -> None:
        super().setUp()
        self.choose = random_for("faults")
        self.turns = Turns()
        self.model = Directory()
        self.contents: dict[Cap, bytes] = {}
        self.tally: Counter[tuple[str, str]] = Counter()
        self.faults: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.working = True
        self.directory: Cap | None = None

    async def mend(self) -> None:
        """
        Mend the grid, and repair the directory: a server that was away has an old version of it,
        and Tahoe-LAFS gives the newest one that it can put together while another one is away.
        """
        await super().mend()
        if self.directory is not None:
            try:
                await self.client.check(self.directory, repair=True)
            except TahoeError:
                pass  # it may be in the middle of a change

    def note(self, mistakes: list[str], where: str) -> None:
        self.wrong += [f"{where}: {mistake}" for mistake in mistakes]

    async def test_acknowledged_changes_are_there_and_little_else(self) -> None:
        patient = self.connect(pauses=PAUSES)
        proxied, proxy = self.connect_through_proxy(pauses=PAUSES)
        directory = self.directory = await self.client.mkdir()
        trees = Tree(patient, directory), Tree(proxied, directory)
        each = OPERATIONS // WORKERS + 1
        workers = [Worker(self, number, trees[number % 2], each) for number in range(WORKERS)]
        disturbing = ensureDeferred(self.disturb(proxy))
        try:
            await gatherResults(ensureDeferred(worker.work()) for worker in workers)
        finally:
            self.working = False
            self.turns.end()
            await disturbing
        await self.mend()
        self.directory = None
        there = {name: node.cap for name, node in (await self.client.list(directory)).items()}
        self.note(self.model.mistakes(there), "the directory at the end")
        self.assertEqual(self.wrong, [], f"seed {SEED} {self.faults} {self.tally}")
        self.skip_if_inconclusive()

    def skip_if_inconclusive(self) -> None:
        """Fail if most outcomes are unknown or few faults happened: that proves too little."""
        told = Counter[str]()
        for (_, kind), number in self.tally.items():
            told[kind] += number
        self.assertGreaterEqual(sum(told.values()), OPERATIONS)
        faults = sum(self.faults.values())
        if told["ok"] <= OPERATIONS // 3 or faults <= OPERATIONS // 50:
            raise SkipTest(f"inconclusive: {faults} faults, and of the operations {dict(told)}")

    async def disturb(self, proxy: Proxy) -> None:
        """One fault after the other, never two at once."""
        faults: list[Callable[[], Awaitable[Any]]] = [
            *[lambda: self.lose_answer(proxy)] * 8,
            *[lambda: self.cut(proxy)] * 4,
            *[lambda: self.close(proxy)] * 4,
            lambda: self.refuse(proxy),
            self.kill_server,
            self.freeze_server,
            self.restart_server,
            self.kill_gateway,
            self.kill_gateway,
        ]
        while self.working:
            await self.turns.more(self.choose.randint(1, 6))
            await self.choose.choice(faults)()

    async def lose_answer(self, proxy: Proxy) -> None:
        self.faults["lost answer"] += 1
        proxy.lose_answer(self.choose.choice(["POST /uri", "POST /uri", "POST /uri", "PUT /uri"]))

    async def cut(self, proxy: Proxy) -> None:
        self.faults["cut"] += 1
        proxy.cut_after(self.choose.randrange(1, 20_000))

    async def close(self, proxy: Proxy) -> None:
        self.faults["closed"] += 1
        proxy.close_connections()

    async def refuse(self, proxy: Proxy) -> None:
        self.faults["refused"] += 1
        proxy.refuse()
        await self.turns.more(self.choose.randint(1, 6))
        proxy.refuse(False)

    async def kill_server(self) -> None:
        self.faults["server killed"] += 1
        server = self.choose.choice(self.grid.servers)
        await in_thread(server.kill)
        await self.turns.more(self.choose.randint(0, 6))
        await self.mend()

    async def freeze_server(self) -> None:
        self.faults["server frozen"] += 1
        server = self.choose.choice(self.grid.servers)
        await in_thread(server.freeze)
        # More than there are workers: until a request of each has had all its time.
        await self.turns.more(self.choose.choice((0, 1, 2, WORKERS + 1)))
        await self.mend()

    async def restart_server(self) -> None:
        self.faults["server restarted"] += 1
        await in_thread(self.choose.choice(self.grid.servers).restart)
        await self.mend()

    async def kill_gateway(self) -> None:
        self.faults["gateway killed"] += 1
        await in_thread(self.gateway.kill)
        await self.turns.more(self.choose.randint(0, 3))
        await self.mend()


def _kind(outcome: Outcome) -> str:
    return "ok" if outcome.succeeded else type(outcome.error).__name__
