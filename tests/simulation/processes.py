"""Processes: each has a tree, a clock of its own, and users, which make changes and look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import copy_context
from typing import Any

from attrs import frozen
from hyperlink import DecodedURL
from twisted.internet.base import DelayedCall
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers

from tests.simulation.gateway import Gateway, Line, Weather
from tests.simulation.history import NUMBER, History, Operation, number_of
from tests.simulation.world import World, ahead
from txtahoe import Cap, Client, Tree
from txtahoe.errors import (
    AnswerLost,
    ExistingChild,
    NoSuchChild,
    SomeFailed,
    TahoeError,
    UnknownOutcome,
    error_for,
)
from txtahoe.http.deadline import Deadline
from txtahoe.http.request import BaseTransport, Request
from txtahoe.http.streams import Incoming
from txtahoe.http.terms import timeout
from txtahoe.maintenance import spread
from txtahoe.nodes import Link
from txtahoe.testing.fake.http.question import Answer, Question
from txtahoe.tree.spread.states import Fanout

# Most files are equal: then a cap does not tell whose link a name has.
_EQUAL = Cap.parse("URI:LIT:me")
_FOR_GOOD = 10.0**9  # seconds


class ProcessClock:
    """A clock that begins anywhere, goes a little too fast or too slowly, and may stop."""

    def __init__(self, world: World, rate: float, beginning: float) -> None:
        self.has_stopped = False
        self._world = world
        self._rate = rate
        self._beginning = beginning
        self._calls: list[DelayedCall] = []

    def seconds(self) -> float:
        return self._beginning + self._rate * self._world.clock.seconds()

    def callLater(self, seconds: float, function: Any, *args: Any, **named: Any) -> DelayedCall:
        call = self._world.clock.callLater(seconds / self._rate, function, *args, **named)
        self._calls.append(call)
        return call

    def stop(self) -> None:
        """Put off all that is due, for good."""
        self.has_stopped = True
        for call in self._calls:
            if call.active():
                call.delay(_FOR_GOOD)


class _Response:
    """An answer as twisted.web's client gives it: `Incoming` reads it."""

    def __init__(self, answer: Answer) -> None:
        self.code = answer.status
        self.headers = Headers({name: [value] for name, value in answer.headers.items()})
        self.length = len(answer.body)
        self._body = answer.body

    def deliverBody(self, incoming: Incoming) -> None:
        if self._body:
            incoming.dataReceived(self._body)
        incoming.connectionLost(Failure(ResponseDone()))


class SimulatedTransport(BaseTransport):
    """As `Transport`, without HTTP."""

    timeout = 60.0
    pauses = (0.25, 1.0)
    observer = None
    gateway = DecodedURL.from_text("http://gateway/")

    def __init__(self, clock: ProcessClock, gateway: Gateway, line: Line) -> None:
        super().__init__(clock)
        self._gateway = gateway
        self._line = line

    async def open(self, request: Request) -> Incoming:
        return await self._until_closed(lambda: self._open(request), request.doing)

    async def _open(self, request: Request) -> Incoming:
        doing, seconds = request.doing, timeout(self.timeout)
        body = request.body and b"".join([bytes(chunk) async for chunk in request.body.chunks()])
        path = tuple(str(segment).encode() for segment in request.path)
        plain = {"accept": "text/plain"}
        question = Question(request.method, path, request.query, plain, body or b"", "", "")
        deadline = Deadline(self.reactor, seconds + request.patience, doing)
        try:
            answer = await deadline.guard(self._gateway.send(self._line, question, doing))
        except CancelledError:
            if self.is_closed:
                raise AnswerLost(f"{doing}: the client was closed") from None
            raise
        incoming = Incoming(self.reactor, seconds, doing, _Response(answer))  # type: ignore[arg-type]
        if incoming.status in request.expected:
            return incoming
        raise error_for(incoming.status, answer.body, doing)


@frozen
class Habits:
    """
    The habits of a process. Times are in seconds.

    `is_elsewhere`: whether it is a process of another host, which has no spool.
    `fanout`: of its tree. `users`: their number. `rest`: of a user between two operations, on
    average. `kinds`: operations, with weights. `names`: that they use. `leaving`: the share of
    operations that are cancelled.
    """

    fanout: Fanout | None
    users: int
    rest: float
    kinds: Mapping[str, float]
    names: Sequence[str]
    leaving: float
    weather: Weather
    is_elsewhere: bool = False


