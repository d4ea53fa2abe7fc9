"""
The way of each request to the gateway and back, and the faults on it.

The gateway takes a request at one moment, and the answer tells of that moment. Requests that are
under way together arrive in any order. The code relies on one thing, as in the models: a request
that its process has given up, and that arrives all the same, comes before those that the process
sends later. The mutant "the gateway reorders requests" shows that the code needs it.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall

from tests.simulation.world import World
from txtahoe.errors import AnswerLost, GatewayRefused, TahoeError
from txtahoe.testing.fake.api.surface import Surface
from txtahoe.testing.fake.http import refusals
from txtahoe.testing.fake.http.question import Answer, Question, failure_page, refusal
from txtahoe.testing.fake.objects.links import new_directory
from txtahoe.testing.fake.objects.store import Store

_UNCOORDINATED = "allmydata.mutable.common.UncoordinatedWriteError"
# A gateway whose write was disturbed pauses for so many seconds at least before it tries again.
_DISTURBED = 1.8
# Two requests do not arrive at once.
_NEXT = 1e-6


@frozen
class Weather:
    """
    The delays and faults of one process's requests. Times are in seconds.

    `usual`: the time of a request, and of an answer, on average. `slow`: the most that a slow one
    takes. `rate`: the share of requests that meet a fault; `kinds`: of these kinds. `spares`: the
    method of requests that meet none.
    """

    usual: float
    slow: float
    rate: float
    kinds: tuple[str, ...]
    spares: str = ""


_CALM = Weather(usual=0.05, slow=0.05, rate=0.0, kinds=())


@frozen
class Course:
    """
    The course of a request. Times are in seconds, and None is never.

    `arrives`: the request, after it was sent. `answered`: the request, after it arrived. `breaks`:
    the connection, after the request was sent. `works`: whether the gateway carries the request
    out. `says`: changes the gateway's answer on its way back; to None: the connection breaks.
    """

    arrives: float | None
    answered: float | None = None
    breaks: float | None = None
    works: bool = True
    says: Callable[[Question, Answer | None], Answer | None] = lambda question, answer: answer


def _failed(question: Question, answer: Answer | None) -> Answer:
    if question.method == "GET":
        return _unrecoverable(question, answer)
    return failure_page(question, refusals.Failed(_UNCOORDINATED))


def _unrecoverable(question: Question, answer: Answer | None) -> Answer:
    return refusal(refusals.unrecoverable())


def _conflict(question: Question, answer: Answer | None) -> Answer | None:
    """The gateway repeats a link, and meets its own half-placed write (docs/gateway.md 2.8)."""
    is_link = question.operation == "set_children" and question.argument("replace") == "false"
    is_made = answer is not None and answer.status == 200
    return refusal(refusals.existing_child()) if is_link and is_made else answer


def _nothing(question: Question, answer: Answer | None) -> None:
    return None


# Each is called with the times of this request, of its answer, and of a slow one.
FAULTS: dict[str, Callable[[float, float, float], Course]] = {
    "request lost": lambda there, back, slow: Course(None, breaks=there),
    "answer lost": lambda there, back, slow: Course(there, back, says=_nothing),
    "lost, done later": lambda there, back, slow: Course(there + slow, breaks=there),
    "silence": lambda there, back, slow: Course(None),
    "silence, but done": lambda there, back, slow: Course(there),
    "slow request": lambda there, back, slow: Course(slow, back),
    "slow answer": lambda there, back, slow: Course(there, slow),
    "failure": lambda there, back, slow: Course(there, back, works=False, says=_failed),
    "failure, but done": lambda there, back, slow: Course(there, back + _DISTURBED, says=_failed),
    "unreadable": lambda there, back, slow: Course(there, back, works=False, says=_unrecoverable),
    "unreadable, but done": lambda there, back, slow: Course(
        there, back + _DISTURBED, says=_unrecoverable
    ),
    "conflict with itself": lambda there, back, slow: Course(
        there, back + _DISTURBED, says=_conflict
    ),
}


@define(eq=False)
class Line:
    """
    The connections of one process, and their weather.

    `is_cut`: the process is dead, and hears nothing any more. `not_before`: no request arrives
    before a given-up one that was sent earlier.
    """

    who: str
    weather: Weather
    is_cut: bool = False
    not_before: float = 0.0


@define(eq=False)
class _Pending:
    """A request under way. `arrival`: its time. `calls`: the delayed calls that carry it on."""

    line: Line
    answer: Deferred[Answer]
    arrival: float = 0.0
    calls: list[IDelayedCall] = field(factory=list)


class Gateway:
    """
    A gateway in memory.

    `is_calm`: whether all lines are without faults and delays are short. `reorders`: whether later
    requests overtake given-up ones. `order`: a line that keeps the order of the requests of all
    processes; if it is None, each line keeps the order of its own. `requests`: their number.
    `changed`: called after each request that can change something.
    """

    def __init__(self, world: World) -> None:
        store = Store(3)
        self.store = store
        self.root = new_directory(store, {}).known
        self.is_calm = False
        self.reorders = False
        self.order: Line | None = None
        self.requests = 0
        self.changed: Callable[[], None] = lambda: None
        self._world = world
        self._surface = Surface(store)
        self._is_up = True
        self._pending: list[_Pending] = []

    def send(self, line: Line, question: Question, doing: str) -> Deferred[Answer]:
        """The answer to a request. Raises: GatewayRefused, AnswerLost."""
        world, weather = self._world, _CALM if self.is_calm else line.weather
        self.requests += 1
        if not self._is_up:
            world.tell(line.who, f"{question.label}: refused")
            return fail(GatewayRefused(f"{doing}: refused"))
        usual = 1 / weather.usual
        there, back = world.random.expovariate(usual), world.random.expovariate(usual)
        course, kind = Course(there, back), ""
        if question.method != weather.spares and world.happens(weather.rate):
            kind = world.random.choice(weather.kinds)
            world.faults[kind] += 1
            course = FAULTS[kind](there, back, world.random.uniform(0.7, 1) * weather.slow)
        world.tell(line.who, f"{question.label} is sent{kind and ': '}{kind}")
        return self._begin(line, question, course, doing)

    def _begin(
        self, line: Line, question: Question, course: Course, doing: str
    ) -> Deferred[Answer]:
        world = self._world

        def give_up(_: object = None) -> None:
            self._give_up(pending)

        def end(result: Answer | TahoeError) -> None:
            if line.is_cut or pending.answer.called:
                return
            if isinstance(result, TahoeError):
                world.tell(line.who, f"{question.label}: the connection breaks")
                give_up()
                pending.answer.errback(result)
            else:
                pending.answer.callback(result)

        def arrive() -> None:
            if question.method == "GET" and pending.answer.called:
                return
            answer = self._surface.answer(question) if course.works else None
            told = "nothing is done" if answer is None else str(answer.status)
            world.tell("gateway", f"{question.label} of {line.who}: {told}")
            if question.method != "GET":
                self.changed()
            said = course.says(question, answer)
            if course.answered is not None:
                lost = AnswerLost(f"{doing}: lost")
                pending.calls.append(world.clock.callLater(course.answered, end, said or lost))

        pending = _Pending(line, Deferred(give_up))
        if course.arrives is not None:
            arrival = world.clock.seconds() + course.arrives
            if not self.reorders:
                arrival = max(arrival, (self.order or line).not_before)
            pending.arrival = arrival
            wait = arrival - world.clock.seconds()
            pending.calls.append(world.clock.callLater(wait, arrive))
        if course.breaks is not None:
            lost = AnswerLost(f"{doing}: lost")
            pending.calls.append(world.clock.callLater(course.breaks, end, lost))
        self._pending.append(pending)
        return pending.answer

    def _give_up(self, pending: _Pending) -> None:
        """The client waits no more; the request can arrive all the same."""
        order = self.order or pending.line
        order.not_before = max(order.not_before, pending.arrival + _NEXT)

    def cut(self, line: Line) -> None:
        """Give up all requests of a process that is dead. They can still arrive."""
        line.is_cut = True
        for pending in self._pending:
            if pending.line is line and not pending.answer.called:
                self._give_up(pending)

    def restart(self, seconds: float) -> None:
        """Lose all requests that are under way, and refuse others for a time."""
        self._world.faults["restart"] += 1
        self._world.tell("gateway", f"it restarts, for {seconds:.1f} seconds")
        self._is_up = False
        for pending in self._pending:
            for call in pending.calls:
                if call.active():
                    call.cancel()
            if not pending.answer.called and not pending.line.is_cut:
                pending.answer.errback(AnswerLost("the gateway restarts"))
        # Those of dead processes are kept: else Python would end their coroutines at any time.
        self._pending = [pending for pending in self._pending if pending.line.is_cut]

        def up() -> None:
            self._is_up = True
            self._world.tell("gateway", "it is up again")

        self._world.clock.callLater(seconds, up)
