"""Faults: what can go wrong between a client and a gateway, put in at a chosen request."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Protocol

from attrs import define, evolve, frozen

from txtahoe.testing.fake.http.question import failure_page, plain
from txtahoe.testing.fake.http.refusals import Failed
from txtahoe.testing.fake.http.site import Exchange

# The gateway writes it into a body when a download fails midway: Tahoe's
# `allmydata.web.filenode.FileDownloader`.
_END_MARKER = b"problem during download\n"


class Fault(Protocol):
    """Happens in place of the work and its answer."""

    def happen(self, exchange: Exchange) -> None:
        """Deal with a question."""


@frozen
class Status:
    """Another answer, as a proxy before the gateway gives it. The gateway does nothing."""

    status: int
    text: str = ""

    def happen(self, exchange: Exchange) -> None:
        exchange.send(plain(self.text, self.status))


@frozen
class ExceptionPage:
    """500 and a traceback that ends with this class, as of Tahoe. The gateway does nothing."""

    name: str = "allmydata.mutable.common.UncoordinatedWriteError"
    reason: str = ""

    def happen(self, exchange: Exchange) -> None:
        exchange.send(failure_page(exchange.question, Failed(self.name, self.reason)))


@frozen
class Silence:
    """No answer, on an open connection; `done`: whether the gateway does the work all the same."""

    done: bool = False

    def happen(self, exchange: Exchange) -> None:
        if self.done:
            exchange.work()


@frozen
class LostAnswer:
    """No answer, and the connection closes; `done`: whether the gateway does the work before."""

    done: bool = True

    def happen(self, exchange: Exchange) -> None:
        if self.done:
            exchange.work()
        exchange.close()


@frozen
class CutBody:
    """The connection closes after so many bytes of the body."""

    after: int

    def happen(self, exchange: Exchange) -> None:
        answer = exchange.work()
        exchange.begin(answer, answer.body[: self.after])
        exchange.close()


@frozen
class EndMarker:
    """
    A download that fails after so many bytes of the body.

    The gateway then writes `problem during download`. If that fills the announced length, the
    answer looks complete; else it stays open, and nothing more comes.
    """

    after: int

    def happen(self, exchange: Exchange) -> None:
        answer = exchange.work()
        marked = (answer.body[: self.after] + _END_MARKER)[: len(answer.body)]
        if len(marked) == len(answer.body):
            exchange.send(evolve(answer, body=marked))
        else:
            exchange.begin(answer, marked)


@frozen
class Delay:
    """The right answer, so many seconds late. The gateway works then, unless the client is gone."""

    seconds: float

    def happen(self, exchange: Exchange) -> None:
        exchange.later(self.seconds, lambda: exchange.send(exchange.work()))


@define
class Planned:
    """A fault, and the requests to which it happens; see `FakeGateway.fail_next`."""

    fault: Fault
    pattern: str
    skip: int
    times: int

    def strikes(self, label: str) -> bool:
        """Count a request; whether the fault happens to it."""
        if not self.times or not fnmatchcase(label, self.pattern):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True
