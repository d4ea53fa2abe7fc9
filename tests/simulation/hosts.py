"""
A host: its processes save in one spool, with the code of the storage, and bring it to the grid.

The disk is a real one. A call of it runs at one moment and tells its result at a later one, so that
other processes, answers and kills come between. A killed process loses its locks. It has finished
its call of the disk, stops in the midst of it, or never begins it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from pathlib import Path as FolderPath
from sqlite3 import Connection as Journal
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, BinaryIO
from unittest.mock import patch

from attrs import evolve
from django.core.files.base import ContentFile
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred
from twisted.internet.task import deferLater

from tahoestorage.conf.connection import Connection, connection
from tahoestorage.grid.spooled import SpooledTree
from tahoestorage.reactor.loop import Kept
from tests.simulation.gateway import Gateway, Line, Weather
from tests.simulation.history import History, Operation, number_of
from tests.simulation.processes import Habits, Process
from tests.simulation.world import World
from txtahoe import Tree
from txtahoe.errors import ExistingChild, NoSuchChild
from txtahoe.nodes import Node
from txtahoe.spool import Entry, Spool, Uploader
from txtahoe.spool.entries import PENDING
from txtahoe.tree.paths import Path, split

_MEMORY = FolderPath("/dev/shm")
_SMALL = 4  # bytes: files of more are large
_OLD = (0, 0)  # nobody has written to such a file for an hour

here: ContextVar[HostProcess] = ContextVar("here")
"""The process that runs now."""

doing: ContextVar[Operation | None] = ContextVar("doing", default=None)
"""Its operation."""


class _Killed(BaseException):
    """The process dies in the midst of a call of the disk."""


class _JournalledSpool(Spool):
    """
    It notes in operations what becomes of their entries.

    `locks`: that it has taken. `steps`: after so many the process dies; None if it does not.
    `is_closed`: whether the process has ended.
    """

    def __init__(self, host: Host) -> None:
        super().__init__(host.folder, host.gateway.root, min_free=0)
        self.locks: list[BinaryIO] = []
        self.steps: int | None = None
        self.is_closed = False
        self._host = host

    def close(self) -> None:
        self.is_closed = True
        for closes in (*self.locks, *self._database._opened):
            closes.close()

    def lock(self) -> BinaryIO | None:
        lock = super().lock()
        self.locks += [lock] if lock else []
        return lock

    def find(self, path: Path) -> Entry | None:
        entry, operation = super().find(path), doing.get()
        if operation is not None:
            operation.expected = entry and self._host.entries[entry.number].number
        return entry

    def add(self, entry: Entry, expected: Node | None = None) -> None:
        self._step()
        super().add(entry, expected)

    def _insert(self, connection: Journal, entry: Entry, expected: Node | None) -> list[int]:
        older, operation = super()._insert(connection, entry, expected), doing.get()
        assert operation is not None
        self._host.entries[entry.number] = operation
        operation.saved = self._host.world.moment()
        return older

    def update(self, entries: Any) -> list[Entry]:
        entries = list(entries)
        try:
            return super().update(entries)
        finally:
            for now in filter(None, map(self.present, entries)):
                operation = self._host.entries[now.number]
                if not now.is_pending and operation.linked is None:
                    operation.linked = self._host.world.moment()

    def remove(self, numbers: Any) -> None:
        self._step()
        super().remove(numbers)

    def _step(self) -> None:
        if self.steps == 0:
            raise _Killed
        self.steps = self.steps and self.steps - 1


class _Storage(SpooledTree):
    spool: _JournalledSpool

    def _wake(self, *, anew: bool = True) -> None:
        if not self.spool.is_closed:
            super()._wake(anew=anew)


class HostProcess(Process):
    """A process that uses the spool of a host. It stands for its reactor's loop too."""

    rates = (1.0,)  # of the clocks of one host

    def __init__(self, host: Host, who: str, habits: Habits) -> None:
        super().__init__(host.world, host.gateway, host.history, who, habits)
        self.kept = Kept()
        self.spool = _JournalledSpool(host)
        self.storage = _Storage(host.connection(self.spool), waits_for_cap=lambda: False)
        self.kept.use(self.storage.connection, lambda: self.tree)
        self._host = host
        self._disk = host.world.random.choice([0.001, 0.02, 0.5])
        self._calls: list[Callable[[], object]] = []
        self._answers: list[Deferred[Any]] = []
        self._context.run(here.set, self)

    def in_thread(self, function: Callable[[], Any]) -> Deferred[Any]:
        """The result of a function that blocks."""
        if self.spool.is_closed:
            return fail(CancelledError())
        answer: Deferred[Any] = Deferred()
        context = copy_context()

        def call() -> None:
            self._calls.remove(call)
            result = maybeDeferred(context.run, function)
            result.addBoth(lambda result: self._soon(partial(tell, result)))

        def tell(result: object) -> None:
            self._answers.remove(answer)
            answer.callback(result)

        self._calls.append(call)
        self._answers.append(answer)
        self._soon(call)
        return answer

    def call_soon(self, function: Callable[[], object]) -> None:
        """As `Loop.call_soon`."""
        self._clock.callLater(0, self._context.run, function)

    def pause(self, seconds: float) -> Deferred[None]:
        """Let so much time pass on average."""
        seconds = self._world.random.expovariate(1 / seconds)
        return deferLater(self._clock, seconds)  # type: ignore[arg-type]

    def number(self, node: Node) -> int:
        """The number of the operation that has saved a file."""
        operation = self._host.entries.get(node.metadata.get(PENDING, 0))
        return number_of(node.metadata, node.cap) if operation is None else operation.number

    def read(self, node: Node) -> int:
        """As `number`, from the bytes if they are here."""
        opened, cap = self.storage.opened(node)
        if opened is None:
            return number_of(node.metadata, cap)
        try:
            return int(b"".join(opened.chunks()))
        finally:
            opened.close()

    def content(self, operation: Operation) -> ContentFile[bytes]:
        """Of a small file, or of a large one."""
        return ContentFile(b"%d" % operation.number + b" " * self._world.random.choice([0, _SMALL]))

    def kill(self) -> None:
        for call in self._calls[:]:
            if self._world.happens(0.5):
                self.spool.steps = self._world.random.choice([0, 1, None])
                call()
        self._end(super().kill)

    def close(self) -> None:
        self._end(super().close)

    def end(self) -> None:
        super().end()
        while self._answers:
            self._answers.pop().errback(CancelledError())

    def _end(self, end: Callable[[], None]) -> None:
        end()
        self._clock.stop()
        self._gateway.cut(self._line)
        self.spool.close()

    def _soon(self, call: Callable[[], object]) -> None:
        self._clock.callLater(self._world.random.expovariate(1 / self._disk), call)

    async def _carry_out(self, kind: str, *operations: Operation) -> None:
        (operation,) = operations
        operation.is_here = True
        doing.set(operation)
        await _WAYS[kind](self, operation, split(operation.name))


