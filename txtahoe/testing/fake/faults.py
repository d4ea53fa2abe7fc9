"""What can go wrong between a client and a gateway, put in at a chosen request."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Protocol

from attrs import define, field, frozen

from txtahoe.testing.fake.failures import failure_page
from txtahoe.testing.fake.http.question import Answer, Question, plain
from txtahoe.testing.fake.http.refusals import Failed

# What the gateway writes into a body when a download fails midway: Tahoe's
# `allmydata.web.filenode.FileDownloader`.
_END_MARKER = b"problem during download\n"


class IExchange(Protocol):
    """A question that waits for its answer."""

    question: Question

    def work(self) -> Answer:
        """Do what is asked."""

    def send(self, answer: Answer) -> None:
        """Answer it."""

    def begin(self, answer: Answer, body: bytes) -> None:
        """Send the head of an answer and this much of a body, and leave the rest open."""

    def close(self) -> None:
        """Close the connection."""

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call it when the time has come, if the client is still there."""


class Fault(Protocol):
    """What happens in place of the work and its answer."""

    def happen(self, exchange: IExchange) -> None:
        """Deal with a question."""


@frozen
class Status:
    """Another answer, as a proxy before the gateway gives it. Nothing is done."""

    status: int
    text: str = ""

    def happen(self, exchange: IExchange) -> None:
        exchange.send(plain(self.text, self.status))


@frozen
class ExceptionPage:
    """500 and a traceback that ends with this class, such as that of Tahoe. Nothing is done."""

    name: str = "allmydata.mutable.common.UncoordinatedWriteError"
    reason: str = ""

    def happen(self, exchange: IExchange) -> None:
        exchange.send(failure_page(exchange.question, Failed(self.name, self.reason)))


@frozen
class Silence:
    """No answer, on an open connection; `done` says whether the work is done all the same."""

    done: bool = False

    def happen(self, exchange: IExchange) -> None:
        if self.done:
            exchange.work()


@frozen
class LostAnswer:
    """No answer, on a connection that closes; `done` says whether the work is done all the same."""

    done: bool = True

    def happen(self, exchange: IExchange) -> None:
        if self.done:
            exchange.work()
        exchange.close()


@frozen
class CutBody:
    """The connection closes after so many bytes of the body."""

    after: int

    def happen(self, exchange: IExchange) -> None:
        answer = exchange.work()
        exchange.begin(answer, answer.body[: self.after])
        exchange.close()


@frozen
class EndMarker:
    """
    A download that fails after so many bytes of the body.

    The gateway then writes `problem during download`. Where that fills the announced length the
    answer looks complete; else it stays open, and nothing more comes.
    """

    after: int

    def happen(self, exchange: IExchange) -> None:
        answer = exchange.work()
        marked = (answer.body[: self.after] + _END_MARKER)[: len(answer.body)]
        if len(marked) == len(answer.body):
            exchange.send(Answer(answer.status, marked, answer.headers, answer.chunked))
        else:
            exchange.begin(answer, marked)


@frozen
class Delay:
    """The right answer, so many seconds late. The work is done then, unless the client is gone."""

    seconds: float

    def happen(self, exchange: IExchange) -> None:
        exchange.later(self.seconds, lambda: exchange.send(exchange.work()))


@define
class _Planned:
    fault: Fault
    pattern: str
    skip: int
    times: int


@define
class Faults:
    """The faults that are still to happen."""

    _planned: list[_Planned] = field(factory=list, init=False)

    def plan(self, fault: Fault, pattern: str, skip: int, times: int) -> None:
        self._planned.append(_Planned(fault, pattern, skip, times))

    def clear(self) -> None:
        """Let nothing more go wrong."""
        self._planned.clear()

    def due(self, question: Question) -> Fault | None:
        """The fault for this question, which is spent with it."""
        for planned in self._planned:
            if not fnmatchcase(question.label, planned.pattern):
                continue
            if planned.skip:
                planned.skip -= 1
                continue
            planned.times -= 1
            if not planned.times:
                self._planned.remove(planned)
            return planned.fault
        return None
