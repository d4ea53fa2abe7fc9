"""The fake gateway itself."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IAgent
from twisted.web.resource import Resource

from txtahoe.caps import Cap
from txtahoe.testing.fake.api.surface import Surface
from txtahoe.testing.fake.faults import Fault, Planned
from txtahoe.testing.fake.http.question import Answer, Question
from txtahoe.testing.fake.http.refusals import Unanswered
from txtahoe.testing.fake.http.site import Exchange, Loopback, Root
from txtahoe.testing.fake.http.wire import WireAgent
from txtahoe.testing.fake.objects.links import new_directory
from txtahoe.testing.fake.objects.store import TOTAL, Store


class FakeGateway:
    """
    A Tahoe-LAFS gateway and its grid, in memory: 2 of 3 shares give a file back.

    In a Twisted test, without a socket:
    `Client(Transport(clock, "http://fake/", agent=gateway.agent))`, with any reactor or `Clock`.
    Give the same as `clock` here if an answer is to come late.
    In blocking code: `with gateway.listening() as url`.

    `requests`: the requests so far, without caps and names, such as "PUT /uri",
    "GET /uri/CAP", "GET /uri/CAP/NAME?t=uri", "POST /uri/CAP?t=set_children".

    The contract tests of this project compare it with a real gateway. It has no HTML forms and no
    multipart bodies, and its pages of HTML have a title and nothing else.
    """

    def __init__(self, *, servers: int = 3, clock: Any = None) -> None:
        self.requests: list[str] = []
        self._store = Store(servers)
        self._surface = Surface(self._store)
        self._faults: list[Planned] = []
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

    def listening(self) -> Loopback:
        """
        Serve on a free port of 127.0.0.1, for as long as a `with` block lasts; it gets the URL.

        Without `with`: the result has `url`, and serves until its `stop` is called or the process
        ends.
        """
        return Loopback(self._resource)

    @property
    def servers(self) -> int:
        """How many storage servers are connected; tests can set it. Shares on others are away."""
        return self._store.servers

    @servers.setter
    def servers(self, number: int) -> None:
        self._store.servers = number
        self._store.known_servers = max(number, self._store.known_servers)

    def make_directory(self) -> Cap:
        """The write cap of a new, empty directory, without a request."""
        return new_directory(self._store, {}).known

    def lose(self, cap: Cap | str, shares: int = TOTAL) -> None:
        """
        Destroy shares of an object: all of them, or so many. Two that are left are enough.

        Raises: KeyError for an object that is not on this grid, and for a LIT cap.
        """
        self._store.lose(Cap.parse(str(cap)), shares)

    def fail_next(self, pattern: str, fault: Fault, *, skip: int = 0, times: int = 1) -> None:
        """
        Let a request go wrong: the next whose entry in `requests` is like `pattern`.

        `pattern`: as in `fnmatch`: "PUT /uri", "GET /uri/CAP*", "*?t=set_children", "*".
        `skip`: so many such requests go well before. `times`: so many go wrong then.
        """
        self._faults.append(Planned(fault, pattern, skip, times))

    def forget_faults(self) -> None:
        """Drop all faults that are still to happen."""
        self._faults.clear()

    def _resource(self, clock: IReactorTime | None) -> Resource:
        return Root(lambda request: self._deal(Exchange(request, self._do, clock)))

    def _do(self, question: Question) -> Answer:
        with self._lock:
            return self._surface.answer(question)

    def _deal(self, exchange: Exchange) -> None:
        label = exchange.question.label
        with self._lock:
            self.requests.append(label)
            striking = next((planned for planned in self._faults if planned.strikes(label)), None)
        try:
            if striking:
                striking.fault.happen(exchange)
            else:
                exchange.send(exchange.work())
        except Unanswered:
            pass


@cache
def start_fake_gateway() -> tuple[str, str]:
    """
    The URL of a fake gateway, and the write cap of an empty directory on it. One a process.

    For the settings of a Django project's tests, which may begin with those of the site:

        TAHOE_STORAGE_BASE_URL, TAHOE_STORAGE_BASE_CAP = start_fake_gateway()
        TAHOE_STORAGE_BASE_CAP_FILE = TAHOE_STORAGE_WRITER_URL = None

    A process that forks shares it with its children, for as long as it lives.
    """
    gateway = FakeGateway()
    return gateway.listening().url, str(gateway.make_directory())
