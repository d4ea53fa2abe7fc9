"""A site that serves files, for the tests of `serve`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.client import readBody
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.server import Request as WebRequest

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Cap
from txtahoe.testing.fake.http.wire import WireAgent

DATA = bytes(range(256)) * 2**12


@frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class ServingTestCase(ClockTestCase):
    """A site of twisted.web that serves each file of the tree by its path."""

    def setUp(self) -> None:
        super().setUp()
        self.answering: Deferred[None] | None = None
        self.errors: list[Failure] = []
        self.requests: list[WebRequest] = []
        self.cap = self.save("file.bin", DATA)

    def save(self, name: str, data: bytes) -> Cap:
        return self.now(self.tree.save(name, data))

    @property
    def site(self) -> Any:
        site = Resource()
        site.isLeaf = True

        async def answer(request: WebRequest) -> None:
            await self.tree.serve(request, b"/".join(request.postpath).decode())

        def render(request: WebRequest) -> int:
            self.requests.append(request)
            self.answering = start(answer(request))
            self.answering.addErrback(self.errors.append)
            return NOT_DONE_YET

        site.render_GET = render  # type: ignore[attr-defined]
        return site

    def ask(self, name: str, method: str = "GET", **headers: str) -> Deferred[Any]:
        """An answer that may still be coming."""
        given = Headers({key.replace("_", "-"): [value] for key, value in headers.items()})
        url = f"http://site/{quote(name)}".encode()
        agent = WireAgent(self.site, self.clock)
        return agent.request(method.encode(), url, given)

    def get(self, name: str, method: str = "GET", **headers: str) -> Answer:
        answer = self.successResultOf(self.ask(name, method, **headers))
        self.clock.pump([0.1] * 30)
        told = {
            key.decode().lower(): values[0].decode()
            for key, values in answer.headers.getAllRawHeaders()
            if key not in (b"Server", b"Date", b"Connection")
        }
        if "content-length" not in told and answer.length and method != "HEAD":
            told["content-length"] = str(answer.length)
        return Answer(answer.code, told, self.successResultOf(readBody(answer)))
