"""The fake gateway itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IAgent
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from txtahoe.caps import Cap
from txtahoe.testing.fake.api.surface import Surface
from txtahoe.testing.fake.faults import Fault, Faults
from txtahoe.testing.fake.http.loopback import Loopback
from txtahoe.testing.fake.http.question import Answer, Question
from txtahoe.testing.fake.http.refusals import Unanswered
from txtahoe.testing.fake.http.wire import WireAgent
from txtahoe.testing.fake.objects.links import new_directory
from txtahoe.testing.fake.objects.store import TOTAL, Store


class FakeGateway:
    """
    A Tahoe-LAFS gateway and its grid, in memory: 2 of 3 shares give a file back.

    In a Twisted test, without a socket:
    `Client(Transport(clock, "http://fake/", agent=gateway.agent))`, with any reactor or `Clock`,
    which is `clock` here too where an answer is to come late.
    In blocking code: `with gateway.listening() as url`.

    `requests`: what was asked so far, without caps and names, such as "PUT /uri",
    "GET /uri/CAP", "GET /uri/CAP/NAME?t=uri", "POST /uri/CAP?t=set_children".

    It does what the contract tests of this project show of a real gateway, and no more: no HTML
    forms, no multipart bodies, pages of HTML with a title and nothing else.
    """

    def __init__(self, *, servers: int = 3, clock: IReactorTime | None = None) -> None:
        self.requests: list[str] = []
        self._store = Store(servers)
        self._surface = Surface(self._store)
        self._faults = Faults()
        self._clock = clock
        # The listening thread and a test may ask at the same time.
        self._lock = threading.RLock()

    @property
    def resource(self) -> Resource:
        """The root of the web API, for a twisted.web Site."""
        return self._resource(self._clock)

    @property
    def agent(self) -> IAgent:
        """Makes requests to this gateway without a socket, whatever host the URL names."""
        return WireAgent(self.resource, self._clock)

    @contextmanager
    def listening(self) -> Iterator[str]:
        """The URL, on a free port of 127.0.0.1, for as long as the `with` block lasts."""
        loopback = self.listen()
        try:
            yield loopback.url
        finally:
            loopback.stop()

    def listen(self) -> Loopback:
        """As `listening`, until `stop` of the result is called or the process ends."""
        return Loopback(self._resource)

    @property
    def servers(self) -> int:
        """How many storage servers are connected; may be set. Shares on the others are away."""
        return self._store.servers

    @servers.setter
    def servers(self, number: int) -> None:
        self._store.connect(number)

    def make_directory(self) -> Cap:
        """The write cap of a new, empty directory, without a request."""
        return new_directory(self._store, {}).known

    def lose(self, cap: Cap | str, shares: int = TOTAL) -> None:
        """
        Destroy shares of an object: all of them, or so many. Two that are left are enough.

        Raises: KeyError for what is not on this grid, as are LIT caps.
        """
        self._store.lose(Cap.parse(str(cap)), shares)

    def fail_next(self, pattern: str, fault: Fault, *, skip: int = 0, times: int = 1) -> None:
        """
        Let a request go wrong: the next whose entry in `requests` is like `pattern`.

        `pattern`: as in `fnmatch`: "PUT /uri", "GET /uri/CAP*", "*?t=set_children", "*".
        `skip`: so many such requests go well before. `times`: so many go wrong then.
        """
        self._faults.plan(fault, pattern, skip, times)

    def forget_faults(self) -> None:
        """Let nothing more go wrong of what was planned."""
        self._faults.clear()

    def work(self, question: Question) -> Answer:
        """Do what is asked. Raises: Unanswered."""
        with self._lock:
            return self._surface.answer(question)

    def arrive(self, question: Question) -> Fault | None:
        """Note a request; what is to go wrong with it."""
        with self._lock:
            self.requests.append(question.label)
            return self._faults.due(question)

    def _resource(self, clock: IReactorTime | None) -> Resource:
        return _Root(self, clock)


class _Root(Resource):
    """Every path of the web API."""

    isLeaf = True

    def __init__(self, gateway: FakeGateway, clock: IReactorTime | None) -> None:
        Resource.__init__(self)
        self._gateway = gateway
        self._clock = clock

    def render(self, request: Request) -> int:
        question = Question.of(request)
        fault = self._gateway.arrive(question)
        exchange = _Exchange(self._gateway, question, request, self._clock)
        try:
            if fault is None:
                exchange.send(exchange.work())
            else:
                fault.happen(exchange)
        except Unanswered:
            pass
        return NOT_DONE_YET


class _Exchange:
    """A request of twisted.web that waits for its answer."""

    def __init__(
        self,
        gateway: FakeGateway,
        question: Question,
        request: Request,
        clock: IReactorTime | None,
    ) -> None:
        self.question = question
        self._gateway = gateway
        self._request = request
        self._clock = clock
        self._is_gone = False
        request.notifyFinish().addErrback(self._gone)

    def work(self) -> Answer:
        return self._gateway.work(self.question)

    def send(self, answer: Answer) -> None:
        self.begin(answer, answer.body)
        if not self._is_gone:
            self._request.finish()

    def begin(self, answer: Answer, body: bytes) -> None:
        request = self._request
        request.setResponseCode(answer.status)
        for name, value in {**_POLICY, **answer.headers}.items():
            request.setHeader(name, value)
        if not answer.chunked:
            request.setHeader("Content-Length", str(len(answer.body)))
        if not self._is_gone:
            request.write(body)

    def close(self) -> None:
        self._request.loseConnection()

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        if self._clock is None:
            raise ValueError("an answer that comes late needs a clock: FakeGateway(clock=reactor)")
        self._clock.callLater(seconds, lambda: None if self._is_gone else function())

    def _gone(self, reason: object) -> None:
        self._is_gone = True


# What Tahoe's `TahoeLAFSRequest` puts on every answer.
_POLICY = {"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}


@cache
def _started() -> tuple[str, str]:
    gateway = FakeGateway()
    return gateway.listen().url, str(gateway.make_directory())


def start_fake_gateway() -> tuple[str, str]:
    """
    The URL of a fake gateway, and the write cap of an empty directory on it. One a process.

    For the settings of a Django project's tests, which may begin with those of the site:

        TAHOE_STORAGE_BASE_URL, TAHOE_STORAGE_BASE_CAP = start_fake_gateway()
        TAHOE_STORAGE_BASE_CAP_FILE = TAHOE_STORAGE_WRITER_URL = None

    A process that forks shares it with its children, for as long as it lives.
    """
    return _started()