class Process:
    """A process. Its users work until `until`, in seconds of the true time."""

    rates = (0.9, 1.1)

    def __init__(
        self, world: World, gateway: Gateway, history: History, who: str, habits: Habits
    ) -> None:
        random = world.random
        self.who = who
        self.habits = habits
        self._world = world
        self._history = history
        self._clock = ProcessClock(world, random.choice(self.rates), random.uniform(0, 10**6))
        self._line = Line(who, habits.weather)
        self._gateway = gateway
        transport = SimulatedTransport(self._clock, gateway, self._line)
        self.tree = Tree(Client(transport), gateway.root, fanout=habits.fanout)
        self._is_closed = False
        self._context = copy_context()
        self._context.run(ahead.set, random.choice([0.0, 0.5, -20.0, 20.0, -3600.0, 3600.0]))

    @property
    def is_dead(self) -> bool:
        """Whether it was killed."""
        return self._clock.has_stopped

    @property
    def is_over(self) -> bool:
        """Whether it was killed, or has closed its client."""
        return self._is_closed or self.is_dead

    def start(self, until: float) -> None:
        """Let its users begin."""
        for _ in range(self.habits.users):
            self._run(self._use(until))

    def kill(self) -> None:
        """From now on it does nothing and hears nothing. Its requests can still arrive."""
        self._world.faults["kill"] += 1
        self._world.tell(self.who, "it is killed")
        self._clock.stop()
        self._gateway.cut(self._line)

    def close(self) -> None:
        """Close its client, as a process does that ends in order."""
        self._world.faults["end of a process"] += 1
        self._world.tell(self.who, "it closes its client")
        self._is_closed = True
        self._run(self.tree.client.close())

    def end(self) -> None:
        """End all that is left of it, also of a killed one, when the run is over."""
        self._run(self.tree.client.close())

    def begin(self, kind: str, *names: str) -> Deferred[None]:
        """Begin an operation on a name, or on several, and note its outcome."""
        return self._run(self._do(kind, *names))

    def _run(self, coroutine: Any) -> Deferred[Any]:
        return self._context.run(Deferred.fromCoroutine, coroutine)

    async def _use(self, until: float) -> None:
        random, habits = self._world.random, self.habits
        kinds, weights = list(habits.kinds), list(habits.kinds.values())
        while self._world.clock.seconds() < until and not self._is_closed:
            await deferLater(self._clock, random.expovariate(1 / habits.rest))  # type: ignore[arg-type]
            [kind] = random.choices(kinds, weights)
            names = random.sample(habits.names, 2 if kind == "link many" else 1)
            done = self.begin(kind, *names)
            if self._world.happens(habits.leaving):
                self._world.faults["caller gone"] += 1
                self._clock.callLater(random.expovariate(1), done.cancel)
            if self._world.happens(0.8):  # else it begins the next one meanwhile
                await done

    async def _do(self, kind: str, *names: str) -> None:
        operations = [self._history.begin(self.who, kind, name) for name in names]
        results: Sequence[Any]
        try:
            await self._carry_out(kind, *operations)
            results = [None] * len(operations)
        except SomeFailed as some:
            results = some.results
        except Exception as error:
            results = [error] * len(operations)
        for operation, error in zip(operations, results, strict=True):
            self._history.end(operation, _told(error), error)

    async def _carry_out(self, kind: str, *operations: Operation) -> None:
        await _WAYS[kind](self.tree, *operations)


def _told(error: Exception | None) -> str:
    if error is None:
        return "made"
    kinds: dict[str, Any] = {
        "taken": ExistingChild,
        "missing": NoSuchChild,
        "unknown": (UnknownOutcome, CancelledError),
        "failed": TahoeError,
    }
    return next((told for told, kind in kinds.items() if isinstance(error, kind)), "wrong")


async def _link(tree: Tree, operation: Operation) -> None:
    await tree.link(operation.name, _EQUAL, metadata={NUMBER: operation.number})


async def _replace(tree: Tree, operation: Operation) -> None:
    metadata = {NUMBER: operation.number}
    await tree.link(operation.name, _EQUAL, replace="only-files", metadata=metadata)


async def _save(tree: Tree, operation: Operation) -> None:
    await tree.save(operation.name, b"%d" % operation.number)


async def _save_over(tree: Tree, operation: Operation) -> None:
    await tree.save(operation.name, b"%d" % operation.number, replace="only-files")


async def _replace_expected(tree: Tree, operation: Operation) -> None:
    node = None
    try:
        node = await tree.resolve(operation.name, fresh=True)
        operation.expected = number_of(node.metadata, node.cap)
    except NoSuchChild:
        pass
    contents = b"%d" % operation.number
    await tree.replace(operation.name, await tree.upload(contents), node)


async def _link_many(tree: Tree, *operations: Operation) -> None:
    await tree.link_many((o.name, Link(_EQUAL, {NUMBER: o.number})) for o in operations)


async def _unlink(tree: Tree, operation: Operation) -> None:
    await tree.unlink(operation.name)


async def _remove(tree: Tree, operation: Operation) -> None:
    await tree.remove_directory("d")


async def _look(tree: Tree, operation: Operation) -> None:
    node = await tree.resolve(operation.name, fresh=True)
    operation.found[operation.name] = number_of(node.metadata, node.cap)


async def _list(tree: Tree, operation: Operation) -> None:
    directory, slash, _ = operation.name.rpartition("/")
    for name, node in (await tree.list(directory)).items():
        if not node.is_directory:
            operation.found[directory + slash + name] = number_of(node.metadata, node.cap)


async def _spread(tree: Tree, operation: Operation) -> None:
    await spread(tree)


_WAYS: dict[str, Callable[..., Awaitable[None]]] = {
    "link": _link,
    "replace": _replace,
    "save": _save,
    "save over": _save_over,
    "replace if unchanged": _replace_expected,
    "link many": _link_many,
    "unlink": _unlink,
    "remove directory": _remove,
    "look": _look,
    "list": _list,
    "spread": _spread,
}
