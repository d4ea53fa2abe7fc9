"""One suite for a real gateway and for the fake one, over a socket and without."""

from __future__ import annotations

import http.client
import json
import re
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from attrs import frozen
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from tests.grid.shared import shared_grid
from tests.needs import GRID, TIME, needs
from txtahoe.caps import Cap
from txtahoe.testing.fake import FakeGateway

PLAIN = {"Accept": "text/plain"}
DATA = bytes(range(97, 122)) * 40
_DASHED = {
    "add_lease": "add-lease",
    "retain_for": "retain-for",
    "release_after_complete": "release-after-complete",
}
# Headers of the server, or of the connection.
_OTHERS = ("date", "server", "connection", "content-length", "transfer-encoding")


@frozen
class Answer:
    """`length`: the announced one; None for a body that came in chunks."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    length: int | None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def raised(self) -> str:
        """The class of the exception on a page of text or HTML."""
        html = re.findall(r"<span>([\w.]+)</span>: <span>", self.text)
        text = re.findall(r"^(?:Failure: )?([\w.]+): ?.*$", self.text, re.M)
        return (html or text)[-1]


class Place:
    """A gateway on which the contract is tested."""

    def exchange(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> Answer | None:
        """The answer to a request; None if the gateway gives none."""
        raise NotImplementedError

    def lose(self, cap: str, shares: int = 3) -> None:
        """Destroy so many shares."""
        raise NotImplementedError

    def ask(
        self,
        method: str,
        *path: str | bytes,
        body: Any = b"",
        headers: Mapping[str, str] = {},
        timeout: float = 30,
        **query: str,
    ) -> Any:
        """Ask; `path`: a cap, or words before it, and names. `t=` and such are keywords."""
        first = "" if path[:1] in (("",), ("cap",), ("named",), ("file",)) else "/uri"
        first = "" if path[:1] in (("statistics",), ("status",)) else first
        segments = "".join("/" + quote(segment, safe="") for segment in path)
        query = {_DASHED.get(name, name): value for name, value in query.items()}
        url = f"{first}{segments}" + (f"?{urlencode(query)}" if query else "")
        return self.exchange(method, url, encoded(body), headers, timeout)

    # The beginnings of most tests

    def upload(self, data: bytes = DATA, **query: str) -> str:
        return str(self.ask("PUT", body=data, **query).text)

    def mkdir(self, children: Mapping[str, str] | None = None) -> str:
        body = {name: ["filenode", {"rw_uri": cap}] for name, cap in (children or {}).items()}
        return str(self.ask("POST", body=body, t="mkdir-with-children").text)

    def children(self, cap: str) -> dict[str, Any]:
        """The type and the facts of each child, by name."""
        listed: dict[str, Any] = self.ask("GET", cap, t="json").json[1]["children"]
        return listed

    def caps(self, cap: str) -> dict[str, str]:
        return {
            name: told["rw_uri"] if "rw_uri" in told else told.get("ro_uri")
            for name, (_, told) in self.children(cap).items()
        }


class OverSocket(Place):
    url: str

    def exchange(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> Answer | None:
        host = urlsplit(self.url).netloc
        connection = http.client.HTTPConnection(host, timeout=timeout)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            got = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(
                answer.status,
                {name: value for name, value in got.items() if name not in _OTHERS},
                answer.read(),
                int(got["content-length"]) if "content-length" in got else None,
            )
        except TimeoutError:
            return None
        finally:
            connection.close()


class OnGrid(OverSocket):
    def setUp(self) -> None:
        self.url = shared_grid().gateway_urls[0]

    def lose(self, cap: str, shares: int = 3) -> None:
        index = Cap.parse(cap).storage_index
        assert index
        for share in shared_grid().share_files(index)[:shares]:
            share.unlink()

    def connect_servers(self, number: int) -> None:
        for position, server in enumerate(shared_grid().servers):
            if position < number and not server.running:
                server.start()
            elif position >= number:
                server.stop()
        shared_grid().wait_ready()


class _Fake(Place):
    fake: FakeGateway

    def lose(self, cap: str, shares: int = 3) -> None:
        self.fake.lose(cap, shares)

    def connect_servers(self, number: int) -> None:
        self.fake.servers = number


class OnFake(_Fake, OverSocket):
    def setUp(self) -> None:
        self.fake = FakeGateway()
        loopback = self.fake.listening()
        self.addCleanup(loopback.stop)
        self.url = loopback.url


@implementer(IBodyProducer)
class Body:
    """The body of a request, all at once."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.length = len(data)

    def startProducing(self, consumer: Any) -> Any:
        consumer.write(self.data)
        return succeed(None)

    def stopProducing(self) -> None:
        pass


class OnFakeWithoutSocket(_Fake):
    def setUp(self) -> None:
        self.fake = FakeGateway()

    def exchange(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], timeout: float
    ) -> Answer | None:
        answers: list[Any] = []
        asked = self.fake.agent.request(
            method.encode(),
            f"http://fake{path}".encode(),
            Headers({name: [value] for name, value in headers.items()}),
            Body(body) if body else None,
        )
        asked.addBoth(answers.append)
        if not answers:
            asked.cancel()
            return None
        answer = answers[0]
        got = {
            name.decode().lower(): values[0].decode()
            for name, values in answer.headers.getAllRawHeaders()
        }
        length = None if answer.length is UNKNOWN_LENGTH else answer.length
        return Answer(
            answer.code,
            {name: value for name, value in got.items() if name not in _OTHERS},
            self.successResultOf(readBody(answer)),
            int(got["content-length"]) if "content-length" in got else length,
        )


def everywhere(contract: type) -> type:
    """Test a contract on the real grid, which takes long, and on the fake, twice."""
    module = sys.modules[contract.__module__]
    for place in (OnGrid, OnFake, OnFakeWithoutSocket):
        name = f"{contract.__name__}{place.__name__}"
        members = {"__module__": contract.__module__, "__qualname__": name}
        test = type(name, (contract, place, SynchronousTestCase), members)
        setattr(module, name, needs(GRID, TIME)(test) if place is OnGrid else test)
    return contract


def encoded(body: Any) -> bytes:
    """The bytes of a body; JSON, unless it is bytes or text."""
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def kind(cap: str) -> str:
    return Cap.parse(cap).kind


def readonly(cap: str) -> str:
    return str(Cap.parse(cap).reader)


def verifier(cap: str) -> str:
    return str(Cap.parse(cap).verifier)