class Host:
    """
    A host.

    `entries`: for the number of each entry, the operation that has saved it.
    """

    def __init__(self, world: World, gateway: Gateway, history: History, folder: str) -> None:
        self.world = world
        self.gateway = gateway
        self.history = history
        self.folder = folder
        self.entries: dict[int, Operation] = {}
        self._spools: list[_JournalledSpool] = []

    def process(self, who: str, habits: Habits) -> Process:
        if habits.is_elsewhere:
            return Process(self.world, self.gateway, self.history, who, habits)
        process = HostProcess(self, who, habits)
        self._spools.append(process.spool)
        return process

    def connection(self, spool: Spool) -> Connection:
        cap = str(self.gateway.root)
        usual = connection({"tahoe_base_url": "http://gateway/", "tahoe_base_cap": cap})
        return evolve(usual, spool=spool)

    def end(self) -> None:
        """Note what is left, and close all files."""
        spool, left = self._spools[-1], self.history.left
        summary = spool.summary()
        left += [f"pending: {summary}"] if summary.files else []
        if self.world.faults["kill"] or self.world.faults["end of a process"]:
            for file in spool.path.glob("*.file"):
                os.utime(file, _OLD)
            spool.tidy()
        left += [f"a file: {file.name}" for file in spool.path.glob("*.file")]
        for spool in self._spools:
            spool.close()


