"""The HTTP server of the fake gateway, and a loopback port to serve it on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.pollreactor import PollReactor
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from txtahoe.testing.fake.http.question import Answer, Question

_LOOPBACK = "127.0.0.1"
# Tahoe's `TahoeLAFSRequest` puts these on every answer.
_POLICY = {"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}


def quiet_site(resource: IResource, reactor: Any, timeout: int | None = 60) -> Site:
    """A site that logs no request: the URLs hold caps. `timeout`: seconds of an idle connection."""
    site = Site(resource, timeout=timeout, reactor=reactor)
    site.noisy = False
    site.log = lambda request: None  # type: ignore[method-assign]
    return site


class Exchange:
    """A question that waits for its answer."""

    def __init__(
        self, request: Request, do: Callable[[Question], Answer], clock: IReactorTime | None
    ) -> None:
        self.question = Question.of(request)
        self._request = request
        self._do = do
        self._clock = clock
        self._is_gone = False
        request.notifyFinish().addErrback(self._gone)

    def work(self) -> Answer:
        """Do what is asked, and answer nothing yet. Raises: Unanswered."""
        return self._do(self.question)

    def send(self, answer: Answer) -> None:
        """Answer it."""
        self.begin(answer, answer.body)
        if not self._is_gone:
            self._request.finish()

    def begin(self, answer: Answer, body: bytes) -> None:
        """Send the head of an answer and this much of a body, and leave the rest open."""
        request = self._request
        request.setResponseCode(answer.status)
        for name, value in {**_POLICY, **answer.headers}.items():
            request.setHeader(name, value)
        if not answer.chunked:
            request.setHeader("Content-Length", str(len(answer.body)))
        if not self._is_gone:
            request.write(body)

    def close(self) -> None:
        """Close the connection."""
        self._request.loseConnection()

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call `function` after so many seconds, unless the client is gone by then."""
        if self._clock is None:
            raise ValueError("an answer that comes late needs a clock: FakeGateway(clock=reactor)")
        self._clock.callLater(seconds, lambda: None if self._is_gone else function())

    def _gone(self, reason: object) -> None:
        self._is_gone = True


class Root(Resource):
    """Hands every request to `deal`, whatever its path is."""

    isLeaf = True

    def __init__(self, deal: Callable[[Request], None]) -> None:
        Resource.__init__(self)
        self._deal = deal

    def render(self, request: Request) -> int:
        self._deal(request)
        return NOT_DONE_YET


class Loopback:
    """
    Serves a resource from now on until `stop`; `with` gives its URL, and stops it at the end.

    The interpreter does not wait for it when it exits. The global reactor is neither used nor
    installed: `make` gets a private one.
    """

    def __init__(self, make: Callable[[Any], IResource]) -> None:
        self._reactor: Any = PollReactor()
        site = quiet_site(make(self._reactor), self._reactor)
        port = self._reactor.listenTCP(0, site, interface=_LOOPBACK)
        self.url = f"http://{_LOOPBACK}:{port.getHost().port}/"
        # `threadable.ioThread` is the thread of the application's reactor, which may start now too.
        self._reactor._registerAsIOThread = False
        self._thread = threading.Thread(
            target=self._reactor.run, args=(False,), daemon=True, name="fake gateway"
        )
        self._thread.start()

    def __enter__(self) -> str:
        return self.url

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port and the connections, and end the thread."""
        if self._thread.is_alive():
            self._reactor.callFromThread(self._reactor.stop)
            self._thread.join()
            # A reactor is made to last as long as its process, and does not do this itself.
            for waker in self._reactor._internalReaders:
                waker.connectionLost(None)