@contextmanager
def one_host(
    world: World, gateway: Gateway, history: History
) -> Iterator[Callable[[str, Habits], Process]]:
    """Let processes have a spool; this gives a function that makes them."""
    settle = Uploader._settle

    async def noted(uploader: Uploader, entry: Entry) -> Entry:
        host.entries[entry.number].looks.append(world.moment())
        return await settle(uploader, entry)

    async def in_reactor(operation: Callable[[Any], Awaitable[Any]]) -> Any:
        return await operation(SimpleNamespace(loop=here.get()))

    async def unblocked(function: Callable[[], Any]) -> Any:
        return await here.get().in_thread(function)

    # A process must not overtake the requests of one that has died; see `tests/models/spool.pml`.
    gateway.order = Line("", Weather(0, 0, 0, ()))
    patches: dict[str, Any] = {
        "tahoestorage.grid.spooled._POLL": 0.5,
        "tahoestorage.grid.spooled.sleep": lambda seconds: here.get().pause(seconds),
        "tahoestorage.grid.tree.in_reactor": in_reactor,
        "txtahoe.spool.uploader.disk_threads": lambda reactor: here.get().in_thread,
        "txtahoe.spool.uploader.urandom": world.entropy,
        "txtahoe.spool.uploader.Uploader._settle": noted,
        "txtahoe.spool.uploader.SMALL": _SMALL,
        "txtahoe.spool.uploader._LARGE": range(_SMALL, 2**62),
        "os.urandom": world.entropy,
    }
    for module in ("spool.entries", "spool.spool"):
        patches[f"txtahoe.{module}.time"] = world.wall_clock
    for module in ("txtahoe.spool.entries", "txtahoe.spool.spool", "txtahoe.spool.uploader"):
        patches[f"{module}.monotonic"] = world.clock.seconds
    for module in ("tahoestorage.grid.spooled", "tahoestorage.grid.tree"):
        patches[f"{module}.monotonic"] = world.clock.seconds
        patches[f"{module}.current_loop"] = here.get
        patches[f"{module}.unblocked"] = unblocked
    patches["tahoestorage.grid.tree.running_loop"] = here.get
    with ExitStack() as stack:
        memory = _MEMORY if _MEMORY.is_dir() else None
        folder = stack.enter_context(TemporaryDirectory(dir=memory))
        for name, new in patches.items():
            stack.enter_context(patch(name, new))
        host = Host(world, gateway, history, folder)
        yield host.process
        host.end()


async def _take(process: HostProcess, operation: Operation, path: Path) -> None:
    try:
        await process.storage.resolve(path)
    except NoSuchChild:
        await process.storage.save(path, process.content(operation), None)
    else:
        raise ExistingChild("the name is taken")


async def _overwrite(process: HostProcess, operation: Operation, path: Path) -> None:
    await process.storage.save(path, process.content(operation), None, replace="only-files")


async def _edit(process: HostProcess, operation: Operation, path: Path) -> None:
    """As a program does that opens a file, changes it and closes it."""
    node = None
    try:
        node = await process.storage.resolve(path)
    except NoSuchChild:
        pass
    await process.pause(process.habits.rest)
    operation.expected = node and process.number(node)
    link = partial(Tree.replace, path=path, expected=node)
    await process.storage.put(path, process.content(operation), None, link, expected=node)


async def _delete(process: HostProcess, operation: Operation, path: Path) -> None:
    await process.storage.delete(path, None)


async def _look(process: HostProcess, operation: Operation, path: Path) -> None:
    node = await process.storage.resolve(path)
    operation.found[operation.name] = await process.in_thread(partial(process.read, node))


async def _list(process: HostProcess, operation: Operation, path: Path) -> None:
    for name, node in (await process.storage.children(path[:-1], None)).items():
        if not node.is_directory:
            operation.found["/".join((*path[:-1], name))] = process.number(node)


_WAYS: dict[str, Callable[[HostProcess, Operation, Path], Awaitable[None]]] = {
    "take": _take,
    "overwrite": _overwrite,
    "edit": _edit,
    "delete": _delete,
    "look": _look,
    "list": _list,
}
